/* A GGUF file written as a folder is the same model: its config.json, made from the header's numbers, is read by its
 * family's keys, rows and norms come back in Hugging Face's order, and the logits are those of the file, which
 * tests/oracle/test_families.c holds against transformers'. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "math/blas.h"
#include "model/forward.h"
#include "model/model.h"
#include "support/families.h"

enum { T = 29 };

/* Logits of a sequence (T, vocab), from the arena. */
static lb_mat logits(lb_arena *a, const lb_model *m) {
    const lb_net *n = m->net;
    int64_t cols = n->site[n->head].cols;
    int32_t token[T];
    lb_exec *e;
    lb_head head = lb_head_of(n, &m->weights);
    lb_mat x = lb_mat_of(LB_NEW(a, float, T * n->dim), T, n->dim);
    lb_mat h = lb_mat_of(LB_NEW(a, float, T *cols), T, cols);
    lb_mat y = lb_mat_of(LB_NEW(a, float, T * n->vocab), T, n->vocab);
    for (int32_t t = 0; t < T; t++) token[t] = (7 * t * t + 3 * t + 11) % (int32_t)n->vocab;
    assert_ok(lb_exec_new(a, n, T, NULL, &e));
    assert_ok(lb_exec_embed(e, &m->weights, token, T, x));
    for (int64_t b = 0; b < n->blocks; b++) assert_ok(lb_exec_block(e, &m->weights, b, x, NULL));
    assert_ok(lb_exec_final(e, &m->weights, x, h));
    lb_head_logits(&head, lb_mat_c(h), y);
    return y;
}

static void same_logits(const char *name, lb_mat x, lb_mat y) {
    double worst = 0.0, sum = 0.0, sq = 0.0, n = (double)(x.rows * x.cols);
    for (int64_t i = 0; i < x.rows * x.cols; i++) {
        worst = fmax(worst, fabs((double)x.d[i] - (double)y.d[i]));
        sum += (double)x.d[i];
        sq += (double)x.d[i] * (double)x.d[i];
        assert_true(isfinite(x.d[i]) && isfinite(y.d[i]));
    }
    double spread = sqrt(sq / n - sum / n * (sum / n));
    assert_true(spread > 0.1);
    if (!(worst < 1e-5 * spread))
        fail_msg("%s: logits of the folder are off by %g of their spread", name, worst / spread);
}

static void one_file(const char *path) {
    char dir[LB_TEST_PATH + 16];
    lb_model *m, *again;
    lb_log log = {0};
    lb_arena *a;
    snprintf(dir, sizeof dir, "%s/out", lb_test_tmpdir());
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
    if (lb_model_export(m, &m->weights, LB_F32, dir, &log) != LB_OK) fail_msg("%s: %s", path, lb_error());
    if (lb_model_open(dir, LB_WEIGHTS, NULL, &again) != LB_OK) fail_msg("%s: %s", path, lb_error());
    assert_ptr_equal(m->family, again->family);
    same_logits(path, logits(a, m), logits(a, again));
    lb_model_close(m);
    lb_model_close(again);
    lb_arena_free(a);
}

static void gguf_files_become_folders(void **state) {
    (void)state;
    int files = 0;
    for (int i = 0; lb_family_table[i]; i++) {
        families_record r = families_open(lb_family_table[i]);
        const json_t *x;
        size_t k;
        json_array_foreach(json_object_get(r.lists, "gguf"), k, x) {
            char path[LB_TEST_PATH];
            families_path(&r, families_text(x, "model"), ".gguf", path);
            one_file(path);
            files++;
        }
        families_close(&r);
    }
    assert_true(files >= 7);
}

/* Of numbers that no given config.json tells, those that transformers' class will not have as integers. */
static void a_cap_is_written_with_a_point(void **state) {
    (void)state;
    families_record r = families_open(lb_family_named("gemma3"));
    char path[LB_TEST_PATH], dir[LB_TEST_PATH + 16], config[LB_TEST_PATH + 32], *text;
    lb_model *m;
    families_path(&r, "c", ".gguf", path);
    snprintf(dir, sizeof dir, "%s/out", lb_test_tmpdir());
    snprintf(config, sizeof config, "%s/config.json", dir);
    assert_ok(lb_model_open(path, LB_STREAM, NULL, &m));
    assert_ok(lb_model_export(m, &m->weights, LB_F32, dir, NULL));
    assert_ok(lb_fs_read(config, &text, NULL));
    assert_non_null(strstr(text, "\"final_logit_softcapping\": 2.0,"));
    lb_free(text);
    lb_model_close(m);
    families_close(&r);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(gguf_files_become_folders),
                                       cmocka_unit_test(a_cap_is_written_with_a_point)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
