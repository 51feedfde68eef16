/* From an architecture's numbers to its net. */
#include <math.h>
#include <string.h>

#include "model/arch.h"
#include "model/steps/reference.h"

typedef struct shaping {
    const lb_arch *arch;
    const lb_family *family;
} shaping;

static lb_status get_shape(const void *ctx, const char *name, int64_t block, int64_t expert, lb_net_shape *out) {
    const shaping *x = ctx;
    const lb_tensor_map *t = expert < 0 ? lb_family_tensor(x->family, name, block >= 0) : NULL;
    *out = (lb_net_shape){0};
    if (t) *out = (lb_net_shape){lb_extent_of(x->arch, t->rows), lb_extent_of(x->arch, t->cols), false};
    return LB_OK;
}

static lb_status numbers_of(lb_arena *arena, const lb_arch *a, lb_numbers *out) {
    static const double kind[LB_ROPE_TYPES] = {[LB_ROPE_DEFAULT] = LB_REF_ROPE_DEFAULT,
                                               [LB_ROPE_LINEAR] = LB_REF_ROPE_LINEAR,
                                               [LB_ROPE_LLAMA3] = LB_REF_ROPE_LLAMA3};
    const lb_number all[] = {
        {.name = "heads", .all = (double)a->heads},
        {.name = "kv_heads", .all = (double)a->kv_heads},
        {.name = "head_dim", .all = (double)a->head_dim},
        {.name = "scale", .all = 1.0 / sqrt((double)a->head_dim)},
        {.name = "eps", .all = a->norm_eps},
        {.name = "context", .all = (double)a->context},
        {.name = "pairs", .all = a->rope == LB_ROPE_PAIRS},
        {.name = "rope_kind", .all = kind[a->scaling.type]},
        {.name = "rope_base", .all = a->rope_base},
        {.name = "rope_factor", .all = a->scaling.factor},
        {.name = "rope_low", .all = a->scaling.low},
        {.name = "rope_high", .all = a->scaling.high},
        {.name = "rope_original", .all = (double)a->scaling.original},
    };
    lb_number *n = LB_NEW(arena, lb_number, sizeof all / sizeof all[0]);
    if (!n) return LB_E_NOMEM;
    memcpy(n, all, sizeof all);
    *out = (lb_numbers){n, sizeof all / sizeof all[0], a->layers};
    return LB_OK;
}

lb_status lb_arch_net(lb_arena *a, const lb_arch *arch, const lb_net **out) {
    const shaping x = {arch, lb_family_of(arch)};
    const lb_net_shapes shapes = {get_shape, &x};
    lb_program *program = LB_NEW(a, lb_program, 1);
    lb_numbers *numbers = LB_NEW(a, lb_numbers, 1);
    lb_net *net = NULL;
    if (!program || !numbers) return LB_E_NOMEM;
    LB_TRY(numbers_of(a, arch, numbers));
    LB_TRY(lb_program_parse(a, x.family->name, &x.family->program, program));
    LB_TRY(lb_net_new(a, program, numbers, &shapes, arch->tied, &net));
    *out = net;
    return LB_OK;
}
