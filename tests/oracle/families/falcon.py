"""Falcon in its four layouts: 7B, 40B, 11B, rw-1b. Eager attention adds ALiBi twice, so sdpa is the oracle."""

from families.common import ABSENT, LLAMA3, ROPE500, TIED_FILE, VOCAB, gguf, np, ropes, tf

CLASS = tf.FalconForCausalLM
SIZES = dict(vocab_size=VOCAB, num_hidden_layers=2, max_position_embeddings=64)
MODELS = {
    "a": tf.FalconConfig(**SIZES, hidden_size=20, num_attention_heads=5),
    "b": tf.FalconConfig(**SIZES, hidden_size=24, num_attention_heads=6, num_kv_heads=2, new_decoder_architecture=True, ffn_hidden_size=36),
    "c": tf.FalconConfig(**SIZES, hidden_size=24, num_attention_heads=4, num_kv_heads=2, new_decoder_architecture=True, num_ln_in_parallel_attn=1, ffn_hidden_size=28, tie_word_embeddings=False,
                         rope_parameters=dict(rope_type="default", rope_theta=500042.0)),
    "d": tf.FalconConfig(**SIZES, hidden_size=24, num_attention_heads=3, multi_query=False, parallel_attn=False, alibi=True, bias=True, ffn_hidden_size=36),
}
# Keys of the config.json files of tiiuae's models, which the class does not read.
HUB = dict(apply_residual_connection_post_layernorm=True, ff_factor=3, auto_map={"AutoConfig": "configuration_falcon.FalconConfig"})
OLD = dict(rope_parameters=ABSENT)
FLIPS = {
    "a": [dict(alibi=True), dict(num_ln_in_parallel_attn=1), dict(num_ln_in_parallel_attn=3), dict(num_kv_heads=1), dict(num_kv_heads=3), dict(num_kv_heads=None), dict(multi_query=ABSENT), dict(ffn_hidden_size=None),
          dict(ffn_hidden_size=ABSENT), dict(activation="relu"), dict(activation="gelu_new"), dict(layer_norm_epsilon=0.1), dict(alibi=None), dict(parallel_attn=ABSENT), dict(bias=None), dict(new_decoder_architecture=None),
          ROPE500, dict(rope_theta=500.0, **OLD), dict(rope_theta=1e4, rope_scaling=dict(type="linear", factor=3.0), **OLD), dict(rope_parameters=LLAMA3), dict(hidden_size=ABSENT, n_embed=20), HUB,
          dict(num_ln_in_parallel_attn=2, new_decoder_architecture=False), dict(new_decoder_architecture=True), dict(parallel_attn=False), dict(multi_query=False), dict(bias=True), *ropes(2)],
    "b": [dict(alibi=True), dict(multi_query=False), dict(num_ln_in_parallel_attn=2), dict(num_ln_in_parallel_attn=None), dict(num_ln_in_parallel_attn=ABSENT), dict(layer_norm_epsilon=0.1), ROPE500, HUB,
          dict(parallel_attn=False, new_decoder_architecture=True), dict(parallel_attn=None), dict(num_ln_in_parallel_attn=4), dict(num_ln_in_parallel_attn=0), dict(new_decoder_architecture=False)],
    "c": [dict(alibi=True), dict(multi_query=False), dict(activation="relu"), dict(rope_theta=500042, **OLD), dict(tie_word_embeddings=True), dict(num_ln_in_parallel_attn=None), HUB],
    "d": [dict(alibi=False), dict(alibi=ABSENT), dict(alibi=False, **ROPE500), ROPE500, dict(num_ln_in_parallel_attn=2), dict(num_kv_heads=None), dict(layer_norm_epsilon=0.1), dict(activation="silu"),
          dict(num_attention_heads=4, num_kv_heads=4), dict(num_attention_heads=6, num_kv_heads=None), HUB, dict(num_kv_heads=1, multi_query=False), dict(multi_query=True), dict(parallel_attn=True)],
}
CRASH = "transformers cannot run it"
REFUSED = [TIED_FILE] + [(keys, CRASH) for keys in (dict(num_ln_in_parallel_attn=2, new_decoder_architecture=False), dict(parallel_attn=False, new_decoder_architecture=True), dict(num_ln_in_parallel_attn=4),
                                                    dict(multi_query=False, num_kv_heads=1))]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.FALCON), "b": dict(arch=gguf.MODEL_ARCH.FALCON), "c": dict(arch=gguf.MODEL_ARCH.FALCON)}


def key_heads(c):
    return c["num_kv_heads"] if c["new_decoder_architecture"] else 1


def gguf_header(w, c):
    w.add_tensor_data_layout("jploski")
    w.add_head_count_kv(key_heads(c))


def gguf_tensor(name, w, c):
    """Of each key head its queries, key and value: all queries, all keys, all values."""
    if ".query_key_value." not in name:
        return w
    groups = w.reshape(key_heads(c), -1, c["hidden_size"] // c["num_attention_heads"], w.shape[1])
    return np.concatenate([groups[:, :-2].reshape(-1, w.shape[1]), groups[:, -2].reshape(-1, w.shape[1]), groups[:, -1].reshape(-1, w.shape[1])])
