"""Gemma 2. sdpa leaves its soft caps out, so eager is the oracle."""

from families.common import GQA, ROPE500, gguf, one_in_norms, ropes, tf

CLASS = tf.Gemma2ForCausalLM
ATTENTION = "eager"
NORM = 0.0
MODELS = {
    "a": tf.Gemma2Config(**{**GQA, "num_hidden_layers": 3}, head_dim=10, sliding_window=7, query_pre_attn_scalar=20, attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
    "b": tf.Gemma2Config(**{**GQA, "num_key_value_heads": 1}, head_dim=6, sliding_window=5, query_pre_attn_scalar=6, attn_logit_softcapping=None, final_logit_softcapping=None, attention_bias=True,
                         hidden_activation="silu", tie_word_embeddings=False),
}
FLIPS = {
    "a": [dict(sliding_window=3), dict(query_pre_attn_scalar=5), dict(query_pre_attn_scalar=10), dict(attn_logit_softcapping=None), dict(attn_logit_softcapping=1.0), dict(hidden_activation="gelu"),
          dict(final_logit_softcapping=None), dict(hidden_activation="relu"), dict(hidden_act="relu"), dict(layer_types=["full_attention", "sliding_attention", "sliding_attention"]), dict(layer_types=None),
          dict(use_bidirectional_attention=True), dict(rms_norm_eps=0.1), ROPE500, dict(cache_implementation="hybrid", sliding_window_size=4096), *ropes(5)],
    "b": [dict(attn_logit_softcapping=2.0), dict(final_logit_softcapping=2.0), dict(attention_bias=False), dict(sliding_window=3)],
}
REFUSED = [(dict(use_bidirectional_attention=True), "only causal models run here")]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.GEMMA2, flip=dict(query_pre_attn_scalar=10))}
GGUF_NAMES = {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
gguf_tensor = one_in_norms


def gguf_header(w, c):
    w.add_attn_logit_softcapping(c["attn_logit_softcapping"])
    w.add_final_logit_softcapping(c["final_logit_softcapping"])
    w.add_sliding_window(c["sliding_window"])
