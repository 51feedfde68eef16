"""Fixture of tests/oracle/test_smoothquant.c: SmoothQuant's equations (Xiao et al. 2023, arXiv:2211.10438) in PyTorch, on
the built-in model, then weights and inputs quantized.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors
    venv/bin/python tests/oracle/make_smoothquant.py

Writes tests/oracle/fixtures/smoothquant.safetensors. Per case of CASES:
  CASE.BLOCK.ROLE   (cols) s of eq. 4 for the input that layer ROLE is the first to read: of the first SAMPLES x LENGTH tokens
                    of the calibration text; channels that one row of the layer before makes count as one
  CASE.nll          (windows) mean NLL of windows of the evaluation text, with each input divided by s where it is made and the
                    weights multiplied, then: weights rounded to WBITS, symmetric by row; inputs to ABITS
  CASE.nll64        the same in float64: how far the two are apart is what roundings that go the other way are worth
Inputs are quantized by token, or with one static range a tensor, which is that of the calibration's inputs as they come from
the blocks before, quantized, into a block that is not yet. The roundings are written from docs/numbers.md."""

import os

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "..", "data", "builtin")
SAMPLES, LENGTH, WINDOW, WINDOWS = 6, 96, 128, 128
# blocks that are smoothed and quantized, alpha, all inputs, bits of weights and inputs, inputs symmetric, static
CASES = {
    "token": (1, 0.5, False, 8, 8, False, False),
    "static": (1, 0.5, True, 8, 8, False, True),
    "token_all": (5, 0.7, True, 4, 5, True, False),
    "static_all": (5, 0.5, False, 8, 5, True, True),
}
INPUTS = {"q": ["q", "k", "v"], "o": ["o"], "gate": ["gate", "up"], "down": ["down"]}
f32 = torch.float32


def layers(block):
    a, m = block.self_attn, block.mlp
    return {"q": a.q_proj, "k": a.k_proj, "v": a.v_proj, "o": a.o_proj, "gate": m.gate_proj, "up": m.up_proj,
            "down": m.down_proj}


def observe(model, x, see):
    """see(block, role, input) for every input while x goes through the model."""
    hooks = []
    for b, block in enumerate(model.model.layers):
        for role, layer in layers(block).items():
            hooks.append(layer.register_forward_pre_hook(lambda _, a, b=b, role=role: see(b, role, a[0])))
    for row in x:
        model(row[None])
    for h in hooks:
        h.remove()


def scales(model, x, blocks, alpha, everything):
    largest = {}
    observe(model, x, lambda b, role, v: largest.__setitem__(
        (b, role), torch.maximum(largest.get((b, role), v.new_zeros(1)), v.abs().flatten(0, -2).max(0)[0])))
    out = {}
    heads, kv, width = model.config.num_attention_heads, model.config.num_key_value_heads, model.config.head_dim
    for b, block in enumerate(model.model.layers[:blocks]):
        for role, readers in INPUTS.items():
            if role in ("o", "down") and not everything:
                continue
            X = largest[b, role]
            W = torch.stack([layers(block)[r].weight.abs().max(0)[0] for r in readers]).max(0)[0]
            if role == "o":  # the query heads of one key head read the same rows of v
                X, W = (v.reshape(kv, heads // kv, width).max(1, True)[0].expand(kv, heads // kv, width).reshape(-1)
                        for v in (X, W))
            out[b, role] = (X**alpha / W.clamp(min=1e-5)**(1 - alpha)).clamp(min=1e-5)
    return out


def smooth(model, blocks, s):
    heads, kv, width = model.config.num_attention_heads, model.config.num_key_value_heads, model.config.head_dim
    for b, block in enumerate(model.model.layers[:blocks]):
        of = layers(block)
        block.input_layernorm.weight /= s[b, "q"]
        block.post_attention_layernorm.weight /= s[b, "gate"]
        if (b, "o") in s:
            of["v"].weight /= s[b, "o"].reshape(kv, heads // kv, width)[:, 0].reshape(-1, 1)
            of["up"].weight /= s[b, "down"][:, None]
        for role, readers in INPUTS.items():
            for r in readers:
                of[r].weight *= s.get((b, role), 1)


def rounded(w, bits):
    top = 2.0**bits - 1
    low, high = w.min(1, True)[0].clamp(max=0), w.max(1, True)[0].clamp(min=0)
    high = torch.maximum(low.abs(), high)
    low = torch.where(low < 0, -high, low)
    scale = (high - low) / top
    zero = 2.0**(bits - 1)
    return scale * (((w / scale).round() + zero).clamp(0, top) - zero)


def quantized(x, bits, symmetric, low, high):
    low, high = low.clamp(max=0), high.clamp(min=0)
    if symmetric:
        top = 2.0**(bits - 1) - 1
        scale = torch.maximum(-low, high) / top
        return (x / scale).round().clamp(-top, top) * scale
    top = 2.0**bits - 1
    scale = (high - low) / top
    zero = (-low / scale).round()
    return (((x / scale).round() + zero).clamp(0, top) - zero) * scale


def quantize(model, x, blocks, wbits, abits, symmetric, static):
    for b, block in enumerate(model.model.layers[:blocks]):
        low, high = {}, {}

        def see(at, role, v):
            if at == b:
                low[role] = torch.minimum(low.get(role, v.min()), v.min())
                high[role] = torch.maximum(high.get(role, v.max()), v.max())

        if static:
            observe(model, x, see)
        for role, layer in layers(block).items():
            layer.weight.copy_(rounded(layer.weight, wbits))
            if static:
                change = lambda _, a, role=role, low=low, high=high: quantized(a[0], abits, symmetric, low[role], high[role])
            else:
                change = lambda _, a: quantized(a[0], abits, symmetric, a[0].min(-1, True)[0], a[0].max(-1, True)[0])
            layer.register_forward_pre_hook(change)


def nll(model, x):
    logp = model(x).logits.double().log_softmax(-1)
    return -logp[:, :-1].gather(2, x[:, 1:, None]).squeeze(2).mean(1)


def main():
    torch.set_grad_enabled(False)
    tokenizer = AutoTokenizer.from_pretrained(os.path.join(DATA, "model"))

    def tokens(name, rows, length):
        with open(os.path.join(DATA, name), newline="") as f:
            ids = tokenizer(f.read(), add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return torch.tensor(ids[:rows * length]).reshape(rows, length)

    calibration, evaluation = tokens("calibration.txt", SAMPLES, LENGTH), tokens("eval.txt", WINDOWS, WINDOW)
    out = {}

    def original(dtype):
        return AutoModelForCausalLM.from_pretrained(os.path.join(DATA, "model"), dtype=dtype).eval()

    out["nll"] = nll(original(torch.float64), evaluation)
    for name, (blocks, alpha, everything, wbits, abits, symmetric, static) in CASES.items():
        results = []
        for dtype in (torch.float64, f32):
            model = original(dtype)
            s = scales(model, calibration, blocks, alpha, everything)
            smooth(model, blocks, s)
            quantize(model, calibration, blocks, wbits, abits, symmetric, static)
            results.append(nll(model, evaluation))
        out |= {f"{name}.{b}.{role}": v.contiguous() for (b, role), v in s.items()}
        out |= {f"{name}.nll64": results[0], f"{name}.nll": results[1]}
        print(name, [float((d**2).mean()**0.5) for d in (results[1] - out["nll"], results[1] - results[0])])
    save_file(out, os.path.join(HERE, "fixtures", "smoothquant.safetensors"))


main()
