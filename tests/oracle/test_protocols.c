/* Every protocol against loops of another program over transformers' logits (tests/oracle/make_protocols.py): texts in
 * rows of lines and of json lines, BOS or none, windows that are drawn. Counts exactly, each window's mean NLL within
 * 2e-5. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "io/json.h"
#include "result/quality.h"
#include "support/folder.h"
#include "support/run_cli.h"

static const double tolerance = 2e-5;

static void fixture(const char *name, char path[LB_TEST_PATH]) {
    char whole[600];
    snprintf(whole, sizeof whole, "tests/oracle/fixtures/protocols/%s", name);
    lb_test_fixture(whole, path);
}

static json_t *read_json(const char *path) {
    char *text;
    size_t n;
    json_t *o;
    assert_ok(lb_fs_read(path, &text, &n));
    assert_ok(lb_json_parse(path, text, n, &o));
    lb_free(text);
    return o;
}

static void copy(const char *from, const char *dir, const char *name) {
    char to[LB_TEST_PATH];
    char *bytes;
    size_t n;
    join_path(to, dir, name);
    assert_ok(lb_fs_read(from, &bytes, &n));
    assert_ok(lb_fs_write_atomic(to, bytes, n));
    lb_free(bytes);
}

/* The family's first model with one of the tokenizers. */
static void make_model(const char *family, const char *tokenizer, char dir[LB_TEST_PATH]) {
    char name[512], path[LB_TEST_PATH];
    join_path(dir, lb_test_tmpdir(), family);
    assert_ok(lb_fs_mkdirs(dir));
    static const char *const part[] = {"config.json", "model.safetensors"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "tests/oracle/fixtures/families/%s/a/%s", family, part[i]);
        lb_test_fixture(name, path);
        copy(path, dir, part[i]);
    }
    snprintf(name, sizeof name, "%s/tokenizer.json", tokenizer);
    fixture(name, path);
    copy(path, dir, "tokenizer.json");
}

/* What lowbit eval finds. */
static json_t *evaluate(const char *dir, const char *id, const char *text_name) {
    char text[LB_TEST_PATH], out[LB_TEST_PATH];
    const char *rows = strcmp(text_name, "rows.txt") == 0 ? "lines" : "auto";
    fixture(text_name, text);
    join_path(out, lb_test_tmpdir(), "out.json");
    cli_result r = CLI(NULL, "eval", dir, text, "--protocol", id, "--rows", rows, "--json", out, "--threads", "1");
    if (r.code) fail_msg("%s: %s", id, r.err);
    cli_free(&r);
    return read_json(out);
}

static double real(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static void check_count(const char *id, const char *what, const json_t *got, const json_t *want) {
    if (json_integer_value(got) != json_integer_value(want) || !json_is_integer(got))
        fail_msg("%s: %lld %s, expected %lld", id, (long long)json_integer_value(got), what,
                 (long long)json_integer_value(want));
}

static void check_windows(const char *id, const json_t *got, const json_t *want) {
    size_t i;
    const json_t *x;
    if (json_array_size(got) != json_array_size(want))
        fail_msg("%s: %zu windows, expected %zu", id, json_array_size(got), json_array_size(want));
    json_array_foreach(want, i, x) {
        double ours = json_real_value(json_array_get(got, i)), theirs = json_real_value(x);
        if (!(fabs(ours - theirs) <= tolerance)) fail_msg("%s, window %zu: %.7f, expected %.7f", id, i, ours, theirs);
    }
}

/* The example of transformers' documentation goes by the same windows, and weighs each but the first by one token less
 * than it scores. */
static void check_weights(const char *id, const json_t *got, double theirs) {
    lb_protocol p;
    double sum = 0, weights = 0;
    const json_t *nll = json_object_get(got, "window_nll");
    int64_t tokens = json_integer_value(json_object_get(json_object_get(got, "text"), "tokens"));
    assert_ok(lb_protocol_parse(id, &p));
    for (int64_t i = 0; i < lb_protocol_windows(&p, tokens); i++) {
        const lb_window w = lb_protocol_window(&p, tokens, i);
        bool whole = i == 0 || p.stride == p.n; /* its first label is shifted away anyway */
        double weight = (double)(w.n - 1 - w.from - !whole);
        sum += weight * json_real_value(json_array_get(nll, (size_t)i));
        weights += weight;
    }
    if (!(fabs(sum / weights - theirs) <= tolerance))
        fail_msg("%s: %.7f by weights of transformers' example, which has %.7f", id, sum / weights, theirs);
}

static void check(const char *dir, const char *id, const json_t *want) {
    json_t *got = evaluate(dir, id, json_string_value(json_object_get(want, "text")));
    check_count(id, "tokens", json_object_get(json_object_get(got, "text"), "tokens"), json_object_get(want, "tokens"));
    check_count(id, "scored tokens", json_object_get(got, "scored"), json_object_get(want, "scored"));
    check_windows(id, json_object_get(got, "window_nll"), json_object_get(want, "nll"));
    if (!(fabs(real(got, "mean_nll") - real(want, "mean")) <= tolerance))
        fail_msg("%s: mean %.7f, expected %.7f", id, real(got, "mean_nll"), real(want, "mean"));
    if (json_object_get(want, "transformers")) check_weights(id, got, real(want, "transformers"));
    json_decref(got);
}

static void every_protocol(void **state) {
    (void)state;
    char path[LB_TEST_PATH], dir[LB_TEST_PATH];
    fixture("expected.json", path);
    json_t *all = read_json(path), *model, *want;
    const char *family, *id;
    bool seen[32] = {false};
    json_object_foreach(all, family, model) {
        make_model(family, json_string_value(json_object_get(model, "tokenizer")), dir);
        json_object_foreach(json_object_get(model, "protocols"), id, want) {
            lb_protocol p;
            assert_ok(lb_protocol_parse(id, &p));
            seen[p.rule] = true;
            check(dir, id, want);
        }
    }
    for (const lb_protocol_form *f = lb_protocol_forms; f->form; f++) {
        const lb_protocol p = {.rule = f->rule};
        if (!seen[f->rule] && !lb_protocol_is_task(&p))
            fail_msg("%s is compared with nothing: tests/oracle/make_protocols.py", f->form);
    }
    json_decref(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_protocol)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
