"""Llama 1 to 3."""

from families.common import ABSENT, GQA, LLAMA3, ROPE500, TIED_FILE, gguf, qk_in_pairs, tf

CLASS = tf.LlamaForCausalLM
MODELS = {
    "a": tf.LlamaConfig(**GQA),
    "b": tf.LlamaConfig(**{**GQA, "num_key_value_heads": 1}, head_dim=10, tie_word_embeddings=True, rms_norm_eps=1e-3, rope_parameters=LLAMA3),
}
FLIPS = {
    "a": [ROPE500, dict(rms_norm_eps=0.1), dict(head_dim=None), dict(head_dim=ABSENT), dict(num_key_value_heads=4), dict(hidden_act="relu"), dict(attention_bias=True), dict(mlp_bias=True),
          dict(rope_parameters=dict(rope_type="linear", factor=3.0, rope_theta=1e4)), dict(rope_parameters=dict(rope_type="dynamic", factor=3.0, rope_theta=1e4)), dict(pretraining_tp=2),
          dict(max_position_embeddings=512), dict(rope_parameters=ABSENT, rope_theta=500.0), dict(rope_parameters=ABSENT, rope_scaling=dict(type="linear", factor=2.0)), dict(tie_word_embeddings=True)],
    "b": [dict(rope_parameters=dict(rope_type="default", rope_theta=1e4)), dict(rope_parameters={**LLAMA3, "factor": 4.0}), dict(num_key_value_heads=ABSENT), dict(tie_word_embeddings=False)],
}
DYNAMIC = dict(rope_type="dynamic", factor=3.0, rope_theta=1e4)
REFUSED = [(dict(hidden_act="relu"), "only silu is built in"), TIED_FILE, (dict(rope_parameters=DYNAMIC), "angles that depend on the length of the sequence")]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.LLAMA)}
gguf_tensor = qk_in_pairs


def gguf_header(w, c):
    w.add_rope_dimension_count(c["hidden_size"] // c["num_attention_heads"])
    w.add_vocab_size(c["vocab_size"])
