"""StarCoder2."""

from families.common import ABSENT, GQA, LLAMA3, ROPE500, TIED_FILE, gguf, ropes, tf

CLASS = tf.Starcoder2ForCausalLM
MODELS = {
    "a": tf.Starcoder2Config(**GQA, sliding_window=6),
    "b": tf.Starcoder2Config(**{**GQA, "num_key_value_heads": 1}, head_dim=10, use_bias=False, tie_word_embeddings=False, rope_parameters=dict(rope_type="default", rope_theta=500.0)),
}
# Keys of the config.json files of bigcode's models, which the class does not read.
HUB = dict(norm_type="layer_norm", mlp_type="default", attention_softmax_in_fp32=True, scale_attention_softmax_in_fp32=True, scale_attn_weights=True,
           layer_norm_epsilon=0.1, activation_function="relu")
OLD = dict(rope_parameters=ABSENT)
FLIPS = {
    "a": [dict(sliding_window=None), dict(sliding_window=ABSENT), dict(sliding_window=4), dict(hidden_act="gelu"), dict(hidden_act="silu"), dict(norm_epsilon=0.1), dict(head_dim=6), dict(head_dim=None),
          dict(num_key_value_heads=ABSENT), ROPE500, dict(rope_theta=500.0, **OLD), OLD, dict(rope_parameters=LLAMA3), dict(rope_theta=1e4, rope_scaling=dict(type="linear", factor=3.0), **OLD), dict(use_bias=ABSENT),
          dict(residual_dropout=0.4, embedding_dropout=0.4), dict(tie_word_embeddings=ABSENT), HUB, dict(norm_type="rms_norm"), dict(mlp_type="gated"), dict(use_bias=False)],
    "b": [dict(sliding_window=5), dict(hidden_act="relu"), dict(use_bias=True), dict(head_dim=ABSENT), dict(tie_word_embeddings=True), OLD, *ropes(5)],
}
REFUSED = [(dict(norm_type="rms_norm"), "the weights would be those of another model"), (dict(mlp_type="gated"), "the weights would be those of another model"), TIED_FILE]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.STARCODER2, flip=dict(sliding_window=None)), "b": dict(arch=gguf.MODEL_ARCH.STARCODER2)}
