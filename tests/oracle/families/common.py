"""What the modules of the families share: sizes, weights, transformers' logits, GGUF files.

A family's module (NAME.py here, NAME as in src/model/families/table.c) has

CLASS      transformers' class of the model
MODELS     two models, {"a": config, "b": config}: odd widths, grouped heads, tied and untied, every switch of the family
           in both positions between the two and their flips. About 20 to 30 KB each in bfloat16.
FLIPS      {"a": [dict(key=value, ...), ...], "b": ...}: keys of that model's config.json with other values, alone and
           in pairs that matter together; ABSENT takes a key out, None is null
REFUSED    [(dict(key=value, ...), "why")]: changes with all of these keys are refused here, mostly although transformers takes
           them; the message must name one of the keys. ANY stands for every value but a missing key. A third member: of that
           model alone.
EITHER     the same for changes that may be taken here although transformers fails
EVERY_KEY  {key: [values]}: for every_key.py, instead of those that it thinks of
ROPE_KINDS the types of rotary positions that the family takes, if not all
PARTIAL    True where a part of each head may turn
TIED_KEY   the key that ties the head, if another than tie_word_embeddings
ATTENTION  "eager" where sdpa is not the oracle
NORM       0.0 where the norms multiply by 1 + w
GGUF       {"a": dict(arch=gguf.MODEL_ARCH..., flip=dict(...))}: that model is written as a GGUF file too. flip (may be
           left out): what the file says otherwise than the folder, because its header cannot carry the key; one of the
           model's FLIPS.
gguf_header(w, c)        writes the header's keys beyond those of common_header(); c: config.json
gguf_tensor(name, t, c)  a tensor as converters store it: the array, or {name: array} where it becomes several
GGUF_NAMES               {last word of a name: GGUF's word} where the gguf package's map is wrong or has none
"""

import json
import math
import os
import shutil

import gguf
import numpy as np
import torch
import transformers as tf
from safetensors.torch import load_file as load_torch

KEPT, VOCAB, T = 3, 61, 29
SIZES = dict(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=36, max_position_embeddings=64)
GQA = dict(SIZES, num_key_value_heads=2)
ROPE500 = dict(rope_parameters=dict(rope_type="default", rope_theta=500.0))
LLAMA3 = dict(rope_type="llama3", rope_theta=1e4, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)


YARN = dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=16, beta_fast=0.5, beta_slow=0.2)
CHUNKS = dict(dual_chunk_attention_config=dict(chunk_size=8, local_size=4, original_max_position_embeddings=8))


def ropes(pairs):
    """Flips that ask for every kind of rotary table, and everything that each kind knows; of heads with so many pairs that turn."""
    old = dict(rope_parameters=ABSENT)
    yarn = dict(rope_type="yarn", rope_theta=20.0, factor=4.0, original_max_position_embeddings=16, beta_fast=0.5, beta_slow=0.2)
    long = dict(rope_type="longrope", rope_theta=100.0, short_factor=[1.0 + 0.3 * i for i in range(pairs)], long_factor=[2.0 + i for i in range(pairs)], original_max_position_embeddings=16)
    dynamic = dict(rope_type="dynamic", factor=3.0, rope_theta=1e4)
    tables = [dict(rope_type="linear", factor=3.0, rope_theta=1e4), dynamic, LLAMA3, {k: v for k, v in LLAMA3.items() if k != "original_max_position_embeddings"},
              dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16), yarn, yarn | dict(truncate=False), yarn | dict(truncate=None), yarn | dict(attention_factor=1.3, finetuned=True),
              yarn | dict(mscale=0.7, mscale_all_dim=1.2), yarn | dict(mscale=0.7), yarn | dict(factor=None), yarn | dict(beta_fast=None, beta_slow=0), yarn | dict(factor=0.5),
              {k: v for k, v in yarn.items() if k != "original_max_position_embeddings"}, long, long | dict(original_max_position_embeddings=48), long | dict(attention_factor=0.8), long | dict(factor=2.5),
              {k: v for k, v in long.items() if k != "original_max_position_embeddings"}]
    scaling = dict(type="yarn", factor=4.0, original_max_position_embeddings=16)
    return ([dict(rope_parameters=t) for t in tables]
            + [dict(rope_parameters=dynamic, max_position_embeddings=16), dict(rope_parameters=yarn, max_position_embeddings=32), dict(rope_parameters=long, max_position_embeddings=32),
               dict(rope_parameters=yarn, original_max_position_embeddings=24), dict(rope_parameters=LLAMA3, original_max_position_embeddings=24),
               dict(rope_parameters=long, original_max_position_embeddings=48), old | dict(rope_theta=500.0), old | dict(rope_theta=500.0, rope_scaling=scaling), old | dict(rope_scaling=dict(type="linear", factor=2.0)),
               old | dict(rope_scaling=dict(type="dynamic", factor=2.0), max_position_embeddings=16)])


class Mark:
    """A value that no key can have."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


ABSENT, ANY = Mark("absent"), Mark("any")
NOT_CAUSAL = (dict(is_causal=False), "only causal models are supported")
TIED_FILE = (dict(tie_word_embeddings=True), "the file holds a head that is not the embedding")  # transformers leaves one of them out


def option(module, name, default):
    return getattr(module, name, default)


# ---- transformers ----


def fill(model, norm_centre):
    g = torch.Generator().manual_seed(7)
    for name, p in model.named_parameters():
        norm = "norm" in name or ".ln_" in name
        spread = 0.3 if p.ndim == 1 or norm else 0.9 / math.sqrt(p.shape[-1])
        centre = norm_centre if norm and name.endswith("weight") else 0.0
        p.data.copy_((centre + spread * torch.randn(p.shape, generator=g)).bfloat16().float())


def tokens():
    return torch.tensor([[(7 * t * t + 3 * t + 11) % VOCAB for t in range(T)]])


def logits(model):
    with torch.no_grad():
        y = model.float().eval()(tokens())
        return (y.logits if hasattr(y, "logits") else y[0])[0].numpy()


def load(module, folder):
    model, info = module.CLASS.from_pretrained(folder, attn_implementation=option(module, "ATTENTION", "sdpa"), output_loading_info=True, dtype=torch.float32)
    if any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        raise ValueError("weights do not fit")
    return model


def save(module, which, folder):
    """A random model of the family, as transformers saves it in bfloat16."""
    model = module.CLASS._from_config(module.MODELS[which], attn_implementation=option(module, "ATTENTION", "sdpa")).float().eval()
    fill(model, option(module, "NORM", 1.0))
    model.to(torch.bfloat16).save_pretrained(folder)
    extra = os.path.join(folder, "generation_config.json")
    if os.path.exists(extra):
        os.remove(extra)


def flipped(config, keys):
    out = {**config, **keys}
    return {k: v for k, v in out.items() if v is not ABSENT}


def read_config(folder):
    with open(os.path.join(folder, "config.json")) as f:
        return json.load(f)


def flip(module, folder, base, keys, scratch):
    """What transformers makes of the folder when its config.json says something else."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(folder, scratch)
    with open(os.path.join(scratch, "config.json"), "w") as f:
        json.dump(flipped(read_config(folder), keys), f)
    try:
        y = logits(load(module, scratch))
        if y.shape != base.shape or not np.isfinite(y).all():
            return "error", None
    except Exception:
        return "error", None
    finally:
        shutil.rmtree(scratch)
    return ("same" if np.array_equal(y, base) else "changes"), y


# ---- GGUF ----


def halves_to_pairs(w, heads):
    """Rows (i, i + d/2) of each head to (2i, 2i + 1), as llama files have q and k."""
    return w.reshape(heads, 2, -1, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def heads_apart(w, heads):
    """q, k and v of head 0, of head 1, ... to all of q, all of k, all of v."""
    return w.reshape(heads, 3, -1, *w.shape[1:]).swapaxes(0, 1).reshape(w.shape)


def qk_in_pairs(name, w, c):
    """gguf_tensor() of families whose converters turn q and k, and their biases."""
    if ".q_proj." in name or ".k_proj." in name:
        return halves_to_pairs(w, c["num_attention_heads" if ".q_proj." in name else "num_key_value_heads"])
    return w


def one_in_norms(name, w, c):
    """gguf_tensor() of Gemma: norms are stored with their 1."""
    return w + 1 if name.endswith("norm.weight") else w


def llama3_factors(c):
    """What converters write of Llama 3.1's rule: by how much each pair's frequency is divided."""
    r, d = c["rope_parameters"], c["head_dim"]
    theta = r["rope_theta"] ** (-np.arange(0, d, 2) / d)
    kept = np.clip((r["original_max_position_embeddings"] * theta / (2 * math.pi) - r["low_freq_factor"]) / (r["high_freq_factor"] - r["low_freq_factor"]), 0, 1)
    return (1 / (kept + (1 - kept) / r["factor"])).astype(np.float32)


def yarn_header(w, r):
    w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    w.add_rope_scaling_factor(r["factor"])
    w.add_rope_scaling_orig_ctx_len(r["original_max_position_embeddings"])
    w.add_rope_scaling_yarn_beta_fast(r["beta_fast"])
    w.add_rope_scaling_yarn_beta_slow(r["beta_slow"])


def common_header(w, c):
    w.add_block_count(c.get("num_hidden_layers", c.get("n_layer")))
    w.add_context_length(c.get("max_position_embeddings", c.get("n_positions", c.get("hidden_size"))))  # so the converter of BLOOM
    w.add_embedding_length(c.get("hidden_size", c.get("n_embd")))
    w.add_feed_forward_length(c.get("intermediate_size") or c.get("ffn_hidden_size") or c.get("n_inner") or 4 * c.get("n_embd", c.get("hidden_size")))
    w.add_head_count(c.get("num_attention_heads", c.get("n_head")))
    if "num_key_value_heads" in c:
        w.add_head_count_kv(c["num_key_value_heads"])
    if "rms_norm_eps" in c:
        w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    for key in ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"):
        if key in c:
            w.add_layer_norm_eps(c[key])
    if c.get("head_dim"):
        w.add_key_length(c["head_dim"])
        w.add_value_length(c["head_dim"])
    if "rope_theta" in (c.get("rope_parameters") or {}):
        w.add_rope_freq_base(c["rope_parameters"]["rope_theta"])


def stack_experts(tensors):
    """NAME.experts.3.WHICH of all experts as one NAME.experts.WHICH."""
    stacks = {}
    for name in sorted(tensors):
        parts = name.split(".experts.")
        if len(parts) == 2 and parts[1].split(".")[0].isdigit():
            expert, which = parts[1].split(".", 1)
            stacks.setdefault(f"{parts[0]}.experts.{which}", {})[int(expert)] = tensors.pop(name)
    tensors.update({n: np.stack([e[i] for i in range(len(e))]) for n, e in stacks.items()})
    return tensors


def gguf_name(module, names, name):
    words = name.split(".")
    ours = option(module, "GGUF_NAMES", {}).get(words[-2])
    if name.startswith("blk."):
        return name
    if ours:
        return f"blk.{words[2]}.{ours}.{words[-1]}"
    to = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if not to:
        raise ValueError(f"{name}: no name in GGUF")
    return to


def write_gguf(module, which, folder, path):
    c = read_config(folder)
    spec = module.GGUF[which]
    w = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[spec["arch"]])
    common_header(w, c)
    option(module, "gguf_header", lambda w, c: None)(w, c)
    names = gguf.get_tensor_name_map(spec["arch"], c.get("num_hidden_layers", c.get("n_layer")))
    change = option(module, "gguf_tensor", lambda name, t, c: t)
    for name, t in stack_experts({n: t.float().numpy() for n, t in load_torch(os.path.join(folder, "model.safetensors")).items()}).items():
        parts = change(name, t, c)
        for n, x in (parts if isinstance(parts, dict) else {name: parts}).items():
            x = np.ascontiguousarray(x)
            if x.ndim == 1 or n.endswith("norm.weight"):
                w.add_tensor(gguf_name(module, names, n), x)
            else:
                w.add_tensor(gguf_name(module, names, n), gguf.quantize(x, gguf.GGMLQuantizationType.BF16), raw_dtype=gguf.GGMLQuantizationType.BF16)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
