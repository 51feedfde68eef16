"""What do bfloat16 products cost, here and in PyTorch? Exits non-zero if ours are farther from float32 than PyTorch's bfloat16.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors
    ./lowbit quantize MODEL --method none --out DIR
    ./lowbit eval DIR TEXT --protocol W2-2048 --windows 4 --json f32.json
    ./lowbit eval DIR TEXT --protocol W2-2048 --windows 4 --json bf16.json --compute bf16
    venv/bin/python tests/oracle/check_bf16.py DIR TEXT f32.json bf16.json

Lowbit rounds what goes into the products of the linears and of the head. PyTorch's bfloat16 also keeps every activation, norm and
attention in bfloat16. Compared are the mean NLL of every window and the perplexity, each with lowbit's float32."""

import json
import math
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(folder, text, *results):
    exact, ours = (json.load(open(path)) for path in results)
    if (exact["compute"], ours["compute"]) != ("float32", "bf16") or exact["protocol"] != ours["protocol"]:
        sys.exit("the results must be one in float32 and one in bf16, by one protocol")
    length, windows = int(exact["protocol"].split("-")[1]), exact["windows"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    with open(text, newline="") as f:
        ids = tokenizer(f.read(), add_special_tokens=False, split_special_tokens=True, return_tensors="pt", verbose=False).input_ids[0]
    theirs = []
    for window in ids[:windows * length].view(windows, length):
        with torch.inference_mode():
            logits = model(window[None], use_cache=False).logits[0, :-1].float()
        theirs.append(torch.nn.functional.cross_entropy(logits, window[1:], reduction="none").double().mean().item())
    print(f"oneDNN {ours['onednn']} ({ours['onednn_isa']}), torch {torch.__version__}\nwindow   float32    ours bf16   PyTorch bf16")
    for i, (a, b, c) in enumerate(zip(exact["window_nll"], ours["window_nll"], theirs)):
        print(f"{i:6} {a:10.6f} {b - a:+11.6f} {c - a:+12.6f}")
    ppl = math.exp(sum(theirs) / windows)
    print(f"perplexity {exact['perplexity']:.5f} {ours['perplexity']:.5f} ({ours['mean_nll'] - exact['mean_nll']:+.6f}) "
          f"{ppl:.5f} ({math.log(ppl) - exact['mean_nll']:+.6f})")
    off = [sum(abs(x - a) for x, a in zip(nll, exact["window_nll"])) / windows for nll in (ours["window_nll"], theirs)]
    print(f"mean |difference| a window: {off[0]:.6f} ours, {off[1]:.6f} PyTorch")
    sys.exit("ours is farther from float32" if off[0] > off[1] else 0)


if len(sys.argv) != 5:
    sys.exit(__doc__)
main(*sys.argv[1:])
