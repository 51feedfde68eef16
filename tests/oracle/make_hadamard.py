"""Fixture of the hadamard case of tests/oracle/test_smoothquant.c: inputs rotated by scipy's Hadamard matrix, then GPTQ in numpy,
on the first block of the built-in model.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors scipy
    venv/bin/python tests/oracle/make_hadamard.py

Writes tests/oracle/fixtures/hadamard.safetensors. Q is block-diagonal of normalised scipy.linalg.hadamard of the largest power
of two that divides the width, and per layer ROLE of block 0:
  ROLE.h      (cols, cols) Q H Q', H = X'X / tokens over the first SAMPLES x LENGTH tokens of the calibration text (of q and o)
  ROLE.w      (rows, cols) W Q' (of q and down)
  ROLE.codes  (rows, cols) GPTQ's, 4 bits, a grid a row: one column after another, each error spread by its row of the upper
              Cholesky factor of the inverse of the damped H (Frantar et al. 2023, arXiv:2210.17323)"""

import os

import numpy as np
import torch
from safetensors.numpy import save_file
from scipy.linalg import block_diag, hadamard
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "..", "data", "builtin")
SAMPLES, LENGTH, BITS, PERCDAMP = 12, 128, 4, 0.01
f32 = np.float32


def rotation(cols):
    n = cols & -cols
    return block_diag(*[hadamard(n) / np.sqrt(n)] * (cols // n))


def solved(w, H):
    top = f32(2**BITS - 1)
    low, high = np.minimum(w.min(1, keepdims=True), 0).astype(f32), np.maximum(w.max(1, keepdims=True), 0).astype(f32)
    scale = (high - low) / top
    zero = np.rint(-low / scale)
    U = np.linalg.cholesky(np.linalg.inv(H + PERCDAMP * np.mean(np.diag(H)) * np.eye(len(H)))).T
    W, codes = w.astype(np.float64), np.zeros(w.shape, np.uint8)
    for c in range(w.shape[1]):
        q = np.clip(np.rint(W[:, c:c + 1].astype(f32) / scale) + zero, 0, top)
        codes[:, c] = q[:, 0]
        W[:, c:] -= np.outer((W[:, c] - (scale * (q - zero))[:, 0]) / U[c, c], U[c, c:])
    return codes


def main():
    torch.set_grad_enabled(False)
    model = AutoModelForCausalLM.from_pretrained(os.path.join(DATA, "model"), dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(os.path.join(DATA, "model"))
    with open(os.path.join(DATA, "calibration.txt"), newline="") as f:
        ids = tokenizer(f.read(), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    block = model.model.layers[0]
    layers = {n: getattr(block.self_attn, f"{n}_proj") for n in "qkvo"}
    layers |= {n: getattr(block.mlp, f"{n}_proj") for n in ("gate", "up", "down")}
    inputs = {n: [] for n in layers}
    for n, layer in layers.items():
        layer.register_forward_pre_hook(lambda _, a, n=n: inputs[n].append(a[0].flatten(0, -2).double().numpy()))
    model(torch.tensor(ids[:SAMPLES * LENGTH]).reshape(SAMPLES, LENGTH))
    out = {}
    for n, layer in layers.items():
        X = np.concatenate(inputs[n])
        Q, W = rotation(X.shape[1]), layer.weight.double().numpy()
        H = Q @ (X.T @ X / len(X)) @ Q.T
        w = (W @ Q.T).astype(f32)
        out[f"{n}.codes"] = solved(w, H).astype(np.float16)
        if n in ("q", "o"):
            out[f"{n}.h"] = H.astype(f32)
        if n in ("q", "down"):
            out[f"{n}.w"] = w
    save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, os.path.join(HERE, "fixtures", "hadamard.safetensors"))


main()
