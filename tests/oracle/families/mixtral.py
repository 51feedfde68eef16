"""Mixtral."""

from families.common import ABSENT, ANY, GQA, LLAMA3, ROPE500, gguf, qk_in_pairs, ropes, tf

CLASS = tf.MixtralForCausalLM
MODELS = {
    "a": tf.MixtralConfig(**GQA, num_local_experts=4, sliding_window=9),
    "b": tf.MixtralConfig(**{**GQA, "num_key_value_heads": 1, "intermediate_size": 20}, num_local_experts=3, num_experts_per_tok=1, head_dim=10, sliding_window=None, tie_word_embeddings=True),
}
FLIPS = {
    "a": [dict(sliding_window=None), dict(sliding_window=4), dict(num_experts_per_tok=3), dict(hidden_act="gelu"), dict(rms_norm_eps=0.1), ROPE500, dict(rope_parameters=LLAMA3),
          dict(router_jitter_noise=0.5), dict(router_aux_loss_coef=0.5), dict(output_router_logits=True)],
    "b": [dict(sliding_window=5), dict(num_experts_per_tok=2), dict(num_experts_per_tok=3), dict(tie_word_embeddings=False), *ropes(5)],
}
# head_dim is null there, from which transformers makes no table of these kinds.
EITHER = [(dict(rope_parameters=dict(rope_type="dynamic", rope_theta=1e4, factor=3.0)), "head_dim is null", "a"), (dict(rope_parameters=ABSENT, rope_scaling=ANY), "head_dim is null", "a"),
          (dict(rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=16)), "head_dim is null", "a")]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.LLAMA, flip=dict(sliding_window=None)), "b": dict(arch=gguf.MODEL_ARCH.LLAMA)}
gguf_tensor = qk_in_pairs


def gguf_header(w, c):
    w.add_expert_count(c["num_local_experts"])
    w.add_expert_used_count(c["num_experts_per_tok"])
    w.add_rope_dimension_count(c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"])
    w.add_vocab_size(c["vocab_size"])
