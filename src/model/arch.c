/* The families that the forward and backward passes interpret, as rows of data. */
#include "model/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const lb_tensor_map llama_tensors[] = {
    {"embed", "model.embed_tokens.weight", "token_embd.weight", LB_EXT_VOCAB, LB_EXT_DIM, false},
    {"final_norm", "model.norm.weight", "output_norm.weight", LB_EXT_ONE, LB_EXT_DIM, false},
    {"head", "lm_head.weight", "output.weight", LB_EXT_VOCAB, LB_EXT_DIM, false},
    {"#.attn_norm", "model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", LB_EXT_ONE, LB_EXT_DIM, false},
    {"#.mlp_norm", "model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", LB_EXT_ONE, LB_EXT_DIM,
     false},
    {"#.q", "model.layers.#.self_attn.q_proj.weight", "blk.#.attn_q.weight", LB_EXT_Q, LB_EXT_DIM, true},
    {"#.k", "model.layers.#.self_attn.k_proj.weight", "blk.#.attn_k.weight", LB_EXT_KV, LB_EXT_DIM, true},
    {"#.v", "model.layers.#.self_attn.v_proj.weight", "blk.#.attn_v.weight", LB_EXT_KV, LB_EXT_DIM, false},
    {"#.o", "model.layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight", LB_EXT_DIM, LB_EXT_Q, false},
    {"#.gate", "model.layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight", LB_EXT_HIDDEN, LB_EXT_DIM, false},
    {"#.up", "model.layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight", LB_EXT_HIDDEN, LB_EXT_DIM, false},
    {"#.down", "model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", LB_EXT_DIM, LB_EXT_HIDDEN, false},
    {0},
};
/* Tables of angles that old exporters wrote: derived from rope_theta, so nothing is lost by leaving them. */
static const char *const llama_harmless[] = {"model.layers.#.self_attn.rotary_emb.inv_freq", NULL};

const lb_family lb_families[] = {
    {"llama",
     "RMSNorm, RoPE, grouped-query attention, SwiGLU, tied or untied head (Llama 1-3, SmolLM2, TinyLlama)",
     "LlamaForCausalLM",
     "llama",
     "llama",
     LB_ROPE_HALVES,
     LB_ROPE_PAIRS,
     llama_tensors,
     llama_harmless,
     {.before = "x = embed token embed",
      .block =
          "n = norm x attn_norm kind=rms eps=eps; q = linear n q; k = linear n k; v = linear n v;"
          "q = rope q dims=head_dim pairs=pairs; k = rope k dims=head_dim pairs=pairs; a = attend q k v scale=scale;"
          "x += linear a o;"
          "n = norm x mlp_norm kind=rms eps=eps; g = linear n gate; u = linear n up; h = gate g u fn=silu;"
          "x += linear h down",
      .after = "x = norm x final_norm kind=rms eps=eps; y = head x head"}},
};
const int lb_families_count = (int)(sizeof lb_families / sizeof lb_families[0]);

const lb_family *lb_family_of(const lb_arch *a) {
    for (int i = 0; i < lb_families_count; i++)
        if (a->family && strcmp(lb_families[i].name, a->family) == 0) return &lb_families[i];
    return &lb_families[0]; /* an architecture made by hand */
}

const lb_tensor_map *lb_family_tensor(const lb_family *f, const char *role, bool in_block) {
    for (const lb_tensor_map *t = f->tensor; t->ours; t++) {
        bool block = strncmp(t->ours, "#.", 2) == 0;
        if (block == in_block && strcmp(t->ours + (block ? 2 : 0), role) == 0) return t;
    }
    return NULL;
}

int64_t lb_extent_of(const lb_arch *a, lb_extent e) {
    switch (e) {
    case LB_EXT_DIM:
        return a->dim;
    case LB_EXT_HIDDEN:
        return a->hidden;
    case LB_EXT_VOCAB:
        return a->vocab;
    case LB_EXT_Q:
        return a->heads * a->head_dim;
    case LB_EXT_KV:
        return a->kv_heads * a->head_dim;
    default:
        return 1;
    }
}

const char *lb_extent_name(lb_extent e) {
    static const char *const name[] = {"1", "dim", "hidden", "vocab", "heads*head_dim", "kv_heads*head_dim"};
    return name[e];
}

void lb_map_name(const char *pattern, int64_t block, char *out, size_t size) {
    const char *hash = strchr(pattern, '#');
    if (!hash)
        snprintf(out, size, "%s", pattern);
    else
        snprintf(out, size, "%.*s%lld%s", (int)(hash - pattern), pattern, (long long)block, hash + 1);
}

bool lb_map_match(const char *pattern, const char *name, int64_t *block) {
    *block = -1;
    const char *hash = strchr(pattern, '#');
    if (!hash) return strcmp(pattern, name) == 0;
    size_t before = (size_t)(hash - pattern);
    if (strncmp(pattern, name, before) != 0) return false;
    const char *digit = name + before;
    int64_t number = 0;
    int digits = 0;
    for (; digit[digits] >= '0' && digit[digits] <= '9'; digits++) {
        if (digits == 9) return false;
        number = number * 10 + (digit[digits] - '0');
    }
    /* "00" is no block's name: each tensor has one spelling. */
    if (digits == 0 || (digits > 1 && digit[0] == '0')) return false;
    *block = number;
    return strcmp(digit + digits, hash + 1) == 0;
}

lb_status lb_arch_check(const lb_arch *a, const char *whose) {
    const struct {
        const char *name;
        int64_t value, max;
    } field[] = {
        {"layers", a->layers, 1 << 16},       {"dim", a->dim, 1 << 20},           {"hidden", a->hidden, 1 << 22},
        {"heads", a->heads, 1 << 16},         {"kv_heads", a->kv_heads, 1 << 16}, {"head_dim", a->head_dim, 1 << 16},
        {"vocab", a->vocab, (1LL << 31) - 1}, {"context", a->context, 1LL << 40},
    };
    for (size_t i = 0; i < sizeof field / sizeof field[0]; i++)
        if (field[i].value < 1 || field[i].value > field[i].max)
            return lb_fail(LB_E_FORMAT, "%s: %s = %lld: must be in [1, %lld]", whose, field[i].name,
                           (long long)field[i].value, (long long)field[i].max);
    if (a->heads % a->kv_heads != 0)
        return lb_fail(LB_E_FORMAT, "%s: %lld attention heads, %lld key-value heads: the first must be a multiple",
                       whose, (long long)a->heads, (long long)a->kv_heads);
    if (a->head_dim % 2 != 0)
        return lb_fail(LB_E_FORMAT, "%s: head_dim = %lld: rotary positions need an even number", whose,
                       (long long)a->head_dim);
    if (a->heads * a->head_dim > 1 << 22)
        return lb_fail(LB_E_FORMAT, "%s: %lld heads of %lld: must be at most %d together", whose, (long long)a->heads,
                       (long long)a->head_dim, 1 << 22);
    if (!(a->rope_base > 0) || !isfinite(a->rope_base))
        return lb_fail(LB_E_FORMAT, "%s: rope base = %g: must be positive", whose, a->rope_base);
    const lb_rope_scaling *s = &a->scaling;
    if (s->type != LB_ROPE_DEFAULT && !(s->factor > 0 && isfinite(s->factor)))
        return lb_fail(LB_E_FORMAT, "%s: %s rope factor = %g: must be positive", whose, lb_rope_type_name[s->type],
                       s->factor);
    if (s->type == LB_ROPE_LLAMA3 && !(s->low > 0 && s->high > s->low && isfinite(s->high)))
        return lb_fail(LB_E_FORMAT,
                       "%s: llama3 rope low and high frequency factors = %g, %g: must be positive and rise", whose,
                       s->low, s->high);
    if (s->type == LB_ROPE_LLAMA3 && s->original < 1)
        return lb_fail(LB_E_FORMAT, "%s: llama3 rope original context = %lld: must be at least 1", whose,
                       (long long)s->original);
    if (!(a->norm_eps >= 0) || !(a->norm_eps < 1))
        return lb_fail(LB_E_FORMAT, "%s: norm epsilon = %g: must be in [0, 1)", whose, a->norm_eps);
    return LB_OK;
}
