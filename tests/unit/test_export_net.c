/* A folder that would be read as another model than the one that is written is refused with the step that differs. */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "math/blas.h"
#include "model/model.h"
#include "support/families.h"

/* A GGUF model of the family, one of whose numbers is then another one: as if the header could say so. */
static void refused(const char *family, const char *file, int32_t step, int arg, double value, const char *says) {
    char path[LB_TEST_PATH], dir[LB_TEST_PATH + 16], name[64];
    lb_model *m;
    snprintf(name, sizeof name, "%s/%s.gguf", family, file);
    families_fixture(name, path);
    snprintf(dir, sizeof dir, "%s/out", lb_test_tmpdir());
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
    lb_net_step *s = (lb_net_step *)(uintptr_t)&m->net->block[1].step[step];
    double was = s->arg[arg];
    s->arg[arg] = value;
    assert_status(LB_E_UNSUPPORTED, lb_model_export(m, &m->weights, LB_F32, dir, NULL));
    if (!strstr(lb_error(), says) || !strstr(lb_error(), "block 1")) fail_msg("%s", lb_error());
    assert_false(lb_fs_exists(dir));
    s->arg[arg] = was;
    assert_ok(lb_model_export(m, &m->weights, LB_F32, dir, NULL));
    lb_model_close(m);
}

static int32_t step_of(const char *family, const char *op) {
    const lb_family *f = lb_family_named(family);
    char path[LB_TEST_PATH], name[64];
    lb_model *m;
    snprintf(name, sizeof name, "%s/a.gguf", f->name);
    families_fixture(name, path);
    assert_ok(lb_model_open(path, LB_HEADER, NULL, &m));
    int32_t i = 0;
    while (strcmp(m->net->block[1].step[i].op->name, op) != 0) i++;
    lb_model_close(m);
    return i;
}

static void other_models_are_refused(void **state) {
    (void)state;
    refused("gpt2", "a", step_of("gpt2", "attend"), 0, 0.25, "scale = 0.25");
    refused("gpt2", "a", step_of("gpt2", "norm"), 1, 0.5, "eps = 0.5");
    refused("qwen2", "a", step_of("qwen2", "attend"), 1, 5, "window = 5");
    refused("gemma2", "a", step_of("gemma2", "attend"), 2, 7, "cap = 7");
    refused("mixtral", "a", step_of("mixtral", "experts"), 1, 0, "renorm = 0");
}

/* The table of positions too. */
static void other_positions_are_refused(void **state) {
    (void)state;
    char path[LB_TEST_PATH], dir[LB_TEST_PATH + 16];
    lb_model *m;
    families_fixture("qwen2/a.gguf", path);
    snprintf(dir, sizeof dir, "%s/out", lb_test_tmpdir());
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
    lb_rope_spec *r = (lb_rope_spec *)(uintptr_t)&m->net->rope[0];
    r->base *= 2;
    assert_status(LB_E_UNSUPPORTED, lb_model_export(m, &m->weights, LB_F32, dir, NULL));
    assert_non_null(strstr(lb_error(), "rope base"));
    r->base /= 2;
    r->low += 1; /* which this kind of table, yarn, has nothing to do with */
    assert_ok(lb_model_export(m, &m->weights, LB_F32, dir, NULL));
    lb_model_close(m);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(other_models_are_refused),
                                       cmocka_unit_test(other_positions_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
