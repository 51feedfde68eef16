"""GPT-2."""

from families.common import ABSENT, VOCAB, gguf, tf

SIZES = dict(vocab_size=VOCAB, n_embd=24, n_layer=2, n_positions=64)
CLASS = tf.GPT2LMHeadModel
MODELS = {
    "a": tf.GPT2Config(**SIZES, n_head=4, n_inner=36),
    "b": tf.GPT2Config(**SIZES, n_head=3, scale_attn_by_inverse_layer_idx=True, activation_function="silu", tie_word_embeddings=False),
    "c": tf.GPT2Config(**{**SIZES, "n_embd": 12}, n_head=3, tie_word_embeddings=False),
}
FLIPS = {
    "a": [dict(scale_attn_by_inverse_layer_idx=True), dict(scale_attn_weights=False), dict(activation_function="relu"), dict(layer_norm_epsilon=0.1), dict(reorder_and_upcast_attn=True), dict(n_ctx=12),
          dict(n_head=3), dict(summary_type="mean"), dict(n_special=0, predict_special_tokens=True, _num_labels=1, task_specific_params={"text-generation": {"do_sample": True, "max_length": 50}}), dict(n_inner=None), dict(tie_word_embeddings=False)],
    "b": [dict(scale_attn_by_inverse_layer_idx=False), dict(scale_attn_weights=False), dict(n_inner=ABSENT), dict(activation_function="gelu_new")],
}
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.GPT2), "c": dict(arch=gguf.MODEL_ARCH.GPT2)}


def gguf_tensor(name, w, c):
    """Matrices are (in, out) in the folder."""
    return w.T if w.ndim == 2 and ".c_" in name else w
