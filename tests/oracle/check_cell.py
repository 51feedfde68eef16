"""Does a finished cell hold the numbers that NumPy, PyTorch, transformers and bitsandbytes get? Exits non-zero if not.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors h5py bitsandbytes
    ./lowbit quantize MODEL --method none --out ORIGINAL
    ./lowbit run CONFIG -o export=f32 -o model=ORIGINAL
    venv/bin/python tests/oracle/check_cell.py ORIGINAL results/NAME [CELL ...]

Every cell of the folder, or those named by the start of their file's name, is computed again from the original model, the
exported one and the texts that the result names, by the definitions in docs/numbers.md alone:
  weights     rtn and nf4: every weight, from the options; gptq and qat: each group lies on a grid of 2^bits values
  sizes       each layer's bytes by the storage definition; sums; bits per weight; the whole model both ways
  errors      weight and output errors and energies with H of the original model and, for gptq, H of the inputs that the
              layer was solved on (its blocks before quantized, in the order of capture); the same of round-to-nearest
  evaluation  tokens, NLL of every window, perplexity and its standard error, KL (mean, median, 99th percentile), top-1,
              paired difference, its block length, and its interval by a bootstrap of our own
Only W2 protocols and sequential calibration windows are compared. The sweep starts from the exported folder because
GGUF files have the rows of q and k in another order, and blocks that run over row ends, NF4's, see it. With quantized
activations evaluations agree to what a rounding that flips is worth: PyTorch in float32 and in float64 differ as much."""

import copy
import glob
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import h5py
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

logging.disable_progress_bar()

NAMES = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
         "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
STAGES = [["q", "k", "v"], ["o"], ["gate", "up"], ["down"]]
f32, f64 = np.float32, np.float64
bad = []


def close(what, ours, theirs, rel=1e-4, floor=0.0):
    ours, theirs = np.asarray(ours, f64), np.asarray(theirs, f64)
    both = np.isnan(ours) & np.isnan(theirs)
    off = np.where(both, 0, np.abs(ours - theirs))
    limit = rel * np.abs(theirs) + floor
    if not np.all(np.where(both, True, off <= limit)):
        i = int(np.nanargmax(np.where(both, -1, off - limit))) if off.ndim else 0
        bad.append(f"{what}: {ours.flat[i]:.9g} in the file, {theirs.flat[i]:.9g} computed here")
    worst = np.max(np.where(both | (theirs == 0), 0, off / np.where(theirs == 0, 1, np.abs(theirs))))
    return float(worst)


def same(what, ours, theirs):
    if ours != theirs:
        bad.append(f"{what}: {ours} in the file, {theirs} computed here")


# ---- storage, written from docs/numbers.md ----
class Storage:
    def __init__(self, text):
        words = text.split()
        self.text, self.kind = text, words[0].rstrip("0123456789") if words[0][0] in "if" else words[0]
        self.tensor = self.order = False
        part = lambda p: next((w[len(p):] for w in words if w.startswith(p) and w[len(p):][:1].isdigit()), None)
        self.keep = [int(v) for v in part("keep").split(":")] if part("keep") else None
        self.rank, self.pair = int(part("rank") or 0), 2 if any(w.endswith("-pair") for w in words) else 4
        self.t_scale = next((2 if w[0] in "fb" else 4 for w in words if w == "scale" or w.endswith("-scale")), 0)
        self.t_sign = "signs" in words
        if words[0] in ("nf4", "fp4"):
            self.kind, self.bits, self.block, self.dq = words[0], 4, int(words[1][1:]), "dq" in words
        elif words[0] == "mxfp4":
            self.kind, self.bits, self.group, self.order = "mxfp4", 4, 32, "order" in words
        elif words[0] == "fp8" or words[0].startswith("affine"):
            self.kind, self.bits = ("fp8", 8) if words[0] == "fp8" else ("affine", int(words[0][6:]))
            self.group = None if words[1] in ("row", "tensor") else int(words[1][1:])
            self.tensor, self.order = words[1] == "tensor", "order" in words
        elif words[0].startswith("int"):
            self.kind, self.bits, self.sym = "int", int(words[0][3:]), "sym" in words
            self.group = None if words[1] in ("row", "tensor") else int(words[1][1:])
            self.tensor, self.order = words[1] == "tensor", "order" in words
        else:
            self.kind, self.bits = "float", int(words[0][1:])
        self.scale = next((w[:-7] for w in words if w.endswith("-scales")), "f32")

    def sizes(self, rows, cols):
        up = lambda n, d: -(-n // d)
        kept = cols
        if self.keep:
            n, of = self.keep
            kept = cols // of * n + min(n, cols % of)
        z = dict(codes=up(rows * kept * self.bits, 8), padding=0, scales=0, zeros=0, codebook=0, order=0)
        if self.keep:
            z["mask"] = rows * up(cols, 8)
        if self.rank:
            z["low_rank"] = self.rank * (rows + cols) * self.pair
        if self.t_scale or self.t_sign:
            z["transform"] = cols * self.t_scale + (up(cols, 8) if self.t_sign else 0)
        width = 4 if self.scale == "f32" else 2
        if self.kind in ("int", "affine", "fp8", "mxfp4"):
            n = 1 if self.tensor else rows * up(cols, self.group or cols)
            z["padding"] = 0 if self.kind == "fp8" else rows * 4 * up(kept * self.bits, 32) - z["codes"]
            z["scales"] = n * (1 if self.kind == "mxfp4" else width)
            if self.kind == "int":
                z["zeros"] = 0 if self.sym else up(n * self.bits, 8)
            elif self.kind == "affine":
                z["zeros"] = n * width
            z["order"] = cols * (2 if cols <= 65536 else 4) if self.order else 0
        elif self.kind != "float":
            n = up(rows * cols, self.block)
            z["scales"] = n + 4 * up(n, 256) + 4 if self.dq else n * width
            z["codebook"] = 64
        z["total"] = sum(z.values())
        return z


def rounded(scale, kind):
    if kind == "f16":
        return scale.astype(np.float16).astype(f32)
    if kind == "bf16":
        return torch.from_numpy(np.ascontiguousarray(scale)).bfloat16().float().numpy()
    return scale


def grid(x, s, clip):
    """Round-to-nearest of every row of x (rows, n), and codes less zeros."""
    maxq = f32(2**s.bits - 1)
    low, high = np.minimum(x.min(1), f32(0)), np.maximum(x.max(1), f32(0))
    if s.sym:
        high = np.maximum(-low, high)
        low = np.where(low < 0, -high, low)
    empty = (low == 0) & (high == 0)
    low, high = np.where(empty, f32(-1), low), np.where(empty, f32(1), high)

    def on(p):
        scale = rounded(((high * p - low * p) / maxq).astype(f32), s.scale)[:, None]
        zero = np.full_like(scale, 2 ** (s.bits - 1)) if s.sym else np.clip(np.rint(-(low * p)[:, None] / scale), 0, maxq)
        return scale * (np.clip(np.rint(x / scale) + zero, 0, maxq) - zero)

    best = on(f32(1))
    if not clip:
        return best
    least = np.full(len(x), np.inf)
    for i in range(80):
        y = on(f32(1 - i / 100))
        error = (np.abs(y - x).astype(f64) ** 2.4).sum(1)
        best = np.where((error < least)[:, None], y, best)
        least = np.minimum(error, least)
    return best


def own_range(x, s):
    """Rows of x onto a grid from their least to their largest value."""
    low, high = x.min(1, keepdims=True), x.max(1, keepdims=True)
    step = ((high - low) / f32(2**s.bits - 1)).astype(f32)
    step = np.where(step > 0, step, np.where(low != 0, np.abs(low), f32(1)))
    scale = rounded(step, s.scale)
    zero = rounded((-low / scale).astype(f32), s.scale)
    return scale * (np.clip(np.rint(x / scale + zero), 0, 2**s.bits - 1) - zero)


def floats(x, s):
    """Rows of x as small floats with one scale each."""
    import ml_dtypes
    top = np.abs(x).max(1, keepdims=True)
    if s.kind == "fp8":
        scale, kind, most = rounded(np.where(top > 0, top / f32(448), f32(1)).astype(f32), s.scale), ml_dtypes.float8_e4m3fn, 448
    else:
        scale, kind, most = 2.0 ** (np.floor(np.log2(np.maximum(top.astype(f64), 2.0**-125))) - 2), ml_dtypes.float4_e2m1fn, 6
    return (np.clip(x / scale, -most, most).astype(f32).astype(kind).astype(f32) * scale).astype(f32)


def rtn(w, s, clip=False):
    rows, cols = w.shape
    if s.kind in ("int", "affine", "fp8", "mxfp4"):
        of = (lambda x: grid(x, s, clip)) if s.kind == "int" else (lambda x: (own_range if s.kind == "affine" else floats)(x, s))
        if s.tensor:
            return of(w.reshape(1, -1)).reshape(rows, cols)
        g = s.group or cols
        return np.concatenate([of(w[:, i:i + g]) for i in range(0, cols, g)], 1)
    return codebook(w, s)


def codebook(w, s):
    import bitsandbytes.functional as F
    if s.kind == "nf4":
        values = F.get_4bit_type("nf4", device="cpu").numpy().astype(f32)
    else:
        values = np.array([m * sign / 12 for sign in (1, -1) for m in (0, .0625, 2, 3, 4, 6, 8, 12)], f32)
    flat = np.pad(w.reshape(-1), (0, -w.size % s.block)).reshape(-1, s.block)
    absmax = rounded(np.abs(flat).max(1), s.scale)
    x = (flat / np.maximum(absmax, f32(1e-38))[:, None]).astype(f64)
    codes = np.abs(x[:, :, None] - values.astype(f64)).argmin(2)
    if s.dq:
        mean = absmax.mean(dtype=f64).astype(f32)
        table, rest = F.create_dynamic_map().numpy().astype(f32), absmax - mean
        for i in range(0, len(rest), 256):
            part = rest[i:i + 256]
            top = np.abs(part).max()
            near = np.abs((part / top)[:, None].astype(f64) - table.astype(f64)).argmin(1)
            absmax[i:i + 256] = table[near] * top + mean
    return (values[codes] * absmax[:, None]).reshape(-1)[:w.size].reshape(w.shape)


def on_a_grid(what, w, s):
    """Each row and group has at most 2^bits values, at whole steps from 0."""
    parts = [w.reshape(1, -1)] if s.tensor else [w[:, i:i + (s.group or w.shape[1])]
                                                 for i in range(0, w.shape[1], s.group or w.shape[1])]
    for row in (row.astype(f64) for part in parts for row in part):
        values = np.unique(np.append(row, 0.0))
        widest = values[-1] - values[0]
        steps = [widest / n for n in range(1, 2**s.bits)] if widest else []
        if steps and not any(np.abs(values / step - np.rint(values / step)).max() < 1e-4 for step in steps):
            bad.append(f"{what}: weights are on no grid of {s.bits} bits")
            return


# ---- models ----
def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def linear(m, name):
    if name in ("embed", "head"):
        return m.model.embed_tokens if name == "embed" else m.lm_head
    block, kind = name.split(".")
    return m.model.layers[int(block)].get_submodule(NAMES[kind])


def weight(m, name):
    return linear(m, name).weight.detach().numpy()


def hessians(m, tokens, names):
    """H = XᵀX / tokens of the named linears, float64."""
    out, hooks = {}, []
    for n in names:
        def keep(module, args, n=n):
            x = args[0].reshape(-1, args[0].shape[-1]).double()
            out[n] = (x.T @ x / len(x)).numpy()
        hooks.append(linear(m, n).register_forward_pre_hook(keep))
    with torch.no_grad():
        m(torch.tensor(tokens))
    for h in hooks:
        h.remove()
    return out


def solved_on(m0, mq, tokens, blocks, sequential, head):
    """H of the inputs at the time of solving: blocks before quantized, this block original or as far as it has come."""
    m, out = copy.deepcopy(m0), {}
    take = lambda n: linear(m, n).weight.data.copy_(linear(mq, n).weight)
    with torch.no_grad():
        for b in range(blocks):
            for stage in STAGES if sequential else [sum(STAGES, [])]:
                names = [f"{b}.{k}" for k in stage]
                out.update(hessians(m, tokens, names))
                for n in names:
                    take(n)
        if head:
            out.update(hessians(m, tokens, ["head"]))
    return out


def fake_quantized_inputs(m, f, options):
    """Quantizes the inputs of the quantized linears, one range a token, where the cell does."""
    bits, sym = int(options.get("act_bits", 0)), options.get("act_symmetric") == "true"

    def hook(module, args):
        x = args[0]
        if sym:
            top = 2.0 ** (bits - 1) - 1
            s = x.abs().amax(-1, keepdim=True) / top
            return ((x / s).round().clamp(-top, top) * s,)
        low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
        s = (high - low) / (2**bits - 1)
        z = (-low / s).round()
        return ((((x / s).round() + z).clamp(0, 2**bits - 1) - z) * s,)

    for name, block, q in zip(f["layers/name"].asstr(), f["layers/block"], f["layers/quantized"]):
        if bits and q and block >= 0:
            linear(m, name).register_forward_pre_hook(hook)


# ---- one cell ----
def check_sizes(f, m0):
    L, total = f["layers"], {}
    kept = sum(p.numel() for p in m0.parameters()) * 2
    for i, name in enumerate(L["name"].asstr()):
        z = Storage(L["storage"].asstr()[i]).sizes(int(L["rows"][i]), int(L["cols"][i]))
        for k, v in z.items():
            same(f"{name} size_{k}", int(L["size_" + k][i]), v)
            if L["quantized"][i]:
                total[k] = total.get(k, 0) + v
        if L["quantized"][i]:
            kept -= 2 * int(L["rows"][i]) * int(L["cols"][i])
    for k, v in total.items():
        same(f"quantized_{k}", int(f["size"].attrs["quantized_" + k]), v)
    same("other_as_fp16", int(f["size"].attrs["other_as_fp16"]), kept)
    same("total_as_fp16", int(f["size"].attrs["total_as_fp16"]), kept + total.get("total", 0))
    return 8 * total["total"] / sum(int(w) for w, q in zip(L["size_weights"], L["quantized"]) if q) if total else 16


def check_weights(f, m0, mq):
    method, L, wrong = f.attrs["method"], f["layers"], 0
    options = dict(zip(f["options/key"].asstr(), f["options/value"].asstr()))
    for i, name in enumerate(L["name"].asstr()):
        w0, w = weight(m0, name), weight(mq, name)
        if not L["quantized"][i]:
            if method not in ("qat", "finetune") and not np.array_equal(w0, w):
                bad.append(f"{name}: skipped, and yet not what it was")
            continue
        s = Storage(L["storage"].asstr()[i])
        if method in ("rtn", "nf4"):
            want = rtn(w0, s, options.get("mse") == "true")
            n = int((np.abs(want - w) > 1e-6 * np.abs(w).max()).sum())
            wrong += n
            if n > 1e-3 * w.size:  # a tie, or a value half way between two codes of the dynamic map
                bad.append(f"{name}: {n} of {w.size} weights are not those of {s.text}")
        elif s.kind == "int" and not s.order and not s.rank:  # the file does not say which columns share a group
            on_a_grid(name, w, s)
    return wrong


def check_errors(f, m0, mq, tokens):
    method, L, worst = f.attrs["method"], f["layers"], 0.0
    names = list(L["name"].asstr())
    inner = [n for n in names if n != "embed"]
    H0 = hessians(m0, tokens, inner) if tokens is not None else {}
    H1 = {}
    if method == "gptq":
        blocks = 1 + max(int(b) for b in L["block"])
        H1 = H0 if f.attrs["propagate"] == "original" else solved_on(m0, mq, tokens, blocks, f.attrs["true_sequential"],
                                                                    "head" in names)

    def compare(prefix, i, D, W, H):
        nonlocal worst
        tr = lambda A: np.einsum("ij,jk,ik->", A, H, A, optimize=True) if H is not None else np.nan
        row = {"weight_err": (D * D).sum(), "weight_energy": (W * W).sum(), "output_err": tr(D), "output_energy": tr(W)}
        for k, v in row.items():
            worst = max(worst, close(f"{names[i]} {prefix}_{k}", L[f"{prefix}_{k}"][i], v, 3e-5))
        return row

    for i, name in enumerate(names):
        if not L["quantized"][i] and method not in ("qat", "finetune"):
            continue
        W, s = weight(m0, name).astype(f64), Storage(L["storage"].asstr()[i])
        D = weight(mq, name).astype(f64) - W
        original = compare("original", i, D, W, H0.get(name))
        own = compare("own", i, D, W, H1.get(name))
        close(f"{name} weight_mse", L["derived/weight_mse"][i], original["weight_err"] / W.size, 1e-5)
        close(f"{name} output_mse", L["derived/output_mse_original"][i], original["output_err"] / len(W), 3e-5)
        close(f"{name} sqnr", L["derived/sqnr_original"][i],
              -10 * np.log10(original["output_err"] / original["output_energy"]) if name != "embed" else np.nan, 0, 1e-3)
        if not L["quantized"][i]:
            continue
        R = rtn(weight(m0, name), s).astype(f64) - W
        r0, r1 = compare("rtn_original", i, R, W, H0.get(name)), compare("rtn_own", i, R, W, H1.get(name))
        use = (own, r1) if name in H1 else (original, r0)
        if name != "embed":
            close(f"{name} ratio_to_rtn", L["derived/ratio_to_rtn"][i], use[0]["output_err"] / use[1]["output_err"], 1e-4)
    return worst


def logits_of(m, tokens, n, windows):
    with torch.no_grad():
        for i in range(windows):
            w = torch.tensor(tokens[i * n:(i + 1) * n])
            yield m(w[None]).logits[0, :-1].double().log_softmax(-1), w[1:, None]


def interval(d, block):
    rng, n = np.random.default_rng(1), len(d)
    start = rng.integers(0, n - block + 1, (20000, -(-n // block)))
    at = (start[:, :, None] + np.arange(block)).reshape(len(start), -1)[:, :n]
    return np.percentile(d[at].mean(1), [2.5, 97.5])


def check_eval(f, m0, mq, tokens, base_nll, loose):
    """loose: how much more two computations may differ than by the order of their sums."""
    e = f["eval/0"]
    n, windows = int(e.attrs["protocol"].split("-")[1]), int(e.attrs["windows"])
    same("text_tokens", int(e.attrs["text_tokens"]), len(tokens))
    same("windows_all", int(e.attrs["windows_all"]), len(tokens) // n)
    nll, kl, agree = [], [], []
    for (q, target), (p, _) in zip(logits_of(mq, tokens, n, windows), logits_of(m0, tokens, n, windows)):
        nll.append(-q.gather(1, target).mean().item())
        kl.append((p.exp() * (p - q)).sum(1).numpy())
        agree.append((p.argmax(1) == q.argmax(1)).double().mean().item())
    nll = np.array(nll)
    worst = close("window_nll", e["window_nll"][:], nll, 3e-5 + loose)
    close("ppl", e.attrs["ppl"], np.exp(nll.mean()), 3e-5 + loose)
    close("ppl_se", e.attrs["ppl_se"], np.exp(nll.mean()) * nll.std(ddof=1) / np.sqrt(windows), 1e-3 + 4 * loose)
    if not e.attrs["has_kl"]:
        return np.exp(nll.mean()), worst, 0.0
    all_kl, scored = np.concatenate(kl), windows * (n - 1)
    same("scored", int(e.attrs["scored"]), scored)
    close("window_kl", e["window_kl"][:], [k.mean() for k in kl], 1e-3 + 4 * loose, 1e-7)
    close("kl_mean", e.attrs["kl_mean"], all_kl.mean(), 1e-3 + 4 * loose, 1e-7)
    close("kl_median", e.attrs["kl_median"], np.median(all_kl), 1e-3 + 4 * loose, 1e-7)
    close("kl_p99", e.attrs["kl_p99"], np.percentile(all_kl, 99), 1e-3 + 4 * loose, 1e-7)
    close("top1", e.attrs["top1"], np.mean(agree), loose, 2.5 / scored)
    d = e["window_nll"][:] - base_nll
    block = max(1, round(windows ** (1 / 3)))
    same("paired_block", int(e.attrs["paired_block"]), block)
    close("paired_delta", e.attrs["paired_delta"], d.mean(), 1e-9, 1e-12)
    low, high = interval(d, block)
    close("paired_low", e.attrs["paired_low"], low, 0, 0.05 * (high - low))
    close("paired_high", e.attrs["paired_high"], high, 0, 0.05 * (high - low))
    return np.exp(nll.mean()), worst, abs(e.attrs["kl_mean"] - all_kl.mean())


def read_tokens(tokenizer, path, bos):
    with open(path, newline="", encoding="utf-8") as f:
        return tokenizer(f.read(), add_special_tokens=bos == "auto: added", split_special_tokens=True,
                         verbose=False).input_ids


def main(original, folder, *wanted):
    tokenizer, m0, texts = AutoTokenizer.from_pretrained(original), load(original), {}

    def tokens_of(path, bos):
        if (path, bos) not in texts:
            texts[path, bos] = read_tokens(tokenizer, path, bos)
        return texts[path, bos]

    with h5py.File(glob.glob(os.path.join(folder, "none-*.h5"))[0]) as f:
        base_nll = f["eval/0/window_nll"][:]
    failed = 0
    for path in sorted(glob.glob(os.path.join(folder, "*.h5"))):
        stem = os.path.basename(path)[:-3]
        if stem.startswith("none-") or wanted and not any(stem.startswith(w) for w in wanted):
            continue
        bad.clear()
        with h5py.File(path) as f:
            mq = load(os.path.join(folder, stem + ".model"))
            have = dict(zip(f["provenance/key"].asstr(), f["provenance/value"].asstr()))
            options = dict(zip(f["options/key"].asstr(), f["options/value"].asstr()))
            calibration = None
            if "calibration" in have:
                ids = tokens_of(have["calibration_path"], have["calibration_bos"])
                samples, length = int(have["calibration_samples"]), int(have["calibration_length"])
                calibration = np.reshape(ids[:samples * length], (samples, length))
            bpw = check_sizes(f, m0)
            wrong = check_weights(f, m0, mq)
            error = check_errors(f, m0, mq, calibration)
            fake_quantized_inputs(mq, f, options)
            e = f["eval/0"].attrs
            loose = 5e-3 if int(options.get("act_bits", 0)) else 0.0
            ppl, nll, kl = check_eval(f, m0, mq, tokens_of(e["text_path"], e["bos"]), base_nll, loose)
        print(f"{'FAIL' if bad else 'ok  '} {stem}: {bpw:.4f} bits a weight, {wrong} weights differ, errors {error:.1e}, "
              f"PPL {ppl:.5f} here, NLL {nll:.1e}, KL {kl:.1e}")
        for b in bad[:8]:
            print("     ", b)
        failed += bool(bad)
    sys.exit(f"{failed} cells differ" if failed else 0)


if len(sys.argv) < 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
