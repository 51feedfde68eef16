"""Fixtures of tests/oracle/test_stages.c: what stages one after another make of small matrices, by numpy.

    python tests/oracle/make_stages.py        (numpy, safetensors)

Writes tests/oracle/fixtures/stages.safetensors; metadata NAME = JSON of the stages ("wanda+rtn") and their options.
Per case NAME: .w (rows, cols), .H (cols, cols) as float32, .codes, .scale, .zero, and .keep, 1 where a weight is kept.
  wanda+rtn       the mask by a stable sort of |w| ||x||; the grid of each group on its kept weights alone
  wanda+gptq      one column after another: what is not kept becomes 0; each error over the diagonal of the upper Cholesky
                  factor of the inverse of the damped H, spread by its row
  rtn+low_rank, wanda+rtn+low_rank  also .product: the weighted best approximation, of the rank asked for, of W - Q by
                  the singular value decomposition of (W - Q) L, H = L L^T
"""
import json
import os

import numpy as np
from safetensors.numpy import save_file

f32 = np.float32
tensors, meta = {}, {}


def matrix(rows, cols, seed):
    g = np.random.default_rng(seed)
    return (g.standard_normal((rows, cols)) * np.exp(g.standard_normal((rows, 1)))).astype(f32)


def second_moment(cols, seed):
    g = np.random.default_rng(seed)
    x = g.standard_normal((300, cols)) * np.exp(0.7 * g.standard_normal(cols)) + g.standard_normal((300, 1))
    return (x.T @ x / 300).astype(f32).astype(np.float64)


def pruned(w, H, sparsity, pattern):
    score = np.abs(w.astype(np.float64)) * np.sqrt(np.diag(H))
    keep = np.ones(w.shape, bool)
    of, out = (w.shape[1], int(w.shape[1] * sparsity)) if pattern == "row" else (4, 2)
    for i in range(0, w.shape[1], of):
        order = np.argsort(score[:, i:i + of], axis=1, kind="stable")[:, :out]
        np.put_along_axis(keep[:, i:i + of], order, False, 1)
    return keep


def grid(x, bits, symmetric):
    """scale and zero of some weights, float32."""
    low, high, top = min(f32(0), x.min(initial=f32(0))), max(f32(0), x.max(initial=f32(0))), f32(2**bits - 1)
    if symmetric:
        high = max(abs(low), high)
        low = -high if low < 0 else low
    if low == 0 and high == 0:
        low, high = f32(-1), f32(1)
    scale = f32(high - low) / top
    return scale, f32(2 ** (bits - 1)) if symmetric else np.rint(-low / scale)


def code(x, scale, zero, bits):
    return np.clip(np.rint(x.astype(f32) / scale) + zero, 0, f32(2**bits - 1))


def rounded(w, keep, bits, group, symmetric=False):
    rows, cols = w.shape
    group = group or cols
    codes, scales, zeros = np.zeros((rows, cols), int), [], []
    for r in range(rows):
        for a in range(0, cols, group):
            k = keep[r, a:a + group]
            scale, zero = grid(w[r, a:a + group][k], bits, symmetric)
            codes[r, a:a + group][k] = code(w[r, a:a + group][k], scale, zero, bits)
            scales.append(scale)
            zeros.append(zero)
    return codes, np.array(scales, f32).reshape(rows, -1), np.array(zeros, f32).reshape(rows, -1)


def values(codes, scales, zeros, keep, group):
    of = np.arange(codes.shape[1]) // (group or codes.shape[1])
    return np.where(keep, scales[:, of] * (codes.astype(f32) - zeros[:, of]), f32(0))


def solved(w, keep, H, bits, percdamp):
    scales, zeros = zip(*(grid(w[r][keep[r]], bits, False) for r in range(len(w))))
    scales, zeros = np.array(scales, f32)[:, None], np.array(zeros, f32)[:, None]
    damped = H + percdamp * np.mean(np.diag(H)) * np.eye(len(H))
    U = np.linalg.cholesky(np.linalg.inv(damped)).T
    W, codes = w.astype(np.float64), np.zeros(w.shape, int)
    for c in range(w.shape[1]):
        q = code(W[:, c:c + 1], scales, zeros, bits)
        codes[:, c] = np.where(keep[:, c], q[:, 0], 0)
        value = np.where(keep[:, c], (scales * (q - zeros))[:, 0].astype(np.float64), 0)
        W[:, c:] -= np.outer((W[:, c] - value) / U[c, c], U[c, c:])
    return codes, scales, zeros


def correction(w, q, H, rank):
    E, L = w.astype(np.float64) - q, np.linalg.cholesky(H)
    U, S, V = np.linalg.svd(E @ L)
    return (U[:, :rank] * S[:rank]) @ V[:rank] @ np.linalg.inv(L)


def put(name, stages, rows, cols, seed, bits, group=0, symmetric=False, sparsity=None, pattern="row", rank=0):
    w, H = matrix(rows, cols, seed), second_moment(cols, seed + 100)
    w[1, : cols // 2] = 0
    keep = np.ones(w.shape, bool)
    what = dict(stages=stages, bits=bits)
    if sparsity is not None:
        keep = pruned(w, H, sparsity, pattern)
        what |= dict(sparsity=sparsity, pattern=pattern)
    if "gptq" in stages:
        codes, scales, zeros = solved(w, keep, H, bits, 0.01)
        what |= {"gptq.percdamp" if rank else "percdamp": 0.01}
    else:
        codes, scales, zeros = rounded(w, keep, bits, group, symmetric)
        what |= dict(group=group or "row", symmetric=str(symmetric).lower())
    arrays = dict(w=w, H=H, codes=codes, scale=scales, keep=keep)
    if not symmetric:
        arrays["zero"] = zeros
    if rank:
        arrays["product"] = correction(w, values(codes, scales, zeros, keep, group), H, rank)
        what |= {"rank": rank, "rank_type": "f32", "low_rank.percdamp" if "gptq" in stages else "percdamp": 0}
    meta[name] = json.dumps(what)
    for k, v in arrays.items():
        v = np.ascontiguousarray(v)
        tensors[f"{name}.{k}"] = v.astype(np.int32) if v.dtype.kind in "iub" else v.astype(f32)


put("half", "wanda+rtn", 12, 50, 1, 4, group=16, sparsity=0.5)
put("most", "wanda+rtn", 9, 48, 2, 3, group=8, sparsity=0.9)
put("2_4", "wanda+rtn", 12, 32, 3, 4, symmetric=True, sparsity=0.5, pattern="2:4")
put("solved_half", "wanda+gptq", 40, 50, 4, 4, sparsity=0.5)
put("solved_2_4", "wanda+gptq", 12, 32, 5, 3, sparsity=0.5, pattern="2:4")
put("corrected", "rtn+low_rank", 24, 40, 6, 3, group=8, rank=4)
put("corrected_tall", "rtn+low_rank", 40, 24, 7, 2, group=8, rank=3)
put("three", "wanda+rtn+low_rank", 24, 40, 8, 4, group=8, sparsity=0.5, rank=4)
put("solved_corrected", "gptq+low_rank", 24, 40, 9, 3, rank=4)

save_file(tensors, os.path.join(os.path.dirname(__file__), "fixtures", "stages.safetensors"), metadata=meta)
