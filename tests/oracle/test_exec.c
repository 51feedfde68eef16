/* Programs of 26 model types run by the executor: against transformers' logits, against the float64 reference on longer
 * sequences, which cross panels and tiles of keys, with every variant of the kernels, and the same bytes on any number
 * of threads. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "math/blas.h"
#include "support/llama.h"
#include "support/program_run.h"

/* Of the logits' spread: against float32 of another program, whose angles are float32 too; against float64. */
static const double against_float32 = 2e-5, against_float64 = 1e-5;
/* Past a tile of keys; the float64 reference of the rest is what a sanitizer would take minutes for. */
#if LB_TEST_SANITIZED
enum { LONG = 530, PANEL = 96 };
#else
enum { LONG = 700, PANEL = 96 };
#endif
static bool seen_routers;

/* The worst of the last rows of the logits. */
static double worst_logit(const program_run *x, lb_mat h, const double *want, int64_t rows) {
    lb_head head = lb_head_of(x->n, &x->w);
    lb_mat y = lb_mat_of(LB_NEW(x->c->arena, float, rows *head.W.rows), rows, head.W.rows);
    double worst = 0.0;
    assert_non_null(y.d);
    lb_head_logits(&head, lb_mat_c(lb_mat_part(h, x->T - rows, 0, rows, h.cols)), y);
    for (int64_t i = 0; i < rows * y.cols; i++) {
        double d = fabs((double)y.d[i] - want[i]);
        worst = d <= worst ? worst : isnan(d) ? INFINITY : d;
    }
    return worst;
}

static void check_case(const lb_test_program *c, const lb_tensor *want) {
    program_run x = program_open(c);
    int64_t n = want->shape[0] * want->shape[1];
    float *w = LB_NEW(c->arena, float, n);
    double *wide = LB_NEW(c->arena, double, n);
    assert_true(w && wide);
    assert_ok(lb_tensor_read_f32(want, 0, n, w));
    for (int64_t i = 0; i < n; i++) wide[i] = (double)w[i];
    for (int64_t panel = 0; panel <= 7; panel += 7) {
        x.panel = panel;
        double e = worst_logit(&x, program_states(&x, &x.w), wide, want->shape[0]) / c->spread;
        if (!(e < against_float32)) fail_msg("%s: logits are off by %g of their spread", c->name, e);
    }
}

static void programs_give_transformers_logits(void **state) {
    (void)state;
    lb_test_programs(check_case);
}

/* As long as the model knows positions. */
static void lengthen(program_run *x) {
    program_lengthen(x, LONG);
    x->panel = PANEL;
}

static double spread_of(const double *y, int64_t n) {
    double mean = 0.0, square = 0.0;
    for (int64_t i = 0; i < n; i++) mean += y[i] / (double)n;
    for (int64_t i = 0; i < n; i++) square += (y[i] - mean) * (y[i] - mean) / (double)n;
    return sqrt(square);
}

typedef struct variant_check {
    const program_run *x;
    const double *want;
    double spread;
} variant_check;

static void check_variant(void *ctx, const char *kernel) {
    const variant_check *v = ctx;
    double e = worst_logit(v->x, program_states(v->x, &v->x->w), v->want, v->x->T) / v->spread;
    if (!(e < against_float64)) fail_msg("%s, %s: logits are off by %g of their spread", v->x->c->name, kernel, e);
}

static void check_long(const lb_test_program *c, const lb_tensor *want) {
    (void)want;
    const lb_ref_params params = {lb_test_program_param, c};
    program_run x = program_open(c);
    lb_reference r;
    lengthen(&x);
    assert_ok(lb_reference_run(c->arena, &c->program, &c->numbers, &params, x.token, x.T, &r));
    const lb_ref_value *y = lb_reference_value(&r, "y");
    assert_non_null(y);
    variant_check v = {&x, y->d, spread_of(y->d, x.T * y->cols)};
    llama_each_kernel(check_variant, &v);
}

static void long_sequences_agree_with_the_reference(void **state) {
    (void)state;
    lb_test_programs(check_long);
}

/* Parameters of a case whose routers find all experts alike. */
static lb_status indifferent(const void *ctx, const char *name, int64_t block, int64_t expert, lb_ref_param *out) {
    const lb_test_program *c = ctx;
    LB_TRY(lb_test_program_param(c, name, block, expert, out));
    if (strcmp(name, "router") != 0 || !out->W.d) return LB_OK;
    out->W.d = LB_NEW(c->arena, float, out->W.rows * out->W.cols);
    return out->W.d ? LB_OK : LB_E_NOMEM;
}

/* Equal weights: the lower experts, as in the reference. */
static void check_ties(const lb_test_program *c, const lb_tensor *want) {
    (void)want;
    const lb_ref_params params = {indifferent, c};
    program_run x = program_open(c);
    lb_reference r;
    lb_ref_param router;
    int routers = 0;
    for (int32_t i = 0; i < x.n->sites; i++) {
        const lb_site *s = &x.n->site[i];
        if (strcmp(s->role, "router") != 0) continue;
        assert_ok(indifferent(c, s->role, s->block, s->expert, &router));
        x.w.site[i].W = router.W;
        routers++;
    }
    if (!routers) return;
    seen_routers = true;
    assert_ok(lb_reference_run(c->arena, &c->program, &c->numbers, &params, x.token, x.T, &r));
    const lb_ref_value *y = lb_reference_value(&r, "y");
    double e = worst_logit(&x, program_states(&x, &x.w), y->d, x.T) / spread_of(y->d, x.T * y->cols);
    if (!(e < against_float64)) fail_msg("%s, equal experts: logits are off by %g of their spread", c->name, e);
}

static void equal_experts_are_taken_in_order(void **state) {
    (void)state;
    lb_test_programs(check_ties);
    assert_true(seen_routers);
}

/* A shorter sequence after a longer one: tables of angles that depend on the length are made anew. */
static void check_shorter(const lb_test_program *c, const lb_tensor *want) {
    (void)want;
    lb_arena *a;
    lb_exec *e;
    program_run x = program_open(c), longer = x;
    lengthen(&longer);
    longer.T = longer.T < 130 ? longer.T : 130;
    longer.panel = x.panel;
    lb_mat alone = program_states(&x, &x.w);
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_exec_new_panel(a, x.n, longer.T, x.panel, NULL, &e));
    program_states_by(&longer, &longer.w, e);
    lb_mat after = program_states_by(&x, &x.w, e);
    if (memcmp(after.d, alone.d, (size_t)(after.rows * after.cols) * sizeof *after.d) != 0)
        fail_msg("%s: other bytes after a longer sequence", c->name);
    lb_arena_free(a);
}

static void sequences_may_differ_in_length(void **state) {
    (void)state;
    lb_test_programs(check_shorter);
}

static void check_threads(const lb_test_program *c, const lb_tensor *want) {
    (void)want;
    program_run x = program_open(c);
    lengthen(&x);
    program_same_bytes(&x, &x.w);
}

static void any_number_of_threads_gives_the_same_bytes(void **state) {
    (void)state;
    lb_test_programs(check_threads);
}

/* ---- inputs that are captured ---- */

/* All inputs of a block. */
static lb_capture all_inputs(const program_run *x, int64_t block) {
    lb_capture cap = {.tap = LB_NEW(x->c->arena, lb_tap, x->n->inputs)};
    assert_non_null(cap.tap);
    for (int32_t i = 0; i < x->n->inputs; i++) {
        if (x->n->input[i].block != block) continue;
        int64_t cols = x->n->input[i].cols;
        cap.tap[cap.taps] = (lb_tap){.input = i, .to = program_room(x, x->T, cols)};
        cap.taps++;
    }
    return cap;
}

/* The reference's values just before the step of this text runs in a block. */
static void reference_until(const program_run *x, int64_t block, const char *text, lb_reference *r) {
    const lb_ref_params params = {lb_test_program_param, x->c};
    lb_reference whole = {.arena = x->c->arena,
                          .program = &x->c->program,
                          .numbers = &x->c->numbers,
                          .params = &params,
                          .token = x->token,
                          .T = x->T,
                          .block = -1,
                          .expert = -1};
    *r = whole;
    assert_ok(lb_ref_steps(r, &x->c->program.before));
    for (r->block = 0; r->block <= block; r->block++) {
        lb_steps steps = x->c->program.block;
        r->value[0] = *lb_reference_value(r, "x");
        r->values = 1;
        for (int64_t i = 0; i < steps.n && r->block == block; i++)
            if (steps.at[i].text == text) steps.n = i;
        assert_ok(lb_ref_steps(r, &steps));
    }
    r->params = NULL;
}

static const lb_net_step *reader_of(const program_run *x, int64_t block, int32_t input) {
    const lb_net_part *p = &x->n->block[block];
    for (int32_t i = 0; i < p->steps; i++)
        if (p->step[i].site == x->n->reader[x->n->input[input].first]) return &p->step[i];
    return NULL;
}

/* Within 1e-5 of the largest. */
static void check_against_reference(const program_run *x, int64_t block, const lb_tap *tap) {
    const lb_net_step *s = reader_of(x, block, tap->input);
    lb_reference r;
    assert_non_null(s);
    reference_until(x, block, s->text, &r);
    const lb_ref_value *v = lb_reference_value(&r, x->n->block[block].value[s->src[0]].name);
    double most = 0.0, worst = 0.0;
    assert_true(v && v->cols == tap->to.cols && tap->rows == x->T);
    for (int64_t i = 0; i < x->T * v->cols; i++) {
        double d = fabs((double)tap->to.d[i] - v->d[i]);
        most = fmax(most, fabs(v->d[i]));
        worst = d <= worst ? worst : isnan(d) ? INFINITY : d;
    }
    if (!(worst < 1e-5 * most))
        fail_msg("%s: block %lld, input of '%s': off by %g of %g", x->c->name, (long long)block, s->text, worst, most);
}

/* What an expert reads are rows of what the router reads, in order. */
static int64_t check_routed(const lb_capture *cap, const lb_tap *tap) {
    for (int32_t k = 0; k < cap->taps; k++) {
        const lb_mat all = cap->tap[k].to;
        int64_t at = 0;
        if (all.cols != tap->to.cols || cap->tap[k].rows != all.rows) continue;
        for (int64_t t = 0; t < all.rows && at < tap->rows; t++)
            at += memcmp(all.d + t * all.cols, tap->to.d + at * all.cols, (size_t)all.cols * sizeof(float)) == 0;
        if (at == tap->rows) return tap->rows;
    }
    fail_msg("an expert reads rows that no other input has");
    return 0;
}

/* Alone, and left early: the same bytes, and x as it was. */
static void check_alone(const program_run *x, lb_exec *e, int64_t block, lb_mat s, const lb_tap *want) {
    lb_mat to = program_room(x, x->T, want->to.cols);
    lb_mat kept = program_room(x, x->T, s.cols);
    lb_tap tap = {.input = want->input, .to = to};
    lb_capture cap = {.tap = &tap, .taps = 1, .stop = true};
    memcpy(kept.d, s.d, (size_t)(s.rows * s.cols) * sizeof *s.d);
    assert_ok(lb_exec_block(e, &x->w, block, s, &cap));
    assert_memory_equal(kept.d, s.d, (size_t)(s.rows * s.cols) * sizeof *s.d);
    assert_int_equal(tap.rows, want->rows);
    assert_memory_equal(to.d, want->to.d, (size_t)(tap.rows * to.cols) * sizeof *to.d);
}

static void check_block_inputs(const program_run *x, lb_exec *e, int64_t block, lb_mat s) {
    lb_capture cap = all_inputs(x, block);
    lb_mat before = program_room(x, x->T, s.cols);
    int64_t routed = 0, top = 0;
    memcpy(before.d, s.d, (size_t)(s.rows * s.cols) * sizeof *s.d);
    assert_ok(lb_exec_block(e, &x->w, block, s, &cap));
    for (int32_t i = 0; i < x->n->block[block].steps; i++)
        if (x->n->block[block].step[i].op->reach == LB_BY_EXPERT) top = (int64_t)x->n->block[block].step[i].arg[0];
    for (int32_t k = 0; k < cap.taps; k++) {
        const lb_net_input *in = &x->n->input[cap.tap[k].input];
        if (in->expert < 0)
            check_against_reference(x, block, &cap.tap[k]);
        else if (x->n->block[block].value[0].cols == in->cols) /* n; what its second half reads is its own */
            routed += check_routed(&cap, &cap.tap[k]);
        check_alone(x, e, block, before, &cap.tap[k]);
    }
    assert_int_equal(routed, top * x->T);
}

static void check_inputs(const lb_test_program *c, const lb_tensor *want) {
    (void)want;
    lb_arena *a;
    lb_exec *e;
    program_run x = program_open(c);
    assert_ok(lb_team_new(2, &x.team));
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_exec_new_panel(a, x.n, x.T, x.panel, x.team, &e));
    lb_mat s = program_room(&x, x.T, x.n->dim);
    assert_ok(lb_exec_embed(e, &x.w, x.token, x.T, s));
    for (int64_t b = 0; b < x.n->blocks; b++) check_block_inputs(&x, e, b, s);
    lb_arena_free(a);
    lb_team_free(x.team);
}

static void inputs_are_captured(void **state) {
    (void)state;
    lb_test_programs(check_inputs);
}

static int start(void **state) {
    (void)state;
    return lb_blas_init(3) == LB_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs_give_transformers_logits),
                                       cmocka_unit_test(long_sequences_agree_with_the_reference),
                                       cmocka_unit_test(equal_experts_are_taken_in_order),
                                       cmocka_unit_test(sequences_may_differ_in_length),
                                       cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
                                       cmocka_unit_test(inputs_are_captured)};
    return cmocka_run_group_tests(tests, start, NULL);
}
