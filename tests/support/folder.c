#include "support/folder.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "support/support.h"

void join_path(char out[LB_TEST_PATH], const char *dir, const char *name) {
    assert_true(snprintf(out, LB_TEST_PATH, "%s/%s", dir, name) < LB_TEST_PATH);
}

/* The fixture's parts in memory. */
folder folder_take(const char *name) {
    folder f = {0};
    char from[LB_TEST_PATH], path[LB_TEST_PATH], fixture[128];
    lb_safetensors *s;
    snprintf(fixture, sizeof fixture, "tests/oracle/fixtures/%s", name);
    lb_test_fixture(fixture, from);
    assert_ok(lb_arena_new(0, &f.arena));
    join_path(path, from, "config.json");
    assert_ok(lb_fs_read(path, &f.config, NULL));
    assert_ok(lb_safetensors_open(from, &s));
    f.n = lb_safetensors_count(s);
    assert_true(f.n < FOLDER_TENSORS);
    for (int64_t i = 0; i < f.n; i++) {
        const lb_tensor *t = lb_safetensors_tensor(s, i);
        float *data = LB_NEW(f.arena, float, lb_tensor_count(t));
        assert_non_null(data);
        assert_ok(lb_tensor_read_f32(t, 0, lb_tensor_count(t), data));
        f.t[i] = (lb_tensor_out){.name = lb_arena_strdup(f.arena, t->name), .ndim = t->ndim, .data = data};
        memcpy(f.t[i].shape, t->shape, sizeof t->shape);
    }
    lb_safetensors_close(s);
    snprintf(f.dir, sizeof f.dir, "%s", lb_test_tmpdir());
    return f;
}

void folder_drop(folder *f) {
    lb_free(f->config);
    lb_arena_free(f->arena);
}

void folder_write_as(const folder *f, lb_dtype type) {
    char path[LB_TEST_PATH];
    join_path(path, f->dir, "config.json");
    assert_ok(lb_fs_write_atomic(path, f->config, strlen(f->config)));
    join_path(path, f->dir, "model.safetensors");
    assert_ok(lb_safetensors_write(path, type, f->t, f->n, NULL));
}

void folder_write(const folder *f) { folder_write_as(f, LB_F32); }

lb_tensor_out *folder_tensor(folder *f, const char *name) {
    for (int64_t i = 0; i < f->n; i++)
        if (strcmp(f->t[i].name, name) == 0) return &f->t[i];
    fail_msg("%s: not in the fixture", name);
    return NULL;
}

/* The text once in the config, replaced. */
void folder_replace(folder *f, const char *from, const char *to) {
    char *at = strstr(f->config, from);
    if (!at) fail_msg("'%s' is not in the config", from);
    lb_str b = {0};
    lb_str_add(&b, "%.*s%s%s", (int)(at - f->config), f->config, to, at + strlen(from));
    assert_ok(lb_str_check(&b));
    lb_free(f->config);
    f->config = b.s;
}

void expect_no_model(const char *path, lb_status status, const char *message) {
    for (int parts = LB_HEADER; parts <= LB_WEIGHTS; parts++) {
        lb_model *m;
        bool numeric = status == LB_E_NUMERIC && parts == LB_HEADER; /* numbers were not looked at */
        lb_status st = lb_model_open(path, (lb_model_parts)parts, NULL, &m);
        if (numeric) {
            lb_test_expect(LB_OK, st, path, __FILE__, __LINE__);
            lb_model_close(m);
            continue;
        }
        lb_test_expect(status, st, message, __FILE__, __LINE__);
        assert_null(m);
        assert_error_has(message);
    }
}

void expect_edit(const char *fixture, const folder_edit *e) {
    folder f = folder_take(fixture);
    folder_replace(&f, e->from, e->to);
    folder_write(&f);
    lb_model *m;
    if (e->status == LB_OK) {
        assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &m));
        lb_model_close(m);
    } else
        expect_no_model(f.dir, e->status, e->message);
    folder_drop(&f);
}
