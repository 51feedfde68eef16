"""Gemma 1."""

from families.common import GQA, ROPE500, gguf, one_in_norms, ropes, tf

CLASS = tf.GemmaForCausalLM
NORM = 0.0
MODELS = {
    "a": tf.GemmaConfig(**GQA, head_dim=10),
    "b": tf.GemmaConfig(**{**GQA, "num_key_value_heads": 4}, head_dim=6, attention_bias=True, tie_word_embeddings=False),
}
FLIPS = {
    "a": [dict(hidden_act="gelu"), dict(hidden_act="relu"), dict(hidden_activation="relu"), dict(use_bidirectional_attention=True), dict(rms_norm_eps=0.1), ROPE500, dict(attention_bias=True),
          dict(tie_word_embeddings=False), *ropes(5)],
    "b": [dict(attention_bias=False), dict(rms_norm_eps=0.1)],
}
REFUSED = [(dict(use_bidirectional_attention=True), "only causal models run here")]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.GEMMA)}
gguf_tensor = one_in_norms
