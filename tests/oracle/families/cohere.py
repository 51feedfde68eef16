"""Cohere's Command R and Aya."""

from families.common import ABSENT, GQA, LLAMA3, ROPE500, TIED_FILE, gguf, ropes, tf

CLASS = tf.CohereForCausalLM
MODELS = {
    "a": tf.CohereConfig(**GQA, logit_scale=0.3),
    "b": tf.CohereConfig(**{**GQA, "num_attention_heads": 6, "num_key_value_heads": 3}, head_dim=6, use_qk_norm=True, attention_bias=True, logit_scale=2.0,
                         rope_parameters=dict(rope_type="default", rope_theta=1e4)),
    "c": tf.CohereConfig(**{**GQA, "hidden_size": 16, "intermediate_size": 20}, use_qk_norm=True, tie_word_embeddings=False),
}
# Keys of the config.json files of CohereForAI's models, which the class does not read.
HUB = dict(model_max_length=7, pretraining_tp=4, position_embedding_type="rope_gptj", rotary_pct=1.0, use_embedding_sharing=True, use_gated_activation=True, use_parallel_block=True, use_parallel_embedding=False)
OLD = dict(rope_parameters=ABSENT)
FLIPS = {
    "a": [dict(logit_scale=ABSENT), dict(logit_scale=1.5), dict(layer_norm_eps=0.1), dict(hidden_act="gelu"), dict(num_key_value_heads=4), dict(num_key_value_heads=None), dict(head_dim=6), ROPE500,
          dict(rope_theta=8e6, **OLD), OLD, dict(rope_parameters=LLAMA3), dict(rope_theta=1e4, rope_scaling=dict(type="linear", factor=3.0), **OLD), dict(tie_word_embeddings=ABSENT), dict(use_qk_norm=None), HUB,
          dict(position_embedding_type="alibi"), dict(use_parallel_block=False), dict(use_gated_activation=False), dict(rotary_pct=0.5), dict(use_qk_norm=True), dict(attention_bias=True)],
    "b": [dict(layer_norm_eps=0.1), dict(logit_scale=-0.5), dict(use_qk_norm=False), dict(attention_bias=False), OLD, *ropes(3)],
    "c": [dict(tie_word_embeddings=True), dict(num_key_value_heads=None)],
}
OTHER = "the weights would be those of another model"
REFUSED = [(dict(position_embedding_type="alibi"), OTHER), (dict(use_parallel_block=False), OTHER), (dict(use_gated_activation=False), OTHER), (dict(rotary_pct=0.5), OTHER), TIED_FILE]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.COMMAND_R), "b": dict(arch=gguf.MODEL_ARCH.COMMAND_R)}


def gguf_header(w, c):
    w.add_logit_scale(c["logit_scale"])
    w.add_rope_scaling_type(gguf.RopeScalingType.NONE)
