"""OPT; b has the 350m's shape: norms behind, narrow embeddings."""

from families.common import VOCAB, tf

OPT = dict(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, ffn_dim=36, max_position_embeddings=64)
CLASS = tf.OPTForCausalLM
MODELS = {
    "a": tf.OPTConfig(**OPT),
    "b": tf.OPTConfig(**OPT, do_layer_norm_before=False, word_embed_proj_dim=20),
}
FLIPS = {
    "a": [dict(_remove_final_layer_norm=True), dict(activation_function="gelu"), dict(activation_function="silu"), dict(num_attention_heads=4), dict(tie_word_embeddings=False), dict(enable_bias=False),
          dict(layer_norm_elementwise_affine=False), dict(dropout=0.5, layerdrop=0.3), dict(init_std=0.5), dict(do_layer_norm_before=False), dict(learned_embeddings=True, scale_embeddings=False, prefix="</s>")],
    "b": [dict(do_layer_norm_before=True), dict(_remove_final_layer_norm=True), dict(activation_function="gelu_new"), dict(word_embed_proj_dim=None)],
}
