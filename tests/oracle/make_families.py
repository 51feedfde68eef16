"""Makes fixtures/families/: small random models of each family as transformers saves them, and their logits.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors gguf==0.19.0
    venv/bin/python tests/oracle/make_families.py

One folder a model (config.json, model.safetensors, bfloat16); of some a GGUF file, its tensors named by the gguf package and
stored as llama.cpp's converters store them (rows_of()); families.safetensors: the last rows of each model's logits (float32;
eager attention for Gemma 2, else sdpa), by the folder's name. flips.json: keys of their config.json with other values,
and whether transformers' logits then change ("changes", the new rows in families.safetensors under "FOLDER KEY"), stay
("same"), or transformers cannot build or load that model ("error"). Token t is (7 t^2 + 3 t + 11) mod the vocabulary."""

import json
import math
import os
import shutil

import gguf
import numpy as np
import torch
import transformers as tf
from safetensors.numpy import save_file
from safetensors.torch import load_file as load_torch

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "families")
KEPT, VOCAB, T = 3, 61, 29
SIZES = dict(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=36, max_position_embeddings=64)
GQA = dict(SIZES, num_key_value_heads=2)
TWO = dict(GQA, num_hidden_layers=2)
OPT = dict(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, ffn_dim=36, max_position_embeddings=64)
MOE = dict(GQA, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=20, shared_expert_intermediate_size=28)

MODELS = {
    "opt": (tf.OPTForCausalLM, tf.OPTConfig(**OPT)),
    "opt-post": (tf.OPTForCausalLM, tf.OPTConfig(**OPT, do_layer_norm_before=False, word_embed_proj_dim=20)),
    "gpt_neox": (tf.GPTNeoXForCausalLM, tf.GPTNeoXConfig(**{**SIZES, "hidden_size": 40})),
    "mixtral": (tf.MixtralForCausalLM, tf.MixtralConfig(**{**GQA, "num_hidden_layers": 2}, num_local_experts=4, sliding_window=9)),
    "gemma2": (tf.Gemma2ForCausalLM, tf.Gemma2Config(**GQA, head_dim=10, sliding_window=7, query_pre_attn_scalar=20, attn_logit_softcapping=2.0, final_logit_softcapping=3.0)),
    "qwen2_moe": (tf.Qwen2MoeForCausalLM, tf.Qwen2MoeConfig(**MOE, mlp_only_layers=[1], use_sliding_window=True, sliding_window=8)),
    "mistral": (tf.MistralForCausalLM, tf.MistralConfig(**TWO, sliding_window=6, head_dim=8)),
    "qwen2": (tf.Qwen2ForCausalLM, tf.Qwen2Config(**TWO, use_sliding_window=True, sliding_window=6, max_window_layers=1)),
    "qwen3": (tf.Qwen3ForCausalLM, tf.Qwen3Config(**TWO, head_dim=10)),
    "gemma": (tf.GemmaForCausalLM, tf.GemmaConfig(**TWO, head_dim=10)),
    "phi": (tf.PhiForCausalLM, tf.PhiConfig(**{**TWO, "hidden_size": 32})),
    "phi3": (tf.Phi3ForCausalLM, tf.Phi3Config(**{**TWO, "hidden_size": 32}, sliding_window=16, pad_token_id=0, original_max_position_embeddings=24,
                                               rope_parameters=dict(rope_type="longrope", rope_theta=1e4, short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[2.0, 3.0, 4.0, 5.0]))),
    "gpt2": (tf.GPT2LMHeadModel, tf.GPT2Config(vocab_size=VOCAB, n_embd=24, n_layer=2, n_head=4, n_positions=64, n_inner=36)),
}
ROPE500 = dict(rope_parameters=dict(rope_type="default", rope_theta=500.0))
# Other values of keys, one or several at a time.
FLIPS = {
    "opt": [dict(_remove_final_layer_norm=True), dict(activation_function="gelu"), dict(activation_function="silu"), dict(num_attention_heads=4), dict(tie_word_embeddings=False), dict(enable_bias=False),
            dict(layer_norm_elementwise_affine=False), dict(dropout=0.5, layerdrop=0.3), dict(init_std=0.5)],
    "opt-post": [dict(do_layer_norm_before=True), dict(_remove_final_layer_norm=True), dict(activation_function="gelu_new")],
    "gpt_neox": [dict(use_parallel_residual=False), dict(rotary_pct=0.5), dict(rotary_emb_base=500), dict(hidden_act="gelu_new"), dict(layer_norm_eps=0.1), dict(num_attention_heads=2),
                 dict(rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5)), dict(rope_parameters=dict(rope_type="linear", factor=3.0, rope_theta=1e4, partial_rotary_factor=0.25)),
                 dict(tie_word_embeddings=True), dict(attention_bias=False), dict(hidden_dropout=0.4)],
    "mixtral": [dict(sliding_window=None), dict(sliding_window=4), dict(num_experts_per_tok=3), dict(hidden_act="gelu"), dict(rms_norm_eps=0.1), dict(rope_parameters=dict(rope_type="default", rope_theta=500.0)),
                dict(rope_parameters=dict(rope_type="llama3", rope_theta=1e4, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)),
                dict(router_jitter_noise=0.5), dict(router_aux_loss_coef=0.5), dict(output_router_logits=True)],
    "gemma2": [dict(sliding_window=3), dict(query_pre_attn_scalar=5), dict(query_pre_attn_scalar=10), dict(attn_logit_softcapping=None), dict(attn_logit_softcapping=1.0), dict(hidden_activation="gelu"), dict(final_logit_softcapping=None), dict(hidden_activation="relu"),
               dict(hidden_act="relu"), dict(layer_types=["full_attention", "sliding_attention", "sliding_attention"]), dict(layer_types=None), dict(use_bidirectional_attention=True), dict(rms_norm_eps=0.1),
               dict(rope_parameters=dict(rope_type="default", rope_theta=500.0)), dict(cache_implementation="hybrid")],
    "qwen2_moe": [dict(norm_topk_prob=True), dict(num_experts_per_tok=3), dict(use_sliding_window=False), dict(sliding_window=3), dict(max_window_layers=1, layer_types=None), dict(layer_types=None),
                  dict(use_sliding_window=False, layer_types=None), dict(layer_types=["full_attention", "full_attention", "sliding_attention"]), dict(hidden_act="gelu"), dict(rms_norm_eps=0.1),
                  dict(decoder_sparse_step=2), dict(mlp_only_layers=[2]), dict(qkv_bias=False), dict(rope_parameters=dict(rope_type="default", rope_theta=500.0))],
    "mistral": [dict(sliding_window=None), dict(sliding_window=3), dict(hidden_act="gelu"), dict(head_dim=None), dict(rms_norm_eps=0.1), dict(num_key_value_heads=1), ROPE500],
    "qwen2": [dict(sliding_window=3), dict(layer_types=None, use_sliding_window=False), dict(max_window_layers=0), dict(max_window_layers=0, layer_types=None), dict(layer_types=None), dict(hidden_act="relu"), ROPE500],
    "qwen3": [dict(use_sliding_window=True, sliding_window=5, max_window_layers=1, layer_types=None), dict(use_sliding_window=True, sliding_window=5), dict(attention_bias=True), dict(rms_norm_eps=0.1), ROPE500],
    "gemma": [dict(hidden_act="gelu"), dict(hidden_act="relu"), dict(hidden_activation="relu"), dict(use_bidirectional_attention=True), dict(rms_norm_eps=0.1), ROPE500],
    "phi": [dict(hidden_act="gelu"), dict(rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.25)), dict(layer_norm_eps=0.1), dict(qk_layernorm=True), dict(tie_word_embeddings=True),
            dict(resid_pdrop=0.5)],
    "phi3": [dict(sliding_window=None), dict(sliding_window=5), dict(original_max_position_embeddings=48), dict(max_position_embeddings=128), dict(rope_parameters=dict(rope_type="default", rope_theta=1e4)),
             dict(hidden_act="gelu")],
    "gpt2": [dict(scale_attn_by_inverse_layer_idx=True), dict(scale_attn_weights=False), dict(activation_function="relu"), dict(layer_norm_epsilon=0.1), dict(reorder_and_upcast_attn=True), dict(n_ctx=12),
             dict(n_head=3), dict(summary_type="mean")],
}


def fill(model):
    g = torch.Generator().manual_seed(7)
    for name, p in model.named_parameters():
        norm = "norm" in name or ".ln_" in name
        spread = 0.3 if p.ndim == 1 or norm else 0.9 / math.sqrt(p.shape[-1])
        centre = 1.0 if norm and name.endswith("weight") and not getattr(model, "one_is_added", False) else 0.0
        p.data.copy_((centre + spread * torch.randn(p.shape, generator=g)).bfloat16().float())


def tokens():
    return torch.tensor([[(7 * t * t + 3 * t + 11) % VOCAB for t in range(T)]])


def logits(model):
    with torch.no_grad():
        return model.float().eval()(tokens()).logits[0].numpy()


def attention(name):
    return "eager" if name == "gemma2" else "sdpa"


def load(cls, folder, name):
    model, info = cls.from_pretrained(folder, attn_implementation=attention(name), output_loading_info=True, dtype=torch.float32)
    if any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        raise ValueError("weights do not fit")
    return model


def flip(cls, name, base, keys, scratch):
    """What transformers makes of the folder when its config.json says something else."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(os.path.join(OUT, name), scratch)
    path = os.path.join(scratch, "config.json")
    with open(path) as f:
        config = json.load(f)
    config.update(keys)
    for old, new in (("rotary_pct", "partial_rotary_factor"), ("rotary_emb_base", "rope_theta")):
        if old in keys:  # old files have no rope_parameters
            config.pop("rope_parameters", None)
    with open(path, "w") as f:
        json.dump(config, f)
    try:
        y = logits(load(cls, scratch, name))
    except Exception:
        return config, "error", None
    finally:
        shutil.rmtree(scratch)
    return config, "same" if np.array_equal(y, base) else "changes", y


# What a GGUF file says of the folder, where it can: the flip whose logits it has (None: the folder's own).
GGUFS = {"mixtral": dict(sliding_window=None), "qwen2": dict(layer_types=None, use_sliding_window=False), "qwen3": None, "gemma": None, "gemma2": dict(query_pre_attn_scalar=10), "gpt2": None,
         "gpt_neox": None}
ARCH = {"mixtral": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2, "qwen3": gguf.MODEL_ARCH.QWEN3, "gemma": gguf.MODEL_ARCH.GEMMA, "gemma2": gguf.MODEL_ARCH.GEMMA2,
        "gpt2": gguf.MODEL_ARCH.GPT2, "gpt_neox": gguf.MODEL_ARCH.GPTNEOX}


def rows_of(family, name, w, c):
    """A tensor's numbers in a GGUF file: Gemma's norms with their 1, GPT-2's matrices (out, in), q and k of Mixtral with the two halves of a head in turn, GPT-NeoX's
    heads apart into q, k and v."""
    heads = c.get("num_attention_heads")
    if family.startswith("gemma") and name.endswith("norm.weight"):
        return w + 1
    if family == "gpt2" and w.ndim == 2 and ".c_" in name:
        return w.T
    if family == "mixtral" and (".q_proj." in name or ".k_proj." in name):
        n = heads if ".q_proj." in name else c["num_key_value_heads"]
        return w.reshape(n, 2, -1, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
    if family == "gpt_neox" and ".query_key_value." in name:
        return w.reshape(heads, 3, -1, *w.shape[1:]).swapaxes(0, 1).reshape(w.shape)
    return w


def write_gguf(family):
    with open(os.path.join(OUT, family, "config.json")) as f:
        c = json.load(f)
    blocks = c.get("num_hidden_layers", c.get("n_layer"))
    w = gguf.GGUFWriter(os.path.join(OUT, family + ".gguf"), gguf.MODEL_ARCH_NAMES[ARCH[family]])
    w.add_block_count(blocks)
    w.add_context_length(c.get("max_position_embeddings", c.get("n_positions")))
    w.add_embedding_length(c.get("hidden_size", c.get("n_embd")))
    w.add_feed_forward_length(c.get("intermediate_size", c.get("n_inner")))
    w.add_head_count(c.get("num_attention_heads", c.get("n_head")))
    if "num_key_value_heads" in c:
        w.add_head_count_kv(c["num_key_value_heads"])
        w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    else:
        w.add_layer_norm_eps(c.get("layer_norm_eps", c.get("layer_norm_epsilon")))
    if c.get("head_dim"):
        w.add_key_length(c["head_dim"])
        w.add_value_length(c["head_dim"])
    if "rope_parameters" in c:
        w.add_rope_freq_base(c["rope_parameters"]["rope_theta"])
    if family == "mixtral":
        w.add_expert_count(c["num_local_experts"])
        w.add_expert_used_count(c["num_experts_per_tok"])
        w.add_rope_dimension_count(c["hidden_size"] // c["num_attention_heads"])
        w.add_vocab_size(VOCAB)
    if family == "gemma2":
        w.add_attn_logit_softcapping(c["attn_logit_softcapping"])
        w.add_final_logit_softcapping(c["final_logit_softcapping"])
        w.add_sliding_window(c["sliding_window"])
    if family == "gpt_neox":
        w.add_parallel_residual(c["use_parallel_residual"])
        w.add_rope_dimension_count(int(c["rope_parameters"]["partial_rotary_factor"] * c["hidden_size"] // c["num_attention_heads"]))
    names = gguf.get_tensor_name_map(ARCH[family], blocks)
    tensors = {n: t.float().numpy() for n, t in load_torch(os.path.join(OUT, family, "model.safetensors")).items()}
    stacks = {}
    for name in sorted(tensors):
        parts = name.split(".experts.")
        if len(parts) == 2:
            expert, which = parts[1].split(".", 1)
            stacks.setdefault(f"{parts[0]}.experts.{which}", {})[int(expert)] = tensors.pop(name)
    tensors.update({n: np.stack([e[i] for i in range(len(e))]) for n, e in stacks.items()})
    for name, t in tensors.items():
        t = np.ascontiguousarray(rows_of(family, name, t, c))
        ours = {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"} if family == "gemma2" else {}
        key = name.split(".")[-2]
        to = f"blk.{name.split('.')[2]}.{ours[key]}.weight" if key in ours else names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert to, name
        if t.ndim == 1:
            w.add_tensor(to, t)
        else:
            w.add_tensor(to, gguf.quantize(t, gguf.GGMLQuantizationType.BF16), raw_dtype=gguf.GGMLQuantizationType.BF16)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    tf.logging.set_verbosity_error()
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    rows, flips = {}, []
    for name, (cls, config) in MODELS.items():
        config._attn_implementation = attention(name)
        model = cls._from_config(config, attn_implementation=attention(name)).float().eval()
        model.one_is_added = name.startswith("gemma")
        fill(model)
        folder = os.path.join(OUT, name)
        model.to(torch.bfloat16).save_pretrained(folder)
        os.remove(os.path.join(folder, "generation_config.json"))
        base = logits(load(cls, folder, name))
        rows[name] = np.ascontiguousarray(base[-KEPT:])
        spread = float(base.std())
        flips.append(dict(model=name, flip=None, result="base", spread=spread))
        for keys in FLIPS.get(name, []):
            written, result, y = flip(cls, name, base, keys, os.path.join(OUT, "scratch"))
            label = f"{name} {json.dumps(keys, sort_keys=True)}"
            flips.append(dict(model=name, flip=label, result=result, config=written, spread=spread if y is None else float(y.std())))
            if result == "changes":
                rows[label] = np.ascontiguousarray(y[-KEPT:])
            print(label, result)
        if name in GGUFS:
            write_gguf(name)
            keys = GGUFS[name]
            flips.append(dict(model=name + ".gguf", result="gguf", spread=spread, flip=name if keys is None else f"{name} {json.dumps(keys, sort_keys=True)}"))
    save_file(rows, os.path.join(OUT, "families.safetensors"))
    with open(os.path.join(OUT, "flips.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(x, sort_keys=True) for x in flips) + "\n]\n")


if __name__ == "__main__":
    main()
