/* All of LAMBADA with stories260K, against transformers (tests/oracle/check_lambada.py): a model that knows short
 * stories alone has next to none of the words right, and their likelihood is held to the sixth digit. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/tasks.h"
#include "math/blas.h"
#include "model/model.h"
#include "support/support.h"

static const char model_hash[] = "cf791d3eea90517b5afb01f2a0c4f8010a26cc87727cc02fae4444d95aefd9be";
static const char text_hash[] = "4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226";

static const struct {
    lb_lambada variant;
    lb_bos bos;
    int64_t items, right;
    double nll;
} expected[] = {{LB_LAMBADA_OPENAI, LB_BOS_AUTO, 5153, 55, 15.875285},
                {LB_LAMBADA_NORMALIZED, LB_BOS_NEVER, 1000, 0, 28.104832}};

static void every_passage(void **state) {
    char model[LB_TEST_PATH], text[LB_TEST_PATH];
    lb_model *m;
    lb_team *team;
    lb_arena *a;
    (void)state;
    lb_test_source(model_hash, model);
    lb_test_source(text_hash, text);
    assert_ok(lb_team_new(0, &team));
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_model_open(model, LB_WEIGHTS, team, &m));
    for (int i = 0; i < 2; i++) {
        lb_corpus *c;
        lb_eval e;
        int64_t tokens, right = 0;
        const lb_row_spec spec = {.form = LB_ROWS_JSON};
        assert_ok(lb_corpus_rows(text, &spec, NULL, m->tokenizer, expected[i].bos, NULL, &c));
        lb_task_request r = {.variant = expected[i].variant, .corpus = c, .max_items = expected[i].items};
        assert_ok(lb_protocol_parse("LAMB", &r.protocol));
        assert_ok(lb_task_evaluate(m->net, &m->weights, &r, team, a, NULL, &e, &tokens));
        assert_int_equal(e.windows_all, 5153);
        assert_int_equal(e.task.items, expected[i].items);
        for (int64_t k = 0; k < e.task.items; k++) right += e.task.right[k];
        assert_int_equal(right, expected[i].right);
        if (!(fabs(e.mean_nll - expected[i].nll) <= 1e-6 * expected[i].nll))
            fail_msg("%s: %.6f nats, expected %.6f", lb_lambada_names[i], e.mean_nll, expected[i].nll);
        lb_corpus_close(c);
    }
    lb_model_close(m);
    lb_arena_free(a);
    lb_team_free(team);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_passage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
