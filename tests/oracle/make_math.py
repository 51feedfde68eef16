"""Writes tests/oracle/fixtures/math.h: what PyTorch computes for AdamW steps and float16/bfloat16 rounding.

Run from the repository's root in an environment with torch:  python tests/oracle/make_math.py
"""

import torch

torch.set_num_threads(1)


def hexes(t):
    return ", ".join(float(v).hex() + "f" for v in t.flatten().tolist())


def adamw(f):
    n, steps = 7, 12
    g = torch.Generator().manual_seed(5)
    w = torch.randn(n, generator=g)
    grads = torch.randn(steps, n, generator=g) * torch.logspace(-4, 2, n)
    f.write(f"enum {{ ADAMW_N = {n}, ADAMW_STEPS = {steps} }};\n")
    f.write(f"static const float adamw_start[ADAMW_N] = {{{hexes(w)}}};\n")
    f.write(f"static const float adamw_grad[ADAMW_STEPS * ADAMW_N] = {{{hexes(grads)}}};\n")
    f.write("/* (lr, beta1, beta2, eps, weight_decay), then the weights after every step */\n")
    runs = [(1e-2, 0.9, 0.999, 1e-8, 0.01), (3e-4, 0.9, 0.95, 1e-6, 0.1), (0.1, 0.0, 0.5, 1e-3, 0.0)]
    f.write(f"enum {{ ADAMW_RUNS = {len(runs)} }};\n")
    f.write("static const struct adamw_run {\n    double option[5];\n    float w[ADAMW_STEPS * ADAMW_N];\n} adamw_run[] = {\n")
    for lr, b1, b2, eps, wd in runs:
        p = torch.nn.Parameter(w.clone())
        opt = torch.optim.AdamW([p], lr=lr, betas=(b1, b2), eps=eps, weight_decay=wd, foreach=False, fused=False)
        out = []
        for s in range(steps):
            p.grad = grads[s].clone()
            opt.step()
            out.append(p.detach().clone())
        f.write(f"    {{{{{lr}, {b1}, {b2}, {eps}, {wd}}}, {{{hexes(torch.stack(out))}}}}},\n")
    f.write("};\n")


def halves(f):
    g = torch.Generator().manual_seed(6)
    bits = torch.randint(-(2**31), 2**31, (400,), generator=g, dtype=torch.int64).to(torch.int32)
    # Exponents near float16's range, where rounding to subnormals and overflow happen.
    near = torch.randn(400, generator=g) * 2.0 ** torch.randint(-27, 18, (400,), generator=g)
    x = torch.cat([bits.view(torch.float32), near])
    x = x[~torch.isnan(x)]
    h = x.to(torch.float16).view(torch.int16).to(torch.int64) & 0xFFFF
    b = x.to(torch.bfloat16).view(torch.int16).to(torch.int64) & 0xFFFF
    u = x.view(torch.int32).to(torch.int64) & 0xFFFFFFFF
    f.write("/* float32 bits, float16 bits, bfloat16 bits */\nstatic const struct half_case {\n    uint32_t x;\n    uint16_t f16, bf16;\n} half_case[] = {\n")
    for row in zip(u.tolist(), h.tolist(), b.tolist()):
        f.write("    {0x%08x, 0x%04x, 0x%04x},\n" % row)
    f.write("};\n")


with open("tests/oracle/fixtures/math.h", "w") as out:
    out.write(f"/* Made by tests/oracle/make_math.py with PyTorch {torch.__version__.split('+')[0]}. */\n/* clang-format off */\n#include <stdint.h>\n\n")
    adamw(out)
    halves(out)
