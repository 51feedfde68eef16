"""Fixtures of tests/oracle/test_formats.c: what other programs make of small matrices.

    python tests/oracle/make_formats.py HQQ        (torch, numpy, safetensors, ml_dtypes 0.6.0, termcolor)

HQQ is the folder that the source archive of hqq 0.2.8.post1 unpacks to; it need not be installed. Writes
tests/oracle/fixtures/formats.safetensors; metadata NAME = JSON of what was asked for. Per case NAME
  hqq    .w (float32), .codes (int32), .scale, .zero: hqq.core.quantize.Quantizer, groups along rows, on the CPU in
         float32; .near: 1 where w times the inverse scale plus zero is so near half way that the last bits decide
  fp8    .w, .codes (int32), .scale: largest |w| of the group / 448 in float32; elements by ml_dtypes after clamping
  wanda  .w, .H (inputs, float32), .codes: 1 where the authors' rule (stable sort of |w| ||x||, in PyTorch) keeps
  low_rank  .w, .H, .error (tr(D H D^T)), .product: the weighted best approximation of W - Q by numpy's SVD, float64,
         where .q is Q, round-to-nearest by the definition in docs/numbers.md
  mxfp4  .w, .codes (int32), .scale: 2^(floor(log2 of the largest |w|) - 2) by Python's integers; elements by ml_dtypes
"""
import json
import math
import os
import sys

import ml_dtypes
import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, sys.argv[1])
from hqq.core.optimize import optimize_weights_proximal_legacy_step as step  # noqa: E402
from hqq.core.quantize import Quantizer  # noqa: E402

f32 = np.float32
tensors, meta = {}, {}


def matrix(rows, cols, seed, spread=1.0):
    g = np.random.default_rng(seed)
    return (g.standard_normal((rows, cols)) * np.exp(spread * g.standard_normal((rows, 1)))).astype(f32)


def put(name, what, **arrays):
    meta[name] = json.dumps(what)
    for k, v in arrays.items():
        v = np.ascontiguousarray(v)
        tensors[f"{name}.{k}"] = v.astype(np.int32) if v.dtype.kind in "iub" else v.astype(f32)


def decided(W, bits, group, round_zero):
    """Does the search end at a step that the last bits do not choose? Or makes the step no difference?"""
    x = W.reshape(-1, group)
    low, high, top = x.min(1, keepdim=True)[0], x.max(1, keepdim=True)[0], 2**bits - 1
    scale = torch.where((high - low).abs() <= 1e-4, torch.ones_like(low), top / (high - low)).clamp(max=2e4)
    zero = -low * scale
    zero = torch.round(zero) if round_zero else zero
    last = math.inf
    for i in range(20):
        before = zero
        r, _, zero, scale = step(x, scale, zero, [0, top], 10.0, 0.7, 1)
        error = (x - r).abs().double().mean().item()
        if abs(last - error) < 1e-6 * error and (zero - before).abs().max() > 1e-6:
            return False
        if not error < last:
            break
        last = error
    print(f"{bits} bits: {i + 1} steps")
    return True


for name, bits, group, rows, cols, round_zero, optimize, seed, size in [
    ("hqq_4_64", 4, 64, 12, 128, False, True, 1, 0.05),
    ("hqq_3_32", 3, 32, 12, 96, False, True, 2, 1),
    ("hqq_2_16", 2, 16, 12, 64, False, True, 3, 0.5),
    ("hqq_8_64", 8, 64, 8, 128, False, True, 4, 0.05),
    ("hqq_1_32", 1, 32, 8, 64, False, True, 5, 1),
    ("hqq_4_round", 4, 64, 12, 128, True, True, 6, 1),
    ("hqq_4_start", 4, 64, 12, 128, False, False, 7, 0.05),
]:
    w = matrix(rows, cols, seed, 0.3)
    w *= f32(size)
    w[0, :group] = f32(0.25)  # a group of one value
    w[1, :group] *= f32(1e-4)  # a range below the authors' least
    w[2] = np.abs(w[2])
    W = torch.from_numpy(w)
    if optimize:
        assert decided(W, bits, group, round_zero), f"{name}: another seed"
    q, m = Quantizer.quantize(W, nbits=bits, group_size=group, optimize=optimize, round_zero=round_zero, axis=1,
                              bitpack=False, compute_dtype=torch.float32, device="cpu")
    scale, zero = m["scale"].numpy(), m["zero"].numpy()
    x = w.reshape(-1, group).astype(np.float64) / scale + zero
    near = np.abs(x - np.floor(x) - 0.5) < 1e-4 * np.maximum(1, np.abs(x))
    put(name, dict(method="hqq", bits=bits, group=group, rows=rows, cols=cols, iters=20 if optimize else 0,
                   round_zero=round_zero),
        w=w, codes=q.numpy().astype(int).reshape(rows, cols), scale=scale, zero=zero, near=near.reshape(rows, cols))


def groups(w, group):
    return [w[:, i:i + group] for i in range(0, w.shape[1], group)]


for name, group, rows, cols, seed in [("fp8_row", 0, 12, 100, 11), ("fp8_24", 24, 12, 100, 12)]:
    w = matrix(rows, cols, seed, 4.0)
    w[0, :30] = 0
    w[1] *= f32(1e-38)
    w[2, ::3] *= f32(1e-4)  # subnormal elements
    w[3] = np.resize(f32([448, 440, 432, 424, 416, 1 / 64, 1 / 512, 1 / 1024, 3 / 1024, 17, -19, 0]), cols)
    codes, scales = [], []
    for part in groups(w, group or cols):
        top = np.abs(part).max(1).astype(f32)
        scale = np.where(top > 0, np.maximum(top / f32(448), f32(1e-45)), f32(1)).astype(f32)
        x = np.clip(part / scale[:, None], f32(-448), f32(448))
        codes.append(x.astype(ml_dtypes.float8_e4m3fn).view(np.uint8))
        scales.append(scale)
    put(name, dict(method="rtn", format="fp8", bits=8, group=group, rows=rows, cols=cols), w=w,
        codes=np.concatenate(codes, 1), scale=np.stack(scales, 1))

for name, rows, cols, seed in [("mxfp4", 12, 96, 21), ("mxfp4_ragged", 7, 75, 22)]:
    w = matrix(rows, cols, seed, 4.0)
    w[0, 32:64] = 0
    w[1] = np.resize(f32([6, 5, 4.5, 3.5, 2.5, 1.75, 1.25, 0.75, 0.25, -0.25, -5, 7.9]), cols)
    w[2] *= f32(1e-38)
    w[3] = np.ldexp(np.sign(w[3]), np.arange(cols) % 40 - 20).astype(f32)
    codes, scales = [], []
    for part in groups(w, 32):
        scale = []
        for row in part:
            top = float(np.abs(row).max())
            e = max(math.frexp(top)[1] - 1 - 2, -127) if top > 0 else -127
            scale.append(math.ldexp(1.0, e))
        scale = np.array(scale)
        x = np.clip(part.astype(np.float64) / scale[:, None], -6, 6).astype(f32)
        codes.append(x.astype(ml_dtypes.float4_e2m1fn).view(np.uint8) & 15)
        scales.append(scale.astype(f32))
    put(name, dict(method="rtn", format="mxfp4", bits=4, group=32, rows=rows, cols=cols), w=w,
        codes=np.concatenate(codes, 1), scale=np.stack(scales, 1))

def second_moment(cols, tokens, seed):
    g = np.random.default_rng(seed)
    x = g.standard_normal((tokens, cols)) * np.exp(0.7 * g.standard_normal(cols)) + g.standard_normal((tokens, 1))
    return (x.T @ x / tokens).astype(f32).astype(np.float64)


for name, sparsity, pattern, rows, cols, seed in [
    ("wanda_half", 0.5, "row", 12, 90, 31), ("wanda_third", 0.3, "row", 7, 55, 32),
    ("wanda_2_4", 0.5, "2:4", 12, 64, 33), ("wanda_4_8", 0.5, "4:8", 9, 64, 34),
]:
    w, H = matrix(rows, cols, seed), second_moment(cols, 200, seed)
    w[0] = 0.5  # equal weights
    w[1, : cols // 2] = 0
    metric = torch.from_numpy(np.abs(w).astype(np.float64)) * torch.from_numpy(np.diag(H)).sqrt()
    keep = torch.ones(rows, cols, dtype=torch.bool)
    if pattern == "row":
        keep.scatter_(1, torch.sort(metric, dim=-1, stable=True)[1][:, : int(cols * sparsity)], False)
    else:
        n, m = (int(v) for v in pattern.split(":"))
        for i in range(0, cols, m):
            keep.scatter_(1, i + torch.sort(metric[:, i:i + m], dim=-1, stable=True)[1][:, : m - n], False)
    put(name, dict(method="wanda", sparsity=str(sparsity), pattern=pattern, rows=rows, cols=cols), w=w, H=H,
        codes=keep.numpy().astype(int))

for name, bits, rank, rows, cols, seed in [("low_rank_wide", 3, 4, 24, 40, 41), ("low_rank_tall", 2, 3, 40, 24, 42)]:
    w, H = matrix(rows, cols, seed), second_moment(cols, 300, seed)
    low, high, top = np.minimum(w.min(1), 0), np.maximum(w.max(1), 0), f32(2**bits - 1)
    scale = ((high - low) / top).astype(f32)[:, None]
    zero = np.clip(np.rint(-low[:, None] / scale), 0, top)
    q = scale * (np.clip(np.rint(w / scale) + zero, 0, top) - zero)
    E, L = w.astype(np.float64) - q, np.linalg.cholesky(H)
    U, S, V = np.linalg.svd(E @ L)
    product = (U[:, :rank] * S[:rank]) @ V[:rank] @ np.linalg.inv(L)
    D = E - product
    put(name, dict(method="low_rank", bits=bits, rank=rank, rank_type="f32", percdamp="0", rows=rows, cols=cols), w=w, H=H,
        product=product, q=q, error=np.array([np.trace(D @ H @ D.T)]))

save_file(tensors, os.path.join(os.path.dirname(__file__), "fixtures", "formats.safetensors"), metadata=meta)
