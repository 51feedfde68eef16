#include "quant/storage_words.h"

#include <string.h>

#include "quant/format.h"

static const char *const scale_types[] = {
    [LB_SCALE_F32] = "f32", [LB_SCALE_F16] = "f16", [LB_SCALE_BF16] = "bf16", [LB_SCALE_E8M0] = "e8m0"};
enum { SCALE_TYPES = sizeof scale_types / sizeof scale_types[0] };

static const char *const section_names[LB_SLOTS + 1] = {[LB_SLOT_CODES] = "codes",
                                                        [LB_SLOT_SCALE] = "scales",
                                                        [LB_SLOT_ZERO] = "zeros",
                                                        [LB_SLOT_ORDER] = "order",
                                                        [LB_SLOT_DQ_CODE] = "scale_codes",
                                                        [LB_SLOT_DQ_SCALE] = "scale_scales",
                                                        [LB_SLOT_DQ_MEAN] = "scale_mean",
                                                        [LB_SLOT_DENSE] = "floats",
                                                        [LB_SLOT_MASK] = "mask",
                                                        [LB_SLOT_A] = "pair_a",
                                                        [LB_SLOT_B] = "pair_b",
                                                        [LB_SLOT_T_SCALE] = "t_scale",
                                                        [LB_SLOT_T_SIGN] = "t_sign",
                                                        [LB_SLOT_ACT_SCALE] = "act_scale",
                                                        [LB_SLOT_ACT_ZERO] = "act_zero",
                                                        [LB_SLOT_FIXED] = "codebook"};
_Static_assert((int)LB_MOST_SECTIONS >= (int)LB_MOST_PARTS, "every part may be a section");

static lb_status check_word(const char *name, int64_t v, int64_t most) {
    if (v >= 0 && v <= most) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s %lld: must be in [0, %lld]", name, (long long)v, (long long)most);
}

static const lb_format *find_format(const char *name) {
    static const lb_format *const floats[] = {&lb_f32, &lb_f16, &lb_float16, &lb_bfloat16};
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++)
        if (strcmp(name, floats[i]->name) == 0) return floats[i];
    return lb_format_find(name);
}

lb_status lb_storage_from_words(const lb_storage_words *w, lb_storage *out) {
    *out = (lb_storage){.format = find_format(w->format),
                        .bits = w->bits,
                        .group = w->group,
                        .symmetric = w->symmetric,
                        .double_quant = w->double_quant,
                        .order = w->order,
                        .mask_of = w->mask_of,
                        .mask_keep = w->mask_keep,
                        .rank = w->rank,
                        .t_scale = w->t_scale != 0,
                        .t_hadamard = w->t_hadamard,
                        .t_sign = w->t_sign != 0,
                        .act = {w->act_bits, w->act_symmetric, (lb_actquant_mode)w->act_mode, w->act_group}};
    LB_TRY(check_word("rank_type", w->rank_type, LB_SCALE_BF16));
    LB_TRY(check_word("t_scale", w->t_scale, 1));
    LB_TRY(check_word("t_scale_type", w->t_scale_type, LB_SCALE_BF16));
    LB_TRY(check_word("t_sign", w->t_sign, 1));
    LB_TRY(check_word("act_mode", w->act_mode, LB_ACTQUANT_STATIC));
    out->rank_type = (lb_scale_type)w->rank_type;
    out->t_scale_type = (lb_scale_type)w->t_scale_type;
    if (!out->format) return lb_fail(LB_E_FORMAT, "format '%s': there is none of that name", w->format);
    for (int i = 0; i < SCALE_TYPES; i++) {
        if (strcmp(w->scale_type, scale_types[i]) != 0) continue;
        out->scale_type = (lb_scale_type)i;
        return LB_OK;
    }
    return lb_fail(LB_E_FORMAT, "scale_type '%s': there is none of that name", w->scale_type);
}

lb_status lb_storage_to_words(const lb_storage *s, lb_storage_words *out) {
    lb_storage back;
    bool named = (unsigned)s->scale_type < SCALE_TYPES;
    const lb_actquant act = s->act.bits ? s->act : (lb_actquant){0};
    *out = (lb_storage_words){.format = s->format->name,
                              .scale_type = scale_types[named ? s->scale_type : LB_SCALE_F32],
                              .bits = s->bits,
                              .group = s->group,
                              .symmetric = s->symmetric,
                              .double_quant = s->double_quant,
                              .order = s->order,
                              .mask_of = s->mask_of,
                              .mask_keep = s->mask_keep,
                              .rank = s->rank,
                              .rank_type = s->rank ? (int64_t)s->rank_type : 0,
                              .t_scale = s->t_scale,
                              .t_scale_type = s->t_scale ? (int64_t)s->t_scale_type : 0,
                              .t_hadamard = s->t_hadamard,
                              .t_sign = s->t_sign,
                              .act_bits = act.bits,
                              .act_symmetric = act.symmetric,
                              .act_mode = act.mode,
                              .act_group = act.group};
    if (lb_storage_from_words(out, &back) == LB_OK && lb_storage_same(s, &back)) return LB_OK;
    return lb_fail(LB_E_ARG, "a layer of format %s is stored in a way that its file has no words for", s->format->name);
}

int lb_storage_sections(const lb_storage *s, int64_t rows, int64_t cols, lb_section out[LB_MOST_SECTIONS]) {
    lb_part part[LB_MOST_PARTS];
    int sections = 0;
    for (int i = 0, n = lb_storage_parts(s, rows, cols, part); i < n; i++) {
        int64_t bytes = lb_part_bytes(&part[i]);
        if (bytes > 0) out[sections++] = (lb_section){section_names[part[i].slot], bytes};
    }
    return sections;
}
