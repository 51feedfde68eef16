/* The expected values of a config, before anything of it has run. */
#include <string.h>

#include "base/fs.h"
#include "cli/planned.h"
#include "report/report.h"
#include "run/cell.h"
#include "run/papers.h"

/* NULL: it is not there. */
static lb_status there(const char *dir, const char *name, lb_arena *a, const char **out) {
    char *path = lb_fs_join(dir, name);
    if (!path) return LB_E_NOMEM;
    bool exists = lb_fs_exists(path);
    *out = exists ? lb_arena_strdup(a, path) : NULL;
    lb_free(path);
    return exists && !*out ? LB_E_NOMEM : LB_OK;
}

bool lb_cli_expected_none(const lb_config *c) { return strcmp(c->expected, "none") == 0; }

lb_status lb_cli_expected_path(const lb_config *c, lb_arena *a, const char **out) {
    *out = NULL;
    if (lb_cli_expected_none(c)) return LB_OK;
    if (!c->expected[0]) return there(c->dir, "expected.csv", a, out);
    LB_TRY(there(c->dir, c->expected, a, out));
    if (!*out) LB_TRY(there("", c->expected, a, out)); /* as every path that is read */
    if (*out) return LB_OK;
    bool both = c->dir[0] && strcmp(c->dir, ".") != 0;
    return lb_fail(LB_E_CONFIG, "%s: expected = %s: no such file (looked in %s%sthe current folder)",
                   lb_config_where(lb_yaml_get(c->root, "expected")).text, c->expected, both ? c->dir : "",
                   both ? " and " : "");
}

lb_status lb_cli_expected_check(const lb_config *c, lb_arena *a) {
    const char *path;
    const lb_papers *papers;
    LB_TRY(lb_cli_expected_path(c, a, &path));
    if (!path) return LB_OK;
    LB_TRY(lb_report_expected_check(path));
    return lb_papers_find(a, &papers); /* lists that cannot be read are known now, not after the run */
}

static lb_status planned_evals(const lb_plan *p, lb_arena *a, lb_eval_row **out) {
    lb_eval_row *row = LB_NEW(a, lb_eval_row, p->evals + 1);
    if (!row) return LB_E_NOMEM;
    for (int64_t i = 0; i < p->evals; i++) {
        const lb_eval_config *e = p->eval_config[i];
        row[i].name = e->name;
        row[i].eval.windows = e->windows > 0 ? e->windows : -1;
        LB_TRY(lb_protocol_parse(e->protocol, &row[i].eval.protocol));
    }
    *out = row;
    return LB_OK;
}

/* The cells of all plans, as if they were done. */
static lb_status planned_results(const lb_planned *x, lb_arena *a, lb_results *out) {
    size_t n = 0;
    for (size_t k = 0; k < x->plans.n; k++) n += x->plans.at[k].sweep.n;
    *out = (lb_results){.arena = a, .name = x->config.name, .model_name = x->plans.at[0].model_label};
    out->record = LB_NEW(a, lb_record, n + 1);
    if (!out->record) return LB_E_NOMEM;
    for (size_t k = 0; k < x->plans.n; k++) {
        const lb_plan *p = &x->plans.at[k];
        lb_eval_row *eval;
        LB_TRY(planned_evals(p, a, &eval));
        lb_pairs known = {0};
        LB_TRY(lb_pairs_add(a, &known, "model_sha256", p->model_hash));
        LB_TRY(lb_pairs_add(a, &known, "compute", lb_compute_choices[p->compute]));
        for (size_t i = 0; i < p->sweep.n; i++) {
            const lb_cell *c = &p->sweep.cell[i];
            lb_record *r = &out->record[out->n++];
            LB_TRY(lb_cell_bare_record(a, c, c->refused ? LB_CELL_REFUSED : LB_CELL_DONE, "", r));
            r->eval = eval;
            r->evals = p->evals;
            r->provenance = known;
        }
    }
    return LB_OK;
}

lb_status lb_cli_expected_preview(const lb_planned *x, lb_arena *a, lb_log *log) {
    const char *path;
    lb_results r;
    LB_TRY(lb_cli_expected_path(&x->config, a, &path));
    if (!path) return LB_OK;
    LB_TRY(planned_results(x, a, &r));
    return lb_report_expected_preview(&r, path, log);
}

lb_status lb_cli_expected_tables(const lb_results *r, const char *expected_csv, const lb_report_options *o,
                                 lb_table_format f, lb_str *out, int64_t *outside, int64_t *differs) {
    lb_str published = {0};
    size_t from = out->len;
    LB_TRY(lb_report_expected_table(r, expected_csv, f, out, outside));
    lb_status st = lb_report_published_table(r, expected_csv, o, f, &published, differs);
    if (st == LB_OK && published.len) lb_str_add(out, "%s%s", out->len > from ? "\n" : "", published.s);
    lb_str_free(&published);
    return st;
}

void lb_cli_expected_warn(int64_t outside, int64_t differs, lb_log *log, int *exit_code) {
    if (outside > 0) lb_warn(log, "%lld value%s outside the tolerance", (long long)outside, outside == 1 ? "" : "s");
    if (differs > 0)
        lb_warn(log, "%lld published number%s from ours", (long long)differs, differs == 1 ? " differs" : "s differ");
    if (outside > 0 || differs > 0) *exit_code = 1;
}
