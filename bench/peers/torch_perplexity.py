"""Seconds a window of PyTorch + transformers, float32, on the same windows as Lowbit. Arguments: MODEL_FOLDER TEXT LENGTH WINDOWS THREADS.
Prints "seconds_per_window mean_nll"."""
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
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
x = torch.tensor(ids[: windows * length]).view(windows, length)
nll, times = [], []
with torch.inference_mode():
    for i in range(windows):
        start = time.perf_counter()
        logits = model(x[i : i + 1], use_cache=False).logits[0]
        nll.append(torch.nn.functional.cross_entropy(logits[:-1], x[i, 1:]).item())
        times.append(time.perf_counter() - start)
print(f"{sorted(times)[len(times) // 2]:.4f} {sum(nll) / len(nll):.7f}")
