"""OLMo 1."""

from families.common import ABSENT, GQA, NOT_CAUSAL, ROPE500, TIED_FILE, gguf, qk_in_pairs, ropes, tf

CLASS = tf.OlmoForCausalLM
MODELS = {
    "a": tf.OlmoConfig(**GQA, clip_qkv=0.6, tie_word_embeddings=True),
    "b": tf.OlmoConfig(**{**GQA, "hidden_size": 28}, head_dim=10, attention_bias=True, hidden_act="gelu"),
}
OLD = dict(rope_parameters=ABSENT)
FLIPS = {
    "a": [dict(clip_qkv=None), dict(clip_qkv=ABSENT), dict(clip_qkv=0.2), dict(clip_qkv=0.0), dict(clip_qkv=2.0), dict(hidden_act="relu"), dict(hidden_act=ABSENT), dict(num_attention_heads=2, num_key_value_heads=1), dict(num_key_value_heads=None),
          dict(num_key_value_heads=4), dict(attention_bias=True), dict(tie_word_embeddings=False), ROPE500, *ropes(3), dict(rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=3.0)),
          OLD, dict(OLD, rope_theta=500.0), dict(OLD, rope_theta=500.0, rope_scaling=dict(type="linear", factor=3.0)), dict(rms_norm_eps=0.1), dict(attention_dropout=0.5), dict(max_position_embeddings=12),
          dict(max_position_embeddings=ABSENT), dict(pretraining_tp=2), dict(is_causal=False), dict(is_causal=True), dict(is_causal=None), dict(use_cache=False)],
    "b": [dict(clip_qkv=0.4), dict(clip_qkv=-0.4), dict(head_dim=ABSENT), dict(head_dim=None), dict(head_dim=20, num_attention_heads=2, num_key_value_heads=1), dict(hidden_act="gelu_new"), dict(hidden_act=None),
          dict(attention_bias=False), dict(attention_bias=None), dict(tie_word_embeddings=True), dict(partial_rotary_factor=0.5)],
}
REFUSED = [NOT_CAUSAL, (dict(clip_qkv=-0.4), "bounds cross"), (dict(rms_norm_eps=0.1), "not read by transformers"), (dict(partial_rotary_factor=0.5), "transformers ignores it"), TIED_FILE]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.OLMO)}
gguf_tensor = qk_in_pairs


def gguf_header(w, c):
    w.add_layer_norm_eps(1e-5)
    w.add_clamp_kqv(c["clip_qkv"])
