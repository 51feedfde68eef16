/* Reading a list of expected values, and what must be right in it before anything is run. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "io/csv.h"
#include "report/expected.h"

static const char *const field_name[FIELDS] = {"method",   "options",   "evaluation", "protocol", "windows", "metric",
                                               "expected", "tolerance", "kind",       "source",   "place",   "trust"};

bool lb_expected_published(const lb_expectation *e) { return e->text[F_PLACE][0] != 0; }

/* The metric that somebody may have meant; NULL: none is near. */
static const char *near_metric(const char *metric) {
    static const char *const known[] = {"ppl",
                                        "ppl_se",
                                        "mean_nll",
                                        "window_nll:N",
                                        "tokens",
                                        "windows_all",
                                        "tokens_scored",
                                        "acc_percent",
                                        "acc_norm_percent",
                                        "delta_ln_ppl",
                                        "kl_mean",
                                        "top1",
                                        "accept",
                                        "output_mse:LAYER",
                                        "output_rel:LAYER",
                                        "output_mse_original:LAYER",
                                        "output_rel_original:LAYER",
                                        "weight_mse:LAYER",
                                        "bits_per_weight",
                                        "quantized_bytes",
                                        "model_bytes_fp16",
                                        "model_file_bytes"};
    static const char *const elsewhere[][2] = {{"perplexity", "ppl"},       {"nll", "mean_nll"},
                                               {"loss", "mean_nll"},        {"delta", "delta_ln_ppl"},
                                               {"kl", "kl_mean"},           {"kld", "kl_mean"},
                                               {"bits", "bits_per_weight"}, {"bpw", "bits_per_weight"},
                                               {"accuracy", "acc_percent"}, {"bytes", "quantized_bytes"}};
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        if (strcasecmp(metric, elsewhere[i][0]) == 0) return elsewhere[i][1];
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t n = strcspn(known[i], ":");
        if (strncasecmp(metric, known[i], n) == 0 && (!metric[n] || metric[n] == ':')) return known[i];
    }
    return lb_str_nearest(metric, known, sizeof known / sizeof known[0]);
}

static lb_status check_metric(const char *path, int line, const char *metric) {
    if (lb_expected_is_metric(metric)) return LB_OK;
    const char *near = near_metric(metric);
    if (near)
        return lb_fail(LB_E_FORMAT, "%s:%d: metric '%s' is not known: did you mean '%s'?", path, line, metric, near);
    return lb_fail(LB_E_FORMAT, "%s:%d: metric '%s' is not known: see docs/experiments.md", path, line, metric);
}

/* "key=value;key=value" */
static lb_status check_options(const char *path, int line, const char *options) {
    for (const char *p = options; *p; p += strcspn(p, ";"), p += strspn(p, "; ")) {
        size_t n = strcspn(p, ";");
        if (n && !memchr(p, '=', n))
            return lb_fail(LB_E_FORMAT, "%s:%d: options '%s': must be key=value;key=value", path, line, options);
        static const char hash[] = "model_sha256=";
        if (strncmp(p, hash, strlen(hash)) == 0 &&
            (n - strlen(hash) < LB_EXPECTED_HASH || strspn(p + strlen(hash), "0123456789abcdef") < n - strlen(hash)))
            return lb_fail(LB_E_FORMAT, "%s:%d: options '%s': model_sha256 must be %d digits or more of 0-9 and a-f",
                           path, line, options, LB_EXPECTED_HASH);
    }
    return LB_OK;
}

static lb_status read_number(const char *path, int line, const char *name, const char *text, double *out) {
    if (lb_parse_f64(text, out) == LB_OK) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s:%d: %s = '%s': must be a number", path, line, name, text);
}

static lb_status read_row(const char *path, int line, lb_expectation *e) {
    /* A value published as nan is shown and never compared. */
    if (lb_published_number(e->text[F_EXPECTED], &e->expected, &e->half_unit) != LB_OK)
        return lb_fail(LB_E_FORMAT, "%s:%d: expected = '%s': must be a number or nan", path, line, e->text[F_EXPECTED]);
    if (e->text[F_TRUST][0] && lb_trust_parse(e->text[F_TRUST], &e->trust) != LB_OK)
        return lb_fail_in(LB_E_FORMAT, "%s:%d", path, line);
    LB_TRY(read_number(path, line, "tolerance", e->text[F_TOL], &e->tolerance));
    if (e->tolerance < 0)
        return lb_fail(LB_E_FORMAT, "%s:%d: tolerance = %s: must not be negative", path, line, e->text[F_TOL]);
    e->relative = strcmp(e->text[F_KIND], "relative") == 0;
    if (!e->relative && strcmp(e->text[F_KIND], "absolute") != 0)
        return lb_fail(LB_E_FORMAT, "%s:%d: kind = '%s': must be relative or absolute", path, line, e->text[F_KIND]);
    if (e->relative && e->expected == 0)
        return lb_fail(LB_E_FORMAT, "%s:%d: expected = 0 with a relative tolerance: use absolute", path, line);
    return LB_OK;
}

lb_status lb_expected_option(lb_arena *a, const lb_expectation *e, const char *key, const char **out) {
    size_t n = strlen(key);
    *out = NULL;
    for (const char *p = e->text[F_OPTIONS]; *p; p += strcspn(p, ";"), p += strspn(p, "; ")) {
        if (strncmp(p, key, n) != 0 || p[n] != '=') continue;
        *out = lb_arena_printf(a, "%.*s", (int)strcspn(p + n + 1, ";"), p + n + 1);
        return *out ? LB_OK : LB_E_NOMEM;
    }
    return LB_OK;
}

lb_status lb_expected_read(lb_arena *a, const char *path, lb_expectation **out, size_t *n) {
    lb_csv csv;
    int column[FIELDS];
    LB_TRY(lb_csv_read(a, path, &csv));
    for (int i = 0; i < FIELDS; i++) {
        column[i] = lb_csv_column(&csv, field_name[i]);
        if (column[i] < 0 && i < F_PLACE) return lb_fail(LB_E_FORMAT, "%s:1: no column '%s'", path, field_name[i]);
    }
    if (!csv.rows)
        return lb_fail(LB_E_FORMAT,
                       "%s: no rows below the header: expected at least one (in a config, expected: none "
                       "compares nothing)",
                       path);
    lb_expectation *at = LB_NEW(a, lb_expectation, csv.rows);
    if (!at) return LB_E_NOMEM;
    for (size_t r = 0; r < csv.rows; r++) {
        for (int i = 0; i < FIELDS; i++) at[r].text[i] = column[i] < 0 ? "" : csv.row[r][column[i]];
        at[r].line = csv.line[r];
        LB_TRY(check_metric(path, csv.line[r], at[r].text[F_METRIC]));
        LB_TRY(check_options(path, csv.line[r], at[r].text[F_OPTIONS]));
        LB_TRY(read_row(path, csv.line[r], &at[r]));
    }
    *out = at, *n = csv.rows;
    return LB_OK;
}

lb_status lb_report_expected_check(const char *expected_csv) {
    lb_arena *a;
    lb_expectation *e;
    size_t n;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = lb_expected_read(a, expected_csv, &e, &n);
    lb_arena_free(a);
    return st;
}
