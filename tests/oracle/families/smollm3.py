"""SmolLM3."""

from families.common import ABSENT, GQA, ROPE500, TIED_FILE, gguf, qk_in_pairs, ropes, tf

CLASS = tf.SmolLM3ForCausalLM
SMALL = dict(GQA, pad_token_id=0)
MODELS = {
    "a": tf.SmolLM3Config(**{**SMALL, "num_hidden_layers": 4, "intermediate_size": 20}, attention_bias=True),
    "b": tf.SmolLM3Config(**{**SMALL, "num_key_value_heads": 1}, no_rope_layers=[0, 1], use_sliding_window=True, sliding_window=5, mlp_bias=True, hidden_act="gelu", tie_word_embeddings=False,
                          rope_parameters=dict(rope_type="default", rope_theta=1e4)),
    "c": tf.SmolLM3Config(**{**SMALL, "hidden_size": 16, "num_hidden_layers": 4, "intermediate_size": 20}, mlp_bias=True, tie_word_embeddings=False),
}
# Keys of the config.json of HuggingFaceTB's models, which the class does not read.
HUB = dict(max_window_layers=28, pretraining_tp=2)
NEW = dict(no_rope_layers=None, layer_types=None)
WINDOW = dict(use_sliding_window=True, sliding_window=5)
FLIPS = {
    "a": [NEW, dict(no_rope_layer_interval=2), dict(NEW, no_rope_layer_interval=2), dict(NEW, no_rope_layer_interval=1), dict(NEW, no_rope_layer_interval=9), dict(no_rope_layers=ABSENT, layer_types=ABSENT, no_rope_layer_interval=3),
          dict(no_rope_layers=[0, 0, 1, 1]), dict(no_rope_layers=[1, 0, 1, 0, 1, 1]), dict(no_rope_layers=[1, 0]), dict(no_rope_layers=[]), WINDOW, dict(WINDOW, layer_types=None), dict(NEW, **WINDOW),
          dict(sliding_window=5, layer_types=["sliding_attention", "full_attention", "full_attention", "sliding_attention"]), dict(use_sliding_window=True, layer_types=None), HUB, dict(hidden_act="relu"),
          dict(rms_norm_eps=0.1), dict(attention_bias=False), dict(mlp_bias=True), dict(head_dim=6), dict(head_dim=12), dict(num_key_value_heads=None), dict(num_key_value_heads=ABSENT), ROPE500,
          dict(rope_parameters=ABSENT), dict(tie_word_embeddings=ABSENT), dict(tie_word_embeddings=None), *ropes(3)],
    "b": [dict(use_sliding_window=False), dict(use_sliding_window=None), dict(sliding_window=None), dict(sliding_window=3), dict(layer_types=None), dict(layer_types=["sliding_attention", "full_attention"]),
          dict(layer_types=["sliding_attention", "sliding_attention"], use_sliding_window=False), dict(no_rope_layers=None), dict(mlp_bias=False), dict(attention_bias=True), dict(tie_word_embeddings=True),
          dict(use_sliding_window=False, layer_types=None), dict(no_rope_layers=[1, 1], use_sliding_window=False, layer_types=None)],
}
REFUSED = [TIED_FILE, (dict(no_rope_layer_interval=0), "0, which no class could count by where the list were missing")]
# A header has every fourth block without positions, and SiLU.
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.SMOLLM3), "c": dict(arch=gguf.MODEL_ARCH.SMOLLM3)}
gguf_tensor = qk_in_pairs


def gguf_header(w, c):
    w.add_rope_dimension_count(c["hidden_size"] // c["num_attention_heads"])
    w.add_vocab_size(c["vocab_size"])
