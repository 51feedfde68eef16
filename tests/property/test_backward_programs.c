/* Gradients of programs: against finite differences, in batches, at any number of threads, of shared and of unwanted
 * weights, with a teacher and with quantized inputs; and refusals. PyTorch's are in tests/oracle. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "math/blas.h"
#include "model/backward.h"
#include "quant/transform.h"
#include "support/programs.h"

enum { BATCH = 4 };

typedef struct setup {
    const lb_test_program *c;
    lb_net *n;
    lb_weights w;
    lb_backward *b;
    int32_t *tokens; /* (batch, T): the case's, and rolled ones */
    int64_t batch;
} setup;

static setup open_setup(const lb_test_program *c, int64_t batch) {
    setup s = {.c = c, .n = lb_test_program_net(c), .batch = batch};
    s.w = lb_test_program_weights(c, s.n);
    s.tokens = LB_NEW(c->arena, int32_t, batch * c->T);
    assert_non_null(s.tokens);
    for (int64_t i = 0; i < batch * c->T; i++)
        s.tokens[i] = (c->token[i % c->T] * (int32_t)(1 + i / c->T) + (int32_t)(i / c->T)) % 61;
    if (lb_backward_new(c->arena, s.n, batch, c->T, &s.b) != LB_OK) fail_msg("%s: %s", c->name, lb_error());
    return s;
}

static int64_t count_of(const lb_net *n, int32_t i) {
    return i < n->sites ? n->site[i].rows * n->site[i].cols : n->vector[i - n->sites].n;
}
static float *gradient(const setup *s, const lb_grads *g, int32_t i) {
    return i < s->n->sites ? g->site[i].d : g->vector[i - s->n->sites];
}
static const char *name_of(const lb_net *n, int32_t i) {
    return i < n->sites ? n->site[i].name : n->vector[i - n->sites].name;
}
static float *numbers(const setup *s, int32_t i) {
    return (float *)(uintptr_t)(i < s->n->sites ? s->w.site[i].W.d : s->w.vector[i - s->n->sites]);
}
static bool own(const lb_net *n, int32_t i) { return i >= n->sites || n->site[i].same_as < 0; }

/* Loss, and every gradient, which is written over NaN. */
static double all(const setup *s, const lb_weights *teacher, double kl_weight, lb_team *team, lb_grads *g) {
    double loss;
    if (g) *g = lb_test_program_grads(s->c, s->n);
    if (lb_loss_gradients(s->b, &s->w, teacher, kl_weight, s->tokens, team, g, &loss, NULL, NULL) != LB_OK)
        fail_msg("%s: %s", s->c->name, lb_error());
    return loss;
}

static double distance(const float *x, const float *y, double times, int64_t n, double *norm) {
    double off = 0.0, square = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)x[i] - times * (double)y[i];
        off += d * d;
        square += (double)x[i] * (double)x[i];
    }
    *norm = sqrt(square);
    return sqrt(off);
}

/* ---- the same bytes at any number of threads; a batch is the mean of its sequences ---- */

static void check_threads(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    setup s = open_setup(c, BATCH);
    lb_grads one, other;
    double loss = all(&s, NULL, 0, NULL, &one);
    for (int threads = 2; threads <= 3; threads++) {
        lb_team *team;
        assert_ok(lb_team_new(threads, &team));
        assert_true(all(&s, NULL, 0, team, &other) == loss);
        for (int32_t i = 0; i < s.n->sites + s.n->vectors; i++)
            if (own(s.n, i) &&
                memcmp(gradient(&s, &one, i), gradient(&s, &other, i), (size_t)count_of(s.n, i) * sizeof(float)) != 0)
                fail_msg("%s: %s: other bytes with %d threads", c->name, name_of(s.n, i), threads);
        lb_team_free(team);
    }
}

static void threads(void **state) {
    (void)state;
    lb_test_programs(check_threads);
}

static void check_batch(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    setup s = open_setup(c, BATCH), each = open_setup(c, 1);
    lb_grads whole, one, sum = {0};
    double loss = all(&s, NULL, 0, NULL, &whole), mean = 0.0, norm;
    for (int64_t k = 0; k < BATCH; k++) {
        each.tokens = s.tokens + k * c->T;
        mean += all(&each, NULL, 0, NULL, &one) / BATCH;
        if (k == 0) sum = one;
        for (int32_t i = 0; k > 0 && i < s.n->sites + s.n->vectors; i++)
            for (int64_t j = 0; j < count_of(s.n, i); j++) gradient(&s, &sum, i)[j] += gradient(&s, &one, i)[j];
    }
    assert_true(fabs(loss - mean) < 1e-6 * mean);
    for (int32_t i = 0; i < s.n->sites + s.n->vectors; i++) {
        if (!own(s.n, i)) continue;
        double off = distance(gradient(&s, &whole, i), gradient(&s, &sum, i), 1.0 / BATCH, count_of(s.n, i), &norm);
        if (!(off <= 2e-5 * norm + 2e-7)) fail_msg("%s: %s: off by %g of %g", c->name, name_of(s.n, i), off, norm);
    }
}

static void batches(void **state) {
    (void)state;
    lb_test_programs(check_batch);
}

/* ---- finite differences ---- */

/* Along a random direction d of unit entries, g d has standard deviation |g|. What the central difference leaves is
 * below a hundredth of |g| for these steps, and the loss' noise, 1e-7, is divided by the step times |g|. */
static void check_direction(const setup *s, const lb_weights *teacher, double kl_weight, const lb_grads *g, int32_t i) {
    int64_t n = count_of(s->n, i);
    float *w = numbers(s, i), *keep = LB_NEW(s->c->arena, float, n), *d = LB_NEW(s->c->arena, float, n);
    double along = 0.0, norm = 0.0, side[2];
    assert_non_null(keep);
    assert_non_null(d);
    memcpy(keep, w, (size_t)n * sizeof *w);
    lb_rng r = lb_rng_make(77, (uint64_t)i);
    for (int64_t k = 0; k < n; k++) {
        d[k] = (float)lb_rng_normal(&r);
        along += (double)gradient(s, g, i)[k] * (double)d[k];
        norm += (double)gradient(s, g, i)[k] * (double)gradient(s, g, i)[k];
    }
    norm = sqrt(norm);
    if (norm < 1e-2) return; /* within the noise: an expert that nobody is sent to, a bias of keys */
    static const double length[] = {3e-4, 8e-5, 2e-5};
    double measured = 0.0;
    for (int i_step = 0; i_step < 3;
         i_step++) { /* a shorter step, where one passed a place where relu or a clamp turns */
        double step = fmin(length[i_step] / norm, 2e-3);
        for (int k = 0; k < 2; k++) {
            for (int64_t j = 0; j < n; j++) w[j] = keep[j] + (float)(k ? step : -step) * d[j];
            side[k] = all(s, teacher, kl_weight, NULL, NULL);
        }
        memcpy(w, keep, (size_t)n * sizeof *w);
        measured = (side[1] - side[0]) / (2 * step);
        if (fabs(measured - along) < 0.05 * norm) break;
    }
    if (!(fabs(measured - along) < 0.05 * norm))
        fail_msg("%s: %s: along a random direction %g by differences, %g by the gradient; norm %g", s->c->name,
                 name_of(s->n, i), measured, along, norm);
}

/* Between them every operation, with each of its arguments. */
static const char *const small[] = {"llama biases, tied", "gemma2",         "qwen2_moe", "mixtral", "bloom 5 heads",
                                    "falcon rw-1b",       "olmo",           "opt 350m",  "phi",     "cohere head norms",
                                    "phi3 longrope 40",   "gpt_neox serial"};
static int checked;

static void check_differences(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    bool chosen = false;
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) chosen |= strcmp(small[i], c->name) == 0;
    if (!chosen) return;
    checked++;
    setup s = open_setup(c, 2);
    lb_grads g;
    (void)all(&s, NULL, 0, NULL, &g);
    for (int32_t i = 0; i < s.n->sites + s.n->vectors; i++)
        if (own(s.n, i)) check_direction(&s, NULL, 0, &g, i);
}

static void differences(void **state) {
    (void)state;
    checked = 0;
    lb_test_programs(check_differences);
    assert_int_equal(checked, sizeof small / sizeof small[0]);
}

/* ---- a teacher ---- */

static lb_weights scaled(const setup *s, float times) {
    lb_weights w = {LB_NEW(s->c->arena, lb_linop, s->n->sites), LB_NEW(s->c->arena, const float *, s->n->vectors + 1)};
    assert_non_null(w.site);
    assert_non_null(w.vector);
    for (int32_t i = 0; i < s->n->sites + s->n->vectors; i++) {
        float *d = LB_NEW(s->c->arena, float, count_of(s->n, i));
        assert_non_null(d);
        for (int64_t k = 0; k < count_of(s->n, i); k++) d[k] = times * numbers(s, i)[k];
        if (i < s->n->sites)
            w.site[i].W = lb_cmat_of(d, s->n->site[i].rows, s->n->site[i].cols);
        else
            w.vector[i - s->n->sites] = d;
    }
    return w;
}

static void check_teacher(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    if (strcmp(c->name, "gemma2") != 0 && strcmp(c->name, "phi") != 0 && strcmp(c->name, "llama biases, tied") != 0)
        return;
    setup s = open_setup(c, 2);
    lb_weights other = scaled(&s, 0.75f);
    lb_grads g;
    (void)all(&s, &other, 0.6, NULL, &g);
    for (int32_t i = 0; i < s.n->sites + s.n->vectors; i += 5)
        if (own(s.n, i)) check_direction(&s, &other, 0.6, &g, i);
    /* Its own teacher: no divergence, and no gradient of it. */
    assert_true(fabs(all(&s, &s.w, 1, NULL, &g)) < 1e-6);
    for (int64_t k = 0; k < count_of(s.n, s.n->embed); k++) assert_true(fabsf(g.site[s.n->embed].d[k]) < 1e-5f);
}

static void teachers(void **state) {
    (void)state;
    lb_test_programs(check_teacher);
}

/* ---- quantized inputs: straight through, and close to the plain ones at 8 bits ---- */

static void check_quantized(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    setup s = open_setup(c, 2);
    lb_grads plain, fake;
    double loss = all(&s, NULL, 0, NULL, &plain), norm, off = 0.0, whole = 0.0;
    for (int32_t i = 0; i < s.n->sites; i++) /* neighbours differ, so that they cannot all share an input */
        if (strcmp(s.n->site[i].role, "router") != 0)
            s.w.site[i].act = (lb_actquant){.bits = 8, .symmetric = i % 3 == 0};
    double other = all(&s, NULL, 0, NULL, &fake);
    assert_true(fabs(other - loss) < 0.02 * loss && other != loss);
    for (int32_t i = 0; i < s.n->sites + s.n->vectors; i++) {
        if (!own(s.n, i)) continue;
        double d = distance(gradient(&s, &plain, i), gradient(&s, &fake, i), 1.0, count_of(s.n, i), &norm);
        off += d * d;
        whole += norm * norm;
    }
    if (!(sqrt(off) < 0.15 * sqrt(whole))) fail_msg("%s: off by %g of %g", c->name, sqrt(off), sqrt(whole));
}

static void quantized_inputs(void **state) {
    (void)state;
    lb_test_programs(check_quantized);
}

/* ---- transformed inputs ---- */

/* Of each site of a block another one, undone in its weights: the loss is the same, and with G that of W, G T' is the
 * gradient of W T^-1. */
static void transform_sites(const setup *s, lb_rng *r) {
    for (int32_t i = 0; i < s->n->sites; i++) {
        int64_t cols = s->n->site[i].cols;
        lb_transform *T = &s->w.site[i].T;
        if (s->n->site[i].block < 0) continue;
        if (!own(s->n, i)) {
            *T = s->w.site[s->n->site[i].same_as].T;
            continue;
        }
        float *scale = LB_NEW(s->c->arena, float, cols);
        uint8_t *sign = LB_NEW(s->c->arena, uint8_t, lb_transform_sign_bytes(cols));
        assert_non_null(scale);
        assert_non_null(sign);
        for (int64_t k = 0; k < cols; k++) scale[k] = (float)(0.5 + lb_rng_uniform(r));
        for (int64_t k = 0; k < lb_transform_sign_bytes(cols); k++) sign[k] = (uint8_t)lb_rng_u32(r);
        *T = (lb_transform){.scale = i % 3 ? scale : NULL,
                            .sign = i % 3 != 1 ? sign : NULL,
                            .hadamard = i % 2 && cols % 2 == 0 ? cols & -cols : 0};
        lb_transform_weights(T, lb_mat_of(numbers(s, i), s->n->site[i].rows, cols));
    }
}

static void check_transformed(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    setup s = open_setup(c, 2);
    lb_grads plain, turned;
    lb_rng r = lb_rng_make(5, 0);
    double loss = all(&s, NULL, 0, NULL, &plain), off, norm;
    transform_sites(&s, &r);
    double other = all(&s, NULL, 0, NULL, &turned);
    if (!(fabs(other - loss) < 1e-5 * loss)) fail_msg("%s: loss %g, %g with T", c->name, loss, other);
    for (int32_t i = 0; i < s.n->sites + s.n->vectors; i++) {
        if (!own(s.n, i)) continue;
        if (i < s.n->sites) lb_transform_input(&s.w.site[i].T, lb_mat_c(plain.site[i]), plain.site[i]);
        off = distance(gradient(&s, &plain, i), gradient(&s, &turned, i), 1.0, count_of(s.n, i), &norm);
        if (!(off <= 1e-4 * norm + 2e-6)) fail_msg("%s: %s: off by %g of %g", c->name, name_of(s.n, i), off, norm);
    }
}

/* A static range, and all of it twice as wide for inputs that are: no number but the weights' gradient, twice as large,
 * changes, though much is cut. */
static void check_transformed_range(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    static float two[512];
    setup s = open_setup(c, 2);
    lb_grads plain, twice;
    for (size_t k = 0; k < sizeof two / sizeof *two; k++) two[k] = 2;
    for (int32_t i = 0; i < s.n->sites; i++)
        if (s.n->site[i].block >= 0)
            s.w.site[i].act = (lb_actquant){.bits = 4, .symmetric = true, .mode = LB_ACTQUANT_STATIC, .scale = 0.05f};
    double loss = all(&s, NULL, 0, NULL, &plain);
    for (int32_t i = 0; i < s.n->sites; i++) {
        if (s.n->site[i].block < 0) continue;
        assert_true(s.n->site[i].cols <= 512);
        s.w.site[i].act.scale = 0.1f;
        s.w.site[i].T.scale = two;
        if (own(s.n, i))
            lb_transform_weights(&s.w.site[i].T, lb_mat_of(numbers(&s, i), s.n->site[i].rows, s.n->site[i].cols));
    }
    assert_true(all(&s, NULL, 0, NULL, &twice) == loss);
    for (int32_t i = 0; i < s.n->sites + s.n->vectors; i++) {
        double times = i < s.n->sites && s.n->site[i].block >= 0 ? 0.5 : 1.0, norm;
        if (own(s.n, i) &&
            distance(gradient(&s, &plain, i), gradient(&s, &twice, i), times, count_of(s.n, i), &norm) != 0)
            fail_msg("%s: %s: another gradient", c->name, name_of(s.n, i));
    }
}

static void transformed_inputs(void **state) {
    (void)state;
    lb_test_programs(check_transformed);
    lb_test_programs(check_transformed_range);
}

/* ---- which gradients ---- */

/* Sites of two blocks that are one: its gradient is the sum of both. */
static void check_shared(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    if (strcmp(c->name, "llama grouped heads") != 0) return;
    setup s = open_setup(c, 2);
    static const char *const role[] = {"q", "k", "down"};
    lb_grads apart, g;
    for (int k = 0; k < 3; k++) s.w.site[lb_net_site(s.n, 2, role[k])].W = s.w.site[lb_net_site(s.n, 0, role[k])].W;
    s.w.site[lb_net_site(s.n, 0, "v")].W = s.w.site[lb_net_site(s.n, 0, "k")].W;
    (void)all(&s, NULL, 0, NULL, &apart);
    lb_site *site = (lb_site *)(uintptr_t)s.n->site;
    for (int k = 0; k < 3; k++) site[lb_net_site(s.n, 2, role[k])].same_as = lb_net_site(s.n, 0, role[k]);
    site[lb_net_site(s.n, 0, "v")].same_as = lb_net_site(s.n, 0, "k"); /* in one phase */
    (void)all(&s, NULL, 0, NULL, &g);
    for (int k = 0; k < 3; k++) {
        int32_t a = lb_net_site(s.n, 0, role[k]), b = lb_net_site(s.n, 2, role[k]), v = lb_net_site(s.n, 0, "v");
        for (int64_t i = 0; i < count_of(s.n, a); i++) {
            float sum = apart.site[a].d[i] + apart.site[b].d[i] + (k == 1 ? apart.site[v].d[i] : 0.0f);
            assert_true(fabsf(g.site[a].d[i] - sum) < 1e-6f);
        }
    }
    checked++;
}

/* What is not wanted is not touched, and changes nothing of the rest. */
static void check_unwanted(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    setup s = open_setup(c, 2);
    lb_grads g, some = lb_test_program_grads(c, s.n);
    double loss;
    (void)all(&s, NULL, 0, NULL, &g);
    for (int32_t i = 0; i < s.n->sites; i++)
        if (i % 3 != 0) some.site[i].d = NULL;
    for (int32_t i = 0; i < s.n->vectors; i++)
        if (i % 2 != 0) some.vector[i] = NULL;
    assert_ok(lb_loss_gradients(s.b, &s.w, NULL, 0, s.tokens, NULL, &some, &loss, NULL, NULL));
    for (int32_t i = 0; i < s.n->sites + s.n->vectors; i++)
        if (own(s.n, i) && gradient(&s, &some, i))
            assert_memory_equal(gradient(&s, &some, i), gradient(&s, &g, i), (size_t)count_of(s.n, i) * sizeof(float));
    some.vector = NULL; /* none of them */
    assert_ok(lb_loss_gradients(s.b, &s.w, NULL, 0, s.tokens, NULL, &some, &loss, NULL, NULL));
}

static void which_gradients(void **state) {
    (void)state;
    checked = 0;
    lb_test_programs(check_shared);
    assert_int_equal(checked, 1);
    lb_test_programs(check_unwanted);
}

/* ---- refusals ---- */

static void check_refusals(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    if (strcmp(c->name, "mixtral") != 0) return;
    setup s = open_setup(c, 2);
    lb_backward *b;
    double loss;
    assert_status(LB_E_ARG, lb_backward_new(c->arena, s.n, 1, 97, &b));
    assert_error_has("length = 97: must be in [2, 96]");
    assert_status(LB_E_ARG, lb_backward_new(c->arena, s.n, 1, 1, &b));
    assert_status(LB_E_ARG, lb_backward_new(c->arena, s.n, 0, 16, &b));
    assert_error_has("batch = 0");
    assert_status(LB_E_ARG, lb_loss_gradients(s.b, &s.w, NULL, 0.5, s.tokens, NULL, NULL, &loss, NULL, NULL));
    assert_error_has("needs the original model");
    assert_status(LB_E_ARG, lb_loss_gradients(s.b, &s.w, NULL, 1.5, s.tokens, NULL, NULL, &loss, NULL, NULL));
    s.tokens[50] = 61;
    assert_status(LB_E_ARG, lb_loss_gradients(s.b, &s.w, NULL, 0, s.tokens, NULL, NULL, &loss, NULL, NULL));
    assert_error_has("token 50 is 61");
    s.tokens[50] = 60;
    int32_t up = lb_net_find(s.n, "1.expert.3.up");
    s.w.site[up].W.d = NULL;
    assert_status(LB_E_ARG, lb_loss_gradients(s.b, &s.w, NULL, 0, s.tokens, NULL, NULL, &loss, NULL, NULL));
    assert_error_has("1.expert.3.up");
    static const uint8_t sign[64] = {1};
    s = open_setup(c, 2);
    s.w.site[s.n->head].T.sign = sign;
    assert_status(LB_E_UNSUPPORTED, lb_loss_gradients(s.b, &s.w, NULL, 0, s.tokens, NULL, NULL, &loss, NULL, NULL));
    assert_error_has("training: the input of head is transformed at run time");
    checked++;
}

static lb_status try_all(const lb_test_program *c, lb_net *n, lb_weights *w, lb_grads *g) {
    lb_arena *a;
    lb_backward *b;
    double loss;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = lb_backward_new(a, n, 1, c->T, &b);
    if (st == LB_OK) st = lb_loss_gradients(b, w, w, 0.5, c->token, NULL, g, &loss, NULL, NULL);
    lb_arena_free(a);
    return st;
}

/* Each allocation fails once. */
static void check_memory(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    if (strcmp(c->name, "mixtral") != 0) return;
    lb_net *n = lb_test_program_net(c);
    lb_weights w = lb_test_program_weights(c, n);
    lb_grads g = lb_test_program_grads(c, n);
    static const uint8_t sign[64] = {1};
    for (int32_t i = 0; i < n->sites; i++) {
        w.site[i].act = (lb_actquant){.bits = 8, .symmetric = true};
        if (n->site[i].block == 1) w.site[i].T.sign = sign;
    }
    lb_alloc_fail_at(0);
    assert_ok(try_all(c, n, &w, &g));
    int64_t count = lb_alloc_count();
    assert_true(count > 1);
    for (int64_t k = 1; k <= count; k++) {
        lb_alloc_fail_at(k);
        lb_status st = try_all(c, n, &w, &g);
        lb_alloc_fail_at(0);
        assert_status(LB_E_NOMEM, st);
    }
    checked++;
}

static void refusals(void **state) {
    (void)state;
    checked = 0;
    lb_test_programs(check_refusals);
    lb_test_programs(check_memory);
    assert_int_equal(checked, 2);
}

int main(void) {
    if (lb_blas_init(3) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads),          cmocka_unit_test(batches),
        cmocka_unit_test(differences),      cmocka_unit_test(teachers),
        cmocka_unit_test(quantized_inputs), cmocka_unit_test(which_gradients),
        cmocka_unit_test(refusals),         cmocka_unit_test(transformed_inputs),
    };
    return cmocka_run_group_tests_name("gradients of programs by differences", tests, NULL, NULL);
}
