"""Makes fixtures/act: a tiny Llama whose linears are W8A8 and the like, by the equations of SmoothQuant.

    python tests/oracle/make_act.py        (torch, transformers, tokenizers, safetensors)

model/                 Hugging Face folder, float32; a tokenizer of bytes
text.txt               the calibration text: SAMPLES windows of LENGTH tokens from its beginning are used
expected.safetensors   tokens (T), and for each case NAME.h (T, dim), what the head reads; metadata NAME = the entry of a
                       config's quantize that gives it

Inputs: X = Delta round(X / Delta), Delta = max|X| / (2^(N-1) - 1) (Xiao et al. 2023, arXiv:2211.10438, eq. 1), the maximum
over a token, over a group of its columns, or, static, over all of calibration; asymmetric: Delta = (max - min) / (2^N - 1) of a
range that holds 0, and a zero point. Weights: rows from min to max, with a zero point. All in float64, and of all random
models one is taken in which no code is near half-way between two, so that float32 has the same.
"""
import json
import os
import shutil

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "act")
CONFIG = dict(vocab_size=256, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, head_dim=4, max_position_embeddings=64, rms_norm_eps=1e-5,
              rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, attention_bias=False, mlp_bias=False,
              tie_word_embeddings=False, bos_token_id=None, eos_token_id=None)
SAMPLES, LENGTH, T, MARGIN = 2, 16, 10, 1e-4
CASES = {
    "token": dict(act_bits=8),
    "token_symmetric": dict(act_bits=8, act_symmetric=True),
    "groups": dict(act_bits=4, act_group=10),
    "groups_symmetric": dict(act_bits=5, act_group=8, act_symmetric=True),
    "static": dict(act_bits=8, act_mode="static"),
    "static_symmetric": dict(act_bits=8, act_mode="static", act_symmetric=True),
    "static_of_the_quantized": dict(act_bits=6, act_mode="static", propagate="quantized"),
}
near = 1.0  # the least distance of any number from half-way between two codes


def rounded(t):
    """Half to even, as torch.round does it."""
    global near
    near = min(near, float(((t - t.floor()) - 0.5).abs().min()))
    return torch.round(t)


def grid(lo, hi, bits, symmetric):
    """Delta and zero point of ranges."""
    lo, hi = lo.clamp(max=0), hi.clamp(min=0)
    if symmetric:
        return torch.maximum(-lo, hi) / (2 ** (bits - 1) - 1), torch.zeros_like(lo)
    delta = (hi - lo) / (2**bits - 1)
    return delta, rounded(-lo / delta)


def fake(x, delta, zero, bits, symmetric):
    last = 2 ** (bits - 1) - 1 if symmetric else 2**bits - 1
    first = -last if symmetric else 0
    return (torch.clamp(rounded(x / delta) + zero, first, last) - zero) * delta


def quantize_input(x, c, ranges):
    bits, symmetric = c["act_bits"], c.get("act_symmetric", False)
    if ranges is not None:
        lo, hi = (torch.tensor(r, dtype=x.dtype) for r in ranges)
        return fake(x, *grid(lo, hi, bits, symmetric), bits, symmetric)
    group = c.get("act_group") or x.shape[-1]
    parts = x.split(group, -1)
    return torch.cat([fake(p, *grid(p.amin(-1, keepdim=True), p.amax(-1, keepdim=True), bits, symmetric), bits, symmetric)
                      for p in parts], -1)


def quantize_weight(w):
    return fake(w, *grid(w.amin(1, keepdim=True), w.amax(1, keepdim=True), 8, False), 8, False)


def build(seed):
    torch.manual_seed(seed)
    m = LlamaForCausalLM._from_config(LlamaConfig(**CONFIG), attn_implementation="eager")
    g = torch.Generator().manual_seed(seed)
    for name, p in m.named_parameters():
        noise = torch.randn(p.shape, generator=g)
        p.data = 1 + 0.3 * noise if "norm" in name else 0.35 * noise
    return m.double()


def linears(m, block):
    return [x for x in m.model.layers[block].modules() if isinstance(x, torch.nn.Linear)]


def ranges_of(m, block, windows):
    """Least and largest input of each linear of a block."""
    seen, hooks = {}, []
    for lin in linears(m, block):
        hooks.append(lin.register_forward_pre_hook(lambda mod, a: seen.__setitem__(mod, a[0].detach())))
    m(windows)
    for h in hooks:
        h.remove()
    return {mod: (float(x.min()), float(x.max())) for mod, x in seen.items()}


def quantize_block(m, block, c, ranges):
    for lin in linears(m, block):
        lin.weight.data = quantize_weight(lin.weight.data)
        r = ranges[lin] if c.get("act_mode") == "static" else None
        lin.register_forward_pre_hook(lambda mod, a, r=r: (quantize_input(a[0], c, r),))


def states(seed, c, windows, tokens):
    m = build(seed)
    of_original = c.get("propagate", "original") == "original"
    ranges = [ranges_of(m, b, windows) for b in range(2)] if of_original else [None, None]
    for b in range(2):
        quantize_block(m, b, c, ranges[b] or ranges_of(m, b, windows))
    return m.model(tokens[None]).last_hidden_state[0]


def write_tokenizer(path):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    t = Tokenizer(models.BPE({c: i for i, c in enumerate(letters)}, []))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.save(path)
    return t


def entry(c):
    stage = dict(method="act") | {k: v for k, v in c.items() if k != "propagate"}
    more = dict(propagate=c.get("propagate", "original")) if c.get("act_mode") == "static" else {}
    return json.dumps(dict(stages=[dict(method="rtn", bits=8), stage]) | more)


def main():
    global near
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(os.path.join(OUT, "model"))
    tokenizer = write_tokenizer(os.path.join(OUT, "model", "tokenizer.json"))
    text = "the quick brown fox jumps over a lazy dog, and runs.\n"
    with open(os.path.join(OUT, "text.txt"), "w") as f:
        f.write(text)
    ids = torch.tensor(tokenizer.encode(text).ids)
    windows = ids[: SAMPLES * LENGTH].reshape(SAMPLES, LENGTH)
    for seed in range(100000):
        near = 1.0
        g = torch.Generator().manual_seed(seed)
        tokens = torch.randint(0, 256, (T,), generator=g)
        out = {}
        with torch.no_grad():
            for name, c in CASES.items():
                out[f"{name}.h"] = states(seed, c, windows, tokens).float().contiguous()
                if near < MARGIN:
                    break
        if near >= MARGIN:
            break
    print("seed", seed, "margin", near)
    out["tokens"] = tokens.to(torch.int32)
    save_file(out, os.path.join(OUT, "expected.safetensors"), metadata={n: entry(c) for n, c in CASES.items()})
    m = build(seed).float()
    save_file({n: p.detach().contiguous() for n, p in m.named_parameters()},
              os.path.join(OUT, "model", "model.safetensors"))
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", torch_dtype="float32", hidden_act="silu",
                  rope_theta=10000.0, **{k: v for k, v in CONFIG.items() if k != "rope_parameters"})
    with open(os.path.join(OUT, "model", "config.json"), "w") as f:
        json.dump(config, f, indent=1)


main()
