/* Final-normed states of the baseline in one sealed file, a window a piece. */
#include <string.h>

#include "eval/perplexity.h"
#include "io/sealed.h"

#define KIND "states"

struct lb_states {
    lb_sealed *file;
    char *path;
    int64_t section, windows, n, dim;
};

static lb_status new_states(const char *path, lb_states **out) {
    *out = lb_alloc(1, sizeof **out);
    if (!*out) return LB_E_NOMEM;
    (*out)->path = lb_strdup(path);
    if ((*out)->path) return LB_OK;
    lb_free(*out);
    *out = NULL;
    return LB_E_NOMEM;
}

/* Numbers of one window and of all. */
static bool sizes(const lb_states *s, int64_t *window, int64_t *all) {
    return s->windows > 0 && s->n > 0 && s->dim > 0 && !__builtin_mul_overflow(s->n, s->dim, window) &&
           !__builtin_mul_overflow(*window, s->windows, all);
}

static lb_status create(lb_states *s, const char *key) {
    int64_t shape[3] = {s->windows, s->n, s->dim}, window, all;
    if (!sizes(s, &window, &all))
        return lb_fail(LB_E_ARG, "%s: %lld x %lld x %lld states make no sense", s->path, (long long)s->windows,
                       (long long)s->n, (long long)s->dim);
    LB_TRY(lb_sealed_create(s->path, KIND, key, &s->file));
    LB_TRY(lb_sealed_put_all(s->file, "shape", LB_SEALED_I64, 3, NULL, shape));
    return lb_sealed_add(s->file, "states", LB_SEALED_F32, all, window, &s->section);
}

lb_status lb_states_create(const char *path, const char *key, int64_t windows, int64_t n, int64_t dim,
                           lb_states **out) {
    lb_states *s;
    *out = NULL;
    LB_TRY(new_states(path, &s));
    s->windows = windows;
    s->n = n;
    s->dim = dim;
    lb_status st = create(s, key);
    if (st == LB_OK)
        *out = s;
    else
        lb_states_close(s);
    return st;
}

static lb_status open_existing(lb_states *s, const char *key) {
    int64_t shape[3] = {0}, window, all, have = 0;
    LB_TRY(lb_sealed_open(s->path, KIND, key, &s->file));
    LB_TRY(lb_sealed_get_all(s->file, "shape", LB_SEALED_I64, 3, NULL, shape));
    LB_TRY(lb_sealed_find(s->file, "states", LB_SEALED_F32, &s->section, &have));
    if (shape[0] != s->windows || shape[1] != s->n || shape[2] != s->dim)
        return lb_fail(LB_E_FORMAT, "%s: damaged: %lld x %lld x %lld states, expected %lld x %lld x %lld", s->path,
                       (long long)shape[0], (long long)shape[1], (long long)shape[2], (long long)s->windows,
                       (long long)s->n, (long long)s->dim);
    if (sizes(s, &window, &all) && all == have && lb_sealed_piece(s->file, s->section) == window) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: has %lld values, not those of %lld x %lld x %lld states", s->path, (long long)have,
                   (long long)s->windows, (long long)s->n, (long long)s->dim);
}

lb_status lb_states_open(const char *path, const char *key, int64_t windows, int64_t n, int64_t dim, lb_states **out) {
    lb_states *s;
    *out = NULL;
    LB_TRY(new_states(path, &s));
    s->windows = windows;
    s->n = n;
    s->dim = dim;
    lb_status st = open_existing(s, key);
    if (st == LB_OK)
        *out = s;
    else
        lb_states_close(s);
    return st;
}

static lb_status check_window(const lb_states *s, int64_t window, int64_t rows, int64_t cols, int64_t ld) {
    if (window >= 0 && window < s->windows && rows == s->n && cols == s->dim && ld == cols) return LB_OK;
    return lb_fail(LB_E_ARG, "%s: window %lld of (%lld, %lld) states asked for: it has %lld of (%lld, %lld)", s->path,
                   (long long)window, (long long)rows, (long long)cols, (long long)s->windows, (long long)s->n,
                   (long long)s->dim);
}

lb_status lb_states_put(lb_states *s, int64_t window, lb_cmat h) {
    LB_TRY(check_window(s, window, h.rows, h.cols, h.ld));
    int64_t values = s->n * s->dim;
    return lb_sealed_put(s->file, s->section, window * values, values, NULL, h.d);
}

lb_status lb_states_get(lb_states *s, int64_t window, lb_mat h) {
    LB_TRY(check_window(s, window, h.rows, h.cols, h.ld));
    int64_t values = s->n * s->dim;
    return lb_sealed_get(s->file, s->section, window * values, values, NULL, h.d);
}

lb_status lb_states_refuse(lb_states *s, int64_t window, int64_t row, int64_t col, double value) {
    return lb_sealed_refuse(s->file, "window %lld: the state at row %lld, column %lld is %g: none of a normed state",
                            (long long)window, (long long)row, (long long)col, value);
}

bool lb_states_damaged(const lb_states *s) { return lb_sealed_damaged(s->file); }

lb_status lb_states_commit(lb_states *s) { return lb_sealed_commit(s->file); }

void lb_states_close(lb_states *s) {
    if (!s) return;
    lb_sealed_close(s->file);
    lb_free(s->path);
    lb_free(s);
}
