#include "support/programs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/support.h"

/* Value i of a parameter is centre + spread * u, u from the hash of its name and i: see the script. */
float *lb_test_draw(lb_arena *a, const char *name, int64_t n, double centre, double spread) {
    float *out = LB_NEW(a, float, n + 1);
    uint64_t h = 0xcbf29ce484222325u;
    assert_non_null(out);
    for (const char *c = name; *c; c++) h = (h ^ (uint8_t)*c) * 0x100000001b3u;
    for (int64_t i = 0; i < n; i++) {
        uint64_t z = h + ((uint64_t)i + 1) * 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        out[i] = (float)centre + (float)spread * ((float)(z >> 40) / 8388608.0f - 1.0f);
    }
    return out;
}

lb_status lb_test_program_param(const void *ctx, const char *name, int64_t block, int64_t expert, lb_ref_param *out) {
    const lb_test_program *c = ctx;
    char full[64];
    if (strcmp(name, "head") == 0 && c->tied) name = "embed";
    if (block >= 0 && expert >= 0)
        snprintf(full, sizeof full, "%lld.%lld.%s", (long long)block, (long long)expert, name);
    else if (block >= 0)
        snprintf(full, sizeof full, "%lld.%s", (long long)block, name);
    else
        snprintf(full, sizeof full, "%s", name);
    const json_t *s = json_object_get(json_object_get(c->from, "parameters"), full);
    *out = (lb_ref_param){0};
    if (!s) return LB_OK;
    int64_t rows = json_integer_value(json_array_get(s, 0)), cols = json_integer_value(json_array_get(s, 1));
    double centre = json_number_value(json_array_get(s, 2)), spread = json_number_value(json_array_get(s, 3));
    double bias = json_number_value(json_array_get(s, 4));
    out->W = lb_cmat_of(lb_test_draw(c->arena, full, rows * cols, centre, spread), rows, cols);
    strcat(full, ".bias");
    if (bias > 0.0) out->bias = lb_test_draw(c->arena, full, rows > 1 ? rows : cols, 0.0, bias);
    return LB_OK;
}

static double *reals(lb_arena *a, const json_t *list) {
    double *v = LB_NEW(a, double, json_array_size(list) + 1);
    assert_non_null(v);
    for (size_t i = 0; i < json_array_size(list); i++) v[i] = json_number_value(json_array_get(list, i));
    return v;
}

static void read_numbers(lb_test_program *c) {
    const json_t *plain = json_object_get(c->from, "numbers"), *lists = json_object_get(c->from, "lists"), *v;
    lb_number *n = LB_NEW(c->arena, lb_number, json_object_size(plain) + json_object_size(lists) + 1);
    const char *key;
    assert_non_null(n);
    c->numbers = (lb_numbers){n, 0, 3};
    json_object_foreach((json_t *)plain, key, v) {
        n[c->numbers.n++] = json_is_array(v) ? (lb_number){.name = key, .block = reals(c->arena, v)}
                                             : (lb_number){.name = key, .all = json_number_value(v)};
    }
    json_object_foreach((json_t *)lists, key, v) {
        n[c->numbers.n++] = (lb_number){.name = key, .list = reals(c->arena, v), .listed = (int64_t)json_array_size(v)};
    }
}

lb_test_program lb_test_program_open(lb_arena *a, const json_t *from) {
    lb_test_program c = {.arena = a,
                         .from = from,
                         .name = json_string_value(json_object_get(from, "name")),
                         .tied = json_is_true(json_object_get(from, "tied")),
                         .spread = json_number_value(json_object_get(from, "spread"))};
    const json_t *p = json_object_get(from, "program"), *tokens = json_object_get(from, "tokens");
    const lb_program_text text = {
        json_string_value(json_object_get(p, "before")), json_string_value(json_object_get(p, "block")),
        json_string_value(json_object_get(p, "after")), json_string_value(json_object_get(p, "expert"))};
    assert_ok(lb_program_parse(a, c.name, &text, &c.program));
    read_numbers(&c);
    c.T = (int64_t)json_array_size(tokens);
    c.token = LB_NEW(a, int32_t, c.T);
    assert_non_null(c.token);
    for (int64_t t = 0; t < c.T; t++) c.token[t] = (int32_t)json_integer_value(json_array_get(tokens, (size_t)t));
    return c;
}

static const json_t *shape_of(const lb_test_program *c, const char *name, int64_t block, int64_t expert) {
    char full[64];
    if (block >= 0 && expert >= 0)
        snprintf(full, sizeof full, "%lld.%lld.%s", (long long)block, (long long)expert, name);
    else if (block >= 0)
        snprintf(full, sizeof full, "%lld.%s", (long long)block, name);
    else
        snprintf(full, sizeof full, "%s", name);
    return json_object_get(json_object_get(c->from, "parameters"), full);
}

static lb_status get_shape(const void *ctx, const char *name, int64_t block, int64_t expert, lb_net_shape *out) {
    const lb_test_program *c = ctx;
    const json_t *s = shape_of(c, c->tied && strcmp(name, "head") == 0 ? "embed" : name, block, expert);
    *out = (lb_net_shape){0};
    if (!s) return LB_OK;
    *out = (lb_net_shape){.rows = json_integer_value(json_array_get(s, 0)),
                          .cols = json_integer_value(json_array_get(s, 1)),
                          .bias = json_number_value(json_array_get(s, 4)) > 0.0};
    return LB_OK;
}

lb_net *lb_test_program_net(const lb_test_program *c) {
    lb_net *n = NULL;
    const lb_net_shapes shapes = {get_shape, c};
    if (lb_net_new(c->arena, &c->program, &c->numbers, &shapes, c->tied, &n) != LB_OK)
        fail_msg("%s: %s", c->name, lb_error());
    return n;
}

lb_weights lb_test_program_weights(const lb_test_program *c, const lb_net *n) {
    lb_weights w = {LB_NEW(c->arena, lb_linop, n->sites + 1), LB_NEW(c->arena, const float *, n->vectors + 1)};
    lb_ref_param p;
    assert_non_null(w.site);
    assert_non_null(w.vector);
    for (int32_t i = 0; i < n->sites; i++) {
        const lb_site *s = &n->site[i];
        assert_ok(lb_test_program_param(c, s->role, s->block, s->expert, &p));
        w.site[i].W = s->same_as >= 0 ? w.site[s->same_as].W : p.W;
    }
    for (int32_t i = 0; i < n->vectors; i++) {
        const lb_vector *v = &n->vector[i];
        assert_ok(lb_test_program_param(c, v->role, v->block, v->expert, &p));
        w.vector[i] = v->bias ? p.bias : p.W.d;
    }
    return w;
}

lb_grads lb_test_program_grads(const lb_test_program *c, const lb_net *n) {
    lb_grads g;
    assert_ok(lb_grads_new(c->arena, n, &g));
    for (int32_t i = 0; i < n->sites; i++) {
        int64_t size = n->site[i].rows * n->site[i].cols;
        g.site[i] = lb_mat_of(LB_NEW(c->arena, float, size), n->site[i].rows, n->site[i].cols);
        assert_non_null(g.site[i].d);
        for (int64_t k = 0; k < size; k++) g.site[i].d[k] = NAN; /* overwritten, not added to */
    }
    for (int32_t i = 0; i < n->vectors; i++) {
        assert_non_null(g.vector[i] = LB_NEW(c->arena, float, n->vector[i].n));
        for (int64_t k = 0; k < n->vector[i].n; k++) g.vector[i][k] = NAN;
    }
    return g;
}

void lb_test_programs(void (*f)(const lb_test_program *c, const lb_tensor *expected)) {
    char path[LB_TEST_PATH];
    json_t *all = NULL, *from;
    lb_safetensors *expected = NULL;
    size_t i;
    lb_test_fixture("tests/oracle/fixtures/programs.json", path);
    assert_ok(lb_json_read(path, &all));
    lb_test_fixture("tests/oracle/fixtures/programs.safetensors", path);
    assert_ok(lb_safetensors_open(path, &expected));
    assert_int_equal(json_array_size(all), 45);
    json_array_foreach(all, i, from) {
        lb_arena *a;
        assert_ok(lb_arena_new(0, &a));
        lb_test_program c = lb_test_program_open(a, from);
        const lb_tensor *want = lb_safetensors_find(expected, c.name);
        assert_non_null(want);
        f(&c, want);
        lb_arena_free(a);
    }
    lb_safetensors_close(expected);
    json_decref(all);
}
