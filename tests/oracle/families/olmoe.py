"""OLMoE."""

from families.common import ABSENT, GQA, ROPE500, TIED_FILE, gguf, ropes, tf

CLASS = tf.OlmoeForCausalLM
MODELS = {
    "a": tf.OlmoeConfig(**{**GQA, "intermediate_size": 20}, num_experts=4, num_experts_per_tok=2, clip_qkv=0.6, norm_topk_prob=True),
    "b": tf.OlmoeConfig(**{**GQA, "num_key_value_heads": 1, "hidden_size": 28, "num_attention_heads": 2, "intermediate_size": 12}, num_experts=3, num_experts_per_tok=1, attention_bias=True, rms_norm_eps=1e-6,
                        tie_word_embeddings=True),
}
FLIPS = {
    "a": [dict(clip_qkv=None), dict(clip_qkv=0.3), dict(clip_qkv=0.0), dict(norm_topk_prob=False), dict(norm_topk_prob=ABSENT), dict(norm_topk_prob=None), dict(num_experts_per_tok=3), dict(num_experts_per_tok=4),
          dict(num_experts_per_tok=ABSENT), dict(num_experts=ABSENT), dict(num_experts=ABSENT, num_local_experts=4), dict(num_local_experts=3), dict(hidden_act="gelu"), dict(rms_norm_eps=0.1), dict(rms_norm_eps=ABSENT),
          dict(num_attention_heads=2, num_key_value_heads=1), dict(num_key_value_heads=None), dict(attention_bias=True), dict(tie_word_embeddings=True), ROPE500, *ropes(3),
          dict(rope_parameters=ABSENT, rope_theta=500.0, rope_scaling=dict(type="linear", factor=3.0)), dict(router_aux_loss_coef=0.5, output_router_logits=True), dict(sliding_window=5),
          dict(clip_qkv=None, norm_topk_prob=False)],
    "b": [dict(clip_qkv=0.4), dict(norm_topk_prob=True), dict(num_experts_per_tok=2), dict(num_experts_per_tok=2, norm_topk_prob=True), dict(tie_word_embeddings=False), dict(attention_bias=False),
          dict(head_dim=14), dict(head_dim=28, num_attention_heads=1)],
}
REFUSED = [(dict(sliding_window=5), "transformers reads it where nothing sees it"), TIED_FILE]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.OLMOE, flip=dict(clip_qkv=None, norm_topk_prob=False)), "b": dict(arch=gguf.MODEL_ARCH.OLMOE)}


def gguf_header(w, c):
    w.add_expert_count(c["num_experts"])
    w.add_expert_used_count(c["num_experts_per_tok"])
