"""Qwen3-MoE."""

from families.common import CHUNKS, GQA, ROPE500, gguf, ropes, tf

MOE = dict(GQA, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=12)
CLASS = tf.Qwen3MoeForCausalLM
MODELS = {
    "a": tf.Qwen3MoeConfig(**MOE, head_dim=10, norm_topk_prob=True, mlp_only_layers=[0], attention_bias=True),
    "b": tf.Qwen3MoeConfig(**{**MOE, "num_experts": 3, "num_key_value_heads": 1}, head_dim=8, norm_topk_prob=True, use_sliding_window=True, sliding_window=6, tie_word_embeddings=True),
}
# Keys of the config.json files of Qwen's models, which the class does not read.
HUB = dict(max_window_layers=48)
FLIPS = {
    "a": [dict(norm_topk_prob=False), dict(norm_topk_prob=None), dict(num_experts_per_tok=1), dict(num_experts_per_tok=4), dict(use_sliding_window=True, sliding_window=5), dict(use_sliding_window=True, sliding_window=None),
          dict(sliding_window=5), dict(hidden_act="gelu"), dict(rms_norm_eps=0.1), dict(mlp_only_layers=None), dict(mlp_only_layers=[1]), dict(mlp_only_layers=[0, 7]), dict(decoder_sparse_step=2),
          dict(decoder_sparse_step=2, mlp_only_layers=[]), dict(decoder_sparse_step=3), dict(attention_bias=False), dict(router_aux_loss_coef=0.5), dict(output_router_logits=True), HUB, dict(head_dim=12), ROPE500, *ropes(5)],
    "b": [dict(use_sliding_window=False), dict(use_sliding_window=None), dict(sliding_window=3), dict(norm_topk_prob=False), dict(num_experts_per_tok=3), dict(num_key_value_heads=2), dict(tie_word_embeddings=False),
          dict(max_window_layers=1), CHUNKS],
}
NO_DENSE = "0 of what must be there, though no block reads it"
REFUSED = [(dict(intermediate_size=0), NO_DENSE)]
# A header has experts in every block, whose weights sum to one, and no window.
GGUF = {"b": dict(arch=gguf.MODEL_ARCH.QWEN3MOE, flip=dict(use_sliding_window=False))}


def gguf_header(w, c):
    w.add_expert_count(c.get("num_experts", c.get("num_local_experts")))
    w.add_expert_used_count(c["num_experts_per_tok"])
    w.add_expert_feed_forward_length(c["moe_intermediate_size"])
    w.add_expert_shared_feed_forward_length(0)  # of Qwen3-Coder's
