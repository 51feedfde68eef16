"""Makes fixtures/train/*.safetensors: losses, gradients and a few training steps of a tiny random Llama.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors
    venv/bin/python tests/oracle/make_grads.py

model      the weights (untied; the tied model is the same without lm_head), the tokens, and the original model of the
           KL loss as the same weights times `kl.times`
grads      per case: the loss, next-token and KL means, and d loss / d every parameter (float64 arithmetic; `act` and
           `static`, which round activations, float32 and a few parameters only)
ste        five steps of training with fake-quantized linears (straight-through, 3 bits a row, asymmetric), AdamW,
           warm-up and cosine, clipping, one sequence a step: the losses and gradient norms of each step, and
           the weights after the last, rounded where they are quantized
lsq        learned step sizes (arXiv:1902.08153): quantized weights and gradients, by autograd through detach
"""

import math
import os

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "train")
CONFIG = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, head_dim=4, max_position_embeddings=128, rms_norm_eps=1e-5,
              rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, attention_bias=False, mlp_bias=False)
BATCH, LENGTH, KL_TIMES, KL_WEIGHT = 8, 70, 0.75, 0.3
STE = dict(bits=3, steps=5, lr=4e-3, warmup=2, floor=0.1, decay=0.02, beta1=0.9, beta2=0.95, clip=0.5)
LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def build(tied, dtype):
    torch.manual_seed(11)
    m = LlamaForCausalLM._from_config(LlamaConfig(tie_word_embeddings=False, **CONFIG), attn_implementation="eager")
    g = torch.Generator().manual_seed(12)
    for name, p in m.named_parameters():
        noise = torch.randn(p.shape, generator=g)
        p.data = 1 + 0.2 * noise if "norm" in name else 0.35 * noise
    if tied:
        m.lm_head.weight = m.model.embed_tokens.weight
    m = m.to(dtype)
    m.model.rotary_emb.inv_freq = 1.0 / (10000.0 ** (torch.arange(0, 4, 2, dtype=torch.float64) / 4)).to(dtype)
    return m


def losses(m, tokens, teacher=None):
    logp = m(tokens).logits[:, :-1].log_softmax(-1)
    ce = -logp.gather(-1, tokens[:, 1:, None]).mean()
    kl = torch.zeros((), dtype=logp.dtype)
    if teacher is not None:
        with torch.no_grad():
            logt = teacher(tokens).logits[:, :-1].log_softmax(-1)
        kl = (logt.exp() * (logt - logp)).sum(-1).mean()
    return ce, kl


def gradients(case, m, tokens, teacher=None, weight=0.0, only=None):
    ce, kl = losses(m, tokens, teacher)
    total = (1 - weight) * ce + weight * kl
    total.backward()
    out = {f"{case}/loss": torch.stack([total, ce, kl]).detach().float()}
    for name, p in m.named_parameters():
        if only is None or any(o in name for o in only):
            out[f"{case}/{name}"] = p.grad.float().contiguous()
    return out


def scaled(m):
    with torch.no_grad():
        for p in m.parameters():
            p.mul_(KL_TIMES)
    return m


def act_quant(x, bits):
    """One range per token, from min to max widened to contain 0."""
    top = 2**bits - 1
    lo, hi = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    scale = (hi - lo) / top
    zero = torch.round(-lo / scale)
    return (torch.clamp(torch.round(x / scale) + zero, 0, top) - zero) * scale


def with_act(m, bits):
    for name, mod in m.named_modules():
        if name.endswith(LINEARS):
            mod.register_forward_pre_hook(lambda _, a: (a[0] + (act_quant(a[0], bits) - a[0]).detach(),))
    return m


def with_static_act(m):
    """One range for all inputs, which cuts some off: they get no gradient (torch.fake_quantize_per_tensor_affine)."""
    for name, mod in m.named_modules():
        if name.endswith(LINEARS):
            mod.register_forward_pre_hook(lambda _, a: (torch.fake_quantize_per_tensor_affine(a[0], 0.25, 9, 0, 15),))
    return m


def fake_quant(w, bits):
    top = 2**bits - 1
    lo, hi = w.amin(1, keepdim=True).clamp(max=0), w.amax(1, keepdim=True).clamp(min=0)
    scale = (hi - lo) / top
    zero = torch.round(-lo / scale)
    return scale * (torch.clamp(torch.round(w / scale) + zero, 0, top) - zero)


def learning_rate(step):
    if step < STE["warmup"]:
        return STE["lr"] * (step + 1) / STE["warmup"]
    done = (step - STE["warmup"]) / (STE["steps"] - STE["warmup"])
    return STE["lr"] * (STE["floor"] + (1 - STE["floor"]) * 0.5 * (1 + math.cos(math.pi * done)))


def train_ste(tokens):
    m = build(False, torch.float32)
    quantized = {n: p for n, p in m.named_parameters() if n.removesuffix(".weight").endswith(LINEARS)}
    matrices = [p for p in m.parameters() if p.dim() == 2]
    vectors = [p for p in m.parameters() if p.dim() == 1]
    opt = torch.optim.AdamW([dict(params=matrices, weight_decay=STE["decay"]), dict(params=vectors, weight_decay=0.0)],
                            betas=(STE["beta1"], STE["beta2"]), eps=1e-8)
    curve, norms = [], []
    for step in range(STE["steps"]):
        opt.zero_grad()
        swapped = {n: p + (fake_quant(p, STE["bits"]) - p).detach() for n, p in quantized.items()}
        batch = tokens[step : step + 1]
        logp = torch.func.functional_call(m, swapped, (batch,)).logits[:, :-1].log_softmax(-1)
        loss = -logp.gather(-1, batch[:, 1:, None]).mean()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(m.parameters(), STE["clip"]).detach())
        for group in opt.param_groups:
            group["lr"] = learning_rate(step)
        opt.step()
        curve.append(loss.detach())
    out = {"loss": torch.stack(curve), "norm": torch.stack(norms)}
    for n, p in m.named_parameters():
        out[n] = (fake_quant(p.detach(), STE["bits"]) if n in quantized else p.detach()).contiguous()
    return out


def lsq(w, s, zero, bits, group, upstream):
    """Canonical LSQ: gradient of s scaled by 1/sqrt(n Qp), rounding straight through."""
    top, qp = 2**bits - 1, 2 ** (bits - 1) - 1
    rows, cols = w.shape
    n = torch.tensor([min(group, cols - g * group) for g in range(s.shape[1])])
    by_col = torch.arange(cols) // group
    grad_scale = 1 / torch.sqrt(n * qp.__float__())
    passed = s * grad_scale + (s - s * grad_scale).detach()
    sw, zw = passed[:, by_col], zero[:, by_col]
    x = torch.minimum(torch.maximum(w / sw, -zw), top - zw)
    wq = (x + (torch.round(x) - x).detach()) * sw
    (wq * upstream).sum().backward()
    return wq.detach()


def lsq_cases():
    out = {}
    g = torch.Generator().manual_seed(5)
    for case, (bits, group) in {"a": (2, 8), "b": (4, 8), "c": (3, 20)}.items():
        w = torch.randn(6, 20, generator=g, dtype=torch.float64).float().double().requires_grad_()
        groups = -(-20 // group)
        s = (0.1 + 2.0 / 2**bits * torch.rand(6, groups, generator=g)).float().double().requires_grad_()
        zero = torch.randint(0, 2**bits, (6, groups), generator=g).double()
        up = torch.randn(6, 20, generator=g, dtype=torch.float64).float().double()
        wq = lsq(w, s, zero, bits, group, up)
        for k, v in dict(w=w, s=s, zero=zero, up=up, wq=wq, dw=w.grad, ds=s.grad).items():
            out[f"{case}.{k}"] = v.detach().float().contiguous()
    return out


def main():
    os.makedirs(OUT, exist_ok=True)
    g = torch.Generator().manual_seed(13)
    tokens = torch.randint(0, CONFIG["vocab_size"], (BATCH, LENGTH), generator=g)
    model = {n: p.detach().float().contiguous() for n, p in build(False, torch.float32).named_parameters()}
    model["tokens"] = tokens.to(torch.int32)
    save_file(model, os.path.join(OUT, "model.safetensors"))
    grads = gradients("untied", build(False, torch.float64), tokens)
    grads |= gradients("tied", build(True, torch.float64), tokens)
    grads |= gradients("kl", build(False, torch.float64), tokens, scaled(build(False, torch.float64)), KL_WEIGHT,
                       ("layers.0", "norm", "lm_head"))
    grads |= gradients("act", with_act(build(False, torch.float32), 4), tokens, only=("layers.0.mlp", "q_proj"))
    grads |= gradients("static", with_static_act(build(False, torch.float32)), tokens, only=("layers.0.mlp", "q_proj"))
    save_file(grads, os.path.join(OUT, "grads.safetensors"))
    save_file(train_ste(tokens), os.path.join(OUT, "ste.safetensors"))
    save_file(lsq_cases(), os.path.join(OUT, "lsq.safetensors"))


main()
