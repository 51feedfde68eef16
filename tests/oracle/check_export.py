"""Does transformers see in an exported folder what lowbit sees? Exits non-zero if not.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors
    ./lowbit quantize MODEL --method none --out DIR
    ./lowbit eval DIR TEXT --protocol W2-2048 --windows 4 --json eval.json
    venv/bin/python tests/oracle/check_export.py DIR TEXT eval.json

Compares the number of tokens, the mean NLL of every window and the perplexity, which must agree within 1e-4 relative.
The protocol (W2-n, bos) is read from eval.json; special tokens in the text are taken as text, as lowbit does."""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-4


def main(folder, text, result):
    with open(result) as f:
        ours = json.load(f)
    rule, length = ours["protocol"].split("-")
    if rule != "W2":
        sys.exit(f"{ours['protocol']}: only W2-n is compared here")
    length = int(length)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with open(text, newline="") as f:
        ids = tokenizer(f.read(), add_special_tokens=ours["text"]["bos"] == "auto: added", split_special_tokens=True,
                        return_tensors="pt", verbose=False).input_ids[0]
    bad = len(ids) != ours["text"]["tokens"]
    print(f"tokens      {ours['text']['tokens']} ours, {len(ids)} transformers")
    nll = []
    for i in range(ours["windows"]):
        window = ids[i * length:(i + 1) * length]
        with torch.no_grad():
            logits = model(window[None]).logits[0, :-1].float()
        nll.append(torch.nn.functional.cross_entropy(logits, window[1:], reduction="none").double().mean().item())
        off = abs(nll[-1] - ours["window_nll"][i])
        if off > TOLERANCE * nll[-1]:
            print(f"window {i}: {ours['window_nll'][i]:.7f} ours, {nll[-1]:.7f} transformers")
            bad = True
    theirs = torch.tensor(nll, dtype=torch.float64).mean().exp().item()
    off = abs(ours["perplexity"] / theirs - 1)
    print(f"perplexity  {ours['perplexity']:.6f} ours, {theirs:.6f} transformers: relative difference {off:.1e}")
    sys.exit("they differ" if bad or off > TOLERANCE else 0)


if len(sys.argv) != 4:
    sys.exit(__doc__)
main(*sys.argv[1:])
