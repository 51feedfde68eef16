"""Qwen3."""

from families.common import CHUNKS, GQA, ROPE500, YARN, gguf, ropes, tf, yarn_header

CLASS = tf.Qwen3ForCausalLM
MODELS = {
    "a": tf.Qwen3Config(**GQA, head_dim=10),
    "b": tf.Qwen3Config(**{**GQA, "num_key_value_heads": 1}, head_dim=8, attention_bias=True, tie_word_embeddings=True, use_sliding_window=True, sliding_window=5, max_window_layers=1),
    "c": tf.Qwen3Config(**{**GQA, "hidden_size": 16, "intermediate_size": 20}, head_dim=6, tie_word_embeddings=True, rope_parameters=YARN),
}
FLIPS = {
    "a": [dict(use_sliding_window=True, sliding_window=5, max_window_layers=1, layer_types=None), dict(use_sliding_window=True, sliding_window=5), dict(attention_bias=True), dict(rms_norm_eps=0.1), ROPE500, *ropes(5)],
    "b": [dict(use_sliding_window=False, layer_types=None), dict(sliding_window=3), dict(attention_bias=False), dict(hidden_act="gelu"), CHUNKS],
}
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.QWEN3), "c": dict(arch=gguf.MODEL_ARCH.QWEN3)}


def gguf_header(w, c):
    if c["tie_word_embeddings"]:
        yarn_header(w, YARN)
