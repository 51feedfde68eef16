"""BLOOM. It has no attention but the eager one."""

from families.common import ABSENT, TIED_FILE, VOCAB, gguf, heads_apart, tf

CLASS = tf.BloomForCausalLM
ATTENTION = "eager"
MODELS = {
    "a": tf.BloomConfig(vocab_size=VOCAB, hidden_size=24, n_layer=2, n_head=3),
    "b": tf.BloomConfig(vocab_size=VOCAB, hidden_size=20, n_layer=2, n_head=5, apply_residual_connection_post_layernorm=True, layer_norm_epsilon=0.01, tie_word_embeddings=False),
}
# Keys of the config.json files of bigscience's models, which the class does not read.
HUB = dict(n_inner=7, seq_length=5, offset_alibi=100, attention_softmax_in_fp32=False, masked_softmax_fusion=False, bias_dropout_fusion=True, skip_bias_add=True, skip_bias_add_qkv=False, unk_token_id=0)
FLIPS = {
    "a": [dict(apply_residual_connection_post_layernorm=True), dict(layer_norm_epsilon=0.1), dict(layer_norm_epsilon=ABSENT), dict(slow_but_exact=True), dict(pretraining_tp=2),
          dict(slow_but_exact=True, pretraining_tp=2), dict(slow_but_exact=True, pretraining_tp=1), dict(n_head=4), dict(n_head=ABSENT, num_attention_heads=4), dict(n_head=ABSENT, num_attention_heads=6, num_hidden_layers=2, n_layer=ABSENT),
          dict(n_embed=24, hidden_size=ABSENT), dict(n_embed=None), HUB, dict(hidden_dropout=0.4, attention_dropout=0.4), dict(tie_word_embeddings=ABSENT), dict(n_head=ABSENT)],
    "b": [dict(apply_residual_connection_post_layernorm=False), dict(apply_residual_connection_post_layernorm=ABSENT), dict(n_head=4), dict(n_head=1), dict(slow_but_exact=True, pretraining_tp=4), dict(tie_word_embeddings=True), HUB],
}
REFUSED = [(dict(slow_but_exact=True, pretraining_tp=2), "biases are left out there"), (dict(slow_but_exact=True, pretraining_tp=4), "biases are left out there"), TIED_FILE]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.BLOOM), "b": dict(arch=gguf.MODEL_ARCH.BLOOM, flip=dict(apply_residual_connection_post_layernorm=False))}


def gguf_header(w, c):
    w.add_head_count_kv(c["n_head"])


def gguf_tensor(name, w, c):
    """Names are without the prefix there."""
    return {name.removeprefix("transformer."): heads_apart(w, c["n_head"]) if ".query_key_value." in name else w}
