"""GPTQ of one layer whose H is given, on the problem that bench/solve wrote.

Arguments: FILE ROWS COLS BITS GROUP|row THREADS REPEATS. Prints "seconds output_mse", the median of the repeats.
"""
import sys
import time

import numpy
import torch
from gptq_solver import solve

rows, columns, bits = map(int, sys.argv[2:5])
group = None if sys.argv[5] == "row" else int(sys.argv[5])
torch.set_num_threads(int(sys.argv[6]))
both = torch.from_numpy(numpy.fromfile(sys.argv[1], dtype=numpy.float32))
W, H = both[: rows * columns].view(rows, columns), both[rows * columns :].view(columns, columns)
times = []
with torch.inference_mode():
    for _ in range(int(sys.argv[7])):
        start = time.perf_counter()
        Q = solve(W, H, bits, group)
        times.append(time.perf_counter() - start)
    D = (Q - W).double()
    mse = ((D @ H.double()) * D).sum() / rows
print(f"{sorted(times)[len(times) // 2]:.6f} {mse:.9g}")
