"""Phi-1, 1.5 and 2."""

from families.common import GQA, TIED_FILE, ropes, tf

WIDE = {**GQA, "hidden_size": 32}
CLASS = tf.PhiForCausalLM
PARTIAL = True
MODELS = {
    "a": tf.PhiConfig(**WIDE),
    "b": tf.PhiConfig(**{**WIDE, "num_key_value_heads": 4}, qk_layernorm=True, hidden_act="silu", rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.25)),
}
FLIPS = {
    "a": [dict(hidden_act="gelu"), dict(rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.25)), dict(layer_norm_eps=0.1), dict(qk_layernorm=True),
          dict(tie_word_embeddings=True), dict(resid_pdrop=0.5), *ropes(2)],
    "b": [dict(qk_layernorm=False), dict(layer_norm_eps=0.1), dict(num_key_value_heads=None)],
}
REFUSED = [TIED_FILE]
