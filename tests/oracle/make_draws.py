"""Makes fixtures/draws.json: what Python's random, numpy and PyTorch draw, for base/draw.c. Run in an environment with
numpy and torch, from anywhere:

    python3 tests/oracle/make_draws.py

Each row: what was called, its arguments, the first numbers it gave, and the SHA-256 of all of them as little-endian
64-bit integers. `sample` and `shuffle` are three calls one after another of one generator.
"""

import hashlib
import json
import os
import random
import struct
import sys

import numpy
import torch

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "draws.json")
SEEDS = [0, 1, 42, 2**31, 2**32 - 1, 2**32 + 7, 2**64 - 1]
SIZES = [1, 2, 3, 10, 21, 22, 100, 1000, 4097, 100000]


def row(what, numbers, **arguments):
    numbers = [int(x) for x in numbers]
    data = struct.pack(f"<{len(numbers)}q", *numbers)
    return {"what": what, **arguments, "count": len(numbers), "first": numbers[:6], "sha256": hashlib.sha256(data).hexdigest()}


def python_rows():
    # k on both sides of where a pool is no longer kept: 21, and 21 + the power of 4 that holds 3 k
    pairs = [(1, 1), (5, 5), (21, 5), (22, 5), (22, 6), (85, 20), (86, 20), (85, 21), (86, 22), (277, 128), (1045, 128),
             (1046, 128), (1045, 341), (1045, 342), (45576, 128), (100000, 40), (2**40, 16), (5000, 5000)]
    for i, (n, k) in enumerate(pairs):
        seed = SEEDS[i % len(SEEDS)]
        random.seed(seed)
        yield row("sample", sum((random.sample(range(n), k) for _ in range(3)), []), seed=seed, n=n, k=k)
    for i, n in enumerate(SIZES):
        seed = SEEDS[i % len(SEEDS)]
        random.seed(seed)
        x = list(range(n))
        for _ in range(3):
            random.shuffle(x)
        yield row("shuffle", x, seed=seed, n=n)


def numpy_rows():
    for i, n in enumerate(SIZES + [214670]):
        for seed in (SEEDS[i % len(SEEDS)], SEEDS[(i + 3) % len(SEEDS)], 42):
            yield row("permutation", numpy.random.default_rng(seed).permutation(n), seed=seed, n=n)
        seed = SEEDS[i % 5]
        yield row("old_permutation", numpy.random.RandomState(seed).permutation(n), seed=seed, n=n)


def torch_rows():
    for i, n in enumerate(SIZES):
        seed = SEEDS[i % 6]
        torch.manual_seed(seed)
        yield row("randperm", torch.randperm(n).tolist(), seed=seed, n=n)
    for seed, low, high in [(0, 0, 1), (1, 0, 2), (42, 5, 17), (2**31, -3, 1000), (2**32 + 7, 0, 345678), (7, 100, 2**27)]:
        torch.manual_seed(seed)
        yield row("randint", torch.randint(low, high, (40,)).tolist(), seed=seed, low=low, high=high)


def main():
    rows = [*python_rows(), *numpy_rows(), *torch_rows()]
    made = f"Python {sys.version.split()[0]}, numpy {numpy.__version__}, torch {torch.__version__.split('+')[0]}"
    with open(OUT, "w") as f:
        f.write('{"made by": ' + json.dumps(made) + ',\n"rows": [\n')
        f.write(",\n".join(json.dumps(r) for r in rows))
        f.write("\n]}\n")
    print(OUT, len(rows), "rows", made)


main()
