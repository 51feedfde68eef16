"""Mistral."""

from families.common import ABSENT, GQA, ROPE500, ropes, tf

CLASS = tf.MistralForCausalLM
MODELS = {
    "a": tf.MistralConfig(**GQA, sliding_window=6, head_dim=8),
    "b": tf.MistralConfig(**{**GQA, "num_key_value_heads": 4}, sliding_window=None, tie_word_embeddings=True),
}
FLIPS = {
    "a": [dict(sliding_window=None), dict(sliding_window=ABSENT), dict(sliding_window=3), dict(hidden_act="gelu"), dict(head_dim=None), dict(rms_norm_eps=0.1), dict(num_key_value_heads=1), ROPE500, *ropes(4)],
    "b": [dict(sliding_window=5), dict(num_key_value_heads=None), dict(head_dim=ABSENT), dict(tie_word_embeddings=False)],
}
