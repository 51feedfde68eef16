"""Fixtures of tests/oracle/test_nf4.c: what bitsandbytes makes of small matrices, on a CPU.

    python tests/oracle/make_nf4.py        (torch, safetensors, bitsandbytes 0.50.2)

Writes tests/oracle/fixtures/nf4.safetensors. Per case NAME: NAME.w the weights (float16 values), NAME.codes eight codes
an int32, the first in the lowest bits, NAME.absmax; with double quantization also NAME.dq_codes (four an int32),
NAME.dq_scale, NAME.mean; metadata NAME = JSON of format, block, rows, cols, double_quant and the SHA-256 of the float32
bytes of the dequantized matrix, little-endian, row-major, every zero positive.

Two of the package's CPU kernels are passed over for its own reference kernels ("default"), which run on a CPU as well.
The one for absmax values looks codes up in a table of 65,536 bins and so takes a neighbour where a value is within half
a bin of a midpoint (how often is printed); the reference takes the nearest, as the GPU kernel does. The one that
dequantizes 4-bit codes goes wrong where a block runs over a row's end.
"""
import hashlib
import json
import os

import bitsandbytes.functional as F
import numpy as np
import torch
from safetensors.numpy import save_file

REFERENCE = torch._C.DispatchKeySet(torch._C.DispatchKey.CompositeExplicitAutograd)
CASES = [  # name, format, block, rows, cols, double_quant, seed
    ("nf4_64", "nf4", 64, 24, 48, False, 1),
    ("fp4_64", "fp4", 64, 24, 48, False, 2),
    ("nf4_32_ragged", "nf4", 32, 7, 37, False, 3),
    ("fp4_128_ragged", "fp4", 128, 5, 75, False, 4),
    ("nf4_32_dq", "nf4", 32, 100, 90, True, 5),
    ("fp4_64_dq", "fp4", 64, 33, 50, True, 6),
]


def pack(codes, bits):
    per = 32 // bits
    codes = np.concatenate([codes, np.zeros(-len(codes) % per, np.uint8)]).reshape(-1, per).astype(np.uint64)
    return (codes << (bits * np.arange(per, dtype=np.uint64))).sum(1).astype(np.uint32).view(np.int32)


tensors, meta = {}, {}
for name, fmt, block, rows, cols, dq, seed in CASES:
    g = torch.Generator().manual_seed(seed)
    w = (torch.randn(rows, cols, generator=g) * torch.rand(rows, 1, generator=g)).half()
    w[0, :5] = 0
    w[rows // 2] *= 8
    if not dq:
        w.view(-1)[block : 2 * block] = 0  # a block of zeros
    packed, state = F.quantize_4bit(w.float(), blocksize=block, quant_type=fmt, compress_statistics=False)
    packed = packed.view(-1)
    codes = torch.stack([packed >> 4, packed & 15], 1).view(-1)[: rows * cols]
    absmax = state.absmax
    tensors[name + ".w"] = w.numpy()
    tensors[name + ".codes"] = pack(codes.numpy(), 4)
    if dq:
        mean = absmax.mean()
        assert float(mean) == np.float32(absmax.double().mean().item()), "another seed: the mean depends on the order of the sum"
        table = F.create_dynamic_map()
        q, scale = torch.ops.bitsandbytes.quantize_blockwise.default.redispatch(REFERENCE, absmax - mean, table, 256)
        fast, _ = torch.ops.bitsandbytes.quantize_blockwise.default(absmax - mean, table.clone(), 256)
        print(f"{name}: {len(q)} blocks, the CPU kernel differs in {(q != fast).sum()}")
        assert (q.int() - fast.int()).abs().max() <= 1
        absmax = F.dequantize_blockwise(q, absmax=scale, code=table, blocksize=256) + mean
        tensors[name + ".dq_codes"] = pack(q.numpy(), 8)
        tensors[name + ".dq_scale"] = scale.numpy()
        tensors[name + ".mean"] = np.array([float(mean)], np.float32)
    tensors[name + ".absmax"] = absmax.numpy()
    deq = torch.ops.bitsandbytes.dequantize_4bit.default.redispatch(
        REFERENCE, packed.view(-1, 1), absmax, block, fmt, (rows, cols), torch.float32
    ).numpy() + np.float32(0)  # -0 + 0 = +0
    digest = hashlib.sha256(deq.astype("<f4").tobytes()).hexdigest()
    meta[name] = json.dumps(dict(format=fmt, block=block, rows=rows, cols=cols, double_quant=dq, sha256=digest))
save_file(tensors, os.path.join(os.path.dirname(__file__), "fixtures", "nf4.safetensors"), metadata=meta)
