/* Tables as data: building them, and numbers as text. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/table.h"
#include "result/figures.h"

#define MINUS "\xe2\x88\x92"
#define DASH  "\xe2\x80\x93"

lb_status lb_table_new(lb_arena *a, const char *id, const char *title, const lb_table_column *col, size_t cols,
                       lb_table **out) {
    lb_table *t = LB_NEW(a, lb_table, 1);
    if (!t) return LB_E_NOMEM;
    *t = (lb_table){.arena = a, .col = col, .cols = cols};
    t->id = lb_arena_strdup(a, id);
    t->title = lb_arena_strdup(a, title);
    if (!t->id || !t->title) return LB_E_NOMEM;
    *out = t;
    return LB_OK;
}

static bool grow(lb_table *t) {
    size_t cap = t->cap ? 2 * t->cap : 16;
    lb_table_cell *cell = LB_NEW(t->arena, lb_table_cell, cap * t->cols);
    bool *rule = LB_NEW(t->arena, bool, cap);
    const char **again = LB_NEW(t->arena, const char *, cap);
    if (!cell || !rule || !again) return false;
    if (t->rows) {
        memcpy(cell, t->cell, t->rows * t->cols * sizeof *cell);
        memcpy(rule, t->rule, t->rows * sizeof *rule);
        memcpy(again, t->again, t->rows * sizeof *again);
    }
    t->cell = cell, t->rule = rule, t->again = again, t->cap = cap;
    return true;
}

void lb_table_row(lb_table *t) {
    if (t->failed) return;
    if (t->rows == t->cap && !grow(t)) {
        t->failed = true;
        return;
    }
    t->rows++;
}

void lb_table_rule(lb_table *t) {
    if (!t->failed && t->rows) t->rule[t->rows - 1] = true;
}

void lb_table_again(lb_table *t, const char *lines) {
    if (t->failed || !t->rows || !lines) return;
    if (!(t->again[t->rows - 1] = lb_arena_strdup(t->arena, lines))) t->failed = true;
}

void lb_table_set(lb_table *t, size_t c, const char *text, const char *exact) {
    if (t->failed || !t->rows || c >= t->cols) return;
    lb_table_cell *cell = &t->cell[(t->rows - 1) * t->cols + c];
    if (text && !(cell->text = lb_arena_strdup(t->arena, text))) t->failed = true;
    if (exact && !(cell->exact = lb_arena_strdup(t->arena, exact))) t->failed = true;
}

void lb_table_setf(lb_table *t, size_t c, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    lb_table_set(t, c, text, text);
}

bool lb_table_has_text(const lb_table *t, size_t c) {
    if (!t->col[c].head) return false;
    for (size_t r = 0; r < t->rows; r++) {
        const char *text = t->cell[r * t->cols + c].text;
        if (text && text[0]) return true;
    }
    return false;
}

bool lb_table_shows(const lb_table *t, size_t c) { return !t->col[c].narrow && lb_table_has_text(t, c); }

int lb_table_panels(const lb_table *t) {
    int n = 1;
    for (size_t c = 0; c < t->cols; c++)
        if (t->col[c].panel >= n && lb_table_shows(t, c)) n = t->col[c].panel + 1;
    return n;
}

lb_panel lb_table_panel(const lb_table *t, int panel) {
    lb_panel p = {.n = 0};
    for (size_t c = 0; c < t->cols && p.n < sizeof p.col / sizeof p.col[0]; c++)
        if ((panel < 0 || t->col[c].key || t->col[c].panel == panel) && lb_table_shows(t, c)) p.col[p.n++] = c;
    return p;
}

const char *lb_table_text(const lb_table *t, size_t row, size_t c) {
    const char *text = t->cell[row * t->cols + c].text;
    return text && text[0] ? text : DASH;
}

/* ---- numbers ---- */

static lb_num plain(const char *fmt, int decimals, double v) {
    lb_num n = {""};
    if (isnan(v)) return n;
    if (isinf(v)) {
        snprintf(n.s, sizeof n.s, "%s", v > 0 ? "inf" : MINUS "inf");
        return n;
    }
    char raw[40];
    snprintf(raw, sizeof raw, fmt, decimals, fabs(v));
    /* No minus before what was rounded to zero. */
    bool negative = v < 0 && strtod(raw, NULL) != 0;
    snprintf(n.s, sizeof n.s, "%s%s", negative ? MINUS : "", raw);
    return n;
}

lb_num lb_num_fixed(double v, int decimals) { return plain(fabs(v) < 1e15 ? "%.*f" : "%.*e", decimals, v); }

lb_num lb_num_signed(double v, int decimals) {
    lb_num n = lb_num_fixed(v, decimals), s = n;
    if (n.s[0] && v > 0 && strtod(n.s, NULL) != 0) snprintf(s.s, sizeof s.s, "+%.40s", n.s);
    return s;
}

lb_num lb_num_exact(double v) {
    lb_num n = {""};
    if (isnan(v)) return n;
    if (isinf(v)) {
        snprintf(n.s, sizeof n.s, v > 0 ? "inf" : "-inf");
        return n;
    }
    if (v == floor(v) && fabs(v) < 9007199254740992.0) {
        snprintf(n.s, sizeof n.s, "%.0f", v == 0 ? 0.0 : v);
        return n;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(n.s, sizeof n.s, "%.*g", digits, v);
        if (strtod(n.s, NULL) == v) break;
    }
    return n;
}

lb_num lb_num_sci(double v, int digits) {
    double m = fabs(v);
    if (isnan(v) || isinf(v)) return plain("%.*f", 0, v);
    if (m == 0) return plain("%.*f", 0, 0.0);
    if (m < 1e-3 || m >= 1e5) return plain("%.*e", digits - 1, v);
    int whole = (int)floor(log10(m)) + 1;
    return plain("%.*f", digits > whole ? digits - whole : 0, v);
}

/* A perplexity is reproduced to a part in ten thousand, so five digits are worth showing, whatever its +-. */
static int ppl_decimals(double v) {
    if (v < 10) return 4;
    if (v < 100) return 3;
    return v < 1000 ? 2 : 1;
}

lb_num lb_num_ppl(double v) {
    if (v >= 1e5) return lb_num_sci(v, 5);
    return lb_num_fixed(v, ppl_decimals(v));
}

lb_num lb_num_ppl_se(double ppl, double se) {
    lb_num p = lb_num_ppl(ppl), n = p;
    if (!p.s[0] || isnan(se)) return p;
    lb_num e = ppl >= 1e5 || se >= 1e5 ? plain("%.*e", 2, se) : lb_num_fixed(se, ppl_decimals(ppl));
    snprintf(n.s, sizeof n.s, "%.20s \xc2\xb1 %.20s", p.s, e.s);
    return n;
}

/* Decimals that show a half width to two digits, within [3, 7]. */
static int interval_decimals(double half) {
    if (!(half > 0) || isinf(half)) return 3;
    int d = (int)ceil(-log10(half)) + 1;
    return d < 3 ? 3 : d > 7 ? 7 : d;
}

lb_num lb_num_interval(double mid, double low, double high) {
    lb_num n = {""};
    if (isnan(mid)) return n;
    if (isnan(low) || isnan(high)) return lb_num_signed(mid, 4);
    int d = interval_decimals((high - low) / 2);
    snprintf(n.s, sizeof n.s, "%.14s [%.14s, %.14s]", lb_num_signed(mid, d).s, lb_num_signed(low, d).s,
             lb_num_signed(high, d).s);
    return n;
}

lb_num lb_num_percent(double fraction, int decimals) {
    lb_num p = lb_num_fixed(100 * fraction, decimals), n = p;
    if (p.s[0]) snprintf(n.s, sizeof n.s, "%.40s %%", p.s);
    return n;
}

lb_num lb_num_mib(double bytes) {
    double m = lb_mib(bytes);
    return lb_num_fixed(m, m < 1 ? 4 : m < 10 ? 3 : m < 1000 ? 2 : 1);
}

lb_num lb_num_int(int64_t v) {
    lb_num n = {""};
    snprintf(n.s, sizeof n.s, "%lld", (long long)v);
    return n;
}
