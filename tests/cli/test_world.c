/* The committed texts are what the generator writes: same seed, same bytes. Seeds differ, and so do the texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *generate(int seed, long bytes, size_t *len) {
    const char *build = getenv("BUILD");
    char command[512];
    snprintf(command, sizeof command, "%s/tools/world --seed %d --bytes %ld", build ? build : "build/release", seed,
             bytes);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t cap = (size_t)bytes + 65536;
    char *text = malloc(cap);
    assert_non_null(text);
    *len = fread(text, 1, cap, f);
    assert_int_equal(pclose(f), 0);
    assert_true(*len >= (size_t)bytes);
    return text;
}

static void same_as_file(int seed, long bytes, const char *path) {
    size_t len;
    char *made = generate(seed, bytes, &len);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *kept = malloc(len + 1);
    assert_non_null(kept);
    assert_int_equal(fread(kept, 1, len + 1, f), len);
    fclose(f);
    assert_memory_equal(made, kept, len);
    free(made);
    free(kept);
}

static void test_calibration_text(void **state) {
    (void)state;
    same_as_file(2, 150000, "data/builtin/calibration.txt");
}

static void test_eval_text(void **state) {
    (void)state;
    same_as_file(3, 150000, "data/builtin/eval.txt");
}

static void test_training_text(void **state) {
    (void)state;
    same_as_file(1, 1000000, "data/builtin/train.txt");
}

static void test_seeds_differ(void **state) {
    (void)state;
    size_t a_len, b_len;
    char *a = generate(1, 4000, &a_len), *b = generate(2, 4000, &b_len);
    assert_true(a_len != b_len || memcmp(a, b, a_len) != 0);
    free(a);
    free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_text),
        cmocka_unit_test(test_calibration_text),
        cmocka_unit_test(test_eval_text),
        cmocka_unit_test(test_seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
