"""Fixtures of tests/oracle/test_gptq.c: GPTQ in NumPy, float64 with a float32 grid.

    python tests/oracle/make_gptq.py        (numpy, safetensors)

Writes tests/oracle/fixtures/gptq.safetensors: w (rows, cols), h and h_dead (cols, cols) per token, and per case NAME the
dequantized result; metadata NAME = the options as text, and tokens, sequences. Written from the paper (arXiv:2210.17323,
algorithm 1) and the rules of the authors' code: the range contains 0; an all-zero row gets (-1, 1); dead columns get
W = 0 and H = 1 in the scale 2 / sequences XᵀX; damping after that; groups see W as of the last block's end.
"""
import os

import numpy as np
from safetensors.numpy import save_file

ROWS, COLS, TOKENS, SEQUENCES = 16, 48, 96, 3
CASES = {
    "row4": "bits=4",
    "row2_act": "bits=2 act_order=true block=16",
    "row8": "bits=8 percdamp=0.1",
    "tensor3": "bits=3 group=tensor",
    "g16": "bits=3 group=16 block=32",
    "g16_small_block": "bits=3 group=16 block=8",
    "g16_column": "bits=3 group=16 block=32 group_refit=column",
    "g32_ragged_act": "bits=4 group=32 act_order=true block=16",
    "g16_act_static": "bits=3 group=16 act_order=true static_groups=true",
    "g16_static": "bits=3 group=16 static_groups=true block=16",
    "sym_mse": "bits=3 symmetric=true mse=true group=16 block=16",
    "mse": "bits=2 mse=true",
    "f16": "bits=4 group=16 scale_type=f16",
    "dead": "bits=4 group=16 act_order=true",
    "dead_row": "bits=3",
    "dead_static": "bits=3 group=16 static_groups=true act_order=true",
}
f32 = np.float32


def fit(x, o):
    """scale and zero of every row of x (rows, n), float32."""
    bits, sym = int(o["bits"]), o.get("symmetric") == "true"
    maxq = f32(2**bits - 1)
    low, high = np.minimum(x.min(1), f32(0)), np.maximum(x.max(1), f32(0))
    if sym:
        high = np.maximum(np.abs(low), high)
        low = np.where(low < 0, -high, low)
    empty = (low == 0) & (high == 0)
    low, high = np.where(empty, f32(-1), low), np.where(empty, f32(1), high)

    def grid(low, high):
        scale = ((high - low) / maxq).astype(f32)
        if o.get("scale_type") == "f16":
            scale = scale.astype(np.float16).astype(f32)
        zero = np.full_like(scale, 2 ** (bits - 1)) if sym else np.clip(np.rint(-low / scale), 0, maxq)
        return scale, zero.astype(f32)

    scale, zero = grid(low, high)
    if o.get("mse") == "true":
        best = np.full(len(x), np.inf)
        for i in range(80):
            p = f32(1 - i / 100)
            s, z = grid(p * low, p * high)
            q = s[:, None] * (np.clip(np.rint(x / s[:, None]) + z[:, None], 0, maxq) - z[:, None])
            err = (np.abs(q - x) ** f32(2.4)).astype(np.float64).sum(1)
            better = err < best
            best[better], scale[better], zero[better] = err[better], s[better], z[better]
    return scale, zero


def gptq(w, h, o):
    flag = lambda name: o.get(name) == "true"
    maxq = f32(2 ** int(o["bits"]) - 1)
    group = o.get("group", "row")
    block = int(o.get("block", 128))
    if group == "row":
        scale, zero = fit(w, o)
    elif group == "tensor":
        scale, zero = (np.repeat(v, len(w)) for v in fit(w.reshape(1, -1), o))
    W, H = w.astype(np.float64), h.astype(np.float64)
    dead = np.diag(H) == 0
    H[dead, dead] = SEQUENCES / (2 * TOKENS)
    W[:, dead] = 0
    size = int(group) if group.isdigit() else COLS
    if flag("static_groups"):
        static = [fit(W[:, i : i + size].astype(f32), o) for i in range(0, COLS, size)]
    perm = np.argsort(-np.diag(H), kind="stable") if flag("act_order") else np.arange(COLS)
    W, H = W[:, perm], H[perm][:, perm]
    H[np.diag_indices(COLS)] += float(o.get("percdamp", 0.01)) * np.diag(H).mean()
    U = np.linalg.cholesky(np.linalg.inv(H)).T
    Q, seen = np.zeros_like(W, dtype=f32), W.copy()
    for p in range(COLS):
        if p % block == 0 or o.get("group_refit") == "column":
            seen = W.copy()
        if flag("static_groups"):
            scale, zero = static[perm[p] // size]
        elif group.isdigit() and p % size == 0:
            scale, zero = fit(seen[:, p : p + size].astype(f32), o)
        x = W[:, p].astype(f32)
        Q[:, p] = scale * (np.clip(np.rint(x / scale) + zero, 0, maxq) - zero)
        err = (W[:, p] - Q[:, p]) / U[p, p]
        W[:, p:] -= np.outer(err, U[p, p:])
    return np.ascontiguousarray(Q[:, np.argsort(perm)])


rng = np.random.default_rng(7)
x = (rng.standard_normal((TOKENS, COLS)) + rng.standard_normal((TOKENS, 1))) * rng.uniform(0.1, 2, COLS)
w = (rng.standard_normal((ROWS, COLS)) * rng.uniform(0.1, 1, (ROWS, 1))).astype(f32)
w[3] = np.abs(w[3])  # a row of one sign
w[5] = 0
h = (x.T @ x / TOKENS).astype(f32)
x[:, [4, 20, 33]] = 0
x *= 0.1  # so that the 1 of dead columns, 1/64 per token, lies among the others
h_dead = (x.T @ x / TOKENS).astype(f32)
tensors = {"w": w, "h": h, "h_dead": h_dead}
meta = {"tokens": str(TOKENS), "sequences": str(SEQUENCES)}
for name, text in CASES.items():
    options = dict(pair.split("=") for pair in text.split())
    tensors[name] = gptq(w, h_dead if name.startswith("dead") else h, options)
    meta[name] = text
save_file(tensors, os.path.join(os.path.dirname(__file__), "fixtures", "gptq.safetensors"), metadata=meta)
