"""Granite 3."""

from families.common import ABSENT, GQA, ROPE500, TIED_FILE, gguf, qk_in_pairs, ropes, tf

MULTIPLIERS = dict(embedding_multiplier=3.0, residual_multiplier=0.3, attention_multiplier=0.21, logits_scaling=2.5)
MULTIPLIED = [dict(embedding_multiplier=5), dict(embedding_multiplier=ABSENT), dict(embedding_multiplier=None), dict(residual_multiplier=0.9), dict(residual_multiplier=0), dict(residual_multiplier=ABSENT),
              dict(attention_multiplier=0.05), dict(attention_multiplier=ABSENT), dict(logits_scaling=8.0), dict(logits_scaling=0), dict(logits_scaling=ABSENT)]
CLASS = tf.GraniteForCausalLM
MODELS = {
    "a": tf.GraniteConfig(**GQA, **MULTIPLIERS),
    "b": tf.GraniteConfig(**{**GQA, "hidden_size": 28}, head_dim=10, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5, tie_word_embeddings=True),
}
FLIPS = {
    "a": MULTIPLIED + [dict(hidden_act="relu"), dict(hidden_act=ABSENT), dict(num_attention_heads=2, num_key_value_heads=1), dict(num_key_value_heads=None), dict(rms_norm_eps=0.1), dict(rms_norm_eps=ABSENT), dict(attention_bias=True),
                       dict(mlp_bias=True), dict(tie_word_embeddings=True), ROPE500, *ropes(3), dict(rope_parameters=ABSENT, rope_theta=500.0, rope_scaling=dict(type="linear", factor=3.0)),
                       dict(attention_dropout=0.1), dict(max_position_embeddings=12), dict(sliding_window=5)],
    "b": [dict(MULTIPLIERS), dict(head_dim=ABSENT), dict(head_dim=20, num_attention_heads=2, num_key_value_heads=1), dict(attention_bias=False), dict(mlp_bias=False), dict(mlp_bias=None), dict(tie_word_embeddings=False)],
}
REFUSED = [(dict(sliding_window=5), "not read by transformers"), TIED_FILE]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.GRANITE), "b": dict(arch=gguf.MODEL_ARCH.GRANITE)}
gguf_tensor = qk_in_pairs


def gguf_header(w, c):
    w.add_attention_scale(c["attention_multiplier"])
    w.add_embedding_scale(c["embedding_multiplier"])
    w.add_residual_scale(c["residual_multiplier"])
    w.add_logit_scale(c["logits_scaling"])
    w.add_rope_dimension_count(c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"])
    w.add_rope_scaling_finetuned(True)
    w.add_vocab_size(c["vocab_size"])
