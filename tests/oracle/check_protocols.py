"""Prints the mean NLL of a text's first windows, SQ-512 and HF-1024/512, by transformers in float32: what
tests/real/test_perplexity_real.c holds SmolLM2-135M-Instruct.Q4_1 on WikiText-2 (rows joined by two newlines) to.

    python3 -m venv venv && venv/bin/pip install torch transformers accelerate gguf tokenizers
    venv/bin/python tests/oracle/check_protocols.py MODEL.gguf TOKENIZER.json TEXT

The tokenizer is the model's in its original form (a folder that this program exports has it): what transformers makes
of a GGUF file's splits numbers differently."""

import os
import sys

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

folder, name = os.path.split(os.path.abspath(sys.argv[1]))
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
with open(sys.argv[3], newline="") as f:
    ids = torch.tensor([Tokenizer.from_file(sys.argv[2]).encode(f.read(), add_special_tokens=False).ids])
print(f"{ids.shape[1]} tokens")


def loss(start, end, scored):
    window = ids[:, start:end]
    with torch.no_grad():
        logits = model(window).logits[0, -scored - 1:-1].double()
    return torch.nn.functional.cross_entropy(logits, window[0, -scored:]).item()


print("SQ-512", [round(loss(i * 512, i * 512 + 512, 511), 7) for i in range(3)])
print("HF-1024/512", [round(loss(i * 512, i * 512 + 1024, 512 if i else 1023), 7) for i in range(3)])
