"""Phi-3 and 3.5."""

from families.common import ABSENT, GQA, gguf, np, tf

WIDE = {**GQA, "hidden_size": 32, "pad_token_id": 0}
LONG = dict(rope_type="longrope", rope_theta=1e4, short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[2.0, 3.0, 4.0, 5.0])
CLASS = tf.Phi3ForCausalLM
PARTIAL = True
ROPE_KINDS = {"default", "longrope", "su", "yarn"}
MODELS = {
    "a": tf.Phi3Config(**WIDE, sliding_window=16, original_max_position_embeddings=24, rope_parameters=LONG),
    "b": tf.Phi3Config(**{**WIDE, "num_key_value_heads": 4}, tie_word_embeddings=True),
}
FLIPS = {
    "a": [dict(sliding_window=None), dict(sliding_window=5), dict(original_max_position_embeddings=48), dict(original_max_position_embeddings=ABSENT), dict(max_position_embeddings=128), dict(rope_parameters=LONG | dict(rope_type="su")), dict(rope_parameters=LONG | dict(rope_type="yarn")),
          dict(rope_parameters=LONG | dict(original_max_position_embeddings=48)), dict(rope_parameters=LONG | dict(factor=1.7)), dict(rope_parameters=LONG | dict(attention_factor=1.7)),
          dict(rope_parameters=ABSENT, rope_theta=500.0, rope_scaling={"type": "longrope", **{k: LONG[k] for k in ("short_factor", "long_factor")}}), dict(rope_parameters=ABSENT, partial_rotary_factor=0.5),
          dict(rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5)), dict(rope_parameters=dict(rope_type="linear", factor=2.0, rope_theta=1e4)),
          dict(rope_parameters=dict(rope_type="default", rope_theta=1e4)),
          dict(hidden_act="gelu"), dict(full_attn_mod=1, interpolate_factor=1, lm_head_bias=False, mlp_bias=False, auto_map={"AutoConfig": "configuration_phi3.Phi3Config"}), dict(full_attn_mod=2)],
    "b": [dict(sliding_window=6), dict(rms_norm_eps=0.1), dict(tie_word_embeddings=False), dict(num_key_value_heads=None)],
}
REFUSED = [(dict(full_attn_mod=2), "Phi-4-mini's own class may read it otherwise")]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.PHI3), "b": dict(arch=gguf.MODEL_ARCH.PHI3)}


def gguf_header(w, c):
    rope = c["rope_parameters"]
    w.add_rope_dimension_count(int(rope.get("partial_rotary_factor", 1.0) * c["hidden_size"]) // c["num_attention_heads"])
    w.add_sliding_window(c["sliding_window"] or 0)
    w.add_rope_scaling_orig_ctx_len(c["original_max_position_embeddings"])
    if rope["rope_type"] == "longrope":
        s = c["max_position_embeddings"] / c["original_max_position_embeddings"]
        w.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(s) / np.log(c["original_max_position_embeddings"]))))
        for which in ("long", "short"):
            w.add_tensor(f"rope_factors_{which}.weight", np.array(rope[which + "_factor"], dtype=np.float32))
