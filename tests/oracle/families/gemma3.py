"""Gemma 3, the text models."""

from families.every_key import ROPES
from families.common import ABSENT, ANY, GQA, LLAMA3, YARN, gguf, one_in_norms, ropes, tf

CLASS = tf.Gemma3ForCausalLM
NORM = 0.0
FULL, SLIDING = "full_attention", "sliding_attention"


def tables(full=None, sliding=None):
    """rope_parameters of both kinds of blocks."""
    return {FULL: dict(rope_type="default", rope_theta=1e6) if full is None else full, SLIDING: dict(rope_type="default", rope_theta=1e4) if sliding is None else sliding}


LINEAR = dict(rope_type="linear", factor=8.0, rope_theta=1e6)
MODELS = {
    "a": tf.Gemma3TextConfig(**{**GQA, "num_hidden_layers": 3, "intermediate_size": 20}, head_dim=10, sliding_window=7, query_pre_attn_scalar=20, sliding_window_pattern=2, rope_parameters=tables(LINEAR)),
    "b": tf.Gemma3TextConfig(**{**GQA, "num_key_value_heads": 1}, head_dim=6, sliding_window=5, query_pre_attn_scalar=6, final_logit_softcapping=2.0, attention_bias=True, hidden_activation="silu",
                             tie_word_embeddings=False, layer_types=[FULL, SLIDING]),
    "c": tf.Gemma3TextConfig(**{**GQA, "hidden_size": 16, "intermediate_size": 20}, head_dim=6, sliding_window=5, query_pre_attn_scalar=6, final_logit_softcapping=2.0, attention_bias=True, sliding_window_pattern=2,
                             rope_parameters=tables(LINEAR)),
}
# Spellings of transformers 4, as google's models have them.
OLD = dict(rope_parameters=ABSENT, layer_types=ABSENT)
HUB = dict(OLD, sliding_window_pattern=6, rope_theta=1e6, rope_local_base_freq=1e4, rope_scaling=None, cache_implementation="hybrid", hidden_act="relu")
FLIPS = {
    "a": [dict(sliding_window=3), dict(sliding_window=None), dict(query_pre_attn_scalar=5), dict(query_pre_attn_scalar=10), dict(attn_logit_softcapping=1.0), dict(final_logit_softcapping=1.5), dict(hidden_activation="gelu"),
          dict(hidden_act="relu"), dict(rms_norm_eps=0.1), dict(use_bidirectional_attention=True), dict(use_bidirectional_attention=None), dict(layer_types=None), dict(layer_types=[FULL] * 3), dict(layer_types=[SLIDING] * 3),
          dict(layer_types=[FULL, SLIDING, FULL]), dict(layer_types=None, sliding_window_pattern=3), dict(layer_types=None, sliding_window_pattern=1), dict(layer_types=None, _sliding_window_pattern=3), dict(head_dim=ABSENT),
          dict(attention_bias=True), dict(num_key_value_heads=ABSENT), HUB, OLD, dict(OLD, sliding_window_pattern=2), dict(OLD, sliding_window_pattern=2, rope_theta=500.0), dict(OLD, sliding_window_pattern=2, rope_local_base_freq=500.0),
          dict(OLD, sliding_window_pattern=2, rope_scaling=dict(rope_type="linear", factor=4.0)), dict(OLD, sliding_window_pattern=2, rope_scaling=dict(type="linear", factor=4.0)),
          dict(OLD, sliding_window_pattern=2, rope_scaling=dict(rope_type="dynamic", factor=4.0), max_position_embeddings=16), dict(OLD, sliding_window_pattern=2, rope_scaling=dict(YARN)),
          dict(rope_parameters={FULL: LINEAR}), dict(rope_parameters={SLIDING: dict(rope_type="default", rope_theta=500.0)}), dict(rope_parameters=dict(tables(LINEAR), sliding_attention=None)), dict(rope_parameters={}),
          dict(rope_parameters=None), dict(rope_parameters=dict(rope_type="linear", factor=2.0, rope_theta=1e4)), dict(rope_parameters=tables(dict(type="linear", factor=2.0))), dict(rope_theta=77.0), dict(rope_local_base_freq=77.0),
          dict(rope_parameters=tables(dict(YARN, truncate=False))), dict(rope_parameters=dict(tables(), rope_theta=3.0)), dict(original_max_position_embeddings=24),
          dict(rope_parameters=tables(sliding=dict(LINEAR))), dict(rope_parameters=tables(sliding=dict(LLAMA3))), dict(rope_parameters=tables(LLAMA3, dict(YARN))), dict(partial_rotary_factor=0.5)]
         + [dict(rope_parameters=tables(r["rope_parameters"]), **{k: v for k, v in r.items() if k == "max_position_embeddings"}) for r in ropes(5)
            if isinstance(r["rope_parameters"], dict) and "truncate" not in r["rope_parameters"] and "original_max_position_embeddings" not in r],
    "b": [dict(final_logit_softcapping=None), dict(final_logit_softcapping=ABSENT), dict(attention_bias=False), dict(sliding_window=3), dict(tie_word_embeddings=True), dict(layer_types=None), dict(layer_types=[SLIDING, FULL]),
          dict(hidden_activation=ABSENT), dict(query_pre_attn_scalar=ABSENT)],
}
REFUSED = [(dict(use_bidirectional_attention=True), "only causal models run here"), (dict(attn_logit_softcapping=ANY), "transformers reads it and passes over it"),
           (dict(tie_word_embeddings=True), "the file holds a head that is not the embedding"),
           (dict(rope_scaling=dict(type="linear", factor=4.0)), "transformers 5 passes over this spelling, and transformers 4 does not"),
           (dict(rope_parameters=dict(rope_type="linear", factor=2.0, rope_theta=1e4)), "transformers passes over what is not of a kind of block"),
           (dict(rope_local_base_freq=77.0), "what is inside says otherwise"),
           (dict(rope_parameters=tables(dict(YARN, truncate=False))), "transformers looks for it elsewhere"), (dict(rope_parameters=dict(tables(), rope_theta=3.0)), "transformers passes over what is not of a kind of block")]
OUTSIDE = "transformers passes over what is not of a kind of block"
SPELLING = "transformers 5 passes over this spelling, and transformers 4 does not"
REFUSED += [(dict(rope_parameters=r), OUTSIDE) for r in ROPES[:5]]
REFUSED += [(dict(rope_scaling={("type" if k == "rope_type" else k): v for k, v in r.items() if k != "rope_theta"}), SPELLING) for r in ROPES[1:5]]
REFUSED += [(dict(sliding_window_pattern=0), "0, which nobody could count by"), (dict(sliding_window_pattern=None), "null, which nobody could count by")]
# A header tells neither the scale of scores nor an activation.
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.GEMMA3, flip=dict(query_pre_attn_scalar=10)), "c": dict(arch=gguf.MODEL_ARCH.GEMMA3)}
GGUF_NAMES = {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
gguf_tensor = one_in_norms


def gguf_header(w, c):
    full, sliding = (c["rope_parameters"][k] for k in (FULL, SLIDING))
    w.add_sliding_window(c["sliding_window"])
    w.add_sliding_window_pattern(2)
    w.add_rope_freq_base(full["rope_theta"])
    w.add_rope_freq_base_swa(sliding["rope_theta"])
    w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    w.add_rope_scaling_factor(full["factor"])
    if c["final_logit_softcapping"]:
        w.add_final_logit_softcapping(c["final_logit_softcapping"])
