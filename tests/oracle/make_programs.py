"""Makes fixtures/programs.json, programs.safetensors and programs-grads.safetensors: 26 model types of transformers as programs (src/model/program.h).

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors
    venv/bin/python tests/oracle/make_programs.py

programs.json: for each case its program, its numbers, the shapes of its parameters and its tokens. programs.safetensors:
the last rows of the logits that transformers computes for it (float32; eager attention for Gemma 2 and BLOOM, else
sdpa). Weights are in neither file: value i of a parameter is centre + spread * u, u in [-1, 1) from the hash of its name
and i (draw() here, draw() in test_programs.c), so that both sides make them anew.

programs-grads.safetensors: for each case the mean cross entropy of each next token, and its gradients by autograd in
float64 (what transformers itself casts to float32, it casts), dropout and balancing losses off. A row a parameter, in the
order of programs.json, a bias after its weight (zeros: a parameter that has a second name): the gradient's norm, its products with two drawn vectors, and PICKED of
its entries, evenly spaced. The first row: the loss."""

import json
import math
import os

import numpy as np
import torch
import transformers as tf
from safetensors.numpy import save_file

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")
KEPT = 6  # rows of logits
PICKED = 5  # entries of a gradient
VOCAB = 61
SIZES = dict(vocab_size=VOCAB, hidden_size=40, num_hidden_layers=3, num_attention_heads=4, intermediate_size=52, max_position_embeddings=96)
GQA = dict(SIZES, num_key_value_heads=2)

# Pieces of programs.
QKV = "q = linear n q; k = linear n k; v = linear n v; "
SPLIT = "f = linear n qkv; q k v = split f by={}; "
ROPE = "?rope q = rope q dims=rot pairs=pairs; ?rope k = rope k dims=rot pairs=pairs; "
ATTEND = "a = attend q k v scale=scale window=window cap=cap alibi=alibi; "
RMS, LN = "kind=rms eps=eps one=one; ", "kind=ln eps=eps; "
GLU = "g = linear n gate; u = linear n up; h = gate g u fn=act; "
MLP = "h = linear n up; h = act h fn=act; x += linear h down"
EXPERT = GLU + "y = linear h down"
EMBED = "x = embed token embed scale=emb"
MOE = "m = experts n router top=top renorm=renorm; "


def head_norms(norm, when=""):
    return "".join(f"{when}{v} = norm {v} {v}n {norm[:-2]} run=head_dim; " for v in "qk")


def after(norm):
    return f"x = norm x fn {norm}y = head x head scale=logit_scale cap=logit_cap"


def llama(qkv=QKV, before_rope="", mlp=GLU + "x += linear h down mult=res", norm=RMS):
    return dict(before=EMBED, after=after(norm), block=f"n = norm x n1 {norm}{qkv}{before_rope}{ROPE}{ATTEND}x += linear a o mult=res; n = norm x n2 {norm}{mlp}")


def gemma(before_rope=""):
    return dict(before=EMBED, after=after(RMS), block=f"n = norm x n1 {RMS}{QKV}{before_rope}{ROPE}{ATTEND}t = linear a o; t = norm t p1 {RMS}x += add t; "
                f"n = norm x n2 {RMS}{GLU}t = linear h down; t = norm t p2 {RMS}x += add t")


def moe(base, block=MOE + "x += add m mult=res"):
    return dict(base, block=base["block"].replace(GLU + "x += linear h down mult=res", block), expert=EXPERT)


CLIP = "".join(f"?clip {v} = clamp {v} limit=clip; " for v in "qkv")
DENSE = "?!moe g = linear n dg; ?!moe u = linear n du; ?!moe h = gate g u fn=act; ?!moe x += linear h dd"
SHARED = ("?moe g = linear n sg; ?moe u = linear n su; ?moe h = gate g u fn=act; ?moe s = linear h sd; ?moe z = linear n sgate; "
          "?moe x += gate z s fn=sigmoid; ")
SPARSE = "?moe " + MOE + "?moe x += add m; "
PARALLEL = dict(before=EMBED, after=after(LN))
gpt2 = dict(before="x = embed token embed; x += embed position pos", after=after(LN), block=f"n = norm x n1 {LN}{SPLIT.format(1)}{ATTEND}x += linear a o; n = norm x n2 {LN}{MLP}")
opt = dict(before="?!proj x = embed token embed; ?proj e = embed token embed; ?proj x = linear e pin; x += embed position pos offset=2",
           block=f"?pre n = norm x n1 {LN}?!pre n = add x; {QKV}{ATTEND}x += linear a o; ?!pre x = norm x n1 {LN}?pre n = norm x n2 {LN}?!pre n = add x; {MLP}; ?!pre x = norm x n2 {LN}",
           after=f"?final x = norm x fn {LN}?proj x = linear x pout; y = head x head")
bloom = dict(before=f"x = embed token embed; x = norm x en {LN}", after=after(LN),
             block=f"n = norm x n1 {LN}?post x = add n; {SPLIT.format('kv_heads')}{ATTEND}x += linear a o; n = norm x n2 {LN}?post x = add n; {MLP}")
neox = dict(PARALLEL, block=f"n = norm x n1 {LN}{SPLIT.format('kv_heads')}{ROPE}{ATTEND}?parallel n = norm x n2 {LN}x += linear a o; ?!parallel n = norm x n2 {LN}{MLP}")
phi = dict(PARALLEL, block=f"n = norm x n1 {LN}{QKV}{head_norms(LN, '?qkn ')}{ROPE}{ATTEND}x += linear a o; {MLP}")
phi3 = llama(qkv=SPLIT.format(1), mlp="f = linear n gu; g u = split f; h = gate g u fn=act; x += linear h down")
olmo = dict(PARALLEL, block=f"n = norm x none {LN}{QKV}{CLIP}{ROPE}{ATTEND}x += linear a o; n = norm x none {LN}{GLU}x += linear h down", after=after(LN).replace(" fn ", " none "))
olmo2 = dict(before=EMBED, after=after(RMS), block=QKV.replace(" n ", " x ") + f"q = norm q qn {RMS}k = norm k kn {RMS}{ROPE}{ATTEND}t = linear a o; t = norm t p1 {RMS}x += add t; "
             + GLU.replace(" n ", " x ") + f"t = linear h down; t = norm t p2 {RMS}x += add t")
falcon = dict(PARALLEL, block=f"?!two n = norm x n1 {LN}?two n = norm x na {LN}{SPLIT.format('groups')}{ROPE}{ATTEND}?two n = norm x nm {LN}x += linear a o; ?serial n = norm x n2 {LN}{MLP}")
starcoder2 = dict(PARALLEL, block=f"n = norm x n1 {LN}{QKV}{ROPE}{ATTEND}x += linear a o; n = norm x n2 {LN}{MLP}")
cohere = dict(PARALLEL, block=f"n = norm x n1 {LN}{QKV}{head_norms(LN, '?qkn ')}{ROPE}{ATTEND}x += linear a o; {GLU}x += linear h down")

# Names of parameters: ours (# the block, @ the expert) to transformers'. [@] an expert of a stack, [:n] [n:] its halves.
L = "model.layers.#."


def under(base, **names):
    return {ours: base + name for ours, name in names.items()}


LLAMA = {"embed": "model.embed_tokens", "fn": "model.norm", "head": "lm_head",
         **under(L, n1="input_layernorm", n2="post_attention_layernorm", q="self_attn.q_proj", k="self_attn.k_proj", v="self_attn.v_proj", o="self_attn.o_proj",
                 gate="mlp.gate_proj", up="mlp.up_proj", down="mlp.down_proj", qn="self_attn.q_norm", kn="self_attn.k_norm")}
GEMMA = {**LLAMA, **under(L, n2="pre_feedforward_layernorm", p1="post_attention_layernorm", p2="post_feedforward_layernorm")}
OLMO2 = {**LLAMA, **under(L, p1="post_attention_layernorm", p2="post_feedforward_layernorm")}
OPT = {"embed": "model.decoder.embed_tokens", "pos": "model.decoder.embed_positions", "pin": "model.decoder.project_in", "pout": "model.decoder.project_out",
       "fn": "model.decoder.final_layer_norm", "head": "lm_head",
       **under("model.decoder.layers.#.", n1="self_attn_layer_norm", n2="final_layer_norm", q="self_attn.q_proj", k="self_attn.k_proj", v="self_attn.v_proj",
               o="self_attn.out_proj", up="fc1", down="fc2")}
GPT2 = {"embed": "transformer.wte", "pos": "transformer.wpe", "fn": "transformer.ln_f", "head": "lm_head",
        **under("transformer.h.#.", n1="ln_1", n2="ln_2", qkv="attn.c_attn", o="attn.c_proj", up="mlp.c_fc", down="mlp.c_proj")}
BLOOM = {"embed": "transformer.word_embeddings", "en": "transformer.word_embeddings_layernorm", "fn": "transformer.ln_f", "head": "lm_head",
         **under("transformer.h.#.", n1="input_layernorm", n2="post_attention_layernorm", qkv="self_attention.query_key_value", o="self_attention.dense",
                 up="mlp.dense_h_to_4h", down="mlp.dense_4h_to_h", nm="ln_mlp", na="ln_attn")}
NEOX = {"embed": "gpt_neox.embed_in", "fn": "gpt_neox.final_layer_norm", "head": "lm_head",
        **under("gpt_neox.layers.#.", n1="input_layernorm", n2="post_attention_layernorm", qkv="attention.query_key_value", o="attention.dense",
                up="mlp.dense_h_to_4h", down="mlp.dense_4h_to_h")}
PHI = {**LLAMA, "fn": "model.final_layernorm", **under(L, o="self_attn.dense", up="mlp.fc1", down="mlp.fc2", qn="self_attn.q_layernorm", kn="self_attn.k_layernorm")}
PHI3 = {**LLAMA, **under(L, qkv="self_attn.qkv_proj", gu="mlp.gate_up_proj")}
STARCODER2 = {**LLAMA, **under(L, up="mlp.c_fc", down="mlp.c_proj")}


def stacked(base, router="gate"):
    return {"router": base + router, "@.gate": base + "experts.gate_up_proj[@][:n]", "@.up": base + "experts.gate_up_proj[@][n:]", "@.down": base + "experts.down_proj[@]"}


MIXTRAL = {**{k: v for k, v in LLAMA.items() if k not in ("gate", "up", "down")}, **stacked(L + "mlp.")}
QWEN_MOE = {**MIXTRAL, **under(L + "mlp.", sg="shared_expert.gate_proj", su="shared_expert.up_proj", sd="shared_expert.down_proj", sgate="shared_expert_gate",
                               dg="gate_proj", du="up_proj", dd="down_proj")}
GRANITE_MOE = {**{k: v for k, v in LLAMA.items() if k not in ("gate", "up", "down")}, **stacked(L + "block_sparse_moe.", "router"),
               **under(L + "shared_mlp.", si="input_linear", so="output_linear")}

GELU = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh", "swish": "silu"}
ACTS = ["silu", "relu", "gelu", "gelu_tanh", "sigmoid"]
KINDS = ["default", "linear", "dynamic", "llama3", "yarn", "longrope"]


def numbers_of(c):
    """What most families read from their config alike."""
    d = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    n = dict(heads=c.num_attention_heads, kv_heads=getattr(c, "num_key_value_heads", None) or c.num_attention_heads, head_dim=d, rot=d, rope=1, pairs=0,
             rope_kind="default", scale=d**-0.5, window=0, cap=0, alibi=0, emb=1.0, res=1.0, one=0, logit_scale=1.0, logit_cap=0,
             eps=getattr(c, "rms_norm_eps", None) or getattr(c, "layer_norm_eps", None) or getattr(c, "layer_norm_epsilon", None) or getattr(c, "norm_epsilon", None) or 1e-5,
             act=getattr(c, "hidden_act", None) or getattr(c, "hidden_activation", None) or "silu", context=getattr(c, "max_position_embeddings", 0))
    r = getattr(c, "rope_parameters", None)
    if r and "rope_type" in r:
        n.update(rope_kind=r["rope_type"], rope_base=r["rope_theta"], rot=int(d * r.get("partial_rotary_factor", 1.0)))
        for ours, theirs in (("rope_factor", "factor"), ("rope_low", "low_freq_factor"), ("rope_high", "high_freq_factor"), ("rope_original", "original_max_position_embeddings")):
            if r.get(theirs) is not None:
                n[ours] = r[theirs]
        if n["rope_kind"] == "yarn":
            n.update(rope_fast=32.0, rope_slow=1.0, rope_magnitude=0.1 * math.log(n["rope_factor"]) + 1)
    return n


CASES = []


def case(name, model, config, program, names, eager=False, T=37, transposed=False, **numbers):
    CASES.append((name, model, config, program, names, eager, T, transposed, numbers))


def llama_case(name, T=37, **keys):
    case("llama " + name, tf.LlamaForCausalLM, tf.LlamaConfig(**{**GQA, **keys}), llama(), LLAMA, T=T)


llama_case("grouped heads")
llama_case("biases, tied", attention_bias=True, mlp_bias=True, head_dim=14, tie_word_embeddings=True)
llama_case("linear", T=50, rope_parameters=dict(rope_type="linear", factor=2.5, rope_theta=1e4))
llama_case("dynamic", T=50, rope_parameters=dict(rope_type="dynamic", factor=3.0, rope_theta=1e4), max_position_embeddings=32)
llama_case("llama3", T=50, rope_parameters=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32, rope_theta=5e5))
llama_case("yarn", T=50, rope_parameters=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=24, rope_theta=1e4))
case("smollm3 blocks without positions", tf.SmolLM3ForCausalLM, tf.SmolLM3Config(**GQA, no_rope_layer_interval=2, pad_token_id=0), llama(), LLAMA, rope=[1, 0, 1])
case("smollm3 windows", tf.SmolLM3ForCausalLM, tf.SmolLM3Config(**GQA, no_rope_layers=[1, 0, 1], use_sliding_window=True, sliding_window=5, pad_token_id=0), llama(), LLAMA,
     rope=[1, 0, 1], window=[0, 5, 0])
case("mistral", tf.MistralForCausalLM, tf.MistralConfig(**GQA, sliding_window=7), llama(), LLAMA, window=7)
case("qwen2 windows by block", tf.Qwen2ForCausalLM, tf.Qwen2Config(**GQA, use_sliding_window=True, sliding_window=6, max_window_layers=1), llama(), LLAMA, window=[0, 6, 6])
case("qwen3", tf.Qwen3ForCausalLM, tf.Qwen3Config(**GQA, head_dim=12, attention_bias=True), llama(before_rope=head_norms(RMS)), LLAMA)
case("gemma", tf.GemmaForCausalLM, tf.GemmaConfig(**GQA, head_dim=12), llama(), LLAMA, one=1, emb=40**0.5, act="gelu_tanh")
case("gemma2", tf.Gemma2ForCausalLM, tf.Gemma2Config(**GQA, head_dim=12, sliding_window=6, query_pre_attn_scalar=20, attn_logit_softcapping=2.0, final_logit_softcapping=3.0), gemma(), GEMMA,
     eager=True, one=1, emb=40**0.5, act="gelu_tanh", scale=20**-0.5, window=[6, 0, 6], cap=2.0, logit_cap=3.0)
case("gemma3 local and global", tf.Gemma3ForCausalLM,
     tf.Gemma3TextConfig(**GQA, head_dim=12, sliding_window=6, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                         rope_parameters={"full_attention": dict(rope_type="linear", factor=8.0, rope_theta=1e6), "sliding_attention": dict(rope_type="default", rope_theta=1e4)}),
     gemma(head_norms(RMS)), GEMMA, one=1, emb=40**0.5, act="gelu_tanh", scale=256**-0.5, window=[6, 0, 6], rope_kind=["default", "linear", "default"], rope_base=[1e4, 1e6, 1e4], rope_factor=8.0)
case("gpt2 scale by block", tf.GPT2LMHeadModel, tf.GPT2Config(vocab_size=VOCAB, n_embd=40, n_layer=3, n_head=4, n_positions=96, n_inner=52, scale_attn_by_inverse_layer_idx=True), gpt2, GPT2,
     transposed=True, act="gelu_tanh", scale=[10**-0.5 / (i + 1) for i in range(3)])
OPT_SIZES = dict(vocab_size=VOCAB, hidden_size=40, num_hidden_layers=3, num_attention_heads=4, ffn_dim=52, max_position_embeddings=96)
for name, keys, numbers in (("125m", {}, dict(proj=0, pre=1, final=1)),
                            ("350m", dict(do_layer_norm_before=False, word_embed_proj_dim=24), dict(proj=1, pre=0, final=0)),
                            ("no biases, no affine", dict(enable_bias=False, layer_norm_elementwise_affine=False, _remove_final_layer_norm=True), dict(proj=0, pre=1, final=0))):
    case("opt " + name, tf.OPTForCausalLM, tf.OPTConfig(**OPT_SIZES, **keys), opt, OPT, act="relu", eps=1e-5, **numbers)
for heads, post in ((4, False), (5, True)):
    case(f"bloom {heads} heads", tf.BloomForCausalLM, tf.BloomConfig(vocab_size=VOCAB, hidden_size=40, n_layer=3, n_head=heads, apply_residual_connection_post_layernorm=post), bloom, BLOOM,
         eager=True, act="gelu_tanh", alibi=1, post=int(post))
for parallel, part in ((True, 0.25), (False, 0.5)):
    case(f"gpt_neox {'parallel' if parallel else 'serial'}", tf.GPTNeoXForCausalLM,
         tf.GPTNeoXConfig(**{**SIZES, "hidden_size": 64}, use_parallel_residual=parallel, attention_bias=parallel, rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=part)),
         neox, NEOX, parallel=int(parallel))
case("gpt_neox 5 of 20 turn", tf.GPTNeoXForCausalLM, tf.GPTNeoXConfig(**{**SIZES, "hidden_size": 80}), neox, NEOX, parallel=1)
for norms in (False, True):
    case(f"phi{' head norms' if norms else ''}", tf.PhiForCausalLM, tf.PhiConfig(**{**GQA, "hidden_size": 64}, qk_layernorm=norms), phi, PHI, qkn=int(norms))
case("phi3", tf.Phi3ForCausalLM, tf.Phi3Config(**GQA, sliding_window=8, pad_token_id=0), phi3, PHI3, window=8)
FACTORS = dict(short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[2.0, 3.0, 4.0, 5.0])
for T in (20, 40):
    case(f"phi3 longrope {T}", tf.Phi3ForCausalLM,
         tf.Phi3Config(**{**GQA, "hidden_size": 64}, original_max_position_embeddings=32, pad_token_id=0, rope_parameters=dict(rope_type="longrope", rope_theta=1e4, partial_rotary_factor=0.5, **FACTORS)),
         phi3, PHI3, T=T, rope_original=32, rope_magnitude=math.sqrt(1 + math.log(3) / math.log(32)), lists=dict(rope_short=FACTORS["short_factor"], rope_long=FACTORS["long_factor"]))
case("olmo", tf.OlmoForCausalLM, tf.OlmoConfig(**GQA, clip_qkv=0.5), olmo, LLAMA, clip=0.5, eps=1e-5)
case("olmo2", tf.Olmo2ForCausalLM, tf.Olmo2Config(**GQA), olmo2, OLMO2)
GRANITE = dict(embedding_multiplier=3.0, residual_multiplier=0.3, attention_multiplier=0.21, logits_scaling=2.5)
GRANITE_NUMBERS = dict(emb=3.0, res=0.3, scale=0.21, logit_scale=1 / 2.5)
case("granite", tf.GraniteForCausalLM, tf.GraniteConfig(**GQA, **GRANITE), llama(), LLAMA, **GRANITE_NUMBERS)
FALCON_SIZES = dict(vocab_size=VOCAB, hidden_size=40, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=96)
for name, keys, numbers in (("7b", {}, dict(kv_heads=1, groups=1, two=0, serial=0)),
                            ("40b", dict(new_decoder_architecture=True, num_kv_heads=2), dict(kv_heads=2, groups=2, two=1, serial=0)),
                            ("11b", dict(new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1, bias=True), dict(kv_heads=2, groups=2, two=0, serial=0)),
                            ("rw-1b", dict(multi_query=False, parallel_attn=False, alibi=True, bias=True), dict(kv_heads=4, groups=4, two=0, serial=1, rope=0, alibi=2))):
    case("falcon " + name, tf.FalconForCausalLM, tf.FalconConfig(**FALCON_SIZES, **keys), falcon, BLOOM, act="gelu", **numbers)
case("starcoder2", tf.Starcoder2ForCausalLM, tf.Starcoder2Config(**GQA, sliding_window=6), starcoder2, STARCODER2, window=6)
for norms in (False, True):
    case(f"cohere{' head norms' if norms else ''}", tf.CohereForCausalLM, tf.CohereConfig(**GQA, use_qk_norm=norms, logit_scale=0.3), cohere, LLAMA, qkn=int(norms), pairs=1, logit_scale=0.3)
case("mixtral", tf.MixtralForCausalLM, tf.MixtralConfig(**GQA, num_local_experts=5, num_experts_per_tok=2), moe(llama()), MIXTRAL, top=2, renorm=1)
MOE_SIZES = dict(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=20)
for renorm in (False, True):
    case(f"qwen2_moe{' normalized' if renorm else ''}", tf.Qwen2MoeForCausalLM,
         tf.Qwen2MoeConfig(**GQA, **MOE_SIZES, shared_expert_intermediate_size=28, mlp_only_layers=[1], norm_topk_prob=renorm, use_sliding_window=renorm, sliding_window=6),
         moe(llama(), SPARSE + SHARED + DENSE), QWEN_MOE, top=2, renorm=int(renorm), moe=[1, 0, 1], window=[6, 0, 6] if renorm else 0)
case("qwen3_moe", tf.Qwen3MoeForCausalLM,
     tf.Qwen3MoeConfig(**GQA, **MOE_SIZES, head_dim=12, decoder_sparse_step=2, norm_topk_prob=True, use_sliding_window=True, sliding_window=6),
     moe(llama(before_rope=head_norms(RMS)), SPARSE + DENSE), QWEN_MOE, top=2, renorm=1, moe=[0, 1, 0], window=6)
case("olmoe", tf.OlmoeForCausalLM, tf.OlmoeConfig(**GQA, num_experts=5, num_experts_per_tok=2, clip_qkv=0.6, pad_token_id=0),
     moe(llama(before_rope=f"q = norm q qn {RMS}k = norm k kn {RMS}" + CLIP)), MIXTRAL, top=2, renorm=0, clip=0.6)
GRANITE_MOE_SIZES = dict(GRANITE, num_local_experts=5, num_experts_per_tok=2)
case("granitemoe", tf.GraniteMoeForCausalLM, tf.GraniteMoeConfig(**GQA, **GRANITE_MOE_SIZES), moe(llama()), GRANITE_MOE, top=2, renorm=1, **GRANITE_NUMBERS)
case("granitemoeshared", tf.GraniteMoeSharedForCausalLM, tf.GraniteMoeSharedConfig(**GQA, **GRANITE_MOE_SIZES, shared_intermediate_size=28),
     moe(llama(), MOE + "x += add m mult=res; f = linear n si; g u = split f; h = gate g u fn=act; x += linear h so mult=res"), GRANITE_MOE, top=2, renorm=1, **GRANITE_NUMBERS)


def draw(name, n, centre, spread):
    """n float32 numbers from the name: FNV-1a, then a splitmix64 step for each; the top 24 bits of it."""
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = (h ^ b) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(h) + (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    return np.float32(centre) + np.float32(spread) * u


def fill(model, names, transposed, one):
    """Gives every parameter of the model its numbers. shapes: what each of our names is: rows, columns, centre, spread, spread of the bias. places: where
    it is: a parameter, and its part of that."""
    state = dict(model.named_parameters())
    left, shapes, places = set(state), {}, {}
    experts = max((p.shape[0] for n, p in state.items() if p.ndim == 3), default=0)
    for ours, theirs in names.items():
        for b in range(3 if "#" in theirs else 1):
            for e in range(experts if "@" in theirs else 1):
                base, *part = theirs.replace("#", str(b)).replace("@", str(e)).split("[")
                name = ours.replace("@", str(e)) if "#" not in theirs else f"{b}." + ours.replace("@", str(e))
                p = state.get(base if part else base + ".weight")
                if p is None:
                    continue
                left.discard(base if part else base + ".weight")
                flip = transposed and ".c_" in base
                own = part_of(part, flip)
                w = own(p.data)
                rows, cols = (1, w.shape[0]) if w.ndim == 1 else tuple(w.shape)
                is_norm = w.ndim == 1 or "norm" in base
                centre, spread = (0.0 if one else 1.0, 0.5) if is_norm else (0.0, 1.5 / math.sqrt(cols))
                w.copy_(torch.from_numpy(draw(name, rows * cols, centre, spread)).reshape(w.shape))
                places[name] = p, own
                bias = None if part else state.get(base + ".bias")
                if bias is not None:
                    left.discard(base + ".bias")
                    bias.data.copy_(torch.from_numpy(draw(name + ".bias", bias.numel(), 0.0, 0.5)).reshape(bias.shape))
                    places[name + ".bias"] = bias, lambda b: b
                shapes[name] = [rows, cols, centre, spread, 0.0 if bias is None else 0.5]
    assert not left, left
    return shapes, places


def part_of(part, flip):
    """What is ours of a parameter: of a stack, one matrix, or a half of that; or its transpose."""
    def own(p):
        if part:
            p = p[int(part[0][:-1])]
        if len(part) == 2:
            p = p[:p.shape[0] // 2] if part[1] == ":n]" else p[p.shape[0] // 2:]
        return p.T if flip else p
    return own


def gradients(model, places, tokens):
    """The loss and every gradient, told as the top of this file says."""
    model.config._experts_implementation = "eager"  # the grouped product knows no float64
    model.get_input_embeddings().padding_idx = None  # no token is padding: PyTorch would leave its gradient out
    y = model(torch.tensor([tokens])).logits[0]
    loss = torch.nn.functional.cross_entropy(y[:-1], torch.tensor(tokens[1:]))
    loss.backward()
    rows = [[loss.item()] + [0.0] * (2 + PICKED)]
    for name, (p, own) in places.items():
        if any(q is p and later > name for later, (q, _) in places.items() if q.ndim == 1):  # OLMo 2: n2 is p1
            rows.append([0.0] * (3 + PICKED))
            continue
        g = own(p.grad).reshape(-1).double().numpy()
        along = [float(g @ draw(f"{name}.{k}", len(g), 0.0, 1.0).astype(np.float64)) for k in ("first", "second")]
        rows.append([float(np.sqrt(g @ g))] + along + [float(g[i * (len(g) - 1) // (PICKED - 1)]) for i in range(PICKED)])
    return np.array(rows)


def plain(n):
    index = lambda v: ACTS.index(GELU.get(v, v)) if GELU.get(v, v) in ACTS else KINDS.index(v)
    one = lambda v: index(v) if isinstance(v, str) else v
    return {k: [one(x) for x in v] if isinstance(v, list) else one(v) for k, v in n.items()}


def main():
    tf.logging.set_verbosity_error()
    torch.set_num_threads(1)
    out, logits, grads = [], {}, {}
    for name, cls, config, program, names, eager, T, transposed, numbers in CASES:
        model = cls._from_config(config, attn_implementation="eager" if eager else "sdpa").float().eval()
        lists = numbers.pop("lists", {})
        n = {**numbers_of(config), **numbers}
        with torch.no_grad():
            shapes, places = fill(model, names, transposed, n["one"])
            tokens = [(7 * t * t + 3 * t + 11) % VOCAB for t in range(T)]
            y = model(torch.tensor([tokens])).logits[0].numpy()
        tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
        out.append(dict(name=name, program=program, numbers=plain(n), lists=lists, tied=tied, parameters=shapes, tokens=tokens, spread=float(y.std())))
        logits[name] = np.ascontiguousarray(y[-KEPT:])
        grads[name] = gradients(model.double(), places, tokens)
    with open(os.path.join(OUT, "programs.json"), "w") as f:
        f.write('[\n' + ",\n".join(json.dumps(c) for c in out) + "\n]\n")
    save_file(logits, os.path.join(OUT, "programs.safetensors"))
    save_file(grads, os.path.join(OUT, "programs-grads.safetensors"))
    print(len(out), "cases")


if __name__ == "__main__":
    main()
