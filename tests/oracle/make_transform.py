"""Fixtures of tests/oracle/test_transform.c: input transforms with scipy's Hadamard matrix, in float64.

    python tests/oracle/make_transform.py        (numpy, scipy, safetensors)

Writes tests/oracle/fixtures/transform.safetensors; metadata NAME = JSON {cols, hadamard}.
Per case NAME: .x (tokens, cols) and .w (rows, cols) as float32; .scale (cols) and .sign (cols, 1 where negated), where
the case has them; and of T = Had diag(sign) diag(scale), Had block-diagonal of normalised scipy.linalg.hadamard:
  .tx (tokens, cols)   x T'
  .wt (rows, cols)     w T^-1, by numpy.linalg.inv
  .h, .tht             X'X / tokens, and T H T'
"""
import json
import os

import numpy as np
from safetensors.numpy import save_file
from scipy.linalg import block_diag, hadamard

tensors, meta = {}, {}


def put(name, seed, rows, cols, n=0, scale=False, sign=False):
    g = np.random.default_rng(seed)
    x = (g.standard_normal((2 * cols, cols)) * np.exp(g.standard_normal(cols))).astype(np.float32)
    w = g.standard_normal((rows, cols)).astype(np.float32)
    T = np.eye(cols)
    if scale:
        s = np.exp(g.standard_normal(cols)).astype(np.float32)
        T = np.diag(s.astype(np.float64)) @ T
        tensors[f"{name}.scale"] = s
    if sign:
        s = g.integers(0, 2, cols)
        T = np.diag(1.0 - 2.0 * s) @ T
        tensors[f"{name}.sign"] = s.astype(np.int32)
    if n:
        T = block_diag(*[hadamard(n) / np.sqrt(n)] * (cols // n)) @ T
    X, W = x.astype(np.float64), w.astype(np.float64)
    H = X.T @ X / len(X)
    arrays = dict(x=x[:4], w=w, tx=(X @ T.T)[:4], wt=W @ np.linalg.inv(T), h=H, tht=T @ H @ T.T)
    tensors.update({f"{name}.{k}": np.ascontiguousarray(v).astype(np.float32) for k, v in arrays.items()})
    meta[name] = json.dumps(dict(cols=cols, hadamard=n))


put("scale", 1, 3, 20, scale=True)
put("hadamard", 2, 3, 32, n=32)
put("runs", 3, 3, 48, n=16, sign=True)
put("all", 4, 3, 64, n=32, scale=True, sign=True)

save_file(tensors, os.path.join(os.path.dirname(__file__), "fixtures", "transform.safetensors"), metadata=meta)
