/* Model families against transformers (tests/oracle/make_families.py): folders as it saves them are read by their
 * family's keys and tensors and run by the reference and by the executor. Tolerance as in test_programs.c: 2e-5 of the
 * logits' spread. */
#include "support/support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/blas.h"
#include "model/model.h"
#include "model/rotary.h"
#include "model/weights.h"
#include "support/families.h"
#include "support/llama.h"

static const double tolerance = 2e-5;

static void check_logits(const lb_model *m, const char *family, const char *name, families_want w) {
    double off = families_off(m, &w, true);
    if (!(off < tolerance)) fail_msg("%s %s: logits are off by %g of their spread", family, name, off);
}

static void folders_give_transformers_logits(void **state) {
    (void)state;
    for (int k = 0; lb_family_table[k]; k++) {
        families_record r = families_open(lb_family_table[k]);
        const json_t *x, *models = json_object_get(r.lists, "models");
        size_t i;
        assert_true(json_array_size(models) >= 2);
        json_array_foreach(models, i, x) {
            const char *name = families_text(x, "model");
            char dir[LB_TEST_PATH];
            lb_model *m;
            families_path(&r, name, "", dir);
            assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &m));
            assert_string_equal(m->family->name, r.family);
            check_logits(m, r.family, name, families_logits(&r, name));
            lb_model_close(m);
        }
        families_close(&r);
    }
}

/* A module's leavings, or a family that was taken out of the table. */
static void every_folder_is_a_family(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    lb_test_fixture("tests/oracle/fixtures/families", dir);
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        bool found = e->d_name[0] == '.';
        for (int k = 0; lb_family_table[k]; k++) found |= strcmp(lb_family_table[k]->name, e->d_name) == 0;
        if (!found) fail_msg("tests/oracle/fixtures/families/%s: there is no such family", e->d_name);
    }
    closedir(d);
}

static void gguf_files_give_the_same_logits(void **state) {
    (void)state;
    for (int k = 0; lb_family_table[k]; k++) {
        families_record r = families_open(lb_family_table[k]);
        const json_t *x, *files = json_object_get(r.lists, "gguf");
        size_t i;
        if (lb_family_table[k]->gguf_arch && !json_array_size(files))
            fail_msg("family %s has no GGUF file: add GGUF to tests/oracle/families/%s.py", r.family, r.family);
        json_array_foreach(files, i, x) {
            const json_t *flip = json_object_get(x, "flip");
            const char *name = families_text(x, "model");
            char path[LB_TEST_PATH];
            lb_model *m;
            families_path(&r, name, ".gguf", path);
            assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
            assert_string_equal(m->family->name, r.family);
            const json_t *change = json_array_get(json_object_get(r.lists, "flips"), (size_t)json_integer_value(flip));
            check_logits(m, r.family, path, flip ? families_changed_logits(&r, change) : families_logits(&r, name));
            lb_model_close(m);
        }
        families_close(&r);
    }
}

/* Written as a folder and read again: the same names, the same bytes. */
static void comes_back(const char *dir) {
    char to[LB_TEST_PATH];
    lb_model *m, *again;
    assert_ok(lb_model_open(dir, LB_STREAM, NULL, &m));
    snprintf(to, sizeof to, "%s/out", lb_test_tmpdir());
    assert_ok(lb_model_export(m, &m->weights, LB_F32, to, NULL));
    assert_ok(lb_model_open(to, LB_WEIGHTS, NULL, &again));
    lb_model_close(m);
    assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &m));
    assert_int_equal(m->n_tensors, again->n_tensors);
    for (int32_t k = 0; k < m->net->slots; k++) {
        int64_t rows, cols;
        lb_slot_shape(m->net, k, &rows, &cols);
        assert_string_equal(m->tensor[k].source_name, again->tensor[k].source_name);
        assert_memory_equal(lb_slot_get(m->net, &m->weights, k), lb_slot_get(again->net, &again->weights, k),
                            (size_t)(rows * cols) * sizeof(float));
    }
    lb_model_close(again);
    lb_model_close(m);
}

static void folders_come_back(void **state) {
    (void)state;
    for (int k = 0; lb_family_table[k]; k++) {
        families_record r = families_open(lb_family_table[k]);
        const json_t *x;
        size_t i;
        json_array_foreach(json_object_get(r.lists, "models"), i, x) {
            char dir[LB_TEST_PATH];
            families_path(&r, families_text(x, "model"), "", dir);
            comes_back(dir);
        }
        families_close(&r);
    }
}

/* A Llama's GGUF file written as a folder: rows of q and k and their biases in the order that they have there,
 * positions as they are told there. */
static void a_llamas_gguf_file_becomes_its_folder(void **state) {
    (void)state;
    static const char *const model[] = {"a", "b"};
    families_record r = families_open(lb_family_named("llama"));
    for (int i = 0; i < 2; i++) {
        char path[LB_TEST_PATH], to[LB_TEST_PATH];
        lb_model *file, *written, *folder;
        families_path(&r, model[i], ".gguf", path);
        assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &file));
        snprintf(to, sizeof to, "%s/out", lb_test_tmpdir());
        assert_ok(lb_model_export(file, &file->weights, LB_F32, to, NULL));
        assert_ok(lb_model_open(to, LB_WEIGHTS, NULL, &written));
        families_path(&r, model[i], "", path);
        assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &folder));
        for (int32_t k = 0; k < folder->net->slots; k++) {
            int64_t rows, cols;
            lb_slot_shape(folder->net, k, &rows, &cols);
            assert_string_equal(written->tensor[k].source_name, folder->tensor[k].source_name);
            assert_memory_equal(lb_slot_get(written->net, &written->weights, k),
                                lb_slot_get(folder->net, &folder->weights, k), (size_t)(rows * cols) * sizeof(float));
        }
        assert_int_equal(written->net->ropes, folder->net->ropes);
        for (int64_t p = 0; p < folder->net->rope[0].dims / 2; p++) {
            double there = lb_rotary_frequency(&folder->net->rope[0], FAMILIES_TOKENS, p);
            assert_true(fabs(lb_rotary_frequency(&written->net->rope[0], FAMILIES_TOKENS, p) - there) <= 1e-6 * there);
        }
        lb_model_close(folder);
        lb_model_close(written);
        lb_model_close(file);
    }
    families_close(&r);
}

static lb_status open_path(void *ctx) {
    lb_model *m;
    LB_TRY(lb_model_open(ctx, LB_WEIGHTS, NULL, &m));
    lb_model_close(m);
    return LB_OK;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const char *const name[] = {"mixtral/a", "gpt2/a", "phi3/a", "mixtral/a.gguf"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        char path[LB_TEST_PATH];
        families_fixture(name[i], path);
        assert_true(llama_fail_each_allocation(open_path, path) > 8);
    }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_give_transformers_logits),      cmocka_unit_test(every_folder_is_a_family),
        cmocka_unit_test(gguf_files_give_the_same_logits),       cmocka_unit_test(folders_come_back),
        cmocka_unit_test(a_llamas_gguf_file_becomes_its_folder), cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
