"""Makes fixtures/llama-*: tiny random Llamas with their tokens and the logits that transformers computes.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors gguf
    venv/bin/python tests/oracle/make_llama.py

llama-tiny       Hugging Face folder, bfloat16, untied head, two query heads a key head
llama-tied       Hugging Face folder, float16, tied head, one key head, heads that do not fill the width
llama-long       the same with positions scaled as in Llama 3.1 (plain, mixed and divided frequencies)
llama-linear     the same with positions divided by 4
llama-*.gguf     the same but llama-tied as GGUF, float16, rows of q and k permuted to the pairs layout as llama files
                 have them; scaled frequencies as a tensor of factors (long) or a key (linear)
llama-*.expected.safetensors: tokens (T) and logits (T, vocab), float32

All weights are multiples of 1/1024 of at most 8 bits, so the three storage types hold them exactly and one set of
expected logits serves for all."""

import json
import os
import shutil

import gguf
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")
LENGTH = 40
COMMON = dict(vocab_size=96, hidden_size=32, max_position_embeddings=64, attention_bias=False, mlp_bias=False,
              hidden_act="silu", bos_token_id=None, eos_token_id=None)
SMALL = dict(num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8, intermediate_size=40,
             rms_norm_eps=1e-5, tie_word_embeddings=True)
MODELS = {
    "llama-tiny": (dict(num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                        intermediate_size=48, rms_norm_eps=1e-5, tie_word_embeddings=False),
                   dict(rope_type="default", rope_theta=10000.0), torch.bfloat16),
    "llama-tied": (dict(num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=1, head_dim=6,
                        intermediate_size=40, rms_norm_eps=1e-3, tie_word_embeddings=True),
                   dict(rope_type="default", rope_theta=500.0), torch.float16),
    "llama-long": (SMALL | dict(max_position_embeddings=1024), dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
                               high_freq_factor=4.0, original_max_position_embeddings=128), torch.bfloat16),
    "llama-linear": (SMALL, dict(rope_type="linear", rope_theta=10000.0, factor=4.0), torch.bfloat16),
}


def coarse(shape, spread, generator):
    w = torch.randn(shape, generator=generator) * spread
    return (w * 1024).round().clamp(-255, 255) / 1024


def fill(model, generator):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.copy_(1 + coarse(p.shape, 0.1, generator))
                p.copy_((p * 128).round() / 128)  # 8 bits around 1
            else:
                p.copy_(coarse(p.shape, 0.12, generator))


def permute(w, heads):
    """Rows (i, i + d/2) of each head to (2i, 2i + 1)."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def add_scaling(w, model, config, rope):
    """llama.cpp's converter writes neither the type nor the original context of Llama 3.1's rule, only the factors; the
    context is told here because it is not Llama 3.1's 8192."""
    if rope["rope_type"] == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "llama3":
        d = config.head_dim
        plain = 1.0 / rope["rope_theta"] ** (torch.arange(0, d, 2, dtype=torch.float64) / d)
        factors = (plain / model.model.rotary_emb.inv_freq.double() * 1e5).round() / 1e5  # inv_freq is float32
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        w.add_tensor("rope_freqs.weight", factors.float().numpy())


def write_gguf(path, model, config, rope):
    w = gguf.GGUFWriter(path, "llama")
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    if config.head_dim * config.num_attention_heads != config.hidden_size:
        w.add_key_length(config.head_dim)
        w.add_value_length(config.head_dim)
    w.add_rope_dimension_count(config.head_dim)
    w.add_rope_freq_base(rope["rope_theta"])
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_vocab_size(config.vocab_size)
    names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
             "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    top = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, p in model.state_dict().items():
        name = name.removesuffix(".weight")
        if name == "lm_head" and config.tie_word_embeddings:
            continue
        if name in top:
            ours = top[name]
        else:
            block, part = name.removeprefix("model.layers.").split(".", 1)
            ours = f"blk.{block}.{names[part]}"
        if ours.endswith("attn_q"):
            p = permute(p, config.num_attention_heads)
        if ours.endswith("attn_k"):
            p = permute(p, config.num_key_value_heads)
        w.add_tensor(ours + ".weight", p.numpy().astype("float32" if p.ndim == 1 else "float16"))
    add_scaling(w, model, config, rope)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    for seed, (name, (parts, rope, dtype)) in enumerate(MODELS.items()):
        generator = torch.Generator().manual_seed(1000 + seed)
        config = LlamaConfig(**(COMMON | parts), rope_parameters=dict(rope), attn_implementation="eager")
        model = LlamaForCausalLM(config).float().eval()
        fill(model, generator)
        tokens = torch.randint(0, config.vocab_size, (LENGTH,), generator=generator)
        with torch.no_grad():
            logits = model(tokens[None]).logits[0]
        folder = os.path.join(OUT, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        state = {k: v.to(dtype).contiguous() for k, v in model.state_dict().items()
                 if not (config.tie_word_embeddings and k == "lm_head.weight")}
        for k, v in state.items():
            assert torch.equal(v.float(), model.state_dict()[k]), k
        save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        keep = {k: v for k, v in config.to_dict().items()
                if k in COMMON or k in parts or k in ("architectures", "model_type", "rope_parameters")}
        keep |= {"architectures": ["LlamaForCausalLM"], "torch_dtype": str(dtype).removeprefix("torch.")}
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump(keep, f, indent=1)
            f.write("\n")
        save_file({"tokens": tokens.int(), "logits": logits.contiguous()},
                  os.path.join(OUT, name + ".expected.safetensors"))
        if name != "llama-tied":
            write_gguf(os.path.join(OUT, name + ".gguf"), model, config, rope)
        print(name, sum(p.numel() for p in model.parameters()), "parameters, logits", logits.std().item())


main()
