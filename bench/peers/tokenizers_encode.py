"""Seconds to tokenize a text with the tokenizers library on one thread.

Arguments: MODEL_FOLDER TEXT REPEATS; the environment must hold TOKENIZERS_PARALLELISM=false and RAYON_NUM_THREADS=1.
Prints "seconds tokens", the median of the repeats.
"""
import sys
import time

from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
with open(sys.argv[2], encoding="utf-8") as f:
    text = f.read()
times = []
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    times.append(time.perf_counter() - start)
print(f"{sorted(times)[len(times) // 2]:.6f} {len(ids)}")
