/* Every protocol as a user asks for it: by lowbit eval and in a config, where both find the same; a cell's differences
 * and divergence; and what a protocol does not leave to its user. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "support/sweep_kit.h"

#define MODEL "model: tiny\nthreads: 2\n"

/* A row a line, short and long ones; the same as JSON lines, 1,200 of them. */
static void put_rows(void) {
    char command[LB_TEST_PATH];
    snprintf(
        command, sizeof command,
        "cd '%s' && tr -cd 'a-zA-Z .\\n' <eval.txt | tr '\\n' ' ' | fold -s -w 90 | sed 's/^ *//; s/ *$//' | grep . "
        "| head -n 120 >rows.txt && "
        "awk '{ x = NR %% 7 ? substr($0, 1, 24) : $0 $0 $0 $0; printf \"{\\\"s\\\": \\\"%%s\\\"}\\n\", x }' rows.txt "
        ">some.jsonl && for i in 1 2 3 4 5 6 7 8 9 10; do cat some.jsonl; done >docs.jsonl && gzip -nk docs.jsonl",
        home);
    assert_int_equal(system(command), 0);
}

/* What is asked for, in a config and by flags. */
static const struct asked {
    const char *text, *protocol, *keys, *flag[4];
    int64_t windows, scored; /* scored 0: as the program says */
} asked[] = {
    {"eval.txt", "W2-64", "", {NULL}, 5, 5 * 63},
    {"eval.txt", "LCPP-64", "", {NULL}, 5, 5 * 31},
    {"eval.txt", "SQ-32", "", {NULL}, 5, 5 * 31},
    {"eval.txt", "HF-64/24", "", {NULL}, 5, 63 + 4 * 24},
    {"rows.txt", "PTB-old-32", ", rows: lines", {"--rows", "lines"}, 5, 5 * 31},
    {"rows.txt", "PTB-new-32", ", rows: lines", {"--rows", "lines"}, 5, 5 * 31},
    {"docs.jsonl.gz", "C4-old-40", ", field: s", {"--field", "s"}, 5, 5 * 39},
    {"docs.jsonl", "C4-new-40", ", field: s", {"--field", "s"}, 5, 5 * 39},
    {"rows.txt", "W2-33", ", rows: lines, join: \" \", first: 40", {"--rows", "lines", "--join", " "}, 2, 2 * 32},
};
enum { ASKED = sizeof asked / sizeof asked[0] };

static json_t *evaluated(const struct asked *q, const char *model, const char *weights) {
    char out[LB_TEST_PATH], windows[24];
    const char *word[24] = {"eval",      model, q->text,  "--protocol", q->protocol, "--weights", weights,
                            "--threads", "2",   "--json", "out.json",   "--windows", windows};
    size_t n = 13;
    snprintf(windows, sizeof windows, "%lld", (long long)q->windows);
    for (size_t i = 0; i < 4 && q->flag[i]; i++) word[n++] = q->flag[i];
    if (strstr(q->keys, "first: 40")) word[n++] = "--first", word[n++] = "40";
    cli_result r = ran(0, word);
    cli_has(r.out, q->protocol);
    cli_free(&r);
    path_in(out, home, "out.json");
    json_error_t e;
    json_t *o = json_load_file(out, 0, &e);
    assert_non_null(o);
    return o;
}

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

/* The baseline's evaluation of a run against what lowbit eval says. */
static void check(const struct asked *q, const lb_eval_row *e) {
    bool streamed = strncmp(q->protocol, "HF", 2) == 0; /* windows that differ in length go through together */
    json_t *o = evaluated(q, "tiny", streamed ? "stream" : "resident");
    assert_string_equal(e->eval.protocol.id, q->protocol);
    assert_int_equal(e->eval.windows, q->windows);
    assert_int_equal(e->eval.scored, q->scored);
    assert_int_equal(json_integer_value(json_object_get(o, "windows")), q->windows);
    assert_int_equal(json_integer_value(json_object_get(o, "windows_all")), e->eval.windows_all);
    assert_true(number(o, "mean_nll") == e->eval.mean_nll && number(o, "perplexity") == e->eval.ppl);
    assert_true(number(o, "perplexity_se") == e->eval.ppl_se);
    const char *rows = json_string_value(json_object_get(json_object_get(o, "text"), "rows"));
    assert_string_equal(rows ? rows : "", e->rows);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "text"), "tokens")), e->text_tokens);
    json_decref(o);
}

static void config_and_command_agree(void **state) {
    (void)state;
    lb_str s = {0};
    put_rows();
    assert_int_equal(setenv("PATH", "/nowhere", 1), 0); /* no gnuplot: figures of nine evaluations take seconds */
    lb_str_add(&s, "name: each\n" MODEL "eval:\n");
    for (int i = 0; i < ASKED; i++)
        lb_str_add(&s, "  - {text: %s, protocol: %s, name: e%d, windows: %d, kl: true%s}\n", asked[i].text,
                   asked[i].protocol, i, (int)asked[i].windows, asked[i].keys);
    lb_str_add(&s, "quantize:\n  - {method: rtn, bits: 3, group: 16}\n");
    assert_ok(lb_str_check(&s));
    put_file("each.yaml", s.s);
    lb_str_free(&s);
    SAYS(0, "HF-64/24, 5 of ", "check", "each.yaml");
    cli_result r = RAN(0, "run", "each.yaml");
    cli_free(&r);
    lb_results *x = results("results/each");
    assert_int_equal(x->n, 2);
    const lb_record *base = x->record[0].eval[0].has_paired ? &x->record[1] : &x->record[0];
    const lb_record *cell = base == x->record ? &x->record[1] : x->record;
    assert_int_equal(base->evals, ASKED);
    for (int i = 0; i < ASKED; i++) {
        const lb_eval_row *b = &base->eval[i], *c = &cell->eval[i];
        check(&asked[i], b);
        assert_true(c->has_paired && c->eval.has_kl && c->eval.kl_mean > 0);
        if (!(fabs(c->paired.delta - (c->eval.mean_nll - b->eval.mean_nll)) < 1e-12))
            fail_msg("%s: Delta %.12f, of means %.12f", asked[i].protocol, c->paired.delta,
                     c->eval.mean_nll - b->eval.mean_nll);
    }
    lb_results_free(x);
    r = RAN(0, "report", "results/each");
    cli_has(r.out, "HF-64/24, n = 64: Windows of n tokens that begin s tokens apart");
    cli_has(r.out, "PTB-new-32, n = 32: ");
    cli_has(r.out, "rows lines, joined by");
    cli_free(&r);
}

/* What was done is found again: nothing is computed, and the config in a result says all. */
static void results_run_again(void **state) {
    (void)state;
    lb_results *x = results("results/each");
    char file[LB_TEST_PATH];
    snprintf(file, sizeof file, "results/each/%s.h5", x->record[1].stem);
    cli_result r = RAN(0, "run", file);
    cli_free(&r);
    r = RAN(0, "run", "each.yaml");
    cli_has(r.err, "2 of 2 cells are finished already and kept");
    cli_free(&r);
    lb_results_free(x);
}

/* One text whose rows are joined otherwise is another evaluation: no column, no difference has both. */
static void rows_tell_evaluations_apart(void **state) {
    (void)state;
    static const char *const name[] = {"spaced", "lined"}, *const join[] = {" ", "\\n"};
    for (int i = 0; i < 2; i++) {
        const char *text =
            lb_arena_printf(arena,
                            "name: %s\n" MODEL "eval: {text: rows.txt, name: t, rows: lines, join: \"%s\", "
                            "protocol: W2-64, windows: 3}\nquantize:\n  - {method: rtn, bits: 3}\n",
                            name[i], join[i]);
        assert_non_null(text);
        put_file("one.yaml", text);
        cli_result r = RAN(0, "run", "one.yaml");
        cli_free(&r);
    }
    cli_result r =
        RAN(0, "report", "results/spaced", "results/lined", "--columns", "label,text_rows,ppl", "--format", "csv");
    cli_has(r.out, "\"lines, joined by \"\" \"\"\"");
    cli_has(r.out, "\"lines, joined by \"\"\\n\"\"\"");
    cli_free(&r);
    r = RAN(0, "report", "results/spaced", "results/lined");
    const char *first = strstr(r.out, "perplexity on t, W2-64, first 3 of ");
    assert_true(first && strstr(first + 1, "perplexity on t, W2-64, first 3 of "));
    cli_free(&r);
}

static void refused(const char *eval, const char *why) {
    const char *text = lb_arena_printf(arena, MODEL "eval: {%s}\nquantize:\n  - {method: rtn}\n", eval);
    assert_non_null(text);
    put_file("b.yaml", text);
    SAYS(1, why, "check", "b.yaml");
}

static void protocols_have_rules_of_their_own(void **state) {
    (void)state;
    refused("text: eval.txt, protocol: C4-new-64", "b.yaml:3: text eval.txt is read as one: protocol C4-new-64 takes "
                                                   "rows");
    refused("text: docs.jsonl, rows: file, protocol: C4-old-64", "is read as one: protocol C4-old-64 takes rows");
    refused("text: rows.txt, rows: lines, protocol: PTB-new-64, join: \"\\n\"", "joins rows by a space itself");
    refused("text: rows.txt, rows: lines, protocol: PTB-old-64, first: 5", "protocol PTB-old-64 takes all rows");
    refused("text: docs.jsonl, field: s, protocol: C4-new-64, first: 5", "protocol C4-new-64 takes the first 1100");
    refused("text: docs.jsonl, field: s, protocol: C4-old-64, join: \" \"", "takes each row for itself");
    refused("text: docs.jsonl, protocol: C4-new-64", "docs.jsonl:1: no key 'text'");
    refused("text: rows.txt, rows: lines, protocol: C4-old-512",
            "rows drawn 0 have at least 512 tokens, 256 are wanted");
    refused("text: eval.txt, protocol: PTB-old-2048", "is called PTB-old");
    refused("text: eval.txt, protocol: HF-64", "a stride in [1, 64] must follow");
    SAYS(1, "protocol C4-old-64 takes rows", "eval", "tiny", "eval.txt", "--protocol", "C4-old-64");
    SAYS(1, "join has no effect", "eval", "tiny", "eval.txt", "--protocol", "W2-64", "--join", " ");
    SAYS(1, "joins rows by a space itself", "eval", "tiny", "rows.txt", "--rows", "lines", "--protocol", "PTB-new-64",
         "--join", "  ");
    cli_result r = RAN(0, "eval", "tiny", "rows.txt", "--protocol", "PTB-new-64", "--windows", "1");
    cli_has(r.err,
            "rows.txt: read as one text: PTB-new-64 is of rows that are joined by a space (rows: lines cuts it)");
    cli_free(&r);
    r = RAN(0, "eval", "tiny", "rows.txt", "--protocol", "PTB-new-64", "--windows", "1", "--rows", "lines");
    cli_has_not(r.err, "read as one text");
    cli_free(&r);
    /* What it says itself may be said, too. */
    SAYS(0, "perplexity", "eval", "tiny", "docs.jsonl", "--field", "s", "--protocol", "C4-new-64", "--first", "1100",
         "--join", " ", "--windows", "1");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(config_and_command_agree), cmocka_unit_test(results_run_again),
                                       cmocka_unit_test(rows_tell_evaluations_apart),
                                       cmocka_unit_test(protocols_have_rules_of_their_own)};
    return cmocka_run_group_tests(tests, make_model, clean);
}
