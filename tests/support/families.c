#include "support/families.h"

#include <stdio.h>

#include "base/fs.h"

void families_fixture(const char *name, char path[LB_TEST_PATH]) {
    char full[LB_TEST_PATH];
    snprintf(full, sizeof full, "tests/oracle/fixtures/families/%.256s", name);
    lb_test_fixture(full, path);
}

families_record families_open(const lb_family *family) {
    families_record r = {.family = family->name};
    char name[LB_TEST_PATH], path[LB_TEST_PATH];
    snprintf(name, sizeof name, "%s/flips.json", family->name);
    families_fixture(name, path);
    if (!lb_fs_exists(path))
        fail_msg("family %s has nothing in tests/oracle/fixtures/families: write tests/oracle/families/%s.py, which "
                 "common.py there explains, and run tests/oracle/make_families.py %s",
                 r.family, r.family, r.family);
    assert_ok(lb_json_read(path, &r.lists));
    snprintf(name, sizeof name, "%s/expected.safetensors", family->name);
    families_fixture(name, path);
    assert_ok(lb_safetensors_open(path, &r.rows));
    return r;
}

void families_close(families_record *r) {
    lb_safetensors_close(r->rows);
    json_decref(r->lists);
}

void families_path(const families_record *r, const char *model, const char *end, char path[LB_TEST_PATH]) {
    char name[LB_TEST_PATH];
    snprintf(name, sizeof name, "%s/%s%s", r->family, model, end);
    families_fixture(name, path);
}

const char *families_text(const json_t *x, const char *key) { return json_string_value(json_object_get(x, key)); }
