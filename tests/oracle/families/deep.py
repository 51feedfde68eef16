"""Gradients, inputs of linear layers and losses of transformers' models, by the names of the files' tensors.

Where the files' tensors and the model's parameters are cut differently (experts), transformers' own writer says how: gradients
are written by it as if they were weights, and parameters that hold their own numbers tell which tensor is which."""

import os
import shutil
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file

from families.common import load, tokens


def written(model):
    """The parameters' present values as transformers writes them: {name: array}."""
    folder = tempfile.mkdtemp()
    try:
        model.save_pretrained(os.path.join(folder, "model"))
        return load_file(os.path.join(folder, "model", "model.safetensors"))
    finally:
        shutil.rmtree(folder)


def gradients(module, folder):
    """(mean NLL of the next tokens, {name: d NLL / d tensor})."""
    model = load(module, folder).float().eval()
    for m in model.modules():
        if isinstance(m, torch.nn.Embedding):
            m.padding_idx = None  # PyTorch would leave that row's gradient out
    y = model(tokens()).logits[0]
    loss = torch.nn.functional.cross_entropy(y[:-1], tokens()[0, 1:])
    loss.backward()
    for _, p in model.named_parameters():
        p.data = torch.zeros_like(p.data) if p.grad is None else p.grad.detach()
    return float(loss.detach()), written(model)


def key(name, expert):
    return name if expert is None else f"{name}[{expert}]"


def keys_of(tensors):
    """Of every tensor, sorted, and of every expert of a stack."""
    return [key(n, e) for n in sorted(tensors) for e in (range(tensors[n].shape[0]) if tensors[n].ndim == 3 else [None])]


def parameters_by_key(model):
    """{key: (number of the parameter, expert or None)}"""
    every = [p for _, p in model.named_parameters()]
    for i, p in enumerate(every):
        p.data = torch.full_like(p.data, 64.0 * i)
        if p.ndim == 3:
            p.data += torch.arange(p.shape[0], dtype=p.dtype).reshape(-1, 1, 1)
    out = {}
    for name, t in written(model).items():
        for e, part in enumerate(t) if t.ndim == 3 else [(None, t)]:
            number, expert = divmod(int(part.flat[0]), 64)
            out[key(name, e)] = (number, expert if every[number].ndim == 3 else None)
    return out


def is_linear(m):
    w = getattr(m, "weight", None)
    return w is not None and w.ndim == 2 and not isinstance(m, torch.nn.Embedding) and "Norm" not in type(m).__name__ and "Embedding" not in type(m).__name__


def inputs(module, folder):
    """{key: rows (tokens, columns) that the linear layer with this weight read}, float32."""
    model = load(module, folder).float().eval()
    number = {id(p): i for i, (_, p) in enumerate(model.named_parameters())}
    rows = {}

    def add(parameter, expert, x):
        rows.setdefault((number[id(parameter)], expert), []).append(x.reshape(-1, x.shape[-1]).detach().clone())

    def of_experts(m, hidden, chosen, weights):
        hidden = hidden.reshape(-1, hidden.shape[-1])
        for e in range(m.down_proj.shape[0]):
            x = hidden[(chosen == e).any(-1)]
            add(m.gate_up_proj, e, x)
            gate, up = torch.nn.functional.linear(x, m.gate_up_proj[e]).chunk(2, dim=-1)
            add(m.down_proj, e, m.act_fn(gate) * up)

    for m in model.modules():
        if getattr(m, "gate_up_proj", None) is not None and isinstance(m.gate_up_proj, torch.nn.Parameter):
            m.register_forward_pre_hook(lambda m, args: of_experts(m, *args))
        elif is_linear(m):
            m.register_forward_pre_hook(lambda m, args: add(m.weight, None, args[0]))
    with torch.no_grad():
        model(tokens())
    return {k: torch.cat(rows[where]).numpy() for k, where in parameters_by_key(model).items() if where in rows}


def hessian(x):
    x = x.astype(np.float64)
    return x.T @ x / max(1, x.shape[0])


# ---- what is recorded ----


def draw(name, n):
    """n float32 numbers within (-1, 1) from the name: FNV-1a, then a splitmix64 step for each (make_programs.py)."""
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = (h ^ b) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(h) + (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)).astype(np.float64)


def record(module, folder):
    """(loss, gradients (tensors, 3), inputs (keys, 4)): of each tensor's gradient its norm and two products; of each key the
    tokens that were read, and of their H the trace and two products; tokens -1: nothing that a linear layer reads."""
    loss, g = gradients(module, folder)
    told = [[np.linalg.norm(g[n].astype(np.float64))] + [float(g[n].astype(np.float64).ravel() @ draw(f"{n}.{w}", g[n].size)) for w in ("first", "second")] for n in sorted(g)]
    read = inputs(module, folder)
    seen = []
    for k in keys_of(g):
        if k not in read:
            seen.append([-1.0, 0.0, 0.0, 0.0])
            continue
        H = hessian(read[k])
        u, v = (draw(f"{k}.{w}", len(H)) for w in ("first", "second"))
        seen.append([float(read[k].shape[0]), np.trace(H), u @ H @ u, u @ H @ v])
    return loss, np.array(told), np.array(seen)
