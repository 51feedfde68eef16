/* A calibration text that is several: its sequences are those of each text in turn, its record names all of them, and
 * what cannot be mixed says why. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "report/view.h"
#include "result/choice.h"
#include "run/mixtures.h"
#include "support/folder.h"
#include "support/letter_tokenizer.h"
#include "support/small_model.h"

enum { LENGTH = 16 };
static lb_arena *arena;

static int setup(void **state) {
    char path[LB_TEST_PATH];
    if (small_model_setup(state) != 0) return -1;
    static const char *const name[] = {"a.txt", "b.txt", "c.txt", "odd + name.txt"};
    for (unsigned i = 0; i < sizeof name / sizeof name[0]; i++) {
        join_path(path, small_home, name[i]);
        letter_text(path, 11 + (int)i, 2000);
    }
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

static const char *yaml_of(const char *text, const char *recipe, int samples, const char *more) {
    char *s = lb_arena_printf(arena,
                              "calibration: {text: '%s', recipe: %s, samples: %d, length: 16, seed: 5}\n"
                              "eval: {text: text.txt, protocol: W2-24, windows: 2}\n%s",
                              text, recipe, samples, more);
    assert_non_null(s);
    return s;
}
#define GPTQ "quantize:\n  - {method: gptq, bits: 3}\n"

/* The calibration tokens of the last cell, and what its text is. */
static const int32_t *tokens_of(small_plan *s, const char *text, const char *recipe, int samples) {
    lb_sequences of;
    small_plan_open(s, "tied", "m", yaml_of(text, recipe, samples, GPTQ));
    const lb_cell *c = &s->plan.sweep.cell[s->plan.sweep.n - 1];
    if (c->refused) fail_msg("%s: %s", text, c->reason);
    assert_int_equal(c->sequences.n, samples);
    assert_ok(lb_plan_calibration_tokens(&s->plan, c, s->arena, &of));
    return of.token;
}

/* Sequence i is text i mod 3's sequence i / 3; seven samples: the first text has three, the others two. */
static void each_in_turn(void **state) {
    (void)state;
    static const char *const part[] = {"a.txt", "b.txt", "c.txt"}, *const recipe[] = {"sequential", "random", "joined"};
    for (int r = 0; r < 3; r++) {
        small_plan mixed, own[3];
        const int32_t *m = tokens_of(&mixed, "a.txt + b.txt + c.txt", recipe[r], 7), *one[3];
        for (int k = 0; k < 3; k++) one[k] = tokens_of(&own[k], part[k], recipe[r], k == 0 ? 3 : 2);
        for (int i = 0; i < 7; i++)
            if (memcmp(m + i * LENGTH, one[i % 3] + i / 3 * LENGTH, LENGTH * sizeof *m) != 0)
                fail_msg("%s: sequence %d is not that of %s", recipe[r], i, part[i % 3]);
        assert_memory_not_equal(one[0], one[1], LENGTH * sizeof *m);
        for (int k = 0; k < 3; k++) small_plan_close(&own[k]);
        small_plan_close(&mixed);
    }
}

/* Cells of several seeds have each their own sequences, which are those of that seed alone. */
static void each_seed_its_own(void **state) {
    (void)state;
    small_plan all, one;
    lb_sequences of[2], alone;
    small_plan_open(&all, "tied", "m",
                    yaml_of("a.txt + b.txt", "random", 4, "axes: {calibration.seed: [5, 6]}\n" GPTQ));
    assert_int_equal(all.plan.sweep.n, 3);
    for (int i = 0; i < 2; i++)
        assert_ok(lb_plan_calibration_tokens(&all.plan, &all.plan.sweep.cell[i + 1], all.arena, &of[i]));
    assert_memory_not_equal(of[0].token, of[1].token, 4 * LENGTH * sizeof *of->token);
    small_plan_open(&one, "tied", "m", yaml_of("a.txt + b.txt", "random", 4, "axes: {calibration.seed: [6]}\n" GPTQ));
    assert_ok(lb_plan_calibration_tokens(&one.plan, &one.plan.sweep.cell[1], one.arena, &alone));
    assert_memory_equal(of[1].token, alone.token, 4 * LENGTH * sizeof *alone.token);
    small_plan_close(&one);
    small_plan_close(&all);
}

static void known_by_its_texts(void **state) {
    (void)state;
    small_plan s, other, third;
    (void)tokens_of(&s, "a.txt + b.txt", "sequential", 4);
    (void)tokens_of(&third, "a.txt + c.txt", "sequential", 4);
    assert_string_not_equal(s.plan.calibration.at[0].hash, third.plan.calibration.at[0].hash);
    small_plan_close(&third);
    (void)tokens_of(&other, "b.txt + a.txt", "sequential", 4);
    const lb_text *t = &s.plan.calibration.at[0];
    assert_string_equal(t->name, "a.txt + b.txt");
    assert_int_equal(t->parts, 2);
    assert_int_equal(t->corpus->tokens, t->part[0].corpus->tokens + t->part[1].corpus->tokens);
    assert_string_not_equal(t->hash, t->part[0].hash);
    assert_string_not_equal(t->hash, other.plan.calibration.at[0].hash); /* the order counts: the first may have more */
    assert_string_not_equal(s.plan.sweep.cell[1].content_key, other.plan.sweep.cell[1].content_key);
    small_plan_close(&other);
    small_plan_close(&s);
    /* A file of such a name is one text. */
    (void)tokens_of(&s, "odd + name.txt", "sequential", 4);
    assert_int_equal(s.plan.calibration.at[0].parts, 0);
    small_plan_close(&s);
}

static void refuses(const char *text, const char *recipe, int samples, const char *more, const char *why) {
    small_plan s;
    lb_status st = small_plan_try(&s, "tied", "m", yaml_of(text, recipe, samples, more));
    const char *said = st != LB_OK ? lb_error() : s.plan.sweep.cell[s.plan.sweep.n - 1].reason;
    if (!said || !strstr(said, why)) fail_msg("%s: %s, not: %s", text, said ? said : "taken", why);
    small_plan_close(&s);
}

static void refused(void **state) {
    (void)state;
    refuses("a.txt + ", "sequential", 4, GPTQ, "has a name on each side of '+'");
    refuses("a.txt + a.txt", "sequential", 4, GPTQ, "a.txt stands there twice");
    refuses("a.txt + none.txt", "sequential", 4, GPTQ, "none.txt");
    refuses("a.txt + b.txt", "sequential", 1, GPTQ, "a mixture of 2 texts has one of each at least");
    refuses("a.txt + b.txt", "sequential", 4000, GPTQ, "a.txt");
    refuses("a.txt + b.txt", "sequential", 4, "quantize:\n  - {method: qat, bits: 3, steps: 2, length: 16}\n",
            "which nothing trains on: add training.text");
    char many[512] = "a.txt";
    for (int i = 0; i < LB_MIXTURE_MOST; i++) snprintf(many + strlen(many), sizeof many - strlen(many), " + t%d", i);
    refuses(many, "sequential", 64, GPTQ, "a mixture of more than 16 texts");
}

/* An evaluation on one of its texts is warned of as on all of it. */
static void says_little(void **state) {
    (void)state;
    small_plan s;
    small_plan_open(&s, "tied", "m",
                    "calibration: {text: a.txt + b.txt, samples: 4, length: 16}\n"
                    "eval: {text: b.txt, protocol: W2-24, windows: 2}\n" GPTQ);
    bool said = false;
    for (int64_t i = 0; i < s.plan.keeper.n; i++)
        said = said || strstr(s.plan.keeper.warning[i], "calibration and evaluation use the same text (b.txt)");
    assert_true(said);
    small_plan_close(&s);
}

static void names(void **state) {
    (void)state;
    lb_str s = {0};
    lb_choice_add(&s, "calibration.text", "data/a.txt + other/b.txt + c.txt");
    assert_string_equal(s.s, " on a.txt + b.txt + c.txt");
    lb_str_free(&s);
    const char *path[] = {"x/a.txt + y/a.txt", "z/b.txt", NULL, "x/a.txt"};
    assert_ok(lb_report_path_ends(arena, path, 4));
    assert_string_equal(path[0], "x/a.txt + y/a.txt");
    assert_string_equal(path[1], "b.txt");
    assert_null(path[2]);
    assert_string_equal(path[3], "x/a.txt");
    const char *far[] = {"x/a.txt + y/b.txt", "z/c.txt"};
    assert_ok(lb_report_path_ends(arena, far, 2));
    assert_string_equal(far[0], "a.txt + b.txt");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_in_turn), cmocka_unit_test(each_seed_its_own), cmocka_unit_test(known_by_its_texts),
        cmocka_unit_test(refused),      cmocka_unit_test(says_little),       cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
