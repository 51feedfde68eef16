/* Keys of config.json, one and several at a time, missing, null and with other values (tests/oracle/make_families.py):
 * one that changes transformers' logits changes ours in the same way, one that does not, does not, one with which it
 * builds nothing is refused; but for those that the family's module lists with a reason. Tolerance as in
 * test_families.c. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/blas.h"
#include "support/families.h"

static const double tolerance = 2e-5;
/* Of values of a key that transformers treats alike the first two: memory errors are those of reading them. */
#if LB_TEST_SANITIZED
enum { VALUES = 2, CHANGES = 25 };
#else
enum { VALUES = INT32_MAX, CHANGES = 50 };
#endif
static const char *only; /* the program's argument: this family alone */

/* A folder with a model's weights, for other files of keys. */
typedef struct place {
    const families_record *r;
    char model[8], dir[LB_TEST_PATH];
    json_t *config; /* the model's own */
    int tried, wrong;
} place;

static void move_to(place *p, const char *model) {
    char from[LB_TEST_PATH], path[LB_TEST_PATH + 32];
    char *bytes;
    size_t n;
    if (strcmp(p->model, model) == 0) return;
    snprintf(p->model, sizeof p->model, "%s", model);
    families_path(p->r, model, "/model.safetensors", from);
    assert_ok(lb_fs_read(from, &bytes, &n));
    snprintf(p->dir, LB_TEST_PATH, "%s", lb_test_tmpdir());
    snprintf(path, sizeof path, "%s/model.safetensors", p->dir);
    assert_ok(lb_fs_write_atomic(path, bytes, n));
    lb_free(bytes);
    json_decref(p->config);
    families_path(p->r, model, "/config.json", from);
    assert_ok(lb_json_read(from, &p->config));
}

static void write_config(const place *p, const json_t *change) {
    char path[LB_TEST_PATH + 32];
    json_t *c = json_copy(p->config), *v;
    const char *key;
    size_t i;
    json_object_foreach(json_object_get(change, "set"), key, v) assert_int_equal(json_object_set(c, key, v), 0);
    json_array_foreach(json_object_get(change, "absent"), i, v) json_object_del(c, json_string_value(v));
    snprintf(path, sizeof path, "%s/config.json", p->dir);
    assert_int_equal(json_dump_file(c, path, 0), 0);
    json_decref(c);
}

static bool names_one(const json_t *keys) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)keys, key, v) if (strstr(lb_error(), key) || names_one(v)) return true;
    return json_is_string(keys) && strstr(lb_error(), json_string_value(keys));
}

/* Does the message name one of the keys, or of a key's own, or a word that it is? */
static bool names_a_key(const json_t *change) {
    json_t *v;
    size_t i;
    if (names_one(json_object_get(change, "set"))) return true;
    json_array_foreach(json_object_get(change, "absent"), i,
                       v) if (strstr(lb_error(), json_string_value(v))) return true;
    return false;
}

static void wrong(place *p, const json_t *change, const char *what) {
    char *set = json_dumps(json_object_get(change, "set"), JSON_SORT_KEYS | JSON_ENCODE_ANY),
         *absent = json_dumps(json_object_get(change, "absent"), 0);
    print_error("%s %s set %s absent %s, which is \"%s\": %s\n", p->r->family, p->model, set, absent ? absent : "[]",
                families_text(change, "result"), what);
    free(set);
    free(absent);
    p->wrong++;
}

/* {"model", "set", "absent", "result", "row"} */
static void try(place *p, const json_t *change, bool reference) {
    const char *result = families_text(change, "result");
    const bool opens = strcmp(result, "same") == 0 || strcmp(result, "changes") == 0,
               either = strcmp(result, "either") == 0;
    lb_model *m;
    p->tried++;
    move_to(p, families_text(change, "model"));
    write_config(p, change);
    lb_status st = lb_model_open(p->dir, LB_WEIGHTS, NULL, &m);
    if (st == LB_OK && !opens && !either) wrong(p, change, "not refused");
    if (st != LB_OK && opens) wrong(p, change, lb_error());
    if (st != LB_OK && strcmp(result, "refused") == 0 && !names_a_key(change)) wrong(p, change, lb_error());
    if (st == LB_OK && opens) {
        const families_want w = families_changed_logits(p->r, change);
        double off = families_off(m, &w, reference);
        char text[80];
        snprintf(text, sizeof text, "logits are off by %g of their spread", off);
        if (!(off < tolerance)) wrong(p, change, text);
    }
    lb_model_close(m);
}

/* Each value of one key by its result (make_families.py). */
static void try_key(place *p, const json_t *entry) {
    static const char *const results[] = {"same", "changes", "error", "refused", "either"};
    const char *key = families_text(entry, "key");
    for (int k = 0; k < 5; k++) {
        json_t *v;
        size_t i;
        json_array_foreach(json_object_get(entry, results[k]), i, v) {
            bool changes = k == 1, absent;
            if (i >= VALUES) break;
            json_t *value = changes ? json_array_get(v, 0) : v;
            absent = json_object_get(value, "absent") != NULL;
            json_t *change = absent ? json_pack("{s:[s]}", "absent", key) : json_pack("{s:{s:O}}", "set", key, value);
            assert_non_null(change);
            json_object_set(change, "model", json_object_get(entry, "model"));
            json_object_set_new(change, "result", json_string(results[k]));
            if (changes) json_object_set(change, "row", json_array_get(v, 1));
            try(p, change, false);
            json_decref(change);
        }
    }
}

static void close_place(place *p) { json_decref(p->config); }

static void listed_changes(void **state) {
    (void)state;
    int all = 0;
    for (int k = 0; lb_family_table[k]; k++) {
        if (only && strcmp(only, lb_family_table[k]->name) != 0) continue;
        families_record r = families_open(lb_family_table[k]);
        place p = {.r = &r};
        const json_t *x;
        size_t i;
        json_array_foreach(json_object_get(r.lists, "flips"), i, x) try(&p, x, true);
        if (p.tried < 6) fail_msg("%s: only %d changes", r.family, p.tried);
        all += p.wrong;
        close_place(&p);
        families_close(&r);
    }
    assert_int_equal(all, 0);
}

static void every_key(void **state) {
    (void)state;
    int all = 0;
    for (int k = 0; lb_family_table[k]; k++) {
        if (only && strcmp(only, lb_family_table[k]->name) != 0) continue;
        families_record r = families_open(lb_family_table[k]);
        place p = {.r = &r};
        const json_t *x;
        size_t i;
        json_array_foreach(json_object_get(r.lists, "every_key"), i, x) {
            if (json_object_get(x, "key"))
                try_key(&p, x);
            else
                try(&p, x, false);
        }
        if (p.tried < CHANGES)
            fail_msg("%s: only %d: run tests/oracle/make_families.py %s again", r.family, p.tried, r.family);
        all += p.wrong;
        close_place(&p);
        families_close(&r);
    }
    assert_int_equal(all, 0);
}

int main(int argc, char **argv) {
    only = argc > 1 ? argv[1] : NULL;
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(listed_changes), cmocka_unit_test(every_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
