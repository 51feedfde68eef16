/* A sweep over each family's random model: every method of the table's main kinds runs; a sweep whose weights are
 * streamed, and one that was interrupted in the middle of a cell and goes on, give the same files. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "math/blas.h"
#include "model/family.h"
#include "result/figures.h"
#include "support/folder.h"
#include "support/h5_same.h"
#include "support/letter_tokenizer.h"
#include "support/small_model.h"

/* Behind what a model wants of its own. */
#define CONFIG                                                                                                         \
    "threads: 2\ncalibration: {text: text.txt, samples: 4, length: 24, starved_experts: all_tokens}\n"                 \
    "eval: {text: text.txt, protocol: W2-24, windows: 3}\nquantize:\n  - {method: rtn, bits: 3}\n"                     \
    "  - {method: gptq, bits: 3, true_sequential: true}\n  - {method: nf4, group: 16}\n"                               \
    "  - {method: qat, bits: 3, steps: 2, batch: 2, length: 16, warmup: 1}\n"
enum { CELLS = 5, GPTQ = 2 };

static int setup(void **state) {
    char text[LB_TEST_PATH];
    (void)state;
    if (lb_blas_init(1) != LB_OK) return -1;
    small_home = lb_test_tmpdir();
    join_path(text, small_home, "text.txt");
    letter_text(text, 3, 1200);
    return 0;
}

static void put_model(const char *family, const char *variant, const char *name) {
    char fixture[64];
    assert_true(snprintf(fixture, sizeof fixture, "families/%s/%s", family, variant) < (int)sizeof fixture);
    folder f = folder_take(fixture);
    join_path(f.dir, small_home, name);
    assert_ok(lb_fs_mkdirs(f.dir));
    folder_write_as(&f, LB_BF16); /* converted when it is loaded, or when its turn comes */
    letter_tokenizer(f.dir);
    folder_drop(&f);
}

/* Interrupts gptq behind its first block's last layer but one. */
typedef struct watch {
    int64_t at; /* layers; 0: never */
    bool hit;
} watch;
static void progress(void *user, const lb_progress *p) {
    watch *w = user;
    if (!w->at || w->hit || strcmp(p->stage, "gptq") != 0 || p->done < w->at) return;
    w->hit = true;
    lb_interrupt_request();
}

static lb_status sweep(const char *family, const char *name, const char *weights, const char *rules, watch *w,
                       lb_sweep_result *out) {
    small_plan s;
    lb_log log = {.progress = progress, .user = w};
    char yaml[1024];
    assert_true(snprintf(yaml, sizeof yaml, "weights: %s\n%s" CONFIG, weights, rules) < (int)sizeof yaml);
    char *path = lb_fs_join(small_home, family);
    small_plan_open(&s, path, name, yaml);
    lb_free(path);
    lb_status st = lb_sweep_run(&(lb_plans){&s.plan, 1}, &(lb_sweep_options){0}, &log, out);
    lb_interrupt_clear();
    small_plan_close(&s);
    return st;
}

static lb_results *read_results(const char *name) {
    char path[LB_TEST_PATH];
    lb_results *r;
    join_path(path, small_home, name);
    assert_ok(lb_store_read_results(path, &r));
    return r;
}

/* The first so many cells. */
static void same(const char *family, const char *what, const char *name, const char *other, int64_t cells) {
    lb_results *r = read_results(name), *o = read_results(other);
    assert_int_equal(r->n, o->n);
    for (int64_t i = 0; i < cells; i++) {
        char a[2 * LB_TEST_PATH], b[2 * LB_TEST_PATH];
        if (strcmp(r->record[i].stem, o->record[i].stem) != 0)
            fail_msg("%s %s: %s, not %s", family, what, o->record[i].stem, r->record[i].stem);
        snprintf(a, sizeof a, "%s/%s/%s.h5", small_home, name, r->record[i].stem);
        snprintf(b, sizeof b, "%s/%s/%s.h5", small_home, other, r->record[i].stem);
        assert_true(h5_same(a, b, "/host") > 20);
    }
    lb_results_free(o);
    lb_results_free(r);
}

static void check_cells(const char *family, const lb_results *r, int64_t *layers) {
    assert_int_equal(r->n, CELLS);
    for (int64_t i = 0; i < r->n; i++)
        if (r->record[i].state != LB_CELL_DONE)
            fail_msg("%s: %s: %s", family, r->record[i].label, r->record[i].message);
    const lb_record *gptq = &r->record[GPTQ];
    lb_model_error e = lb_model_error_of(gptq, false);
    if (!(e.output_vs_rtn < 1)) fail_msg("%s: gptq's error is %g times that of rounding", family, e.output_vs_rtn);
    *layers = 0;
    for (int64_t i = 0; i < gptq->layers; i++)
        *layers += gptq->layer[i].quantized && gptq->layer[i].block == 0 && !lb_layer_is_shared(&gptq->layer[i]);
}

static void run_family(const char *family) {
    char resident[64], streamed[64], resumed[64];
    lb_sweep_result done;
    watch never = {0};
    int64_t layers;
    snprintf(resident, sizeof resident, "resident/%s", family);
    snprintf(streamed, sizeof streamed, "streamed/%s", family);
    snprintf(resumed, sizeof resumed, "resumed/%s", family);
    put_model(family, "a", family);
    lb_status st = sweep(family, resident, "resident", "", &never, &done);
    if (st != LB_OK) fail_msg("%s: %s", family, lb_error());
    lb_results *r = read_results(resident);
    check_cells(family, r, &layers);
    lb_results_free(r);
    assert_ok(sweep(family, streamed, "stream", "", &never, &done));
    same(family, "streamed", resident, streamed, CELLS - 1); /* a training has all weights in memory */
    watch once = {.at = layers + 1};                         /* in the second block */
    assert_status(LB_E_INTERRUPTED, sweep(family, resumed, "resident", "", &once, &done));
    assert_true(once.hit);
    assert_ok(sweep(family, resumed, "resident", "", &never, &done));
    assert_int_equal(done.kept, GPTQ);
    same(family, "resumed", resident, resumed, CELLS);
}

static void every_family(void **state) {
    (void)state;
    for (int i = 0; lb_family_table[i]; i++) run_family(lb_family_table[i]->name);
}

/* Layers between embedding, blocks and head, as the 350M's: left as they are, and where a rule asks for them quantized
 * on what they read, whether weights stay in memory or not. */
static void layers_between(void **state) {
    (void)state;
    static const char name[] = "narrow", asked[] = "rules:\n  - {match: \"project_*\", skip: false, bits: 4}\n";
    lb_sweep_result done;
    watch never = {0};
    put_model("opt", "b", name);
    assert_ok(sweep(name, "plain/narrow", "resident", "", &never, &done));
    assert_ok(sweep(name, "plain-streamed/narrow", "stream", "", &never, &done));
    assert_ok(sweep(name, "asked/narrow", "resident", asked, &never, &done));
    assert_ok(sweep(name, "asked-streamed/narrow", "stream", asked, &never, &done));
    same(name, "streamed", "plain/narrow", "plain-streamed/narrow", CELLS - 1);
    same(name, "streamed with rules", "asked/narrow", "asked-streamed/narrow", CELLS - 1);
    lb_results *plain = read_results("plain/narrow"), *r = read_results("asked/narrow");
    for (int64_t i = 1; i < CELLS; i++) {
        const lb_record *c = &r->record[i];
        const lb_layer_row *in = &c->layer[c->layers - 2], *out = in + 1;
        assert_int_equal(c->state, LB_CELL_DONE);
        assert_int_equal(c->layers, plain->record[i].layers + 2);
        assert_string_equal(in->name, "project_in");
        assert_string_equal(out->name, "project_out");
        assert_true(in->quantized && out->quantized && in->block == -1 && in->bits == 4);
        assert_true(in->original.output_err > 0 && out->original.output_err > 0);
        assert_true(c->eval[0].eval.ppl != plain->record[i].eval[0].eval.ppl);
    }
    const lb_record *gptq = &r->record[GPTQ];
    for (int64_t i = gptq->layers - 2; i < gptq->layers; i++)
        assert_true(gptq->layer[i].own.output_err < gptq->layer[i].rtn_own.output_err);
    lb_results_free(r);
    lb_results_free(plain);
}

static void asked_in_vain(void **state) {
    (void)state;
    static const struct {
        const char *rules, *error;
    } refused[] = {
        {"rules: [{match: project_in, bits: 4}]\n", "match 'project_in' has no effect: layer project_in is outside the "
                                                    "blocks, and stays as it is unless a rule says skip: false"},
        {"rules: [{match: project, bits: 4}]\n", "to 1.down, project_in, project_out, embed, head"},
        {"rules: [{match: project_in, same_as: 0.o}]\n", "unless a rule says skip: false"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        small_plan s;
        char path[LB_TEST_PATH], yaml[1024];
        put_model("opt", "b", "narrow");
        join_path(path, small_home, "narrow");
        snprintf(yaml, sizeof yaml, "%s" CONFIG, refused[i].rules);
        lb_status st = small_plan_try(&s, path, "vain", yaml);
        assert_status(LB_E_CONFIG, st);
        assert_error_has(refused[i].error);
        small_plan_close(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_family), cmocka_unit_test(layers_between),
                                       cmocka_unit_test(asked_in_vain)};
    return cmocka_run_group_tests_name("every family", tests, setup, NULL);
}
