/* Writes reports of results that no model made, for tools/check-pages to look at: make_pages DIR. A folder for each
 * kind of results and each size of figures, with report/index.html and the pictures as SVG alone, which is quicker.
 * Prints the folders; exits 1 if gnuplot failed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "report/parts.h"
#include "report/plot.h"
#include "support/synthetic_results.h"

static void must(lb_status st) {
    if (st == LB_OK) return;
    fprintf(stderr, "make_pages: %s\n", lb_error());
    exit(1);
}

static void *need(void *p) {
    if (!p) must(LB_E_NOMEM);
    return p;
}

/* ---- results ---- */

static lb_results *of_kind(synthetic_kind kind, const char *dir) {
    lb_results *r = synthetic_results_new(kind, dir);
    synthetic_results_costs(r);
    return r;
}

static lb_results *single(const char *dir) { return of_kind(SYNTHETIC_SINGLE, dir); }
static lb_results *near(const char *dir) { return of_kind(SYNTHETIC_CLOSE, dir); }
static lb_results *huge(const char *dir) { return of_kind(SYNTHETIC_HUGE, dir); }
static lb_results *absent(const char *dir) { return of_kind(SYNTHETIC_ABSENT, dir); }
/* Sixteen series; two of their bit widths are enough. */
static lb_results *many(const char *dir) {
    lb_results *r = of_kind(SYNTHETIC_MANY, dir);
    int64_t n = 0;
    for (int64_t i = 0; i < r->n; i++)
        if (r->record[i].bits <= 3) r->record[n++] = r->record[i];
    r->n = n;
    return r;
}

/* Every kind of plot: seeds, two calibration texts, curves of loss and of KL. */
static lb_results *all_plots(const char *dir) {
    lb_results *r = synthetic_results_two_texts("texts/pile.txt", dir);
    synthetic_results_costs(r);
    for (int64_t i = 0; i < r->n; i++) {
        lb_curve *v = &r->record[i].curve;
        if (!v->n) continue;
        v->kl = need(LB_NEW(r->arena, double, v->n));
        for (int64_t k = 0; k < v->n; k++) v->kl[k] = v->next_token[k] / 8;
    }
    return r;
}

static lb_results *samples(const char *dir) {
    lb_results *r = synthetic_results_samples(dir);
    synthetic_results_costs(r);
    return r;
}

/* The second evaluation as one of multiple choice; which items are right is made up. Two calibration texts. */
static lb_results *tasks(const char *dir) {
    lb_results *r = synthetic_results_two_texts("texts/pile.txt", dir);
    const lb_eval_row *base = NULL;
    for (int64_t i = 0; i < r->n; i++) {
        lb_eval_row *e = r->record[i].evals > 1 ? &r->record[i].eval[1] : NULL;
        if (!e) continue;
        lb_task_result *t = &e->eval.task;
        int64_t n = e->eval.windows;
        must(lb_protocol_parse("MC-piqa", &e->eval.protocol));
        *t = (lb_task_result){
            .items = n, .right = need(LB_NEW(r->arena, uint8_t, n)), .right_norm = need(LB_NEW(r->arena, uint8_t, n))};
        for (int64_t k = 0; k < n; k++) {
            t->right[k] = (k * 7 + i * 3) % 5 > 1;
            t->right_norm[k] = (k * 5 + i) % 4 > 0;
        }
        lb_task_count(t);
        e->eval.ppl = e->eval.ppl_se = NAN;
        e->eval.has_kl = false;
        if (!base) base = e;
        lb_mcnemar_of(t->right, base->eval.task.right, n, &e->mcnemar);
        lb_mcnemar_of(t->right_norm, base->eval.task.right_norm, n, &e->mcnemar_norm);
    }
    return r;
}

/* The first twenty cells of many. */
static lb_results *twenty(const char *dir) {
    lb_results *r = many(dir);
    r->n = 21;
    return r;
}

static void vary(lb_results *r, lb_record *c, const char *key, const char *value) {
    lb_pair *at = need(LB_NEW(r->arena, lb_pair, c->varied.n + 1));
    if (c->varied.n) memcpy(at, c->varied.at, (size_t)c->varied.n * sizeof *at);
    at[c->varied.n++] = (lb_pair){key, value};
    c->varied.at = at;
}

/* Names as long as pipelines, labels and paths make them. */
static lb_results *long_names(const char *dir) {
    lb_results *r = all_plots(dir);
    r->model_name = "an-organization/a-model-with-a-long-name-1.7B-instruct-2026-11";
    for (int64_t i = 0; i < r->n; i++) {
        lb_record *c = &r->record[i];
        if (strcmp(c->method, "gptq") == 0) {
            c->method = "smoothquant+hadamard+gptq+act";
            vary(r, c, "percdamp", i % 2 ? "0.0125" : "0.00625");
        } else if (strcmp(c->method, "qat") == 0) {
            vary(r, c, "label", "down projections at 8 bits, all else from the checkpoint of the last run");
        }
    }
    return r;
}

static const struct {
    const char *name;
    lb_results *(*make)(const char *dir);
    bool sizes, expected; /* in every size of figures; with expected values */
} set[] = {{"all-plots", all_plots, true, true},   {"many", many, true, false},
           {"long-names", long_names, true, true}, {"twenty", twenty, false, false},
           {"samples", samples, true, false},      {"single", single, true, false},
           {"close", near, false, false},          {"huge", huge, false, false},
           {"absent", absent, false, false},       {"tasks", tasks, false, false}};

static const char *const size[] = {"page", "column", "two-columns", "slide"};

/* ---- reports ---- */

/* Scripts alone: no gnuplot is found. */
static void scripts(const lb_report_view *v, const char *dir, lb_plot_list *plots) {
    char *path = need(lb_strdup(getenv("PATH") ? getenv("PATH") : ""));
    setenv("PATH", "/nowhere", 1);
    must(lb_plot_all(v, dir, NULL, plots));
    setenv("PATH", path, 1);
    lb_free(path);
}

/* Returns whether gnuplot came to its end. */
static bool draw(const char *dir) {
    lb_str s = {0};
    lb_str_add(&s,
               "cd '%s' && find . -name '*.gp' | xargs -P \"$(nproc)\" -I {} gnuplot -d -e \"formats='svg'\" {} "
               "2>gnuplot.said",
               dir);
    must(lb_str_check(&s));
    int status = system(s.s);
    if (status) fprintf(stderr, "%s/gnuplot.said: gnuplot failed\n", dir);
    lb_str_free(&s);
    return status == 0;
}

static void write_text(const char *dir, const char *leaf, const lb_str *s) {
    char *path = need(lb_fs_join(dir, leaf));
    must(lb_fs_write_atomic(path, s->s, s->len));
    lb_free(path);
}

#define W2 "model=opt-125m,wikitext-2,W2-2048,,ppl,"
static const char expected_values[] =
    "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source,place,trust\n"
    "none,,wikitext-2,W2-2048,20,ppl,20.97,1e-4,relative,another program,,\n"
    "none," W2 "27.65,0,absolute,GPTQ (arXiv:2210.17323),T3,primary\n"
    "SparseGPT,setting=50%;" W2 "36.85,0,absolute,SparseGPT (arXiv:2301.00774),T1,primary\n"
    "gptq,bits=2;" W2 "31.12,0,absolute,GPTQ (arXiv:2210.17323),T3,primary\n"
    "none," W2 "1.3e3,0,absolute,a paper of a long name (github.com/somebody/something),A20,user\n";

static bool report(const char *base, size_t kind, const char *figures, bool first) {
    lb_arena *a;
    lb_report_view v;
    lb_plot_list plots;
    lb_str options = {0}, page = {0};
    must(lb_arena_new(0, &a));
    char *dir = need(lb_arena_printf(a, "%s/%s-%s", base, set[kind].name, figures));
    char *plots_dir = need(lb_arena_printf(a, "%s/report/plots", dir));
    char *yaml = need(lb_arena_printf(a, "%s/plots.yaml", dir));
    must(lb_fs_mkdirs(plots_dir));
    lb_str_add(&options, "size: %s\n", figures);
    must(lb_str_check(&options));
    write_text(dir, "plots.yaml", &options);
    lb_results *r = set[kind].make(dir);
    lb_papers papers;
    must(lb_papers_read(a, "data/papers", &papers));
    if (set[kind].expected) r->model_name = "opt-125m"; /* a model of which much is published */
    const lb_report_options asked = {.plots = yaml, .papers = &papers};
    must(lb_report_view_make(a, r, &asked, &v));
    scripts(&v, plots_dir, &plots);
    bool well = !plots.n || draw(plots_dir);
    for (int64_t i = 0; i < plots.n; i++) plots.at[i].drawn = true;
    if (first) { /* the others have the same */
        const char *expected = set[kind].expected ? need(lb_arena_printf(a, "%s/expected.csv", dir)) : NULL;
        if (expected) must(lb_fs_write_atomic(expected, expected_values, sizeof expected_values - 1));
        must(lb_report_page(&v, &plots, expected, LB_TABLE_HTML, &page));
        write_text(dir, "report/index.html", &page);
    }
    printf("%s\n", dir);
    lb_str_free(&page);
    lb_str_free(&options);
    synthetic_results_free(r);
    lb_arena_free(a);
    return well;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: make_pages DIR\n");
        return 2;
    }
    bool well = true;
    for (size_t k = 0; k < sizeof set / sizeof set[0]; k++)
        for (size_t i = 0; i < (set[k].sizes ? sizeof size / sizeof size[0] : 1); i++)
            well = report(argv[1], k, size[i], i == 0) && well;
    return well ? 0 : 1;
}
