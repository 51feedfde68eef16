#include "report/alike.h"

#include <string.h>

#include "quant/method.h"
#include "report/parts.h"

const char *lb_report_known(const lb_record *c, const char *key) {
    const char *s = lb_pairs_get(&c->provenance, key);
    return s ? s : "";
}

static bool listed(const char *const *but, const char *key) {
    for (int i = 0; but[i]; i++)
        if (strcmp(but[i], key) == 0) return true;
    return false;
}

static bool same_options(const lb_pairs *a, const lb_pairs *b) {
    for (int64_t i = 0; i < a->n; i++) {
        const char *other = lb_pairs_get(b, a->at[i].key);
        if (!other || strcmp(other, a->at[i].value) != 0) return false;
    }
    return a->n == b->n;
}

/* The same in both resolved configs, or in neither. */
static bool same_in_config(const lb_record *a, const lb_record *b, const char *key) {
    lb_str x = {0}, y = {0};
    bool has = lb_report_config_value(a, key, &x), same = lb_report_config_value(b, key, &y) == has;
    same = same && (!has || (x.s && y.s && strcmp(x.s, y.s) == 0));
    lb_str_free(&x);
    lb_str_free(&y);
    return same;
}

bool lb_report_alike_but(const lb_record *a, const lb_record *b, const char *const *but) {
    static const char *const key[] = {
        "calibration",        "calibration_sha256", "calibration_recipe", "calibration_samples",
        "calibration_length", "calibration_seed",   "calibration_bos",    "training"};
    if (strcmp(a->method, b->method) != 0 || strcmp(a->storage, b->storage) != 0) return false;
    if (strcmp(a->propagate, b->propagate) != 0 || a->true_sequential != b->true_sequential) return false;
    if (!same_in_config(a, b, "token_weight") || !same_in_config(a, b, "token_clip")) return false;
    if (!same_options(&a->options, &b->options) || a->size.quantized.total != b->size.quantized.total) return false;
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
        if (!listed(but, key[i]) && strcmp(lb_report_known(a, key[i]), lb_report_known(b, key[i])) != 0) return false;
    return true;
}

bool lb_report_reads_text(const lb_record *c) {
    const lb_method *m = lb_method_find(c->method);
    return !m || m->needs_of || (m->needs & (LB_NEEDS_CALIBRATION | LB_NEEDS_TRAINER)) != 0;
}
