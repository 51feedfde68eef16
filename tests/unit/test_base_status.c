#include "support/status_name.h"
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static lb_status inner(int v) { return v > 8 ? lb_fail(LB_E_CONFIG, "bits = %d: must be in [2, 8]", v) : LB_OK; }

static lb_status outer(int v) {
    LB_TRY(inner(v));
    return LB_OK;
}

static lb_status with_cleanup(int v, int *cleaned) {
    lb_status s;
    LB_TRY_GOTO(s, out, inner(v));
    s = lb_fail(LB_E_ARG, "not reached for bad v");
out:
    ++*cleaned;
    return s;
}

static void messages_and_frames(void **state) {
    (void)state;
    int cleaned = 0;
    lb_error_clear();
    assert_string_equal(lb_error(), "");
    assert_int_equal(outer(4), LB_OK);
    assert_int_equal(outer(9), LB_E_CONFIG);
    assert_string_equal(lb_error(), "bits = 9: must be in [2, 8]");
    assert_non_null(strstr(lb_error_frames(), " outer\n"));
    assert_int_equal(lb_fail_in(LB_E_CONFIG, "%s:%d", "w4.yaml", 12), LB_E_CONFIG);
    assert_string_equal(lb_error(), "w4.yaml:12: bits = 9: must be in [2, 8]");
    assert_non_null(strstr(lb_error_frames(), " outer\n")); /* context keeps the trail, */
    assert_int_equal(with_cleanup(10, &cleaned), LB_E_CONFIG);
    assert_int_equal(cleaned, 1);
    assert_null(strstr(lb_error_frames(), " outer\n")); /* a new failure starts one */
    assert_non_null(strstr(lb_error_frames(), " with_cleanup\n"));
}

static void a_message_may_quote_the_last(void **state) {
    (void)state;
    assert_status(LB_E_IO, lb_fail(LB_E_IO, "disk full"));
    assert_status(LB_E_IO, lb_fail(LB_E_IO, "cannot write (%s)", lb_error()));
    assert_string_equal(lb_error(), "cannot write (disk full)");
}

static void long_messages_are_cut(void **state) {
    (void)state;
    char big[5000];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = 0;
    assert_status(LB_E_ARG, lb_fail(LB_E_ARG, "%s", big));
    size_t n = strlen(lb_error());
    assert_true(n > 1000 && n < sizeof big);
    assert_string_equal(lb_error() + n - 3, "...");
    for (int i = 0; i < 3000; i++) assert_status(LB_E_ARG, lb_fail_in(LB_E_ARG, "%d", i));
    assert_true(strlen(lb_error()) == n && strncmp(lb_error(), "2999: 2998: ", 12) == 0);
    assert_status(LB_E_ARG, lb_fail_in(LB_E_ARG, "%s", big)); /* context that fills the buffer by itself */
    assert_true(strlen(lb_error()) == n);
    for (int i = 0; i < 1000; i++) lb_error_frame("file.c", i, "function");
    assert_true(strlen(lb_error_frames()) < sizeof big);
}

static void names(void **state) {
    (void)state;
    for (int c = LB_OK; c <= LB_E_INTERRUPTED; c++) {
        assert_string_not_equal(status_name((lb_status)c), "unknown");
        for (int d = LB_OK; d < c; d++) assert_string_not_equal(status_name((lb_status)c), status_name((lb_status)d));
    }
}

static void interrupts(void **state) {
    (void)state;
    assert_false(lb_interrupted());
    assert_ok(lb_interrupt_check());
    lb_interrupt_request();
    assert_true(lb_interrupted());
    assert_status(LB_E_INTERRUPTED, lb_interrupt_check());
    lb_interrupt_clear();
    assert_ok(lb_interrupt_check());
}

typedef struct heard {
    int messages, steps;
    lb_level level;
    char text[64];
    lb_progress last;
} heard;

static void hear(void *user, lb_level level, const char *text) {
    heard *h = user;
    h->messages++;
    h->level = level;
    snprintf(h->text, sizeof h->text, "%s", text);
}

static void step(void *user, const lb_progress *p) {
    heard *h = user;
    h->steps++;
    h->last = *p;
}

static void logging(void **state) {
    (void)state;
    heard h = {0};
    lb_log log = {.message = hear, .progress = step, .user = &h}, deaf = {0};
    lb_warn(NULL, "dropped %d", 1);
    lb_warn(&deaf, "dropped %d", 1);
    lb_log_step(NULL, "gptq", "", 0, 1);
    lb_log_step(&deaf, "gptq", "", 0, 1);
    assert_int_equal(h.messages, 0);
    lb_warn(&log, "layer %d: %s", 3, "dead column");
    assert_string_equal(h.text, "layer 3: dead column");
    assert_int_equal(h.level, LB_WARN);
    lb_info(&log, "i");
    assert_int_equal(h.level, LB_INFO);
    lb_debug(&log, "d");
    assert_int_equal(h.level, LB_DEBUG);
    assert_int_equal(h.messages, 3);
}

/* The estimate is elapsed / done of what is left, on a clock that a new stage restarts. */
static void progress_estimates(void **state) {
    (void)state;
    heard h = {0};
    lb_log log = {.progress = step, .user = &h};
    lb_log_step(&log, "calibrate", NULL, 0, 10);
    assert_true(h.last.left_s < 0);
    assert_string_equal(h.last.detail, "");
    log.stage_start_s -= 100; /* as if 100 s had gone by */
    lb_log_step(&log, "calibrate", "layer 3", 4, 10);
    assert_true(h.last.elapsed_s >= 100 && h.last.elapsed_s < 200);
    double want = h.last.elapsed_s * 6 / 4;
    assert_true(h.last.left_s > 0.999 * want && h.last.left_s < 1.001 * want);
    assert_string_equal(h.last.detail, "layer 3");
    lb_log_step(&log, "gptq", "layer 0", 1, 10);
    assert_true(h.last.elapsed_s < 50);
    assert_int_equal(h.steps, 3);
    /* a name longer than the buffer is still the same stage the next time */
    const char *name = "a stage with a name of more than thirty-one characters";
    lb_log_step(&log, name, "", 1, 2);
    log.stage_start_s -= 100;
    lb_log_step(&log, name, "", 2, 2);
    assert_true(h.last.elapsed_s >= 100 && h.last.left_s == 0);
}

static void clocks(void **state) {
    (void)state;
    double a = lb_clock_s(), c = lb_clock_cpu_s();
    volatile double x = 0;
    while (lb_clock_cpu_s() < c + 0.002) x = x + 1;
    assert_true(lb_clock_s() > a);
    assert_true(lb_peak_memory_bytes() > 100 * 1024);
    char t[32];
    lb_clock_iso(t);
    assert_int_equal(strlen(t), 20);
    assert_true(t[4] == '-' && t[10] == 'T' && t[19] == 'Z' && strncmp(t, "2024", 4) > 0);
}

static void formats(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *duration;
    } d[] = {{0, "0 ms"},           {0.85, "850 ms"},       {0.9996, "1.0 s"},      {12.34, "12.3 s"},
             {59.96, "1 min 00 s"}, {245.2, "4 min 05 s"},  {3599.7, "1 h 00 min"}, {7380, "2 h 03 min"},
             {-1, "unknown"},       {100000, "27 h 47 min"}};
    static const struct {
        double v;
        const char *bytes;
    } b[] = {{0, "0 B"},         {512, "512 B"},        {1023, "1023 B"},
             {1024, "1.00 KiB"}, {1268777, "1.21 MiB"}, {1048575, "1.00 MiB"},
             {3e15, "2.66 PiB"}};
    char out[32];
    for (size_t i = 0; i < sizeof d / sizeof d[0]; i++) {
        lb_format_duration(d[i].v, out);
        assert_string_equal(out, d[i].duration);
    }
    for (size_t i = 0; i < sizeof b / sizeof b[0]; i++) {
        lb_format_bytes(b[i].v, out);
        assert_string_equal(out, b[i].bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_frames),
        cmocka_unit_test(a_message_may_quote_the_last),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(names),
        cmocka_unit_test(interrupts),
        cmocka_unit_test(logging),
        cmocka_unit_test(progress_estimates),
        cmocka_unit_test(clocks),
        cmocka_unit_test(formats),
    };
    return cmocka_run_group_tests_name("base/status, log, clock", tests, NULL, NULL);
}
