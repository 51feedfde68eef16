#include "support/expand_kit.h"

#include <string.h>

lb_config config;
lb_sweep sweep;

int expand_setup(void **state) {
    (void)state;
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}

int expand_teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

lb_status expand(const char *text) {
    lb_yaml *root = NULL;
    lb_config *c = LB_NEW(arena, lb_config, 1);
    if (!c) return LB_E_NOMEM;
    LB_TRY(lb_yaml_parse(arena, "c.yaml", text, strlen(text), &root));
    LB_TRY(lb_config_from_tree(arena, "c.yaml", root, c));
    config = *c;
    return lb_sweep_expand(arena, c, &sweep);
}

lb_status expand_rest(const char *rest) {
    char *text = lb_arena_printf(arena, "model: m\ncalibration: {text: c}\n%s", rest);
    return text ? expand(text) : LB_E_NOMEM;
}

void expect_cells(const char *text, const char *labels) {
    assert_ok(expand(text));
    lb_str got = {0};
    for (size_t i = 0; i < sweep.n; i++)
        lb_str_add(&got, sweep.cell[i].refused ? "%s[%s]" : "%s%s", i ? "; " : "", sweep.cell[i].label);
    assert_ok(lb_str_check(&got));
    assert_string_equal(got.s, labels);
    lb_str_free(&got);
}

void expect_memory_errors(const char *rest) {
    int64_t failed = 0;
    for (int64_t n = 1; n < 10000; n++) {
        lb_arena *a = arena;
        assert_ok(lb_arena_new(256, &arena));
        lb_alloc_fail_at(n);
        lb_status st = expand_rest(rest);
        lb_alloc_fail_at(0);
        lb_arena_free(arena);
        arena = a;
        if (st == LB_OK) break;
        assert_int_equal(st, LB_E_NOMEM);
        failed++;
    }
    assert_true(failed > 10);
}
