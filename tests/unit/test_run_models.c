/* A list of models through the library: one plan each, never two models open, names, what each cell is compared with.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "result/store.h"
#include "support/small_model.h"

#define CELLS                                                                                                          \
    "threads: 2\ncalibration: {text: text.txt, samples: 6, length: 16}\n"                                              \
    "eval: {text: text.txt, protocol: W2-16, windows: 5}\n"                                                            \
    "quantize:\n  - {method: gptq, bits: 3, group: 8}\n  - {method: rtn, bits: 3}\n  - {method: nf4, bits: 3}\n"

typedef struct opened {
    lb_arena *arena;
    lb_team *team;
    lb_config config;
    lb_plans plans;
    size_t looks;
    size_t cells[2]; /* begun while the model was open */
} opened;

static size_t open_models(const lb_plans *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) n += p->at[i].model != NULL;
    return n;
}

static lb_status look(void *user, lb_plan *p) {
    opened *x = user;
    assert_non_null(p->model);
    assert_int_equal(p->model_index, x->looks++ / x->config.computes);
    assert_int_equal(open_models(&x->plans), 1);
    return LB_OK;
}

static lb_status open_plans(opened *x, const char *models, const char *yaml) {
    lb_yaml *root = NULL;
    *x = (opened){0};
    assert_ok(lb_arena_new(0, &x->arena));
    char *path = lb_arena_printf(x->arena, "%s/c.yaml", small_home);
    char *text = lb_arena_printf(x->arena, "name: two\nresults: %s\nmodel: %s\n%s", small_home, models, yaml);
    assert_true(path && text);
    assert_ok(lb_yaml_parse(x->arena, path, text, strlen(text), &root));
    assert_ok(lb_config_from_tree(x->arena, path, root, &x->config));
    assert_ok(lb_team_new(2, &x->team));
    lb_plan_request r = {.parts = LB_WEIGHTS, .plugin_hash = ""};
    return lb_plans_open(x->arena, &x->config, &r, x->team, NULL, look, x, &x->plans);
}

static void close_plans(opened *x) {
    lb_plans_close(&x->plans);
    lb_team_free(x->team);
    lb_arena_free(x->arena);
}

/* A single plan stays open with its weights; of several none stays open, and what was planned stays known. */
static void plans_of_models(void **state) {
    (void)state;
    opened one, x;
    assert_ok(open_plans(&one, "tied", CELLS));
    assert_int_equal(one.plans.n, 1);
    assert_non_null(one.plans.at[0].model->weights.site);
    assert_ok(open_plans(&x, "[tied, untied]", CELLS));
    assert_int_equal(x.plans.n, 2);
    assert_int_equal(x.looks, 2);
    assert_int_equal(open_models(&x.plans), 0);
    const lb_sweep *a = &one.plans.at[0].sweep, *b = &x.plans.at[0].sweep, *c = &x.plans.at[1].sweep;
    for (size_t i = 0; i < a->n; i++) {
        char label[200];
        snprintf(label, sizeof label, "tied: %s", a->cell[i].label);
        assert_string_equal(b->cell[i].label, label);
        assert_string_equal(b->cell[i].model, "tied");
        assert_string_equal(c->cell[i].model, "untied");
        assert_null(a->cell[i].model);
        assert_string_not_equal(b->cell[i].key, c->cell[i].key);
        assert_string_not_equal(b->cell[i].stem, c->cell[i].stem);
        if (a->cell[i].refused) continue;
        /* The same cell, whether its model stands alone or in a list. */
        assert_string_equal(a->cell[i].key, b->cell[i].key);
        assert_string_equal(a->cell[i].stem, b->cell[i].stem);
        assert_string_equal(a->cell[i].content_key, b->cell[i].content_key);
    }
    close_plans(&x);
    close_plans(&one);
}

/* "[i/n] LABEL" is said when a cell begins. */
static void watch(void *user, lb_level level, const char *text) {
    opened *x = user;
    (void)level;
    assert_true(open_models(&x->plans) <= 1);
    for (size_t k = 0; k < 2; k++) {
        char label[64];
        snprintf(label, sizeof label, "/8] %s: ", x->plans.at[k].model_label);
        if (!strstr(text, label)) continue;
        assert_non_null(x->plans.at[k].model);
        assert_non_null(x->plans.at[k].model->weights.site);
        x->cells[k]++;
    }
}

static const lb_eval *baseline_of(const lb_results *r, const char *model) {
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->record[i].model, model) == 0 && strcmp(r->record[i].method, "none") == 0)
            return &r->record[i].eval[0].eval;
    fail_msg("no baseline of %s", model);
    return NULL;
}

static size_t cached(const char *kind) {
    char path[LB_TEST_PATH], **name;
    size_t n = 0, count = 0;
    snprintf(path, sizeof path, "%s/two/.cache", small_home);
    assert_ok(lb_fs_list(path, ".bin", &name, &n));
    for (size_t i = 0; i < n; i++) count += strncmp(name[i], kind, strlen(kind)) == 0;
    lb_fs_list_free(name, n);
    return count;
}

static void sweep_of_models(void **state) {
    (void)state;
    opened x;
    lb_sweep_result done;
    assert_ok(open_plans(&x, "[tied, untied]", CELLS));
    lb_log log = {.message = watch, .user = &x};
    assert_ok(lb_sweep_run(&x.plans, &(lb_sweep_options){0}, &log, &done));
    assert_int_equal(done.done, 6);
    assert_int_equal(done.refused, 2);
    assert_true(x.cells[0] == 6 && x.cells[1] == 6); /* each said when it begins and when it ends */
    assert_int_equal(open_models(&x.plans), 0);
    assert_true(cached("statistics-") == 2 && cached("states-") == 2);

    char dir[LB_TEST_PATH];
    lb_results *r = NULL;
    snprintf(dir, sizeof dir, "%s/two", small_home);
    assert_ok(lb_store_read_results(dir, &r));
    assert_int_equal(r->n, 8);
    assert_string_equal(r->model_name, "tied, untied");
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        assert_string_equal(c->model, i < 4 ? "tied" : "untied");
        if (c->state != LB_CELL_DONE) continue;
        assert_int_equal(c->eval[0].has_paired, strcmp(c->method, "none") != 0);
        if (!c->eval[0].has_paired) continue;
        /* The difference is to the baseline of the same model, and to that of the other it would be another. */
        const lb_eval *e = &c->eval[0].eval;
        for (int same = 1; same >= 0; same--) {
            const lb_eval *base = baseline_of(r, (i < 4) == same ? "tied" : "untied");
            double delta = 0;
            for (int64_t w = 0; w < e->windows; w++)
                delta += (e->window_nll[w] - base->window_nll[w]) / (double)e->windows;
            assert_true((fabs(delta - c->eval[0].paired.delta) < 1e-12) == same);
        }
        assert_true(e->has_kl && e->kl_mean > 0 && e->kl_mean < 1);
    }
    lb_results_free(r);

    /* Nothing to run opens nothing; one cell of the second model opens that one alone. */
    assert_ok(lb_sweep_run(&x.plans, &(lb_sweep_options){0}, &log, &done));
    assert_true(done.kept == 6 && done.done == 0 && x.cells[0] == 6);
    char path[LB_TEST_PATH + 256];
    snprintf(path, sizeof path, "%s/%s.h5", dir, x.plans.at[1].sweep.cell[2].stem);
    assert_ok(lb_fs_write_atomic(path, "damaged", 7));
    assert_ok(lb_sweep_run(&x.plans, &(lb_sweep_options){0}, &log, &done));
    assert_true(done.kept == 5 && done.done == 1 && x.cells[0] == 6 && x.cells[1] == 8);
    close_plans(&x);
}

/* With both kinds of products: a plan for each of each model, and what either alone would be in the float32 one. */
static void plans_of_products(void **state) {
    (void)state;
    opened one, x;
    assert_ok(open_plans(&one, "tied", CELLS));
    lb_status st = open_plans(&x, "[tied, untied]\ncompute: [float32, bf16]", CELLS);
    if (!lb_bf16_version()[0]) { /* before a model is opened */
        assert_status(LB_E_UNSUPPORTED, st);
        assert_int_equal(x.looks, 0);
    }
    if (st == LB_OK) {
        assert_int_equal(x.plans.n, 4);
        assert_int_equal(open_models(&x.plans), 0);
        const lb_sweep *a = &one.plans.at[0].sweep;
        for (size_t i = 0; i < a->n; i++) {
            const lb_cell *f = &x.plans.at[0].sweep.cell[i], *b = &x.plans.at[1].sweep.cell[i];
            char label[200];
            snprintf(label, sizeof label, "tied: %s compute=bf16", a->cell[i].label);
            assert_string_equal(b->label, label);
            assert_string_equal(b->model, "tied");
            assert_string_not_equal(f->stem, b->stem);
            if (!f->refused) assert_string_equal(f->key, a->cell[i].key);
            if (!f->refused) assert_string_equal(f->config, a->cell[i].config);
        }
        assert_int_equal(x.plans.at[2].model_index, 1);
        assert_int_equal(x.plans.at[3].compute, LB_COMPUTE_BF16);
    }
    close_plans(&x);
    close_plans(&one);
}

/* What changes while other models have their turn is noticed: results say what they were made from. */
static void a_model_that_changes(void **state) {
    (void)state;
    opened x;
    lb_sweep_result done;
    char text[LB_TEST_PATH], *bytes;
    size_t n;
    snprintf(text, sizeof text, "%s/text.txt", small_home);
    assert_ok(open_plans(&x, "[untied, tied]", "eval: {text: text.txt, protocol: W2-16, windows: 5}\n"));
    assert_ok(lb_fs_read(text, &bytes, &n));
    assert_ok(lb_fs_write_atomic(text, bytes, n - 1));
    assert_status(LB_E_FORMAT, lb_sweep_run(&x.plans, &(lb_sweep_options){.again = true}, NULL, &done));
    assert_error_has("a text is no longer what it was when this run began");
    assert_ok(lb_fs_write_atomic(text, bytes, n));
    lb_free(bytes);
    close_plans(&x);
}

static void names_of_models(void **state) {
    (void)state;
    static const struct {
        const char *model[3];
        const char *label[3];
    } list[] = {
        {{"../data/builtin/model/", "x/tiny.gguf", "smollm2"}, {"builtin/model", "tiny", "smollm2"}},
        {{"a/tiny.gguf", "b/tiny.gguf", "c"}, {"a/tiny.gguf", "b/tiny.gguf", "c"}},
    };
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        lb_config c = {.model = (const char **)list[i].model, .models = 3};
        const char **label;
        assert_ok(lb_plan_model_labels(a, &c, &label));
        for (int k = 0; k < 3; k++) assert_string_equal(label[k], list[i].label[k]);
    }
    lb_arena_free(a);
    /* One model under two names. */
    opened x;
    char again[LB_TEST_PATH + 16];
    snprintf(again, sizeof again, "[tied, %s/tied]", small_home);
    assert_status(LB_E_CONFIG, open_plans(&x, again, CELLS));
    assert_error_has("c.yaml:3: model: ");
    assert_error_has("/tied is the same model as tied (SHA-256 ");
    close_plans(&x);
    assert_status(LB_E_CONFIG, open_plans(&x, "[tied, nowhere]", CELLS));
    assert_error_has("c.yaml:3: ");
    assert_error_has("nowhere");
    assert_int_equal(open_models(&x.plans), 0);
    close_plans(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(plans_of_models), cmocka_unit_test(plans_of_products),
                                       cmocka_unit_test(sweep_of_models), cmocka_unit_test(a_model_that_changes),
                                       cmocka_unit_test(names_of_models)};
    return cmocka_run_group_tests_name("run/models", tests, small_model_setup, NULL);
}
