"""Granite 3 with experts, PowerMoE."""

from families import granite
from families.common import ABSENT, GQA, NOT_CAUSAL, ROPE500, TIED_FILE, gguf, qk_in_pairs, ropes, tf

SIZES_A = {**GQA, "intermediate_size": 20}
SIZES_B = {**GQA, "num_key_value_heads": 1, "hidden_size": 28, "num_attention_heads": 3, "intermediate_size": 12}
EXPERTS_A, EXPERTS_B = dict(num_local_experts=4, num_experts_per_tok=2), dict(num_local_experts=3, num_experts_per_tok=1, head_dim=10, attention_bias=True, rms_norm_eps=1e-5, tie_word_embeddings=True)
CLASS = tf.GraniteMoeForCausalLM
MODELS = {
    "a": tf.GraniteMoeConfig(**SIZES_A, **EXPERTS_A, **granite.MULTIPLIERS),
    "b": tf.GraniteMoeConfig(**SIZES_B, **EXPERTS_B),
}
ROUTED = [dict(num_experts_per_tok=3), dict(num_experts_per_tok=4), dict(num_experts_per_tok=5), dict(num_experts_per_tok=ABSENT), dict(num_local_experts=ABSENT), dict(num_local_experts=None),
          dict(num_local_experts=ABSENT, num_experts=4), dict(num_local_experts=3), dict(router_aux_loss_coef=0.5, output_router_logits=True)]
FLIPS = {
    "a": granite.MULTIPLIED + ROUTED + [dict(hidden_act="relu"), dict(num_attention_heads=2, num_key_value_heads=1), dict(num_key_value_heads=None), dict(rms_norm_eps=0.1), dict(rms_norm_eps=ABSENT), dict(attention_bias=True),
                                        dict(tie_word_embeddings=True), ROPE500, *ropes(3), dict(rope_parameters=ABSENT, rope_theta=500.0, rope_scaling=dict(type="linear", factor=3.0)),
                                        dict(norm_topk_prob=False), dict(is_causal=False), dict(is_causal=True), dict(is_causal=None), dict(mlp_bias=True), dict(shared_intermediate_size=8)],
    "b": [dict(granite.MULTIPLIERS), dict(num_experts_per_tok=2), dict(num_experts_per_tok=3), dict(head_dim=ABSENT), dict(attention_bias=False), dict(tie_word_embeddings=False)],
}
NULL_SCALE = (dict(attention_multiplier=None), "null, for which PyTorch makes up a scale of its own")
REFUSED = [(dict(mlp_bias=True), "not read by transformers"), (dict(shared_intermediate_size=8), "not read by transformers"), TIED_FILE,
           NULL_SCALE, NOT_CAUSAL]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.GRANITE_MOE), "b": dict(arch=gguf.MODEL_ARCH.GRANITE_MOE)}


def gguf_tensor(name, t, c):
    """Experts' gate and up apart, and the shared one's."""
    for ours, width, theirs in (("block_sparse_moe.input_linear", c["intermediate_size"], "exps"), ("shared_mlp.input_linear", c.get("shared_intermediate_size"), "shexp")):
        if ours in name:
            return {f"blk.{name.split('.')[2]}.ffn_{which}_{theirs}.weight": part for which, part in (("gate", t[..., :width, :]), ("up", t[..., width:, :]))}
    return qk_in_pairs(name, t, c)


def gguf_header(w, c):
    granite.gguf_header(w, c)
    w.add_expert_count(c["num_local_experts"])
    w.add_expert_used_count(c["num_experts_per_tok"])
    if c.get("shared_intermediate_size"):
        w.add_expert_shared_feed_forward_length(c["shared_intermediate_size"])
