/* A prompt in a config: every cell continues it, as `lowbit generate` does from the cell's file; without one, cells are
 * what they were. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "support/h5_same.h"
#include "support/sweep_kit.h"

#define CELLS  "quantize:\n  - {method: rtn, bits: 3}\n  - {method: gptq, bits: 4, group: 16}\n"
#define PROMPT "prompt: \"The cat sat\"\nprompt_tokens: 12\n"

static void same_cells(const lb_results *a, const lb_results *b) {
    assert_int_equal(a->n, b->n);
    for (int64_t i = 0; i < a->n; i++) {
        char x[LB_TEST_PATH], y[LB_TEST_PATH];
        assert_string_equal(a->record[i].stem, b->record[i].stem);
        snprintf(x, sizeof x, "%s/%s.h5", a->dir, a->record[i].stem);
        snprintf(y, sizeof y, "%s/%s.h5", b->dir, b->record[i].stem);
        assert_true(h5_same(x, y, "/host") > 20);
    }
}

/* As a screen has it: a byte that begins no character is '?' there, and U+FFFD in a result. */
static char *on_screen(const char *text) {
    char *shown;
    size_t n;
    FILE *f = open_memstream(&shown, &n);
    assert_non_null(f);
    lb_cli_put(f, text);
    assert_int_equal(fclose(f), 0);
    for (char *p; (p = strstr(shown, "\xef\xbf\xbd"));) {
        *p = '?';
        memmove(p + 1, p + 3, strlen(p + 3) + 1);
    }
    return shown;
}

/* drawn: tokens are. */
static void as_the_command(const lb_record *r, const char *folder, bool drawn) {
    char path[2 * LB_TEST_PATH], *shown = on_screen(r->continuation.text);
    snprintf(path, sizeof path, "%s/%s.h5", folder, r->stem);
    cli_result c = drawn ? RAN(0, "generate", r->bits ? path : "tiny", "The cat sat", "--tokens", "12", "--temperature",
                               "0.8", "--top-p", "0.9", "--seed", "7")
                         : RAN(0, "generate", r->bits ? path : "tiny", "The cat sat", "--tokens", "12");
    const char *at = strstr(c.out, "\n\nThe cat sat");
    assert_non_null(at);
    at += strlen("\n\nThe cat sat");
    assert_true(strlen(shown) > 0);
    if (strncmp(at, shown, strlen(shown)) != 0) fail_msg("%s: '%s', not '%s'", r->label, at, shown);
    cli_has(c.out, "\ntokens      12: as many as asked for");
    free(shown);
    cli_free(&c);
}

/* Under one name, which stands in the results, in folders of their own. */
static lb_results *sweep(const char *folder, const char *config) {
    char where[64], name[64];
    put_file("p.yaml", config);
    snprintf(where, sizeof where, "results=%s", folder);
    snprintf(name, sizeof name, "%s/p", folder);
    cli_result c = RAN(0, "run", "p.yaml", "--no-report", "-o", where);
    cli_has(c.err, "3 cells run");
    cli_free(&c);
    return results(name);
}

static void every_cell_continues_it(void **state) {
    (void)state;
    lb_results *plain = sweep("plain", COMMON CELLS);
    lb_results *empty = sweep("empty", COMMON CELLS "prompt: \"\"\nprompt_tokens: 7\n");
    lb_results *stream = sweep("stream", COMMON CELLS PROMPT "keep_layers: true\nweights: stream\n");
    lb_results *p = sweep("results", COMMON CELLS PROMPT "keep_layers: true\n");
    same_cells(plain, empty);
    same_cells(p, stream);
    for (int64_t i = 0; i < 3; i++) {
        const lb_continuation *c = &p->record[i].continuation;
        assert_null(plain->record[i].continuation.prompt);
        assert_true(strcmp(p->record[i].stem, plain->record[i].stem) != 0);
        assert_string_equal(c->prompt, "The cat sat");
        assert_int_equal(c->tokens, 12);
        assert_string_equal(c->ended, "tokens");
        assert_true(c->prefill > 0 && c->decode > 0);
        assert_memory_equal(p->record[i].eval[0].eval.window_nll, plain->record[i].eval[0].eval.window_nll,
                            6 * sizeof(double));
        as_the_command(&p->record[i], "results/p", false);
    }
    lb_results_free(plain);
    lb_results_free(empty);
    lb_results_free(p);
    lb_results_free(stream);
}

/* By the same draws as the command's; in a map that draws nothing cells are what they are of a text. */
static void drawn(void **state) {
    (void)state;
    lb_results *text = results("results/p");
    lb_results *map =
        sweep("map", COMMON CELLS "keep_layers: true\nprompt: {text: The cat sat, tokens: 12, seed: 3}\n");
    lb_results *d = sweep("drawn", COMMON CELLS "keep_layers: true\nprompt: {text: The cat sat, tokens: 12, "
                                                "temperature: 0.8, top_p: 0.9, seed: 7}\n");
    same_cells(text, map);
    int other = 0;
    for (int64_t i = 0; i < 3; i++) {
        const lb_continuation *c = &d->record[i].continuation;
        assert_true(c->temperature == 0.8 && c->top_p == 0.9 && c->seed == 7);
        assert_true(strcmp(d->record[i].stem, text->record[i].stem) != 0);
        other += strcmp(c->text, text->record[i].continuation.text) != 0;
        as_the_command(&d->record[i], "drawn/p", true);
    }
    assert_true(other > 0);
    char path[LB_TEST_PATH], name[LB_TEST_PATH];
    snprintf(path, sizeof path, "drawn/p/%s.h5", d->record[1].stem);
    cli_result c = RAN(0, "run", path, "--no-report", "-o", "results=again");
    cli_free(&c);
    snprintf(name, sizeof name, "again/p-%s", d->record[1].stem);
    lb_results *again = results(name);
    assert_string_equal(again->record[1].continuation.text, d->record[1].continuation.text);
    assert_string_equal(again->record[1].key, d->record[1].key);
    lb_results_free(again);
    lb_results_free(text);
    lb_results_free(map);
    lb_results_free(d);
}

/* One file is a config that makes the cell again, prompt and all; what is there is kept. */
static void again(void **state) {
    (void)state;
    char path[LB_TEST_PATH], name[LB_TEST_PATH];
    lb_results *p = results("results/p");
    snprintf(path, sizeof path, "results/p/%s.h5", p->record[1].stem);
    cli_result c = RAN(0, "run", path, "--no-report", "-o", "results=again");
    cli_free(&c);
    snprintf(name, sizeof name, "again/p-%s", p->record[1].stem);
    lb_results *r = results(name);
    assert_int_equal(r->n, 2);
    assert_string_equal(r->record[1].continuation.text, p->record[1].continuation.text);
    assert_string_equal(r->record[1].key, p->record[1].key);
    lb_results_free(r);
    lb_results_free(p);
    c = RAN(0, "run", "p.yaml", "--no-report");
    cli_has(c.err, "0 cells run, 3 kept");
    cli_free(&c);
}

static void in_the_report(void **state) {
    (void)state;
    cli_result c = RAN(0, "report", "results/p");
    cli_free(&c);
    char path[LB_TEST_PATH], *page;
    size_t n;
    path_in(path, home, "results/p/report/report.md");
    assert_ok(lb_fs_read(path, &page, &n));
    cli_has(page, "## One prompt");
    cli_has(page, "of \xe2\x80\x9cThe cat sat\xe2\x80\x9d");
    cli_has(page, "\n- none (baseline): ");
    lb_free(page);
    SAYS(0, "decode_tokens_per_second", "report", "results/p", "--columns", "method,decode_tokens_per_second");
}

static void what_cannot_be(void **state) {
    (void)state;
    char yaml[4096], words[2048];
    for (size_t i = 0; i < sizeof words; i++) words[i] = "qzxj"[i % 4];
    words[sizeof words - 1] = 0;
    snprintf(yaml, sizeof yaml, "%s%sprompt: %s\n", COMMON, CELLS, words);
    put_file("long.yaml", yaml);
    SAYS(1, "leave room in the model's context of", "check", "long.yaml");
    put_file("none.yaml", COMMON CELLS PROMPT "prompt_tokens: 0\n");
    SAYS(1, "prompt_tokens", "check", "none.yaml");
    put_file("near.yaml", COMMON CELLS "prompt: {text: a, temprature: 1}\n");
    SAYS(1, "unknown key 'temprature' in prompt: did you mean 'temperature'?", "check", "near.yaml");
    put_file("text.yaml", COMMON CELLS "prompt: {tokens: 3}\n");
    SAYS(1, "prompt: 'text' is missing", "check", "text.yaml");
    put_file("top.yaml", COMMON CELLS "prompt: {text: a, top_p: 1.5}\n");
    SAYS(1, "top_p = 1.5: must be in", "check", "top.yaml");
    put_file("both.yaml", COMMON CELLS "prompt: {text: a}\nprompt_tokens: 3\n");
    SAYS(1, "prompt_tokens has no effect: prompt is a map", "check", "both.yaml");
    put_file("list.yaml", COMMON CELLS "prompt: [a, b]\n");
    SAYS(1, "prompt", "check", "list.yaml");
    put_file("axis.yaml", COMMON CELLS "axes: {prompt: [a, b]}\n");
    SAYS(1, "whole experiment's", "check", "axis.yaml");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_cell_continues_it), cmocka_unit_test(again),
                                       cmocka_unit_test(in_the_report), cmocka_unit_test(drawn),
                                       cmocka_unit_test(what_cannot_be)};
    return cmocka_run_group_tests_name("prompt", tests, make_model, clean);
}
