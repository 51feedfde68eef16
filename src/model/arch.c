#include "model/arch.h"

#include "math/activation.h"
#include "model/steps/reference.h"

lb_status lb_arch_numbers(lb_arena *arena, const lb_arch *a, lb_numbers *out) {
    static const double kind[LB_ROPE_TYPES] = {[LB_ROPE_DEFAULT] = LB_REF_ROPE_DEFAULT,
                                               [LB_ROPE_LINEAR] = LB_REF_ROPE_LINEAR,
                                               [LB_ROPE_LLAMA3] = LB_REF_ROPE_LLAMA3};
    const struct {
        const char *name;
        double value;
    } number[] = {
        {"layers", (double)a->layers},
        {"dim", (double)a->dim},
        {"hidden", (double)a->hidden},
        {"heads", (double)a->heads},
        {"kv_heads", (double)a->kv_heads},
        {"head_dim", (double)a->head_dim},
        {"vocab", (double)a->vocab},
        {"context", (double)a->context},
        {"eps", a->norm_eps},
        {"tied", a->tied},
        {"act", LB_ACT_SILU},
        {"attn_bias", 0.0},
        {"mlp_bias", 0.0},
        {"rope_kind", kind[a->scaling.type]},
        {"rope_base", a->rope_base},
        {"rope_factor", a->scaling.factor},
        {"rope_low", a->scaling.low},
        {"rope_high", a->scaling.high},
        {"rope_original", (double)a->scaling.original},
        {"rope_part", 1.0},
    };
    const lb_family *f = lb_family_named("llama");
    lb_numbering b = {.arena = arena, .whose = "new model", .blocks = a->layers};
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
        LB_TRY(lb_numbering_set(&b, number[i].name, number[i].value));
    *out = lb_numbering_view(&b);
    LB_TRY(lb_numbers_check(out, b.whose));
    LB_TRY(lb_family_rules(f, a->rope == LB_ROPE_PAIRS ? f->gguf_numbers : f->hf_numbers, &b));
    *out = lb_numbering_view(&b);
    return lb_numbers_check(out, b.whose);
}

lb_status lb_arch_net(lb_arena *a, const lb_arch *arch, const lb_net **out) {
    lb_numbers numbers;
    LB_TRY(lb_arch_numbers(a, arch, &numbers));
    return lb_family_net(a, lb_family_named("llama"), &numbers, out);
}
