/* lowbit train as a user meets it, for every family that there is: the loss falls, the folder is read again, and any
 * number of threads gives the same bytes. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "io/json.h"
#include "model/family.h"
#include "support/run_cli.h"

enum { VOCAB = 280 };
static const char *home;
static char text[LB_TEST_PATH];

static int make_home(void **state) {
    (void)state;
    home = lb_test_tmpdir();
    lb_test_fixture("data/builtin/eval.txt", text);
    return 0;
}

/* Trains in 30 short steps; the printed loss, the mean of all of them. held: looked at meanwhile. */
static double train(const char *family, const char *out, const char *threads, const char *held) {
    cli_options o = {.cwd = home};
    cli_result r = CLI(&o, "train", text, "--family", family, "--out", out, "--threads", threads, "--vocab", "280",
                       "--layers", "2", "--dim", "32", "--heads", "4", "--steps", "30", "--warmup", "2", "--batch", "2",
                       "--length", "32", "--lr", "1e-2", held ? "--validation" : NULL, held, "--every", "10");
    if (r.code != 0) fail_msg("%s: %s", family, r.err);
    const char *loss = strstr(r.out, "\nloss ");
    assert_non_null(loss);
    const char *watched = strstr(r.out, "\nvalidation ");
    assert_int_equal(watched != NULL, held != NULL);
    if (watched && !(strtod(watched + strlen("\nvalidation "), NULL) < log(VOCAB) - 0.15)) fail_msg("%s", r.out);
    double v = strtod(loss + strlen("\nloss "), NULL);
    cli_free(&r);
    return v;
}

static void same_file(const char *a, const char *b, const char *name) {
    char path[LB_TEST_PATH * 2];
    char *x, *y;
    size_t n, m;
    snprintf(path, sizeof path, "%s/%s/%s", home, a, name);
    assert_ok(lb_fs_read(path, &x, &n));
    snprintf(path, sizeof path, "%s/%s/%s", home, b, name);
    assert_ok(lb_fs_read(path, &y, &m));
    assert_int_equal(n, m);
    if (memcmp(x, y, n) != 0) fail_msg("%s of %s and %s differ", name, a, b);
    lb_free(x);
    lb_free(y);
}

static void every_family_trains(void **state) {
    (void)state;
    cli_options o = {.cwd = home};
    for (int i = 0; lb_family_table[i]; i++) {
        const char *family = lb_family_table[i]->name;
        char two[64], here[64];
        snprintf(two, sizeof two, "%s-2", family);
        snprintf(here, sizeof here, "./%s", family); /* gpt2 alone is a source that has not been fetched */
        double loss = train(family, family, "1", NULL);
        if (!(loss < log(VOCAB) - 0.15)) fail_msg("%s: a mean loss of %g after 30 steps", family, loss);
        assert_true(train(family, two, "2", text) == loss);
        same_file(family, two, "model.safetensors");
        same_file(family, two, "config.json");
        cli_result r = CLI(&o, "eval", here, text, "--protocol", "W2-64", "--windows", "4", "--threads", "1");
        if (r.code != 0) fail_msg("%s: %s", family, r.err);
        cli_free(&r);
    }
}

/* A name is that of a source, even where the folder has something so called: which the message says. */
static void a_source_of_that_name(void **state) {
    (void)state;
    cli_options o = {.cwd = home};
    cli_result r = CLI(&o, "eval", "gpt2", text, "--protocol", "W2-64");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "gpt2 is not here: ");
    cli_has(r.err, "; what this folder has of that name is ./gpt2");
    cli_free(&r);
}

/* Without --family it is a Llama. */
static void the_default_is_a_llama(void **state) {
    (void)state;
    cli_options o = {.cwd = home};
    cli_result r =
        CLI(&o, "train", text, "--out", "plain", "--threads", "1", "--vocab", "280", "--layers", "2", "--dim", "32",
            "--heads", "4", "--steps", "30", "--warmup", "2", "--batch", "2", "--length", "32", "--lr", "1e-2");
    if (r.code != 0) fail_msg("%s", r.err);
    cli_free(&r);
    same_file("plain", "llama", "model.safetensors");
    same_file("plain", "llama", "config.json");
}

/* Keys go into config.json as they were given, by the first of their spellings, and they count. */
static void keys_are_written_and_count(void **state) {
    (void)state;
    cli_options o = {.cwd = home};
    char path[LB_TEST_PATH * 2];
    char *config;
    size_t n;
    cli_result r = CLI(&o, "train", text, "--out", "keys", "--family", "mixtral", "-o", "num_experts=3", "-o",
                       "sliding_window=9", "-o", "hidden_act=gelu", "--vocab", "280", "--layers", "2", "--dim", "32",
                       "--hidden", "48", "--heads", "4", "--context", "64", "--steps", "2", "--warmup", "0", "--batch",
                       "1", "--length", "16", "--tied", "--rope-base", "500");
    if (r.code != 0) fail_msg("%s", r.err);
    /* embed, then in each of 2 blocks q, k, v, o, the router, 3 experts of 3 layers and 2 norms, then the norm */
    cli_has(r.out, "mixtral, 2 blocks, 32 wide, 280 tokens, 43104 weights");
    cli_free(&r);
    snprintf(path, sizeof path, "%s/keys/config.json", home);
    assert_ok(lb_fs_read(path, &config, &n));
    cli_has(config, "\"num_local_experts\": 3");
    cli_has(config, "\"sliding_window\": 9");
    cli_has(config, "\"hidden_act\": \"gelu\"");
    cli_has(config, "\"tie_word_embeddings\": true");
    cli_has(config, "\"rope_theta\": 500.0");
    cli_has_not(config, "num_experts\"");
    lb_free(config);
}

/* A held-out text is looked at, and the model is the same: its last loss is what an evaluation gives. */
static void a_held_out_text(void **state) {
    (void)state;
    cli_options o = {.cwd = home};
    char held[LB_TEST_PATH];
    double last = 0, first = 0;
    lb_test_fixture("data/builtin/calibration.txt", held);
    const char *const words[] = {"train",
                                 text,
                                 "--out",
                                 "watched",
                                 "--threads",
                                 "2",
                                 "--vocab",
                                 "280",
                                 "--layers",
                                 "2",
                                 "--dim",
                                 "32",
                                 "--heads",
                                 "4",
                                 "--steps",
                                 "30",
                                 "--warmup",
                                 "2",
                                 "--batch",
                                 "2",
                                 "--length",
                                 "32",
                                 "--lr",
                                 "1e-2",
                                 "--dtype",
                                 "f32",
                                 "--validation",
                                 held,
                                 "--every",
                                 "7",
                                 "--validation-windows",
                                 "5",
                                 NULL};
    cli_result r = cli_run(&o, words);
    if (r.code != 0) fail_msg("%s", r.err);
    const char *at = strstr(r.out, "\nvalidation  ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\nvalidation  %lf nats a token, %lf before the first step: 5 of ", &last, &first), 2);
    assert_true(last < first - 0.3);
    cli_free(&r);
    r = CLI(&o, "eval", "watched", held, "--protocol", "W2-32", "--windows", "5", "--bos", "never", "--json", "e.json");
    assert_int_equal(r.code, 0);
    cli_free(&r);
    char path[LB_TEST_PATH * 2];
    json_t *root;
    double ppl;
    snprintf(path, sizeof path, "%s/e.json", home);
    assert_ok(lb_json_read(path, &root));
    assert_ok(lb_json_num(path, root, "perplexity", &ppl));
    assert_true(fabs(log(ppl) - last) <= 5.1e-5);
    json_decref(root);
    r = CLI(&o, "train", text, "--out", "other", "--every", "7");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "--every has no effect: there is no text to validate on: add --validation TEXT");
    cli_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_family_trains), cmocka_unit_test(a_source_of_that_name),
                                       cmocka_unit_test(the_default_is_a_llama),
                                       cmocka_unit_test(keys_are_written_and_count), cmocka_unit_test(a_held_out_text)};
    return cmocka_run_group_tests(tests, make_home, NULL);
}
