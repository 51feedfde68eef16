"""OLMo 2."""

from families.common import ABSENT, GQA, ROPE500, TIED_FILE, gguf, ropes, tf

CLASS = tf.Olmo2ForCausalLM
MODELS = {
    "a": tf.Olmo2Config(**GQA),
    "b": tf.Olmo2Config(**{**GQA, "hidden_size": 28}, head_dim=10, attention_bias=True, hidden_act="gelu", rms_norm_eps=1e-6, tie_word_embeddings=True),
}
FLIPS = {
    "a": [dict(hidden_act="relu"), dict(hidden_act=ABSENT), dict(num_attention_heads=2, num_key_value_heads=1), dict(num_key_value_heads=None), dict(rms_norm_eps=0.1), dict(rms_norm_eps=ABSENT), dict(rms_norm_eps=None), dict(attention_bias=True),
          dict(tie_word_embeddings=True), ROPE500, *ropes(3), dict(rope_parameters=ABSENT, rope_theta=500.0), dict(clip_qkv=0.2), dict(sliding_window=5), dict(attention_dropout=0.5),
          dict(max_position_embeddings=12)],
    "b": [dict(head_dim=ABSENT), dict(head_dim=20, num_attention_heads=2, num_key_value_heads=1), dict(hidden_act="gelu_new"), dict(rms_norm_eps=ABSENT), dict(attention_bias=False), dict(tie_word_embeddings=False),
          dict(rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=3.0))],
}
REFUSED = [(dict(clip_qkv=0.2), "not read by transformers"), (dict(sliding_window=5), "not read by transformers"), TIED_FILE]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.OLMO2), "b": dict(arch=gguf.MODEL_ARCH.OLMO2, flip=dict(hidden_act="silu"))}
FLIPS["b"].append(GGUF["b"]["flip"])
