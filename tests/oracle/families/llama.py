"""Llama 1 to 3."""

from families.common import ABSENT, GQA, LLAMA3, ROPE500, TIED_FILE, YARN, gguf, llama3_factors, qk_in_pairs, ropes, tf

CLASS = tf.LlamaForCausalLM
MODELS = {
    "a": tf.LlamaConfig(**GQA, attention_bias=True),
    "b": tf.LlamaConfig(**{**GQA, "num_key_value_heads": 1}, head_dim=10, tie_word_embeddings=True, rms_norm_eps=1e-3, mlp_bias=True, hidden_act="gelu_pytorch_tanh", rope_parameters=LLAMA3),
}
FLIPS = {
    "a": [ROPE500, dict(rms_norm_eps=0.1), dict(head_dim=None), dict(head_dim=ABSENT), dict(num_key_value_heads=4), dict(hidden_act="relu"), dict(attention_bias=False), dict(hidden_act="gelu"),
          dict(hidden_act="gelu_new"), dict(hidden_act="swish"), dict(hidden_act="gelu_accurate"), dict(hidden_act="sigmoid"), dict(mlp_bias=True),
          dict(pretraining_tp=2), {"max_sequence_length": 2048, "is_llama_config": True, "rope_interleaved": False, "transformers.js_config": {"dtype": "q4"}, "pad_token_id": -1, "_flash_attn_2_enabled": True},
          dict(max_position_embeddings=512), dict(tie_word_embeddings=True), *ropes(3)],
    "b": [dict(rope_parameters=dict(rope_type="default", rope_theta=1e4)), dict(rope_parameters={**LLAMA3, "factor": 4.0}), dict(num_key_value_heads=ABSENT), dict(tie_word_embeddings=False), dict(mlp_bias=False), dict(hidden_act="silu"), dict(attention_bias=True),
          dict(rope_parameters=YARN | dict(attn_factor=1.3, extrapolation_factor=0.5, apply_yarn_scaling=False))],
}
REFUSED = [TIED_FILE]
# A header does not tell the activation: it is silu.
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.LLAMA), "b": dict(arch=gguf.MODEL_ARCH.LLAMA, flip=dict(hidden_act="silu"))}
gguf_tensor = qk_in_pairs


def gguf_header(w, c):
    w.add_rope_dimension_count(c["head_dim"])
    w.add_vocab_size(c["vocab_size"])
    if c["rope_parameters"]["rope_type"] == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_factors(c))
