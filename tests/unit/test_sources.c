/* Named sources: those that are folders, the hash of such a folder, and what a list of sources may not say. */
#include "support/support.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/str.h"
#include "model/model.h"
#include "run/sources.h"

static lb_arena *arena;
static const char *home;

static int make_arena(void **state) {
    (void)state;
    home = lb_test_tmpdir();
    return lb_arena_new(0, &arena) != LB_OK;
}

static int free_arena(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

static char *in(const char *dir, const char *name) {
    char *p = lb_arena_printf(arena, "%s/%s", dir, name);
    assert_non_null(p);
    return p;
}

/* The hash of a folder by its rule, from the list of its files. */
static void hash_of_parts(const lb_source *s, char hex[LB_HASH_HEX]) {
    lb_str list = {0};
    for (size_t i = 0; i < s->n_parts; i++) lb_str_add(&list, "%s %s\n", s->part[i].file, s->part[i].sha256);
    assert_ok(lb_str_check(&list));
    assert_ok(lb_hash_bytes(list.s, list.len, hex));
    lb_str_free(&list);
}

/* A typing error in the shipped list would show only after a download. */
static void shipped_folders_are_consistent(void **state) {
    (void)state;
    char dir[LB_TEST_PATH], hex[LB_HASH_HEX];
    lb_sources s;
    size_t folders = 0;
    lb_test_fixture("configs", dir);
    assert_ok(lb_sources_open(arena, dir, &s));
    for (size_t i = 0; i < s.n; i++) {
        const lb_source *x = &s.at[i];
        int64_t bytes = 0;
        if (!x->n_parts) continue;
        folders++;
        if (strcmp(x->sha256, LB_SOURCE_UNKNOWN) == 0) continue;
        hash_of_parts(x, hex);
        assert_string_equal(x->sha256, hex);
        for (size_t k = 0; k < x->n_parts; k++) bytes += x->part[k].bytes;
        assert_int_equal(x->bytes, bytes);
    }
    assert_true(folders > 0);
}

static void write_text(const char *path, const char *text) { assert_ok(lb_fs_write_atomic(path, text, strlen(text))); }

static void copy(const char *from, const char *to) {
    char *data;
    size_t n;
    assert_ok(lb_fs_read(from, &data, &n));
    assert_ok(lb_fs_write_atomic(to, data, n));
    lb_free(data);
}

/* The tiny fixture as a source: missing until its last file is there; then its hash is the model's. */
static void a_folder_is_a_source(void **state) {
    (void)state;
    static const char *const file[] = {"config.json", "model.safetensors"};
    char from[LB_TEST_PATH], list[LB_HASH_HEX];
    lb_str yaml = {0}, lines = {0};
    lb_test_fixture("tests/oracle/fixtures/llama-tiny", from);
    char *configs = in(home, "configs"), *cache = in(home, "data/cache/tiny");
    assert_ok(lb_fs_mkdirs(configs));
    assert_ok(lb_fs_mkdirs(cache));
    lb_str parts = {0};
    for (size_t i = 0; i < 2; i++) {
        char hex[LB_HASH_HEX];
        assert_ok(lb_hash_file(in(from, file[i]), hex));
        lb_str_add(&lines, "%s %s\n", file[i], hex);
        lb_str_add(&parts, "    - {file: %s, sha256: %s, bytes: 5, url: \"https://localhost/%s\"}\n", file[i], hex,
                   file[i]);
    }
    assert_ok(lb_str_check(&lines));
    assert_ok(lb_str_check(&parts));
    assert_ok(lb_hash_bytes(lines.s, lines.len, list));
    lb_str_add(&yaml,
               "tiny-folder:\n  kind: model\n  file: tiny\n  sha256: %s\n  bytes: 10\n  licence: none\n  files:\n%s",
               list, parts.s);
    assert_ok(lb_str_check(&yaml));
    write_text(in(configs, "sources.yaml"), yaml.s);
    lb_str_free(&yaml);
    lb_str_free(&lines);
    lb_str_free(&parts);

    lb_sources s;
    lb_resolved r;
    assert_ok(lb_sources_open(arena, configs, &s));
    for (size_t i = 0; i < 2; i++) {
        assert_ok(lb_sources_resolve(arena, &s, configs, "tiny-folder", LB_SOURCE_MODEL, "here", &r));
        assert_non_null(r.missing);
        assert_non_null(strstr(r.missing, "tools/fetch tiny-folder"));
        copy(in(from, file[i]), in(cache, file[i]));
    }
    assert_ok(lb_sources_resolve(arena, &s, configs, "tiny-folder", LB_SOURCE_MODEL, "here", &r));
    assert_null(r.missing);
    lb_model *m;
    assert_ok(lb_model_open(r.path, LB_HEADER, NULL, &m));
    assert_ok(lb_sources_check(&r, m->hash, NULL));
    lb_model_close(m);
    assert_int_equal(lb_sources_check(&r, list + 1, NULL), LB_E_FORMAT);
    assert_error_has("source tiny-folder says");

    lb_str tsv = {0};
    lb_sources_tsv(&s, &tsv);
    assert_ok(lb_str_check(&tsv));
    assert_non_null(strstr(tsv.s, "tiny-folder\tmodel\ttiny/config.json\t"));
    assert_non_null(strstr(tsv.s, "\t5\thttps://localhost/model.safetensors\t-\t-\t-\t-\tnothing\t-\t-\t-\n"));
    lb_str_free(&tsv);
}

#define HASH "0000000000000000000000000000000000000000000000000000000000000000"

static void what_a_list_may_not_say(void **state) {
    (void)state;
    static const struct {
        const char *files, *message;
    } bad[] = {
        {"  files: []\n", "sources.yaml:7: files: must be a list of maps"},
        {"  files: x\n", "files: must be a list of maps"},
        {"  files:\n    - {file: a/b, sha256: " HASH ", bytes: 1, url: u}\n", "file: must be a plain file name"},
        {"  files:\n    - {file: .a, sha256: " HASH ", bytes: 1, url: u}\n", "file: must be a plain file name"},
        {"  files:\n    - {file: a, sha256: 12, bytes: 1, url: u}\n", "sha256: must be 64 lower-case hex digits"},
        {"  files:\n    - {file: a, sha256: " HASH ", url: u}\n", "'bytes' is missing"},
        {"  files:\n    - {file: a, sha256: " HASH ", bytes: 1}\n", "'url' is missing"},
        {"  files:\n    - {file: a, sha256: unknown, url: u}\n", "sha256: unknown, but the folder's is known"},
        {"  hub: a/b\n", "hub and revision: one needs the other"},
        {"  field: text\n", "rows, field and join: only of a text"},
        {"  gated: \"a\\tb\"\n", "gated: must be one line"},
        {"  files:\n    - {file: a, sha256: " HASH ", bytes: 1, url: u, member: m}\n", "unknown key 'member'"},
        {"  files:\n    - {file: a, sha256: " HASH ", bytes: 1, url: u}\n  from:\n    - url: u\n",
         "files and from: only one of them"},
    };
    char *dir = in(home, "bad");
    assert_ok(lb_fs_mkdirs(dir));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        lb_sources s;
        char *text = lb_arena_printf(
            arena, "x:\n  kind: model\n  file: f\n  sha256: " HASH "\n  bytes: 1\n  licence: none\n%s", bad[i].files);
        assert_non_null(text);
        write_text(in(dir, "sources.yaml"), text);
        lb_test_expect(LB_E_CONFIG, lb_sources_open(arena, dir, &s), bad[i].message, __FILE__, __LINE__);
        assert_error_has(bad[i].message);
    }
}

static void warned(void *user, lb_level level, const char *text) {
    if (level == LB_WARN) lb_str_add(user, "%s", text);
}

/* What nobody has looked at is taken, and every time it is said what came. */
static void hashes_that_are_not_known(void **state) {
    (void)state;
    char *dir = in(home, "unknown");
    assert_ok(lb_fs_mkdirs(dir));
    write_text(in(dir, "sources.yaml"),
               "m:\n  kind: model\n  file: m\n  sha256: unknown\n  licence: none\n  gated: ask first\n"
               "  hub: a/b\n  revision: refs/pr/1\n"
               "  files:\n    - {file: config.json, sha256: unknown}\n    - {file: w, sha256: " HASH ", bytes: 2}\n"
               "t:\n  kind: text\n  file: t.jsonl\n  sha256: unknown\n  bytes: 7\n  licence: none\n"
               "  rows: json\n  field: text\n  join: \" \"\n  from:\n    - url: https://localhost/t\n");
    lb_sources s;
    lb_resolved r;
    assert_ok(lb_sources_open(arena, dir, &s));
    const lb_source *m = &s.at[0], *t = &s.at[1];
    assert_int_equal(m->bytes, 0);
    assert_string_equal(m->part[0].url, "https://huggingface.co/a/b/resolve/refs%2Fpr%2F1/config.json");
    assert_int_equal(t->rows, 3);
    assert_string_equal(t->field, "text");
    assert_string_equal(t->join, " ");
    assert_ok(lb_sources_resolve(arena, &s, dir, "m", LB_SOURCE_MODEL, "here", &r));
    assert_non_null(strstr(r.missing, "tools/fetch m says how it comes to"));
    lb_str said = {0};
    lb_log log = {.message = warned, .user = &said};
    assert_ok(lb_sources_check(&r, HASH, &log));
    assert_non_null(strstr(said.s, "m: SHA-256 not known yet: " HASH "; tools/fetch --record m writes it"));
    lb_str_free(&said);

    lb_str tsv = {0};
    lb_sources_tsv(&s, &tsv);
    assert_ok(lb_str_check(&tsv));
    assert_non_null(strstr(tsv.s, "m\tmodel\tm/config.json\tunknown\t-\thttps://"));
    assert_non_null(strstr(tsv.s, "\tnothing\t-\task first\trefs/pr/1\n"));
    assert_non_null(strstr(tsv.s, "t\ttext\tt.jsonl\tunknown\t7\thttps://localhost/t\t-\t-\t-\t-\tnothing\t-\t-\t-\n"));
    lb_str_free(&tsv);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_folders_are_consistent),
        cmocka_unit_test(a_folder_is_a_source),
        cmocka_unit_test(what_a_list_may_not_say),
        cmocka_unit_test(hashes_that_are_not_known),
    };
    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
