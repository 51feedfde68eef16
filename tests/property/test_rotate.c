/* Every family's random models, turned: either they compute what transformers recorded of them, with no weight that is
 * what it was, or the step that forbids it is named. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "eval/outputs.h"
#include "math/blas.h"
#include "model/family.h"
#include "model/rotate.h"
#include "model/weights.h"
#include "support/families.h"
#include "support/support.h"

static int setup(void **state) {
    (void)state;
    return lb_blas_init(2) == LB_OK ? 0 : -1;
}

/* What the message of a family that cannot be turned holds; of the others nothing stands here. */
static const char *const refused[][2] = {
    {"bloom", "layer norm"},    {"cohere", "layer norm"}, {"falcon", "layer norm"},   {"gemma2", "added to the"},
    {"gemma3", "added to the"}, {"gpt2", "layer norm"},   {"gpt_neox", "layer norm"}, {"olmo", "layer norm"},
    {"olmo2", "added to the"},  {"opt", "layer norm"},    {"phi", "layer norm"},      {"starcoder2", "layer norm"},
};

static const char *refusal(const char *family) {
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (strcmp(refused[i][0], family) == 0) return refused[i][1];
    return NULL;
}

static int64_t kept(lb_cmat a, lb_cmat b) {
    int64_t same = 0;
    for (int64_t i = 0; i < a.rows; i++)
        for (int64_t j = 0; j < a.cols; j++) same += a.d[i * a.ld + j] == b.d[i * b.ld + j];
    return same;
}

/* Layers of the blocks read or write the stream, all of them: no number stays. */
static void nothing_is_kept(const char *what, const lb_net *n, const lb_weights *was, const lb_weights *now) {
    for (int32_t i = 0; i < n->sites; i++) {
        int64_t same = kept(was->site[i].W, now->site[i].W), all = n->site[i].rows * n->site[i].cols;
        if (same * 50 > all)
            fail_msg("%s: %lld of %lld weights of %s are what they were", what, (long long)same, (long long)all,
                     n->site[i].name);
    }
}

static void same_numbers(const char *what, const lb_net *n, const lb_weights *a, const lb_weights *b, bool same) {
    bool equal = true;
    for (int32_t i = 0; i < n->sites; i++)
        equal &= kept(a->site[i].W, b->site[i].W) == n->site[i].rows * n->site[i].cols;
    if (equal != same) fail_msg("%s: the numbers are %s", what, equal ? "the same" : "others");
}

/* Turned, written and read again, it gives the logits of transformers. */
static void as_recorded(const families_record *r, const lb_model *m, const lb_weights *turned, const char *model) {
    char dir[LB_TEST_PATH];
    lb_model *read;
    snprintf(dir, sizeof dir, "%.256s/%s-%s", lb_test_tmpdir(), r->family, model);
    assert_ok(lb_model_export(m, turned, LB_F32, dir, NULL));
    assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &read));
    families_want want = families_logits(r, model);
    double off = families_off(read, &want, true);
    if (!(off < 1e-4)) fail_msg("%s %s: logits are %.2g of their spread apart", r->family, model, off);
    lb_model_close(read);
}

static void turn_model(const families_record *r, const char *model) {
    char path[LB_TEST_PATH];
    lb_model *m;
    lb_arena *a;
    lb_team *one, *two;
    lb_weights turned, again, other;
    const char *why = refusal(r->family);
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_team_new(1, &one));
    assert_ok(lb_team_new(2, &two));
    families_path(r, model, "", path);
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
    lb_status st = lb_rotate(a, m->net, &m->weights, 7, 0, one, &turned);
    if (why || lb_net_shared(m->net) > 0) {
        if (st != LB_E_UNSUPPORTED || !strstr(lb_error(), why ? why : "shares the weights"))
            fail_msg("%s %s: %s", r->family, model, st == LB_OK ? "turned" : lb_error());
    } else {
        if (st != LB_OK) fail_msg("%s %s: %s", r->family, model, lb_error());
        nothing_is_kept(r->family, m->net, &m->weights, &turned);
        assert_ok(lb_rotate(a, m->net, &m->weights, 7, 0, two, &again));
        same_numbers("the same seed, two threads", m->net, &turned, &again, true);
        assert_ok(lb_rotate(a, m->net, &m->weights, 8, 0, two, &other));
        same_numbers("another seed", m->net, &turned, &other, false);
        as_recorded(r, m, &turned, model);
    }
    lb_model_close(m);
    lb_team_free(two);
    lb_team_free(one);
    lb_arena_free(a);
}

/* Blocks of `block` channels keep the length of each row of the embedding within each block, and change its numbers. */
static void mixed_within(const char *what, const lb_net *n, const lb_weights *was, const lb_weights *now,
                         int64_t block) {
    int32_t site = n->embed;
    lb_cmat a = was->site[site].W, b = now->site[site].W;
    for (int64_t i = 0; i < a.rows; i++)
        for (int64_t at = 0; at < a.cols; at += block) {
            double x = 0, y = 0;
            for (int64_t j = at; j < at + block && j < a.cols; j++) {
                x += (double)a.d[i * a.ld + j] * (double)a.d[i * a.ld + j];
                y += (double)b.d[i * b.ld + j] * (double)b.d[i * b.ld + j];
            }
            if (!(fabs(x - y) <= 1e-5 * x + 1e-12))
                fail_msg("%s: row %lld, channels from %lld: squares sum up to %g, were %g", what, (long long)i,
                         (long long)at, y, x);
        }
}

static void blocks(void **state) {
    (void)state;
    static const char *const family[] = {"llama", "qwen3", "mixtral"};
    for (size_t i = 0; i < sizeof family / sizeof family[0]; i++) {
        const lb_family *f;
        assert_ok(lb_family_find(family[i], &f));
        families_record r = families_open(f);
        char path[LB_TEST_PATH];
        lb_model *m;
        lb_arena *a;
        lb_weights all, same, some;
        assert_ok(lb_arena_new(0, &a));
        families_path(&r, "a", "", path);
        assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
        int64_t dim = m->net->dim;
        assert_ok(lb_rotate(a, m->net, &m->weights, 7, 0, NULL, &all));
        assert_ok(lb_rotate(a, m->net, &m->weights, 7, dim, NULL, &same));
        same_numbers("one block of all channels", m->net, &all, &same, true);
        assert_status(LB_E_ARG, lb_rotate(a, m->net, &m->weights, 7, dim + 1, NULL, &same));
        for (int64_t block = 2; block < 8; block += 3) { /* the second does not divide the width */
            assert_ok(lb_rotate(a, m->net, &m->weights, 7, block, NULL, &some));
            mixed_within(family[i], m->net, &m->weights, &some, block);
            nothing_is_kept(family[i], m->net, &m->weights, &some);
            as_recorded(&r, m, &some, "a");
        }
        lb_model_close(m);
        lb_arena_free(a);
        families_close(&r);
    }
}

static void every_family(void **state) {
    (void)state;
    for (int i = 0; lb_family_table[i]; i++) {
        families_record r = families_open(lb_family_table[i]);
        const json_t *x;
        size_t k;
        json_array_foreach(json_object_get(r.lists, "models"), k, x) turn_model(&r, families_text(x, "model"));
        families_close(&r);
    }
}

/* Two models apart are told, by how much, in standard deviations of a token's logits. */
static void outputs_tell(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_model *m;
    lb_arena *a;
    lb_weights other;
    double apart;
    lb_test_fixture("data/builtin/model", path);
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
    assert_ok(lb_outputs_logits(m->net, &m->weights, &m->weights, 1, NULL, &apart));
    assert_true(apart == 0);
    assert_ok(lb_weights_clone(a, m->net, &m->weights, &other));
    int32_t o = lb_net_find(m->net, "0.o"), q = lb_net_find(m->net, "0.q");
    lb_cmat was = m->weights.site[o].W;
    float *twice = LB_NEW(a, float, was.rows *was.cols);
    assert_non_null(twice);
    for (int64_t i = 0; i < was.rows * was.cols; i++) twice[i] = was.d[i / was.cols * was.ld + i % was.cols] * 2.0f;
    other.site[o].W = lb_cmat_of(twice, was.rows, was.cols);
    assert_ok(lb_outputs_logits(m->net, &m->weights, &other, 1, NULL, &apart));
    assert_true(apart > 0.01 && apart < 10);
    twice[3] = NAN;
    other.site[q].W = lb_cmat_of(twice, m->net->site[q].rows, m->net->site[q].cols);
    assert_status(LB_E_NUMERIC, lb_outputs_logits(m->net, &m->weights, &other, 1, NULL, &apart));
    lb_model_close(m);
    lb_arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_family), cmocka_unit_test(blocks),
                                       cmocka_unit_test(outputs_tell)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
