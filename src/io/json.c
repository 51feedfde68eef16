#include "io/json.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "io/json_forms.h"

static _Thread_local bool memory_failed;

/* jansson 2.14 reads past its text buffer when that cannot grow, so a failure is noted for whoever called and then
 * tried once more; only when memory is really out does jansson see it. */
static void *get_memory(size_t n) {
    void *p = lb_alloc(n, 1);
    if (p) return p;
    memory_failed = true;
    return lb_alloc(n, 1);
}

static void set_functions(void) { json_set_alloc_funcs(get_memory, lb_free); }

void lb_json_memory_begin(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_functions);
    memory_failed = false;
}

lb_status lb_json_memory_check(const char *name) {
    return memory_failed ? lb_fail(LB_E_NOMEM, "%s: out of memory for its JSON", name) : LB_OK;
}

lb_status lb_json_read_most(const char *path, size_t most, json_t **out) {
    char *text = NULL;
    size_t len = 0;
    *out = NULL;
    LB_TRY(lb_fs_read_most(path, most, &text, &len));
    lb_status s = lb_json_parse(path, text, len, out);
    lb_free(text);
    return s;
}

lb_status lb_json_read(const char *path, json_t **out) { return lb_json_read_most(path, LB_JSON_MOST, out); }

void lb_json_text(const json_t *v, char out[LB_JSON_TEXT]) {
    const char *odd = lb_json_odd(v);
    if (odd)
        snprintf(out, LB_JSON_TEXT, "%.40s%s", odd, strlen(odd) > 40 ? "..." : "");
    else if (json_is_string(v))
        snprintf(out, LB_JSON_TEXT, "'%.40s'", json_string_value(v));
    else if (json_is_integer(v))
        snprintf(out, LB_JSON_TEXT, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(out, LB_JSON_TEXT, "%.9g", json_real_value(v));
    else
        snprintf(out, LB_JSON_TEXT, "%s",
                 json_is_true(v)    ? "true"
                 : json_is_false(v) ? "false"
                 : json_is_null(v)  ? "null"
                 : json_is_array(v) ? "[...]"
                                    : "{...}");
}

/* ---- keys given twice ---- */

/* The object has the mark of `key`: its first value is `first`. */
static lb_status twice(const char *name, const json_t *o, const char *key, const json_t *first) {
    char a[LB_JSON_TEXT], b[LB_JSON_TEXT];
    lb_json_text(first, a);
    lb_json_text(json_object_get(o, key), b);
    return lb_fail(LB_E_FORMAT, "%s: key '%.60s' is given twice: %s and %s", name, key, a, b);
}

lb_status lb_json_once(const char *name, const json_t *o, const char *const *keys) {
    char mark[128];
    for (; *keys; keys++) {
        snprintf(mark, sizeof mark, "\xff%s", *keys);
        const json_t *first = json_object_get(o, mark);
        if (first) return twice(name, o, *keys, first);
    }
    return LB_OK;
}

/* All values below v; `strict`: they are also such that other programs' parsers take them. */
static lb_status check_below(const char *name, const json_t *v, bool strict) {
    const char *k;
    json_t *item;
    size_t i;
    const char *odd = lb_json_odd(v);
    if (strict && odd) return lb_fail(LB_E_FORMAT, "%s: the number %.40s is out of range", name, odd);
    if (strict && json_is_string(v) && !lb_json_valid_text(json_string_value(v), json_string_length(v)))
        return lb_fail(LB_E_FORMAT, "%s: a string holds a NUL or half of a surrogate pair", name);
    json_array_foreach(v, i, item) LB_TRY(check_below(name, item, strict));
    json_object_foreach((json_t *)(uintptr_t)v, k, item) {
        const char *key = lb_json_twice(k);
        if (key) return twice(name, v, key, item);
        if (strict && !lb_json_valid_text(k, strlen(k)))
            return lb_fail(LB_E_FORMAT, "%s: a key holds a NUL or half of a surrogate pair", name);
        LB_TRY(check_below(name, item, strict));
    }
    return LB_OK;
}

lb_status lb_json_all_once(const char *name, const json_t *root) { return check_below(name, root, false); }
lb_status lb_json_strict(const char *name, const json_t *root) { return check_below(name, root, true); }

/* ---- typed members ---- */

static lb_status need(const char *name, const json_t *o, const char *key, const json_t **v) {
    const char *const keys[] = {key, NULL};
    if (!json_is_object(o)) return lb_fail(LB_E_FORMAT, "%s: key '%s': its parent is not an object", name, key);
    *v = json_object_get(o, key);
    return *v ? lb_json_once(name, o, keys) : lb_fail(LB_E_FORMAT, "%s: no key '%s'", name, key);
}

static lb_status wrong(const char *name, const char *key, const json_t *v, const char *expected) {
    char text[LB_JSON_TEXT];
    lb_json_text(v, text);
    return lb_fail(LB_E_FORMAT, "%s: key '%s' = %s: expected %s", name, key, text, expected);
}

lb_status lb_json_int(const char *name, const json_t *o, const char *key, int64_t *out) {
    const json_t *v = NULL;
    LB_TRY(need(name, o, key, &v));
    if (!json_is_integer(v)) return wrong(name, key, v, "an integer that fits in 64 bits");
    *out = json_integer_value(v);
    return LB_OK;
}

lb_status lb_json_num(const char *name, const json_t *o, const char *key, double *out) {
    const json_t *v = NULL;
    LB_TRY(need(name, o, key, &v));
    const char *odd = lb_json_odd(v);
    *out = odd ? lb_json_odd_value(odd) : json_number_value(v);
    return (odd || json_is_number(v)) && isfinite(*out) ? LB_OK : wrong(name, key, v, "a finite number");
}

lb_status lb_json_str(const char *name, const json_t *o, const char *key, const char **out) {
    const json_t *v = NULL;
    LB_TRY(need(name, o, key, &v));
    if (!json_is_string(v) || lb_json_odd(v)) return wrong(name, key, v, "a string");
    *out = json_string_value(v);
    return LB_OK;
}
