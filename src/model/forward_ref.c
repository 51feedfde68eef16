/* The reference forward pass: the family's program step by step, in float64 (steps/reference.h). */
#include <math.h>
#include <string.h>

#include "model/forward.h"
#include "model/steps/reference.h"

enum { NUMBERS = 12 };

/* What a Llama's program asks for. */
static void numbers_of(const lb_arch *a, lb_number n[NUMBERS], lb_numbers *out) {
    static const double kind[LB_ROPE_TYPES] = {[LB_ROPE_DEFAULT] = LB_REF_ROPE_DEFAULT,
                                               [LB_ROPE_LINEAR] = LB_REF_ROPE_LINEAR,
                                               [LB_ROPE_LLAMA3] = LB_REF_ROPE_LLAMA3};
    const lb_number all[NUMBERS] = {
        {.name = "heads", .all = (double)a->heads},
        {.name = "kv_heads", .all = (double)a->kv_heads},
        {.name = "head_dim", .all = (double)a->head_dim},
        {.name = "scale", .all = 1.0 / sqrt((double)a->head_dim)},
        {.name = "eps", .all = a->norm_eps},
        {.name = "pairs", .all = a->rope == LB_ROPE_PAIRS},
        {.name = "rope_kind", .all = kind[a->scaling.type]},
        {.name = "rope_base", .all = a->rope_base},
        {.name = "rope_factor", .all = a->scaling.factor},
        {.name = "rope_low", .all = a->scaling.low},
        {.name = "rope_high", .all = a->scaling.high},
        {.name = "rope_original", .all = (double)a->scaling.original},
    };
    memcpy(n, all, sizeof all);
    *out = (lb_numbers){n, NUMBERS, a->layers};
}

typedef struct source {
    const lb_arch *a;
    const lb_weights *w;
} source;

static lb_ref_param vector(const source *s, const float *d) {
    return (lb_ref_param){.W = {d, 1, s->a->dim, s->a->dim}};
}

static lb_status get_param(const void *ctx, const char *name, int64_t block, int64_t expert, lb_ref_param *out) {
    const source *s = ctx;
    (void)expert;
    *out = (lb_ref_param){0};
    if (strcmp(name, "embed") == 0) out->W = s->w->embed;
    if (strcmp(name, "head") == 0) out->W = s->w->head;
    if (strcmp(name, "final_norm") == 0) *out = vector(s, s->w->final_norm);
    if (block < 0) return LB_OK;
    const lb_block *b = &s->w->blocks[block];
    if (strcmp(name, "attn_norm") == 0) *out = vector(s, b->attn_norm);
    if (strcmp(name, "mlp_norm") == 0) *out = vector(s, b->mlp_norm);
    for (int l = 0; l < LB_LINEARS; l++)
        if (strcmp(name, lb_linear_name[l]) == 0) out->W = b->w[l];
    return LB_OK;
}

static lb_status run(lb_arena *arena, const source *s, const int32_t *tokens, int64_t n, lb_mat h) {
    lb_number number[NUMBERS];
    lb_numbers numbers;
    lb_program program;
    lb_reference r;
    const lb_ref_params params = {get_param, s};
    numbers_of(s->a, number, &numbers);
    LB_TRY(lb_program_parse(arena, s->a->family, &lb_family_of(s->a)->program, &program));
    LB_TRY(lb_reference_run(arena, &program, &numbers, &params, tokens, n, &r));
    const lb_ref_value *x = lb_reference_value(&r, "x");
    for (int64_t i = 0; i < n * x->cols; i++) h.d[i / x->cols * h.ld + i % x->cols] = (float)x->d[i];
    return LB_OK;
}

lb_status lb_forward_ref(const lb_arch *a, const lb_weights *w, const int32_t *tokens, int64_t n, lb_mat h) {
    lb_arena *arena;
    const source s = {a, w};
    LB_TRY(lb_arena_new(0, &arena));
    lb_status st = run(arena, &s, tokens, n, h);
    lb_arena_free(arena);
    return st;
}
