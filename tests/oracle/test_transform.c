/* Input transforms against scipy's Hadamard matrix (tests/oracle/make_transform.py). */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/json.h"
#include "io/safetensors.h"
#include "quant/transform.h"

enum { MOST = 96 };

static lb_safetensors *file;

static const lb_tensor *find(const char *name, const char *part) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, part);
    return lb_safetensors_find(file, full);
}

static int64_t get(const char *name, const char *part, float *out, int64_t room) {
    const lb_tensor *t = find(name, part);
    if (!t) return 0;
    int64_t n = lb_tensor_count(t);
    assert_true(n <= room);
    assert_ok(lb_tensor_read_f32(t, 0, n, out));
    return n;
}

static void compare(const char *name, const char *part, const float *got, int64_t rows, int64_t cols) {
    static float want[MOST * MOST];
    float most = 0;
    assert_int_equal(get(name, part, want, MOST * MOST), rows * cols);
    for (int64_t i = 0; i < rows * cols; i++) most = fmaxf(most, fabsf(want[i]));
    for (int64_t i = 0; i < rows * cols; i++)
        if (!(fabsf(got[i] - want[i]) <= 1e-6f * most))
            fail_msg("%s.%s at row %lld, column %lld: %.9g, scipy has %.9g", name, part, (long long)(i / cols),
                     (long long)(i % cols), (double)got[i], (double)want[i]);
}

static void check_case(const char *name) {
    static float scale[MOST], sign[MOST], x[MOST * MOST], h[MOST * MOST];
    static double H[MOST * MOST];
    uint8_t bits[MOST / 8] = {0};
    json_t *about = NULL;
    const char *text = lb_safetensors_metadata(file, name);
    assert_non_null(text);
    assert_ok(lb_json_parse(name, text, strlen(text), &about));
    int64_t cols = json_integer_value(json_object_get(about, "cols")), n;
    lb_transform t = {.hadamard = json_integer_value(json_object_get(about, "hadamard"))};
    json_decref(about);
    if (get(name, "scale", scale, MOST)) t.scale = scale;
    if (get(name, "sign", sign, MOST)) t.sign = bits;
    for (int64_t c = 0; t.sign && c < cols; c++) bits[c / 8] |= (uint8_t)((sign[c] != 0) << c % 8);

    n = get(name, "x", x, MOST * MOST) / cols;
    lb_transform_input(&t, lb_cmat_of(x, n, cols), lb_mat_of(x, n, cols));
    compare(name, "tx", x, n, cols);
    n = get(name, "w", x, MOST * MOST) / cols;
    lb_transform_weights(&t, lb_mat_of(x, n, cols));
    compare(name, "wt", x, n, cols);
    assert_int_equal(get(name, "h", h, MOST * MOST), cols * cols);
    for (int64_t i = 0; i < cols * cols; i++) H[i] = (double)h[i];
    assert_ok(lb_transform_hessian(&t, lb_dmat_of(H, cols, cols), NULL));
    for (int64_t i = 0; i < cols * cols; i++) h[i] = (float)H[i];
    compare(name, "tht", h, cols, cols);
}

static void as_scipy(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    static const char *const name[] = {"scale", "hadamard", "runs", "all"};
    lb_test_fixture("tests/oracle/fixtures/transform.safetensors", path);
    assert_ok(lb_safetensors_open(path, &file));
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) check_case(name[i]);
    lb_safetensors_close(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_scipy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
