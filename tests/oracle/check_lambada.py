"""Prints what a model of a GGUF file gives on LAMBADA by transformers, which tests/long/test_lambada.c holds the program to:
items, words that are right, mean negative log-likelihood of a word in nats.

    python3 -m venv venv && venv/bin/pip install torch transformers==5.2.* accelerate gguf sentencepiece
    venv/bin/python tests/oracle/check_lambada.py stories260K.gguf lambada_test.jsonl
"""

import json
import os
import re
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def item(tokenizer, text, variant):
    encode = lambda s: tokenizer.encode(s, add_special_tokens=False)
    if variant == "normalized":  # the GPTQ authors': no BOS, context and word each encoded on its own
        changed = "\n" + re.sub("“|”|''|``", '"', text.strip()).strip()
        return encode(changed.rsplit(" ", 1)[0]), encode(" " + text.rsplit(" ", 1)[1])
    bos = [tokenizer.bos_token_id]
    context, word = text.rsplit(" ", 1)
    whole, first = bos + encode(context + " " + word), bos + encode(context.rstrip())
    return first, whole[len(first):]


def main():
    torch.set_num_threads(1)
    folder, file = os.path.split(os.path.abspath(sys.argv[1]))
    m = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    most = m.config.max_position_embeddings
    for variant, most_items in (("openai", None), ("normalized", 1000)):
        items = right = 0
        nll = 0.0
        for line in open(sys.argv[2]).readlines()[:most_items]:
            first, word = item(tokenizer, json.loads(line)["text"], variant)
            ids = (first + word)[-(most + 1):]
            with torch.no_grad():
                logits = m(input_ids=torch.tensor([ids[:-1]])).logits[0].double()
            rows, target = torch.log_softmax(logits, -1)[-len(word):], torch.tensor(word)
            right += bool((rows.argmax(-1) == target).all())
            nll -= float(rows[torch.arange(len(word)), target].sum())
            items += 1
        print(variant, items, right, "%.6f" % (nll / items))


main()
