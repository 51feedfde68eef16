"""Fixture of tests/oracle/test_autoround.c: SignRound on a block of a tiny random Llama, by autograd.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors numpy
    venv/bin/python tests/oracle/make_autoround.py

Writes tests/oracle/fixtures/autoround.safetensors: the model's weights and the tokens (sequences, length); metadata
NAME = JSON of the method's options, and the loss at the first step, at the step that is kept, and that step. Per case
NAME and layer: .scale, .zero, and .codes: -1 - code where a gradient was so small beside the others that float32 may go
the other way. Scales and codes are float32, so that a weight between two codes falls to the same side; the block, its
inputs and its gradients are float64.

Equations: Cheng et al. 2023 (arXiv:2309.05516), as in the authors' code: straight through round(), zero = round(-low /
scale), V in [-0.5, 0.5], alpha and beta in [0, 1], signed steps whose length falls linearly to 0; what a step is judged
by are its parameters before it moves them.
"""

import json
import os

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "autoround.safetensors")
CONFIG = dict(vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
              num_key_value_heads=2, head_dim=8, max_position_embeddings=64, rms_norm_eps=1e-5,
              rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, attention_bias=False, mlp_bias=False,
              tie_word_embeddings=True)
SEQUENCES, LENGTH = 6, 20
NAMES = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
         "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
CASES = {
    "one step": dict(bits=3, group=16, iters=2, batch=6, lr=0.3, clip_lr=0.04, keep="last"),
    "one symmetric step": dict(bits=3, group=10, symmetric=True, iters=2, batch=6, lr=0.3, clip_lr=0.04, keep="last"),
    "tuned": dict(bits=3, group=16, iters=40, batch=6),
    "tuned symmetric rows": dict(bits=2, symmetric=True, iters=40, batch=6),
    "offsets alone": dict(bits=2, group=16, iters=30, batch=6, lr=0.02, clip=False),
    "no step helps": dict(bits=3, group=16, iters=4, batch=6, lr=0.25),
    "batches of one": dict(bits=3, group=16, iters=12, batch=1),
    "batches": dict(bits=3, group=16, iters=12, batch=2, keep="last"),
}
SEED = 77


def build():
    torch.manual_seed(31)
    m = LlamaForCausalLM._from_config(LlamaConfig(**CONFIG), attn_implementation="eager")
    g = torch.Generator().manual_seed(32)
    for name, p in m.named_parameters():
        noise = torch.randn(p.shape, generator=g)
        p.data = 1 + 0.2 * noise if "norm" in name else (1.0 if "embed" in name else 0.35) * noise
    return m.double()


class Philox:
    """The project's generator: Philox4x32-10, numbers of 64 bits, the low half first."""

    def __init__(self, seed, stream):
        self.key, self.stream, self.counter, self.left = seed, stream, 0, []

    def u32(self):
        if not self.left:
            c = [self.counter & 0xFFFFFFFF, self.counter >> 32, self.stream & 0xFFFFFFFF, self.stream >> 32]
            k = [self.key & 0xFFFFFFFF, self.key >> 32]
            for _ in range(10):
                p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
                c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
                k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
            self.counter += 1
            self.left = c
        return self.left.pop(0)

    def below(self, n):
        while True:
            v = self.u32() | self.u32() << 32
            if v >= 2**64 % n:
                return v % n


def batches(iters, batch, seed):
    rng, order = Philox(seed, 0), list(range(SEQUENCES))  # the stream: the block's number
    for _ in range(iters):
        for i in range(batch if batch < SEQUENCES else 0):
            k = i + rng.below(SEQUENCES - i)
            order[i], order[k] = order[k], order[i]
        yield order[:batch]


class Round(torch.autograd.Function):
    """Straight through. (x + (round(x) - x).detach() is now and then a little beyond a whole number, and the last code
    then counts as clipped.)"""

    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, g):
        return g


round_ste = Round.apply


def clip(x, low, high):
    """The first and the last code let the gradient through, as torch.clamp did when AutoRound was written; in some newer
    versions it stops there."""
    return torch.where((x >= low) & (x <= high), x, torch.clamp(x, low, high).detach())


class Layer:
    def __init__(self, w, bits, group, symmetric):
        self.w, self.bits, self.symmetric, self.top = w, bits, symmetric, 2**bits - 1
        cols = w.shape[1]
        self.of = torch.arange(cols) // (group or cols)
        groups = int(self.of[-1]) + 1
        zeros = torch.zeros(w.shape[0], groups, dtype=w.dtype)
        index = self.of.expand_as(w)
        self.low = zeros.scatter_reduce(1, index, w, "amin")  # 0 is within
        self.high = zeros.scatter_reduce(1, index, w, "amax")
        self.V = torch.zeros_like(w, requires_grad=True)
        self.alpha = torch.ones_like(zeros, requires_grad=True)
        self.beta = torch.ones_like(zeros, requires_grad=True)

    def grid(self):
        low, high = self.low * self.beta, self.high * self.alpha
        if self.symmetric:
            high = torch.maximum(-low, high)
            low = torch.where(low < 0, -high, low)
            return (high - low) / self.top, torch.full_like(high, 2 ** (self.bits - 1))
        scale = (high - low) / self.top
        return scale, round_ste(-low / scale)

    def codes(self):
        scale, zero = (v[:, self.of] for v in self.grid())
        return clip(round_ste(self.w / scale + self.V) + zero, 0, self.top)

    def rounded(self):
        scale, zero = (v[:, self.of] for v in self.grid())
        return (scale * (self.codes() - zero)).double()

    def state(self):
        with torch.no_grad():
            return self.codes(), *self.grid()

    def step(self, lr, clip_lr, clips, sure):
        for p, rate, low, high in ((self.V, lr, -0.5, 0.5), (self.alpha, clip_lr, 0, 1), (self.beta, clip_lr, 0, 1)):
            if p is not self.V and not clips:
                continue
            g = p.grad
            doubt = (g != 0) & (g.abs() < 1e-4 * g.square().mean().sqrt())
            sure &= ~(doubt if p is self.V else doubt[:, self.of])
            p.data = torch.clamp(p.data - rate * torch.sign(g), low, high)
        for p in (self.V, self.alpha, self.beta):
            p.grad = None


def run(m, x, bits, iters, batch, group=0, symmetric=False, lr=0.0, clip=True, clip_lr=0.0, keep="best"):
    block = m.model.layers[0]
    position = torch.arange(LENGTH)[None]
    angles = m.model.rotary_emb(x, position)
    mask = torch.full((LENGTH, LENGTH), float("-inf"), dtype=x.dtype).triu(1)[None, None]

    def output(some, weights):
        out = torch.func.functional_call(block, weights, (some,), dict(attention_mask=mask, position_embeddings=angles))
        return out[0] if isinstance(out, tuple) else out

    layers = {ours: Layer(block.get_submodule(theirs).weight.detach().float(), bits, group, symmetric) for ours, theirs in NAMES.items()}
    sure = {ours: torch.ones_like(l.w, dtype=torch.bool) for ours, l in layers.items()}
    with torch.no_grad():
        target = output(x, {})
    lr = lr or 1 / iters
    clip_lr = clip_lr or lr
    first = least = at = best = None
    for i, chosen in enumerate(batches(iters, batch, SEED)):
        loss = (output(x[chosen], {NAMES[n] + ".weight": l.rounded() for n, l in layers.items()}) - target[chosen]).square().mean()
        first = loss.item() if i == 0 else first
        if keep == "last" or least is None or loss.item() < least:
            least, at = loss.item(), i
            best = {n: l.state() + (sure[n].clone(),) for n, l in layers.items()}
        loss.backward()
        for n, l in layers.items():
            l.step(lr * (1 - i / iters), clip_lr * (1 - i / iters), clip, sure[n])
    return first, least, at, best


def main():
    m = build()
    g = torch.Generator().manual_seed(33)
    tokens = torch.randint(CONFIG["vocab_size"], (SEQUENCES, LENGTH), generator=g)
    block = m.model.layers[0]
    out = {"embed": m.model.embed_tokens.weight, "final_norm": m.model.norm.weight,
           "0.attn_norm": block.input_layernorm.weight, "0.mlp_norm": block.post_attention_layernorm.weight,
           **{"0." + n: block.get_submodule(t).weight for n, t in NAMES.items()}}
    out = {n: t.detach().float().contiguous() for n, t in out.items()} | {"tokens": tokens.int()}
    meta = {}
    x = m.model.embed_tokens(tokens).detach()
    for name, options in CASES.items():
        first, least, at, best = run(m, x, **options)
        meta[name] = json.dumps(dict(options=" ".join(f"{k}={str(v).lower()}" for k, v in options.items()), first=first, least=least, at=at))
        doubts = 0
        for layer, (codes, scale, zero, sure) in best.items():
            doubts += int((~sure).sum())
            out |= {f"{name}.{layer}.codes": torch.where(sure, codes, -1 - codes).half(),
                    f"{name}.{layer}.scale": scale.contiguous(), f"{name}.{layer}.zero": zero.half()}
        print(f"{name}: {first:.4g} -> {least:.4g} at step {at}, {doubts} doubtful codes")
    save_file(out, OUT, meta)


main()
