"""Granite with experts and a shared one."""

from families import granitemoe
from families.common import ABSENT, ROPE500, TIED_FILE, gguf, ropes, tf
from families.granite import MULTIPLIED, MULTIPLIERS
from families.granitemoe import EXPERTS_A, EXPERTS_B, NULL_SCALE, ROUTED, SIZES_A, SIZES_B

CLASS = tf.GraniteMoeSharedForCausalLM
MODELS = {
    "a": tf.GraniteMoeSharedConfig(**SIZES_A, **EXPERTS_A, **MULTIPLIERS, shared_intermediate_size=14),
    "b": tf.GraniteMoeSharedConfig(**SIZES_B, **EXPERTS_B, shared_intermediate_size=0),
}
FLIPS = {
    "a": MULTIPLIED + ROUTED + [dict(hidden_act="relu"), dict(num_attention_heads=2, num_key_value_heads=1), dict(rms_norm_eps=0.1), dict(shared_intermediate_size=0), dict(shared_intermediate_size=ABSENT), dict(shared_intermediate_size=7),
                                dict(tie_word_embeddings=True), ROPE500, *ropes(3)],
    "b": [dict(MULTIPLIERS), dict(num_experts_per_tok=2), dict(shared_intermediate_size=ABSENT), dict(shared_intermediate_size=4), dict(head_dim=ABSENT), dict(attention_bias=False), dict(tie_word_embeddings=False)],
}
REFUSED = [TIED_FILE, NULL_SCALE]
EITHER = [(dict(shared_intermediate_size=None), "null: no shared expert")]
GGUF = {"a": dict(arch=gguf.MODEL_ARCH.GRANITE_MOE)}
gguf_tensor, gguf_header = granitemoe.gguf_tensor, granitemoe.gguf_header
