#include "result/store_fields.h"

#include <math.h>
#include <string.h>

static const void *at(const lb_field *f, const void *row) { return (const char *)row + f->offset; }
static void *at_mut(const lb_field *f, void *row) { return (char *)row + f->offset; }

bool lb_field_is_text(const lb_field *f) {
    return f->type == LB_FIELD_STR || f->type == LB_FIELD_LATER_STR || f->type == LB_FIELD_CHARS;
}

bool lb_field_is_real(const lb_field *f) { return f->type == LB_FIELD_F64 || f->type == LB_FIELD_LATER_F64; }

static bool is_later(const lb_field *f) {
    return f->type == LB_FIELD_LATER || f->type == LB_FIELD_LATER_F64 || f->type == LB_FIELD_LATER_STR;
}

/* Is there nothing to write? */
static bool is_empty(const lb_field *f, const void *row) {
    if (lb_field_is_real(f)) return isnan(*(const double *)at(f, row));
    return lb_field_is_text(f) ? !lb_field_text(f, row)[0] : lb_field_int(f, row) == 0;
}

/* What a row has where that was not written. */
static lb_status set_empty(const lb_field *f, void *row, const char *object) {
    static char nothing[] = "";
    if (lb_field_is_real(f)) {
        *(double *)at_mut(f, row) = NAN;
        return LB_OK;
    }
    return lb_field_is_text(f) ? lb_field_set_text(f, row, object, nothing) : lb_field_set_int(f, row, object, 0);
}

const char *lb_field_text(const lb_field *f, const void *row) {
    if (f->type == LB_FIELD_CHARS) return at(f, row);
    const char *s = *(const char *const *)at(f, row);
    return s ? s : "";
}

int64_t lb_field_int(const lb_field *f, const void *row) {
    switch (f->type) {
    case LB_FIELD_I64:
    case LB_FIELD_LATER:
        return *(const int64_t *)at(f, row);
    case LB_FIELD_INT:
        return *(const int *)at(f, row);
    case LB_FIELD_U32:
        return *(const uint32_t *)at(f, row);
    case LB_FIELD_U64:
        return (int64_t) * (const uint64_t *)at(f, row);
    default:
        return *(const bool *)at(f, row);
    }
}

lb_status lb_field_set_int(const lb_field *f, void *row, const char *object, int64_t v) {
    const int64_t low = f->type == LB_FIELD_INT                                ? INT32_MIN
                        : f->type == LB_FIELD_I64 || f->type == LB_FIELD_LATER ? INT64_MIN
                                                                               : 0;
    const int64_t high = f->type == LB_FIELD_INT    ? INT32_MAX
                         : f->type == LB_FIELD_U32  ? UINT32_MAX
                         : f->type == LB_FIELD_BOOL ? 1
                                                    : INT64_MAX;
    if (f->type != LB_FIELD_U64 && (v < low || v > high))
        return lb_fail(LB_E_FORMAT, "%s/%s = %lld: must be in [%lld, %lld]", object, f->name, (long long)v,
                       (long long)low, (long long)high);
    switch (f->type) {
    case LB_FIELD_I64:
    case LB_FIELD_LATER:
        *(int64_t *)at_mut(f, row) = v;
        break;
    case LB_FIELD_INT:
        *(int *)at_mut(f, row) = (int)v;
        break;
    case LB_FIELD_U32:
        *(uint32_t *)at_mut(f, row) = (uint32_t)v;
        break;
    case LB_FIELD_U64:
        *(uint64_t *)at_mut(f, row) = (uint64_t)v;
        break;
    default:
        *(bool *)at_mut(f, row) = v != 0;
        break;
    }
    return LB_OK;
}

lb_status lb_field_set_text(const lb_field *f, void *row, const char *object, char *v) {
    if (f->type != LB_FIELD_CHARS) {
        *(const char **)at_mut(f, row) = v;
        return LB_OK;
    }
    size_t n = strlen(v);
    if (n >= f->size)
        return lb_fail(LB_E_FORMAT, "%s/%s: a text of %zu bytes, at most %zu expected", object, f->name, n,
                       f->size - 1);
    memcpy(at_mut(f, row), v, n + 1);
    return LB_OK;
}

lb_status lb_fields_put_attrs(lb_h5 *h, const char *object, lb_fields f, const void *values) {
    for (size_t i = 0; i < f.n; i++) {
        const lb_field *x = &f.at[i];
        if (is_later(x) && is_empty(x, values)) continue;
        if (lb_field_is_text(x))
            LB_TRY(lb_h5_attr_str(h, object, x->name, lb_field_text(x, values)));
        else if (lb_field_is_real(x))
            LB_TRY(lb_h5_attr_f64(h, object, x->name, *(const double *)at(x, values)));
        else
            LB_TRY(lb_h5_attr_i64(h, object, x->name, lb_field_int(x, values)));
    }
    return LB_OK;
}

lb_status lb_fields_get_attrs(lb_h5 *h, lb_arena *a, const char *object, lb_fields f, void *values) {
    for (size_t i = 0; i < f.n; i++) {
        const lb_field *x = &f.at[i];
        if (is_later(x) && !lb_h5_has_attr(h, object, x->name)) {
            LB_TRY(set_empty(x, values, object));
        } else if (lb_field_is_text(x)) {
            char *s = NULL;
            LB_TRY(lb_h5_get_attr_str(h, a, object, x->name, &s));
            LB_TRY(lb_field_set_text(x, values, object, s));
        } else if (lb_field_is_real(x)) {
            LB_TRY(lb_h5_get_attr_f64(h, object, x->name, at_mut(x, values)));
        } else {
            int64_t v = 0;
            LB_TRY(lb_h5_get_attr_i64(h, object, x->name, &v));
            LB_TRY(lb_field_set_int(x, values, object, v));
        }
    }
    return LB_OK;
}

static lb_status put_column(lb_h5 *h, const char *path, const lb_field *x, const char *rows, size_t stride, int64_t n,
                            void *buffer) {
    if (lb_field_is_text(x)) {
        const char **s = buffer;
        for (int64_t r = 0; r < n; r++) s[r] = lb_field_text(x, rows + (size_t)r * stride);
        return lb_h5_put_strs(h, path, s, n);
    }
    if (lb_field_is_real(x)) {
        double *d = buffer;
        for (int64_t r = 0; r < n; r++) d[r] = *(const double *)at(x, rows + (size_t)r * stride);
        return lb_h5_put_f64(h, path, d, 1, &n);
    }
    int64_t *v = buffer;
    for (int64_t r = 0; r < n; r++) v[r] = lb_field_int(x, rows + (size_t)r * stride);
    return lb_h5_put_i64(h, path, v, 1, &n);
}

static bool any_of(const lb_field *x, const char *rows, size_t stride, int64_t n) {
    for (int64_t r = 0; r < n; r++)
        if (!is_empty(x, rows + (size_t)r * stride)) return true;
    return false;
}

lb_status lb_fields_put_columns(lb_h5 *h, const char *group, lb_fields f, const void *rows, size_t stride, int64_t n) {
    if (n == 0) return LB_OK;
    void *buffer = lb_alloc((size_t)n, sizeof(double));
    lb_str path = {0};
    lb_status st = buffer ? LB_OK : LB_E_NOMEM;
    for (size_t i = 0; i < f.n && st == LB_OK; i++) {
        if (is_later(&f.at[i]) && !any_of(&f.at[i], rows, stride, n)) continue;
        path.len = 0;
        lb_str_add(&path, "%s/%s", group, f.at[i].name);
        st = lb_str_check(&path);
        if (st == LB_OK) st = put_column(h, path.s, &f.at[i], rows, stride, n, buffer);
    }
    lb_str_free(&path);
    lb_free(buffer);
    return st;
}

static lb_status wrong_length(const char *path, int64_t have, int64_t want) {
    return lb_fail(LB_E_FORMAT, "%s has %lld values, expected %lld", path, (long long)have, (long long)want);
}

static lb_status get_column(lb_h5 *h, lb_arena *a, const char *group, const char *path, const lb_field *x, char *rows,
                            size_t stride, int64_t n) {
    int64_t have = 0;
    if (lb_field_is_text(x)) {
        char **s = NULL;
        LB_TRY(lb_h5_get_strs(h, a, path, &s, &have));
        if (have != n) return wrong_length(path, have, n);
        for (int64_t r = 0; r < n; r++) LB_TRY(lb_field_set_text(x, rows + (size_t)r * stride, group, s[r]));
        return LB_OK;
    }
    if (lb_field_is_real(x)) {
        double *d = NULL;
        LB_TRY(lb_h5_get_f64(h, a, path, &d, &have));
        if (have != n) return wrong_length(path, have, n);
        for (int64_t r = 0; r < n; r++) *(double *)at_mut(x, rows + (size_t)r * stride) = d[r];
        return LB_OK;
    }
    int64_t *v = NULL;
    LB_TRY(lb_h5_get_i64(h, a, path, &v, &have));
    if (have != n) return wrong_length(path, have, n);
    for (int64_t r = 0; r < n; r++) LB_TRY(lb_field_set_int(x, rows + (size_t)r * stride, group, v[r]));
    return LB_OK;
}

lb_status lb_fields_get_columns(lb_h5 *h, lb_arena *a, const char *group, lb_fields f, void *rows, size_t stride,
                                int64_t n) {
    if (n == 0) return LB_OK;
    lb_str path = {0};
    lb_status st = LB_OK;
    for (size_t i = 0; i < f.n && st == LB_OK; i++) {
        path.len = 0;
        lb_str_add(&path, "%s/%s", group, f.at[i].name);
        st = lb_str_check(&path);
        if (st == LB_OK && is_later(&f.at[i]) && !lb_h5_has(h, path.s)) {
            for (int64_t r = 0; r < n && st == LB_OK; r++)
                st = set_empty(&f.at[i], (char *)rows + (size_t)r * stride, path.s);
            continue;
        }
        if (st == LB_OK) st = get_column(h, a, group, path.s, &f.at[i], rows, stride, n);
    }
    lb_str_free(&path);
    return st;
}

#define ROW(T, type, field)                                                                                            \
    { #field, LB_FIELD_##type, offsetof(T, field), 0 }
#define AS(T, type, name, field)                                                                                       \
    { name, LB_FIELD_##type, offsetof(T, field), 0 }
#define FIELDS(rows)                                                                                                   \
    { rows, sizeof(rows) / sizeof((rows)[0]) }

static const lb_field record_rows[] = {
    ROW(lb_record, STR, key),
    ROW(lb_record, STR, stem),
    ROW(lb_record, STR, label),
    ROW(lb_record, STR, message),
    ROW(lb_record, STR, method),
    ROW(lb_record, INT, bits),
    ROW(lb_record, I64, group),
    ROW(lb_record, STR, storage),
    ROW(lb_record, U64, seed),
    ROW(lb_record, STR, propagate),
    ROW(lb_record, BOOL, true_sequential),
    ROW(lb_record, U32, flags),
};
const lb_fields lb_record_fields = FIELDS(record_rows);

#define ERROR_ROWS(prefix, field)                                                                                      \
    AS(lb_layer_row, F64, prefix "_weight_err", field.weight_err),                                                     \
        AS(lb_layer_row, F64, prefix "_weight_energy", field.weight_energy),                                           \
        AS(lb_layer_row, F64, prefix "_output_err", field.output_err),                                                 \
        AS(lb_layer_row, F64, prefix "_output_energy", field.output_energy)
#define EQUAL_ROWS(prefix, field)                                                                                      \
    AS(lb_layer_row, LATER_F64, prefix "_output_err", field.output_err),                                               \
        AS(lb_layer_row, LATER_F64, prefix "_output_energy", field.output_energy)
#define CARRIED_ROWS(prefix, field)                                                                                    \
    AS(lb_layer_row, LATER_F64, prefix "participation", field.participation),                                          \
        AS(lb_layer_row, LATER_F64, prefix "first_share", field.first_share),                                          \
        AS(lb_layer_row, LATER_F64, prefix "half_share", field.half_share)
#define SIZE_ROWS(T, prefix, field)                                                                                    \
    AS(T, I64, prefix "weights", field.weights), AS(T, I64, prefix "codes", field.codes),                              \
        AS(T, I64, prefix "scales", field.scales), AS(T, I64, prefix "zeros", field.zeros),                            \
        AS(T, I64, prefix "codebook", field.codebook), AS(T, I64, prefix "order", field.order),                        \
        AS(T, I64, prefix "padding", field.padding), AS(T, I64, prefix "total", field.total),                          \
        AS(T, LATER, prefix "mask", field.mask), AS(T, LATER, prefix "low_rank", field.low_rank),                      \
        AS(T, LATER, prefix "transform", field.transform), AS(T, LATER, prefix "act", field.act)

static const lb_field layer_rows[] = {
    {"name", LB_FIELD_CHARS, offsetof(lb_layer_row, name), sizeof(((lb_layer_row *)0)->name)},
    ROW(lb_layer_row, I64, block),
    ROW(lb_layer_row, STR, type),
    ROW(lb_layer_row, I64, rows),
    ROW(lb_layer_row, I64, cols),
    ROW(lb_layer_row, STR, storage),
    ROW(lb_layer_row, INT, bits),
    ROW(lb_layer_row, I64, group),
    ROW(lb_layer_row, BOOL, quantized),
    ROW(lb_layer_row, LATER_STR, same_as),
    ROW(lb_layer_row, LATER, tokens),
    SIZE_ROWS(lb_layer_row, "size_", size),
    ERROR_ROWS("own", own),
    ERROR_ROWS("original", original),
    ERROR_ROWS("rtn_own", rtn_own),
    ERROR_ROWS("rtn_original", rtn_original),
    EQUAL_ROWS("equal_own", equal_own),
    EQUAL_ROWS("equal_original", equal_original),
    EQUAL_ROWS("rtn_equal_own", rtn_equal_own),
    EQUAL_ROWS("rtn_equal_original", rtn_equal_original),
    CARRIED_ROWS("", own_carried),
    CARRIED_ROWS("original_", original_carried),
    ROW(lb_layer_row, U32, flags),
};
const lb_fields lb_layer_fields = FIELDS(layer_rows);

static const lb_field eval_rows[] = {
    ROW(lb_eval_row, STR, name),
    ROW(lb_eval_row, STR, text_hash),
    ROW(lb_eval_row, STR, text_path),
    ROW(lb_eval_row, STR, bos),
    AS(lb_eval_row, LATER_STR, "text_rows", rows),
    ROW(lb_eval_row, I64, text_tokens),
    {"protocol", LB_FIELD_CHARS, offsetof(lb_eval_row, eval.protocol.id), sizeof(((lb_protocol *)0)->id)},
    AS(lb_eval_row, I64, "windows", eval.windows),
    AS(lb_eval_row, I64, "windows_all", eval.windows_all),
    AS(lb_eval_row, I64, "scored", eval.scored),
    AS(lb_eval_row, F64, "mean_nll", eval.mean_nll),
    AS(lb_eval_row, F64, "ppl", eval.ppl),
    AS(lb_eval_row, F64, "ppl_se", eval.ppl_se),
    AS(lb_eval_row, BOOL, "has_kl", eval.has_kl),
    AS(lb_eval_row, F64, "kl_mean", eval.kl_mean),
    AS(lb_eval_row, F64, "kl_median", eval.kl_median),
    AS(lb_eval_row, F64, "kl_p99", eval.kl_p99),
    AS(lb_eval_row, F64, "top1", eval.top1),
    ROW(lb_eval_row, BOOL, has_paired),
    AS(lb_eval_row, F64, "paired_delta", paired.delta),
    AS(lb_eval_row, F64, "paired_low", paired.low),
    AS(lb_eval_row, F64, "paired_high", paired.high),
    AS(lb_eval_row, I64, "paired_windows", paired.windows),
    AS(lb_eval_row, I64, "paired_block", paired.block),
    AS(lb_eval_row, LATER, "speculative", eval.speculative),
};
const lb_fields lb_eval_fields = FIELDS(eval_rows);

static const lb_field accept_rows[] = {
    AS(lb_eval_row, F64, "accept", eval.accept),
    AS(lb_eval_row, F64, "accept_tokens", eval.accept_tokens),
};
const lb_fields lb_accept_fields = FIELDS(accept_rows);

static const lb_field size_rows[] = {
    SIZE_ROWS(lb_model_size, "quantized_", quantized),
    ROW(lb_model_size, I64, other_as_stored),
    ROW(lb_model_size, I64, other_as_fp16),
    ROW(lb_model_size, I64, total_as_stored),
    ROW(lb_model_size, I64, total_as_fp16),
    ROW(lb_model_size, I64, original_fp16),
    ROW(lb_model_size, I64, original_as_stored),
};
const lb_fields lb_size_fields = FIELDS(size_rows);

static const lb_field continuation_rows[] = {
    AS(lb_record, I64, "tokens", continuation.tokens),
    AS(lb_record, STR, "ended", continuation.ended),
    AS(lb_record, LATER_F64, "temperature", continuation.temperature),
    AS(lb_record, LATER_F64, "top_p", continuation.top_p),
    AS(lb_record, LATER, "seed", continuation.seed),
};
const lb_fields lb_continuation_fields = FIELDS(continuation_rows);

static const lb_field speed_rows[] = {
    AS(lb_record, F64, "prefill_tokens_per_second", continuation.prefill),
    AS(lb_record, F64, "decode_tokens_per_second", continuation.decode),
};
const lb_fields lb_speed_fields = FIELDS(speed_rows);

static const lb_field host_rows[] = {ROW(lb_record, F64, seconds), ROW(lb_record, I64, peak_bytes)};
const lb_fields lb_host_fields = FIELDS(host_rows);
