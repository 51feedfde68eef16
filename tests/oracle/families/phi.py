"""Phi-1, 1.5 and 2."""

from families.common import GQA, TIED_FILE, gguf, np, ropes, tf

WIDE = {**GQA, "hidden_size": 32}
CLASS = tf.PhiForCausalLM
PARTIAL = True
MODELS = {
    "a": tf.PhiConfig(**WIDE),
    "b": tf.PhiConfig(**{**WIDE, "num_key_value_heads": 4}, qk_layernorm=True, hidden_act="silu", rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.25)),
    "c": tf.PhiConfig(**{**WIDE, "intermediate_size": 20}),
}
FLIPS = {
    "a": [dict(hidden_act="gelu"), dict(rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.25)), dict(layer_norm_eps=0.1), dict(qk_layernorm=True),
          dict(tie_word_embeddings=True), dict(resid_pdrop=0.5), *ropes(2)],
    "b": [dict(qk_layernorm=False), dict(layer_norm_eps=0.1), dict(num_key_value_heads=None)],
}
REFUSED = [TIED_FILE]
# A header has no norms of heads, and GELU in its tanh form. Of c q, k and v stand in one tensor, as old converters wrote them.
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.PHI2), "c": dict(arch=gguf.MODEL_ARCH.PHI2)}
LAST = {}


def gguf_header(w, c):
    w.add_rope_dimension_count(int(c["rope_parameters"]["partial_rotary_factor"] * c["hidden_size"]) // c["num_attention_heads"])


def gguf_tensor(name, t, c):
    if c["intermediate_size"] != 20 or not any(x in name for x in ("q_proj", "k_proj", "v_proj")):
        return t
    LAST[name] = t
    parts = [name.replace("v_proj", x) for x in ("q_proj", "k_proj", "v_proj")]
    block = name.split(".")[2]
    return {f"blk.{block}.attn_qkv.{name.split('.')[-1]}": np.concatenate([LAST[p] for p in parts])} if "v_proj" in name else {}
