"""GPT-NeoX and Pythia."""

from families.common import ABSENT, SIZES, TIED_FILE, gguf, heads_apart, ropes, tf

CLASS = tf.GPTNeoXForCausalLM
PARTIAL = True
MODELS = {
    "a": tf.GPTNeoXConfig(**{**SIZES, "hidden_size": 40}),
    "b": tf.GPTNeoXConfig(**SIZES, use_parallel_residual=False, attention_bias=False, hidden_act="gelu_new", tie_word_embeddings=True,
                          rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5)),
    "c": tf.GPTNeoXConfig(**{**SIZES, "hidden_size": 16, "intermediate_size": 20, "num_attention_heads": 2}, use_parallel_residual=False, tie_word_embeddings=True),
}
OLD = dict(rope_parameters=ABSENT)  # old files have none
FLIPS = {
    "a": [dict(use_parallel_residual=False), dict(rotary_pct=0.5, **OLD), dict(rotary_emb_base=500, **OLD), OLD, dict(hidden_act="gelu_new"), dict(layer_norm_eps=0.1), dict(num_attention_heads=2),
          dict(rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5)), dict(rope_parameters=dict(rope_type="linear", factor=3.0, rope_theta=1e4, partial_rotary_factor=0.25)),
          dict(tie_word_embeddings=True), dict(attention_bias=False), dict(hidden_dropout=0.4), dict(attention_probs_dropout_prob=0, hidden_dropout_prob=0), *ropes(1)],
    "b": [dict(use_parallel_residual=True), dict(attention_bias=True), dict(tie_word_embeddings=False), OLD],
}
ODD = "a quarter of its heads is one column, with which transformers makes no table of this kind"
REFUSED = [TIED_FILE, (dict(rope_parameters=dict(rope_type="dynamic", rope_theta=1e4, factor=3.0)), ODD, "b"),
           (dict(rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=16)), ODD, "b")]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.GPTNEOX), "c": dict(arch=gguf.MODEL_ARCH.GPTNEOX)}


def gguf_header(w, c):
    w.add_parallel_residual(c["use_parallel_residual"])
    w.add_rope_dimension_count(int(c["rope_parameters"]["partial_rotary_factor"] * c["hidden_size"] // c["num_attention_heads"]))


def gguf_tensor(name, w, c):
    return heads_apart(w, c["num_attention_heads"]) if ".query_key_value." in name else w
