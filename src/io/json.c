#include "io/json.h"

#include <pthread.h>

#include "base/fs.h"
#include "base/mem.h"

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

lb_status lb_json_parse(const char *name, const char *text, size_t len, json_t **out) {
    json_error_t e;
    lb_json_memory_begin();
    *out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
    lb_status s = lb_json_memory_check(name);
    if (s == LB_OK && !*out) s = lb_fail(LB_E_FORMAT, "%s:%d:%d: not valid JSON: %s", name, e.line, e.column, e.text);
    if (s != LB_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return s;
}

lb_status lb_json_read(const char *path, json_t **out) {
    char *text = NULL;
    size_t len = 0;
    *out = NULL;
    LB_TRY(lb_fs_read(path, &text, &len));
    lb_status s = lb_json_parse(path, text, len, out);
    lb_free(text);
    return s;
}

static const char *type_name(const json_t *v) {
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a real number";
    case JSON_NULL:
        return "null";
    default:
        return "a boolean";
    }
}

static lb_status need(const char *name, const json_t *o, const char *key, const json_t **v) {
    if (!json_is_object(o)) return lb_fail(LB_E_FORMAT, "%s: key '%s': its parent is not an object", name, key);
    *v = json_object_get(o, key);
    return *v ? LB_OK : lb_fail(LB_E_FORMAT, "%s: no key '%s'", name, key);
}

static lb_status wrong(const char *name, const char *key, const json_t *v, const char *expected) {
    return lb_fail(LB_E_FORMAT, "%s: key '%s' is %s: expected %s", name, key, type_name(v), expected);
}

lb_status lb_json_int(const char *name, const json_t *o, const char *key, int64_t *out) {
    const json_t *v = NULL;
    LB_TRY(need(name, o, key, &v));
    if (!json_is_integer(v)) return wrong(name, key, v, "an integer");
    *out = json_integer_value(v);
    return LB_OK;
}

lb_status lb_json_num(const char *name, const json_t *o, const char *key, double *out) {
    const json_t *v = NULL;
    LB_TRY(need(name, o, key, &v));
    if (!json_is_number(v)) return wrong(name, key, v, "a number");
    *out = json_number_value(v);
    return LB_OK;
}

lb_status lb_json_str(const char *name, const json_t *o, const char *key, const char **out) {
    const json_t *v = NULL;
    LB_TRY(need(name, o, key, &v));
    if (!json_is_string(v)) return wrong(name, key, v, "a string");
    *out = json_string_value(v);
    return LB_OK;
}
