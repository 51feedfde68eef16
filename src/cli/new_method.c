#include "cli/new_method.h"

#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "quant/method.h"

enum { LONGEST = 32 };

/* It becomes part of C names. */
static lb_status check_name(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    size_t n = strlen(name);
    bool ok = n > 0 && n <= LONGEST && strchr(letters, name[0]);
    for (size_t i = 0; i < n; i++) ok = ok && (strchr(letters, name[i]) || strchr("0123456789_", name[i]));
    if (!ok)
        return lb_fail(LB_E_ARG,
                       "method name '%s': must be at most %d small letters, digits and '_', the first of them a letter",
                       name, (int)LONGEST);
    if (lb_method_find(name)) return lb_fail(LB_E_ARG, "method name '%s': there is such a method", name);
    return LB_OK;
}

static lb_status path_of(const char *dir, const char *before, const char *name, char **out) {
    lb_str leaf = {0};
    lb_str_add(&leaf, "%s%s.c", before, name);
    lb_status st = lb_str_check(&leaf);
    *out = st == LB_OK ? lb_fs_join(dir, leaf.s) : NULL;
    lb_str_free(&leaf);
    LB_TRY(st);
    if (!*out) return LB_E_NOMEM;
    if (!lb_fs_exists(*out)) return LB_OK;
    st = lb_fail(LB_E_IO, "%s: it is there already: choose another name or --dir", *out);
    lb_free(*out);
    *out = NULL;
    return st;
}

static lb_status write_filled(const char *path, const char *text, const char *name) {
    lb_str s = {0};
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "@");
        lb_str_add_bytes(&s, p, n);
        p += n;
        if (*p == '@') lb_str_add(&s, "%s", name), p++;
    }
    lb_status st = lb_str_check(&s);
    if (st == LB_OK) st = lb_fs_write_atomic(path, s.s, s.len);
    lb_str_free(&s);
    return st;
}

/* In the folder of the program's source; after `make install` the headers are enough for the method, not for the test.
 */
static void say(const char *name, const char *dir, const char *method, const char *test, lb_str *out) {
    lb_str_add(
        out,
        "%s and %s are written. In a checkout of lowbit:\n"
        "  cc -std=c11 -O2 -fPIC -shared -Isrc -o %s/%s.so %s\n"
        "  cc -std=c11 -O2 -Isrc -o %s/test_%s %s build/release/liblowbit.a \\\n"
        "    $(pkg-config --libs hdf5 yaml-0.1 jansson libpcre2-8 libutf8proc libcrypto) -ldl -lm -lpthread\n"
        "  %s/test_%s\n"
        "  lowbit methods %s --plugin %s/%s.so\n"
        "Installed, the method alone is built, with -I PREFIX/include/lowbit. algorithms/README.md is the guide.\n",
        method, test, dir, name, method, dir, name, test, dir, name, name, dir, name);
}

lb_status lb_cli_new_method(const char *name, const char *scope, const char *dir, lb_str *said) {
    char *method = NULL, *test = NULL;
    const lb_skeleton *s = lb_skeletons;
    while (s->scope && strcmp(s->scope, scope) != 0) s++;
    if (!s->scope) return lb_fail(LB_E_ARG, "no scope '%s'", scope);
    LB_TRY(check_name(name));
    LB_TRY(lb_fs_mkdirs(dir));
    lb_status st = path_of(dir, "", name, &method);
    if (st == LB_OK) st = path_of(dir, "test_", name, &test);
    if (st == LB_OK) st = write_filled(method, s->method, name);
    if (st == LB_OK) st = write_filled(test, s->test, name);
    if (st == LB_OK) say(name, dir, method, test, said);
    lb_free(test);
    lb_free(method);
    return st == LB_OK ? lb_str_check(said) : st;
}
