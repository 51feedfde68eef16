/* What lies in a results folder: cells that have not run, files that are gone, results that the index does not list,
 * and several folders read as one. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "result/provenance.h"
#include "result/store.h"
#include "support/support.h"
#include "support/synthetic_results.h"

enum { CELLS = 4, PATH = LB_TEST_PATH + 512 };
static char root[LB_TEST_PATH], dir[PATH];
static lb_results *made; /* a source of records */

static const char *in(const char *folder, const char *name) {
    static char path[PATH];
    (void)snprintf(path, sizeof path, "%s/%s%s%s", root, folder, name[0] ? "/" : "", name);
    return path;
}

static int set_up(void **state) {
    (void)state;
    snprintf(root, sizeof root, "%s", lb_test_tmpdir());
    made = synthetic_results_new(SYNTHETIC_SWEEP, "unused");
    for (int64_t i = 0; i < made->n; i++) {
        lb_record *c = &made->record[i];
        c->key = lb_arena_printf(made->arena, "%064llx", (unsigned long long)i + 1);
        if (!c->key || lb_pairs_add(made->arena, &c->provenance, "revision", lb_provenance_revision()) != LB_OK ||
            lb_pairs_add(made->arena, &c->provenance, "model_sha256", "aa") != LB_OK)
            return -1;
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    synthetic_results_free(made);
    return 0;
}

/* A folder with the first n of the records' files, and an index of the first `listed`. */
static void fill(const char *folder, int64_t n, int64_t listed) {
    snprintf(dir, sizeof dir, "%s", in(folder, ""));
    assert_ok(lb_fs_mkdirs(dir));
    for (int64_t i = 0; i < n; i++) assert_ok(lb_store_write(dir, &made->record[i]));
    assert_ok(lb_store_write_index(dir, folder, "tiny_model", "a note", made->record, listed));
}

static void get_index(char **text) {
    char *path = lb_fs_join(dir, "sweep.json");
    size_t n;
    assert_non_null(path);
    assert_ok(lb_fs_read(path, text, &n));
    lb_free(path);
}

static void put_index(const char *text) {
    char *path = lb_fs_join(dir, "sweep.json");
    assert_non_null(path);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    lb_free(path);
}

static void states_have_words(void **state) {
    (void)state;
    static const char *const word[] = {"done", "failed", "refused", "not run", "missing"};
    for (int s = LB_CELL_DONE; s <= LB_CELL_MISSING; s++)
        assert_string_equal(lb_cell_state_text((lb_cell_state)s), word[s]);
}

/* A killed sweep: its index says what waits, and where in the sweep; a whole one's has no such list. */
static void cells_that_wait_keep_their_places(void **state) {
    (void)state;
    fill("waits", CELLS, CELLS);
    char *whole = NULL;
    get_index(&whole);
    assert_null(strstr(whole, "pending"));
    lb_free(whole);
    lb_record r[CELLS];
    memcpy(r, made->record, sizeof r);
    r[1].state = r[3].state = LB_CELL_PENDING;
    assert_ok(lb_store_write_index(dir, "waits", "tiny_model", "", r, CELLS));
    lb_results *back = NULL;
    assert_ok(lb_store_read_results(dir, &back));
    assert_int_equal(back->n, CELLS);
    assert_int_equal(back->unlisted, 0); /* the files of cells that wait are of this sweep */
    for (int i = 0; i < CELLS; i++) {
        const lb_record *c = &back->record[i];
        assert_string_equal(c->stem, r[i].stem);
        assert_string_equal(c->label, r[i].label);
        assert_string_equal(c->method, r[i].method);
        assert_int_equal(c->bits, r[i].bits);
        assert_int_equal(c->state, i % 2 ? LB_CELL_PENDING : LB_CELL_DONE);
        assert_string_equal(c->message, "");
        assert_string_equal(c->folder, "waits");
        assert_string_equal(lb_pairs_get(&c->options, "bits") ? lb_pairs_get(&c->options, "bits") : "-",
                            lb_pairs_get(&r[i].options, "bits") ? lb_pairs_get(&r[i].options, "bits") : "-");
    }
    lb_results_free(back);
    /* Places that cannot be. */
    static const char *const from[] = {"\"at\": 3", "\"at\": 3", "\"at\": 3", "\"pending\": ["},
                             *const to[] = {"\"at\": 4", "\"at\": 1", "\"at\":-1", "\"pending\": 1,\"x\":["};
    static const char *const say[] = {"at = 4", "at = 1", "at = -1", "'pending' must be a list"};
    for (size_t k = 0; k < sizeof from / sizeof from[0]; k++) {
        char *text = NULL;
        get_index(&text);
        const char *at = strstr(text, from[k]);
        assert_non_null(at);
        lb_str s = {0};
        lb_str_add(&s, "%.*s%s%s", (int)(at - text), text, to[k], at + strlen(from[k]));
        assert_ok(lb_str_check(&s));
        put_index(s.s);
        assert_status(LB_E_FORMAT, lb_store_read_results(dir, &back));
        assert_error_has(say[k]);
        put_index(text);
        lb_str_free(&s);
        lb_free(text);
    }
}

/* One file gone takes its own numbers along, not the others'. */
static void a_file_that_is_gone(void **state) {
    (void)state;
    fill("gone", CELLS, CELLS);
    lb_results *back = NULL;
    char file[256];
    snprintf(file, sizeof file, "%s.h5", made->record[2].stem);
    assert_int_equal(unlink(in("gone", file)), 0);
    assert_ok(lb_store_read_results(dir, &back));
    assert_int_equal(back->n, CELLS);
    for (int i = 0; i < CELLS; i++) assert_int_equal(back->record[i].state, i == 2 ? LB_CELL_MISSING : LB_CELL_DONE);
    const lb_record *c = &back->record[2];
    assert_string_equal(c->message, "its file is gone: run the config again");
    assert_string_equal(c->stem, made->record[2].stem);
    assert_string_equal(c->label, made->record[2].label);
    assert_int_equal(c->bits, made->record[2].bits);
    assert_int_equal(c->evals, 0);
    lb_results_free(back);
    /* A link that leads nowhere is no file that is gone. */
    assert_int_equal(symlink("nowhere", in("gone", file)), 0);
    assert_status(LB_E_IO, lb_store_read_results(dir, &back));
}

static void results_of_earlier_sweeps(void **state) {
    (void)state;
    fill("earlier", 6, 3);
    lb_results *back = NULL;
    assert_int_equal(lb_pairs_add(made->arena, &made->record[6].provenance, "n", "1"), LB_OK);
    lb_record other = made->record[6];
    other.provenance = (lb_pairs){0};
    assert_ok(lb_pairs_add(made->arena, &other.provenance, "model_sha256", "bb"));
    assert_ok(lb_pairs_add(made->arena, &other.provenance, "model", "another.gguf"));
    assert_ok(lb_pairs_add(made->arena, &other.provenance, "revision", "0123456789ab"));
    assert_ok(lb_store_write(dir, &other));
    /* A link, a foreign file and a folder are no results; a damaged and a renamed one are not read. */
    assert_int_equal(symlink("sweep.json", in("earlier", "link.h5")), 0);
    assert_ok(lb_fs_write_atomic(in("earlier", "foreign.h5"), "\x89HDF\r\n\x1a\n", 8));
    assert_ok(lb_fs_mkdirs(in("earlier", "folder.h5")));
    char *bytes = NULL, from[PATH + 256];
    size_t n = 0;
    snprintf(from, sizeof from, "%s/%s.h5", dir, made->record[5].stem);
    assert_ok(lb_fs_read(from, &bytes, &n));
    assert_ok(lb_fs_write_atomic(in("earlier", "renamed.h5"), bytes, n));
    bytes[n - 9] ^= 1;
    assert_ok(lb_fs_write_atomic(in("earlier", "damaged.h5"), bytes, n));
    lb_free(bytes);

    assert_ok(lb_store_read_results(dir, &back));
    assert_int_equal(back->n, 3);
    assert_int_equal(back->unlisted, 6);
    assert_ok(lb_store_read_unlisted(back));
    assert_int_equal(back->n, 7);
    for (int64_t i = 0; i < back->n; i++) {
        const lb_record *c = &back->record[i];
        assert_int_equal(c->unlisted, i >= 3);
        assert_int_equal(c->state, LB_CELL_DONE);
        assert_string_equal(c->folder, "earlier");
        int64_t k = 0;
        while (strcmp(made->record[k].stem, c->stem) != 0) k++;
        assert_string_equal(c->label, made->record[k].label);
        assert_string_equal(c->key, made->record[k].key);
        assert_string_equal(c->config, made->record[k].config);
        if (k == 6) {
            assert_string_equal(c->model, "another.gguf");
            assert_int_equal(c->warnings, made->record[6].warnings + 1);
        } else {
            assert_null(c->model);
        }
    }
    assert_int_equal(back->notices, 2);
    assert_non_null(strstr(back->notice[0], "damaged.h5 is damaged"));
    assert_non_null(strstr(back->notice[1], "renamed.h5 is damaged: stem"));
    lb_results_free(back);
}

static void several_folders(void **state) {
    (void)state;
    lb_results *r = NULL;
    fill("b", 4, 2);
    fill("x/a", 2, 2);
    fill("a", 3, 3);
    char first[PATH], second[PATH], third[PATH];
    snprintf(first, sizeof first, "%s", in("a", ""));
    snprintf(second, sizeof second, "%s", in("b/", ""));
    snprintf(third, sizeof third, "%s", in("x/a", ""));
    const char *const both[] = {first, second}, *const turned[] = {second, first}, *const namesakes[] = {third, first};
    assert_ok(lb_store_read_several(both, 2, false, &r));
    assert_string_equal(r->name, "a, b");
    assert_string_equal(r->model_name, "tiny_model");
    assert_string_equal(r->model_note, "a note");
    assert_string_equal(r->dir, first);
    assert_int_equal(r->n, 3); /* what b lists is in a, too */
    assert_int_equal(r->unlisted, 2);
    lb_results_free(r);
    assert_ok(lb_store_read_several(both, 2, true, &r));
    assert_int_equal(r->n, 4);
    assert_string_equal(r->record[3].folder, "b");
    assert_true(r->record[3].unlisted);
    assert_null(r->record[3].model);
    lb_results_free(r);
    assert_ok(lb_store_read_several(turned, 2, false, &r));
    assert_int_equal(r->n, 3);
    assert_string_equal(r->record[0].folder, "b");
    assert_string_equal(r->record[2].folder, "a");
    lb_results_free(r);
    assert_ok(lb_store_read_several(namesakes, 2, false, &r));
    assert_string_equal(r->name, "x/a, a");
    assert_string_equal(r->record[0].folder, third);
    assert_string_equal(r->record[2].folder, first);
    lb_results_free(r);

    /* Another model: every record says which is its own. */
    snprintf(dir, sizeof dir, "%s", in("b", ""));
    assert_ok(lb_store_write_index(dir, "b", "other_model", "b note", &made->record[3], 1));
    assert_ok(lb_store_read_several(both, 2, false, &r));
    assert_string_equal(r->model_name, "tiny_model, other_model");
    assert_int_equal(r->n, 4);
    assert_string_equal(r->record[0].model, "tiny_model");
    assert_string_equal(r->record[0].model_note, "a note");
    assert_string_equal(r->record[3].model, "other_model");
    assert_string_equal(r->record[3].model_note, "b note");
    lb_results_free(r);

    const char *const none[] = {first, "/nowhere"};
    assert_status(LB_E_IO, lb_store_read_several(none, 2, false, &r));
    assert_error_has("/nowhere is no results folder");
}

/* Where memory runs out, an answer that looks whole is whole. (In the child that reads ahead it ends the child, and
 * the file counts as damaged.) */
static void memory_runs_out(void **state) {
    (void)state;
    fill("scarce", 4, 2);
    fill("scarcer", 5, 5);
    char first[PATH];
    snprintf(first, sizeof first, "%s", in("scarce", ""));
    const char *const both[] = {first, dir};
    lb_results *r = NULL;
    int64_t whole = 0, failed = 0;
    for (int64_t at = 1; whole < 3; at += 1 + at / 12) {
        assert_true(at < 10000);
        lb_alloc_fail_at(at);
        lb_status st = lb_store_read_several(both, 2, true, &r);
        lb_alloc_fail_at(0);
        assert_true(st == LB_OK || st == LB_E_NOMEM || st == LB_E_FORMAT);
        failed += st == LB_E_NOMEM;
        if (st != LB_OK) continue;
        assert_int_equal(r->unlisted, 2);
        assert_true(r->notices > 0 || r->n == 5);
        whole++;
        lb_results_free(r);
    }
    assert_true(failed > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_have_words),   cmocka_unit_test(cells_that_wait_keep_their_places),
        cmocka_unit_test(a_file_that_is_gone), cmocka_unit_test(results_of_earlier_sweeps),
        cmocka_unit_test(several_folders),     cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
