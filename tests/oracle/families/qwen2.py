"""Qwen2 and Qwen2.5."""

from families.common import ABSENT, CHUNKS, GQA, ROPE500, YARN, gguf, ropes, tf, yarn_header

CLASS = tf.Qwen2ForCausalLM
MODELS = {
    "a": tf.Qwen2Config(**GQA, use_sliding_window=True, sliding_window=6, max_window_layers=1),
    "b": tf.Qwen2Config(**{**GQA, "num_key_value_heads": 4}, tie_word_embeddings=True),
}
FLIPS = {
    "a": [dict(sliding_window=3), dict(layer_types=None, use_sliding_window=False), dict(max_window_layers=0), dict(max_window_layers=0, layer_types=None), dict(layer_types=None), dict(layer_types=ABSENT),
          dict(hidden_act="relu"), dict(use_mrope=False, rope_scaling=None), ROPE500,
          dict(layer_types=None, use_sliding_window=False, rope_parameters=YARN), *ropes(3)],
    "b": [dict(use_sliding_window=True, sliding_window=5, max_window_layers=0, layer_types=None), dict(num_key_value_heads=None), dict(rms_norm_eps=0.1), dict(tie_word_embeddings=False), CHUNKS],
}
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.QWEN2, flip=dict(layer_types=None, use_sliding_window=False, rope_parameters=YARN)), "b": dict(arch=gguf.MODEL_ARCH.QWEN2)}


def gguf_header(w, c):
    if not c["tie_word_embeddings"]:
        yarn_header(w, YARN)
