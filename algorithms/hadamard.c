/* Rotated inputs: each input of a block is multiplied by a random sign a channel and the normalised Walsh-Hadamard
 * matrix, which spreads what stands out in one channel over all of a run; the weights undo it: y = (W Q^T) (Q x). Tseng
 * et al. 2024 (QuIP#, arXiv:2402.04396) section 3; Ashkboos et al. 2024 (QuaRot, arXiv:2404.00456), whose rotations of
 * the residual stream go into the weights: here each input has its own, at run time. */
#include "base/rng.h"
#include "quant/block.h"
#include "quant/transform.h"

typedef struct hadamard_opts {
    bool signs;
    int64_t block;
} hadamard_opts;

static const lb_option table[] = {
    {"signs", LB_OPT_BOOL, "true", 0, 0, NULL, "random signs before the Hadamard matrix; stored, a bit a column",
     offsetof(hadamard_opts, signs)},
    {"block", LB_OPT_INT, "0", 0, 65536, NULL,
     "columns that are mixed, a power of two that divides the width; 0: the largest", offsetof(hadamard_opts, block)},
};

static uint32_t hadamard_needs(const void *opts) {
    const hadamard_opts *o = opts;
    return LB_PRESERVES | (o->signs ? LB_NEEDS_SEED : 0);
}

static lb_status hadamard_check(const void *opts) {
    int64_t n = ((const hadamard_opts *)opts)->block;
    if (n != 1 && (n & (n - 1)) == 0) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "block = %lld: must be a power of two, from 2 on", (long long)n);
}

static lb_status hadamard_spec_input(const void *opts, const lb_block_input *in, lb_storage *out, bool *fold) {
    (void)fold;
    const hadamard_opts *o = opts;
    int64_t n = o->block ? o->block : in->cols & -in->cols; /* its lowest bit */
    LB_TRY(hadamard_check(opts));
    if (n == 1)
        return lb_fail(LB_E_UNSUPPORTED, "%lld columns: no power of two from 2 on divides them", (long long)in->cols);
    if (!lb_transform_hadamard_fits(n, in->cols))
        return lb_fail(LB_E_UNSUPPORTED, "block = %lld does not divide its %lld columns", (long long)n,
                       (long long)in->cols);
    out->t_hadamard = n;
    out->t_sign = o->signs;
    return LB_OK;
}

static lb_status hadamard_block(const lb_block_in *in, const void *opts, lb_block_out *out) {
    (void)opts;
    for (int32_t i = 0; i < in->inputs; i++) {
        const lb_block_input *x = &in->input[i];
        lb_storage s = {0};
        bool fold = false;
        if (!x->quantize) continue;
        LB_TRY(hadamard_spec_input(x->opts, x, &s, &fold));
        out->T[i].hadamard = s.t_hadamard;
        if (!s.t_sign) continue;
        uint8_t *sign = LB_NEW(in->arena, uint8_t, lb_transform_sign_bytes(x->cols));
        if (!sign) return LB_E_NOMEM;
        lb_rng r = lb_rng_make(in->seed, (uint64_t)i);
        for (int64_t c = 0; c < x->cols; c++) sign[c / 8] |= (uint8_t)((lb_rng_u32(&r) & 1u) << c % 8);
        out->T[i].sign = sign;
    }
    return LB_OK;
}

const lb_method lb_hadamard_method = {
    .api = LB_METHOD_API,
    .name = "hadamard",
    .summary = "inputs rotated by signs and Hadamard matrices at run time, before rounding",
    .cite = "ashkboos2024quarot",
    .needs = LB_PRESERVES | LB_NEEDS_SEED,
    .options = {table, sizeof table / sizeof table[0], sizeof(hadamard_opts)},
    .needs_of = hadamard_needs,
    .check = hadamard_check,
    .spec_input = hadamard_spec_input,
    .block = hadamard_block,
};
