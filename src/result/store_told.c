/* Diagnostics: names, units, meanings and values as datasets of /diagnostics, whoever told them; and the two that are
 * columns of /layers, where 0 stands for what was not told. */
#include "result/store_told.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const lb_diagnostic column[] = {
    {"damp", "", "damping that H was solved with, as a fraction of the mean of its diagonal", 0, 1e300},
    {"dead_columns", "columns", "inputs that never fired in calibration", 0, 1e15},
};
static const bool whole[] = {false, true}; /* stored as integers */
enum { COLUMNS = sizeof column / sizeof column[0] };
const lb_diagnostics lb_told_columns = {column, COLUMNS};

static bool is_column(const lb_diagnostic *d) { return lb_diagnostics_find(&lb_told_columns, d->name) < COLUMNS; }

static lb_status tell(lb_layer_row *l, const lb_diagnostic *d, size_t at, double v) {
    if (!(v >= d->least && v <= d->most))
        return lb_fail(LB_E_FORMAT, "%s: %s = %g: must be in [%g, %g]", l->name, d->name, v, d->least, d->most);
    lb_tell(&l->told, at, v);
    return LB_OK;
}

/* ---- writing ---- */

/* What a column can hold, it can be read as. */
static lb_status check_value(const lb_layer_row *l, size_t c, double v) {
    if (whole[c] && v != floor(v))
        return lb_fail(LB_E_ARG, "%s: %s = %g: must be a whole number", l->name, column[c].name, v);
    lb_layer_row same = *l;
    return tell(&same, &column[c], c, v);
}

static lb_status put_column(lb_h5 *h, const lb_record *r, size_t c) {
    double *real = lb_alloc((size_t)r->layers, sizeof *real);
    int64_t *count = lb_alloc((size_t)r->layers, sizeof *count);
    size_t at = lb_diagnostics_find(&r->diagnostics, column[c].name);
    char path[64];
    lb_status st = real && count ? LB_OK : LB_E_NOMEM;
    for (int64_t i = 0; i < r->layers && st == LB_OK; i++) {
        const lb_told *t = &r->layer[i].told;
        real[i] = at < r->diagnostics.n && lb_is_told(t, at) ? t->value[at] : 0;
        st = check_value(&r->layer[i], c, real[i]);
        if (st == LB_OK) count[i] = (int64_t)real[i];
    }
    snprintf(path, sizeof path, "/layers/%s", column[c].name);
    if (st == LB_OK)
        st = whole[c] ? lb_h5_put_i64(h, path, count, 1, &r->layers) : lb_h5_put_f64(h, path, real, 1, &r->layers);
    lb_free(real);
    lb_free(count);
    return st;
}

/* Row k of the values: what the layers told of diagnostic at[k]. */
static lb_status put_values(lb_h5 *h, const lb_record *r, const size_t *at, int64_t n) {
    const int64_t shape[2] = {n, r->layers};
    double *v = lb_alloc((size_t)(n * r->layers), sizeof *v);
    if (!v) return LB_E_NOMEM;
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < r->layers; i++) {
            const lb_told *t = &r->layer[i].told;
            v[k * r->layers + i] = lb_is_told(t, at[k]) ? t->value[at[k]] : NAN;
        }
    lb_status st = lb_h5_put_f64(h, "/diagnostics/value", v, 2, shape);
    lb_free(v);
    return st;
}

lb_status lb_told_put(lb_h5 *h, const lb_record *r) {
    size_t at[LB_TOLD_MOST];
    const char *text[3][LB_TOLD_MOST];
    int64_t n = 0;
    for (size_t c = 0; c < COLUMNS; c++) LB_TRY(put_column(h, r, c));
    for (size_t i = 0; i < r->diagnostics.n; i++) {
        const lb_diagnostic *d = &r->diagnostics.table[i];
        if (is_column(d)) continue;
        text[0][n] = d->name, text[1][n] = d->unit, text[2][n] = d->meaning;
        at[n++] = i;
    }
    if (n == 0) return LB_OK;
    LB_TRY(lb_h5_attr_i64(h, "/", "n_diagnostics", n));
    LB_TRY(lb_h5_put_strs(h, "/diagnostics/name", text[0], n));
    LB_TRY(lb_h5_put_strs(h, "/diagnostics/unit", text[1], n));
    LB_TRY(lb_h5_put_strs(h, "/diagnostics/meaning", text[2], n));
    return put_values(h, r, at, n);
}

/* ---- reading ---- */

static lb_status length(const char *path, int64_t have, int64_t want) {
    if (have == want) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s has %lld values, expected %lld", path, (long long)have, (long long)want);
}

static lb_status get_column(lb_h5 *h, lb_arena *a, lb_record *r, size_t c) {
    char path[64];
    int64_t have = 0, *count = NULL;
    double *real = NULL;
    snprintf(path, sizeof path, "/layers/%s", column[c].name);
    LB_TRY(whole[c] ? lb_h5_get_i64(h, a, path, &count, &have) : lb_h5_get_f64(h, a, path, &real, &have));
    LB_TRY(length(path, have, r->layers));
    for (int64_t i = 0; i < r->layers; i++) {
        double v = whole[c] ? (double)count[i] : real[i];
        if (v != 0) LB_TRY(tell(&r->layer[i], &column[c], c, v));
    }
    return LB_OK;
}

/* It names a column of tables. */
static bool is_name(const char *s) {
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_.-");
    return n > 0 && n <= 64 && !s[n];
}

static lb_status get_texts(lb_h5 *h, lb_arena *a, const char *path, int64_t n, char ***out) {
    int64_t have = 0;
    LB_TRY(lb_h5_get_strs(h, a, path, out, &have));
    return length(path, have, n);
}

static lb_status get_table(lb_h5 *h, lb_arena *a, int64_t n, lb_diagnostic *table) {
    char **name, **unit, **meaning;
    LB_TRY(get_texts(h, a, "/diagnostics/name", n, &name));
    LB_TRY(get_texts(h, a, "/diagnostics/unit", n, &unit));
    LB_TRY(get_texts(h, a, "/diagnostics/meaning", n, &meaning));
    for (int64_t k = 0; k < n; k++) {
        lb_diagnostics before = {table, (size_t)k + COLUMNS};
        if (!is_name(name[k]) || lb_diagnostics_find(&before, name[k]) < before.n)
            return lb_fail(LB_E_FORMAT, "/diagnostics/name: '%s': must be a plain word, each another", name[k]);
        table[before.n] = (lb_diagnostic){name[k], unit[k], meaning[k], -1e300, 1e300};
    }
    return LB_OK;
}

static lb_status get_others(lb_h5 *h, lb_arena *a, int64_t n, lb_diagnostic *table, lb_record *r) {
    double *v = NULL;
    int64_t have = 0;
    LB_TRY(get_table(h, a, n, table));
    LB_TRY(lb_h5_get_f64(h, a, "/diagnostics/value", &v, &have));
    LB_TRY(length("/diagnostics/value", have, n * r->layers));
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < r->layers; i++) {
            double one = v[k * r->layers + i];
            if (!isnan(one)) LB_TRY(tell(&r->layer[i], &table[COLUMNS + k], (size_t)(COLUMNS + k), one));
        }
    return LB_OK;
}

lb_status lb_told_get(lb_h5 *h, lb_arena *a, lb_record *r) {
    int64_t n = 0;
    if (lb_h5_has_attr(h, "/", "n_diagnostics")) LB_TRY(lb_h5_get_attr_i64(h, "/", "n_diagnostics", &n));
    if (n < 0 || n > LB_DIAGNOSTICS_MOST)
        return lb_fail(LB_E_FORMAT, "attribute n_diagnostics = %lld: must be in [0, %d]", (long long)n,
                       LB_DIAGNOSTICS_MOST);
    lb_diagnostic *table = LB_NEW(a, lb_diagnostic, COLUMNS + n);
    if (!table) return LB_E_NOMEM;
    memcpy(table, column, sizeof column);
    for (size_t c = 0; c < COLUMNS; c++) LB_TRY(get_column(h, a, r, c));
    if (n > 0) LB_TRY(get_others(h, a, n, table, r));
    r->diagnostics = (lb_diagnostics){table, (size_t)(COLUMNS + n)};
    return LB_OK;
}
