"""Fixtures of tests/oracle/test_cast.c: what PyTorch's half() and bfloat16() make of weights.

    python tests/oracle/make_cast.py        (torch, transformers, numpy, safetensors)

Writes tests/oracle/fixtures/cast.safetensors:
  w (float32), f16, bf16 (int32): numbers and the bits that they become: normal, subnormal, halfway between two with the
         lower even and odd, the largest that does not become infinity, zeros of both signs
  nll.f32, nll.f16, nll.bf16: mean NLL in nats of the tokens of llama-tiny.expected.safetensors, by transformers in
         float32, of fixtures/llama-tiny with the matrices of its blocks times 0.7 (float32), as they are and so rounded
"""
import os

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import LlamaForCausalLM

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")
COLS = 64


def bits(x):
    return x.view(torch.int16).to(torch.int32).numpy() & 0xFFFF


def edges():
    """Every kind of number, and its neighbours in float32."""
    f16 = [2.0**-24, 2.0**-25, 3 * 2.0**-25, 2.0**-14, 2.0**-15, 1023.5 * 2.0**-24, 65504.0, 65519.0, 1 + 2.0**-11,
           1 + 3 * 2.0**-11, 2049.0, 2051.0]
    bf16 = [2.0**-133, 2.0**-134, 3 * 2.0**-134, 2.0**-126, 2.0**-149, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 257.0, 259.0]
    at = np.array(f16 + bf16, np.float32)
    return np.concatenate([at, np.nextafter(at, np.float32(0)), np.nextafter(at, np.float32(np.inf)), -at,
                           np.array([0.0, -0.0], np.float32)])


g = np.random.default_rng(5)
spread = (g.standard_normal(8 * COLS) * np.exp2(g.integers(-30, 14, 8 * COLS))).astype(np.float32)
w = np.concatenate([edges(), np.clip(spread, -65504, 65504)])
w = w[: len(w) // COLS * COLS]
tensor = torch.from_numpy(w)
out = dict(w=w.reshape(-1, COLS), f16=bits(tensor.half()).reshape(-1, COLS), bf16=bits(tensor.bfloat16()).reshape(-1, COLS))
assert torch.isfinite(tensor.half()).all() and torch.isfinite(tensor.bfloat16()).all()

tokens = torch.from_numpy(load_file(os.path.join(OUT, "llama-tiny.expected.safetensors"))["tokens"].astype(np.int64))
for name, rounded in dict(f32=lambda x: x, f16=lambda x: x.half().float(), bf16=lambda x: x.bfloat16().float()).items():
    model = LlamaForCausalLM.from_pretrained(os.path.join(OUT, "llama-tiny"), dtype=torch.float32)
    with torch.no_grad():
        for key, p in model.model.layers.named_parameters():
            if p.ndim == 2:
                p.copy_(rounded(p * torch.tensor(0.7, dtype=torch.float32)))
        logits = model(tokens[None]).logits[0].double()
        nll = torch.nn.functional.cross_entropy(logits[:-1], tokens[1:])
    out[f"nll.{name}"] = np.array([nll.item()], np.float64)

save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, os.path.join(OUT, "cast.safetensors"))
