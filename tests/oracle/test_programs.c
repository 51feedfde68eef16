/* Programs of 26 model types against transformers (tests/oracle/make_programs.py): the vocabulary of steps. Tolerance:
 * ours is float64 and theirs float32, and three blocks of random weights amplify: 2e-5 of the logits' spread. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/programs.h"

static const double tolerance = 2e-5;

/* The largest difference in the last rows of the logits. */
static double error_of(const lb_test_program *c, const lb_tensor *want) {
    const lb_ref_params params = {lb_test_program_param, c};
    lb_reference r;
    assert_ok(lb_reference_run(c->arena, &c->program, &c->numbers, &params, c->token, c->T, &r));
    const lb_ref_value *y = lb_reference_value(&r, "y");
    assert_non_null(y);
    assert_int_equal(y->cols, want->shape[1]);
    int64_t n = want->shape[0] * want->shape[1];
    float *w = LB_NEW(c->arena, float, n);
    assert_non_null(w);
    assert_ok(lb_tensor_read_f32(want, 0, n, w));
    double worst = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs(y->d[c->T * y->cols - n + i] - (double)w[i]);
        worst = d <= worst ? worst : d; /* NaN counts */
    }
    return worst;
}

static void check_reference(const lb_test_program *c, const lb_tensor *want) {
    double e = error_of(c, want) / c->spread;
    if (!(e < tolerance)) fail_msg("%s: logits are off by %g of their spread", c->name, e);
}

static void programs_give_transformers_logits(void **state) {
    (void)state;
    lb_test_programs(check_reference);
}

/* What holds for the net of any program. */
static void check_net(const lb_test_program *c, const lb_tensor *want) {
    const lb_net *n = lb_test_program_net(c);
    assert_int_equal(n->site[n->head].rows, want->shape[1]);
    assert_int_equal(n->site[n->embed].rows, 61);
    assert_int_equal(n->site[n->head].same_as, c->tied ? n->embed : -1);
    assert_int_equal(n->blocks, 3);
    for (int32_t i = 0; i < n->sites; i++) {
        int32_t in = n->site[i].input;
        assert_int_equal(lb_net_find(n, n->site[i].name), i); /* names are unique */
        if (in < 0) continue;
        assert_int_equal(n->input[in].cols, n->site[i].cols);
        assert_int_equal(n->input[in].block, n->site[i].block);
        bool found = false;
        for (int32_t k = 0; k < n->input[in].sites; k++) found |= n->reader[n->input[in].first + k] == i;
        assert_true(found);
    }
    for (int64_t b = 0; b < n->blocks; b++) assert_int_equal(n->block[b].value[n->block[b].leaving].room, LB_ROOM_X);
}

static const lb_value *written(const lb_net_part *p, int32_t step) { return &p->value[p->step[step].dst[0]]; }

/* The rooms of a Llama's block: n, q k v (T rows), a in q's place; n, g, u, h in g's place. */
static void check_rooms(const lb_test_program *c, const lb_tensor *want) {
    (void)want;
    if (strcmp(c->name, "llama grouped heads") != 0) return;
    const lb_net *n = lb_test_program_net(c);
    const lb_net_part *p = &n->block[1];
    static const lb_room rooms[] = {LB_ROOM_PANEL, LB_ROOM_ROWS,  LB_ROOM_ROWS, LB_ROOM_ROWS,  LB_ROOM_ROWS,
                                    LB_ROOM_ROWS,  LB_ROOM_ROWS,  LB_ROOM_X,    LB_ROOM_PANEL, LB_ROOM_PANEL,
                                    LB_ROOM_PANEL, LB_ROOM_PANEL, LB_ROOM_X};
    assert_int_equal(p->steps, 13);
    for (int32_t i = 0; i < p->steps; i++) assert_int_equal(written(p, i)->room, rooms[i]);
    assert_int_equal(written(p, 6)->buffer, written(p, 1)->buffer);  /* a: q */
    assert_int_equal(written(p, 11)->buffer, written(p, 9)->buffer); /* h: g */
    assert_int_equal(p->row_cols, 40 + 20 + 20);
    assert_int_equal(p->panel_cols, 40 + 52 + 52);
    assert_int_equal(p->runs, 3);
    assert_int_equal(p->run[1].first, 6);
    assert_int_equal(n->ropes, 1);
    static const char *const reads[] = {"1.q", "1.k", "1.v", "1.o", "1.gate", "1.up", "1.down"};
    int32_t first, sites = lb_net_block(n, 1, &first), inputs = 0;
    assert_int_equal(sites, 7);
    for (int32_t i = 0; i < 7; i++) {
        const lb_site *s = &n->site[first + i];
        assert_string_equal(s->name, reads[i]);
        if (i > 0 && s->input != s[-1].input) inputs++;
    }
    assert_int_equal(inputs, 3);
}

static void llamas_rooms(void **state) {
    (void)state;
    lb_test_programs(check_rooms);
}

static void programs_become_nets(void **state) {
    (void)state;
    lb_test_programs(check_net);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs_give_transformers_logits),
                                       cmocka_unit_test(programs_become_nets), cmocka_unit_test(llamas_rooms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
