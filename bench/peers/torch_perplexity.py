"""Perplexity with PyTorch + transformers on the same windows as Lowbit.

Arguments: MODEL_FOLDER TEXT LENGTH WINDOWS THREADS float32|bfloat16. Prints "seconds_per_window mean_nll": the mean time of a window
after a first one that is not counted.
"""
import sys
import time

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

folder, text, length, windows, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
torch.set_num_threads(threads)
tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
with open(text, encoding="utf-8") as f:
    ids = tokenizer.encode(f.read(), add_special_tokens=False).ids
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, sys.argv[6])).eval()
x = torch.tensor(ids[: windows * length]).view(windows, length)


def window_nll(i):
    logits = model(x[i : i + 1], use_cache=False).logits[0]
    return torch.nn.functional.cross_entropy(logits[:-1].float(), x[i, 1:]).item()


with torch.inference_mode():
    window_nll(0)
    start = time.perf_counter()
    nll = [window_nll(i) for i in range(windows)]
    seconds = time.perf_counter() - start
print(f"{seconds / windows:.4f} {sum(nll) / len(nll):.7f}")
