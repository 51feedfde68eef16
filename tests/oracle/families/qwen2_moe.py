"""Qwen1.5-MoE and Qwen2-MoE."""

from families.common import CHUNKS, GQA, ROPE500, gguf, ropes, tf

MOE = dict(GQA, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=20, shared_expert_intermediate_size=28)
CLASS = tf.Qwen2MoeForCausalLM
MODELS = {
    "a": tf.Qwen2MoeConfig(**{**MOE, "num_hidden_layers": 3}, mlp_only_layers=[1], use_sliding_window=True, sliding_window=8),
    "b": tf.Qwen2MoeConfig(**{**MOE, "num_experts": 3}, norm_topk_prob=True, qkv_bias=False, decoder_sparse_step=2, tie_word_embeddings=True),
    "c": tf.Qwen2MoeConfig(**{**MOE, "num_experts": 2, "num_experts_per_tok": 1}),
}
FLIPS = {
    "a": [dict(norm_topk_prob=True), dict(num_experts_per_tok=3), dict(use_sliding_window=False), dict(sliding_window=3), dict(max_window_layers=1, layer_types=None), dict(layer_types=None),
          dict(use_sliding_window=False, layer_types=None), dict(layer_types=["full_attention", "full_attention", "sliding_attention"]), dict(hidden_act="gelu"), dict(rms_norm_eps=0.1),
          dict(decoder_sparse_step=2), dict(mlp_only_layers=[2]), dict(qkv_bias=False), ROPE500, *ropes(3)],
    "b": [dict(norm_topk_prob=False), dict(qkv_bias=True), dict(num_experts_per_tok=1), dict(tie_word_embeddings=False), CHUNKS],
}
REFUSED = [(dict(intermediate_size=0), "0 of what must be there, though no block reads it")]
# A header has experts in every block, whose weights are as they are, and no window.
GGUF = {"c": dict(arch=gguf.MODEL_ARCH.QWEN2MOE)}


def gguf_header(w, c):
    w.add_expert_count(c["num_experts"])
    w.add_expert_used_count(c["num_experts_per_tok"])
    w.add_expert_feed_forward_length(c["moe_intermediate_size"])
    w.add_expert_shared_feed_forward_length(c["shared_expert_intermediate_size"])


def gguf_tensor(name, t, c):
    return t[0] if name.endswith("shared_expert_gate.weight") else t
