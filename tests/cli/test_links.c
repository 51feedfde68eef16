/* Results folders that somebody else filled with symbolic links: nothing behind one is read by mistake, written or
 * removed, and what is refused says so. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "support/sweep_kit.h"

#define SMALL                                                                                                          \
    "model: tiny\nthreads: 2\neval: {text: eval.txt, protocol: W2-16, windows: 2}\nquantize: [{method: rtn}]\n"

static const char *const victim_file[] = {"victim/important.txt", "victim/other.h5", "victim/00000.h5",
                                          "victim/index.html", "victim/a.tmp.1"};
enum { VICTIMS = sizeof victim_file / sizeof victim_file[0] };

static void make_victim(void) {
    char path[LB_TEST_PATH];
    path_in(path, home, "victim");
    lb_fs_remove_folder(path);
    assert_ok(lb_fs_mkdirs(path));
    for (int i = 0; i < VICTIMS; i++) put_file(victim_file[i], "keep\n");
}

/* All files are there as they were; *more: how many others there are. */
static void victim_is_whole(size_t *more) {
    char path[LB_TEST_PATH], **names = NULL;
    size_t n = 0;
    for (int i = 0; i < VICTIMS; i++) {
        char *text = NULL;
        path_in(path, home, victim_file[i]);
        assert_ok(lb_fs_read(path, &text, NULL));
        assert_string_equal(text, "keep\n");
        lb_free(text);
    }
    path_in(path, home, "victim");
    assert_ok(lb_fs_list(path, NULL, &names, &n));
    lb_fs_list_free(names, n);
    *more = n - VICTIMS;
}

static void link_to(const char *target, const char *name) {
    char to[LB_TEST_PATH], path[LB_TEST_PATH];
    path_in(to, home, target);
    path_in(path, home, name);
    assert_int_equal(symlink(to, path), 0);
}

static void make_folder(const char *name) {
    char path[LB_TEST_PATH];
    path_in(path, home, name);
    assert_ok(lb_fs_mkdirs(path));
}

static void links_that_look_like_leftovers(void **state) {
    (void)state;
    size_t more;
    make_victim();
    put_file("left.yaml", SMALL);
    make_folder("results/left/.cache");
    make_folder("results/left/notes.tmp.7"); /* not an export: somebody's own */
    put_file("results/left/notes.tmp.7/text", "mine");
    put_file("results/left/notes.tmp.8", "mine");
    link_to("victim", "results/left/a.h5.tmp.1");
    link_to("victim", "results/left/x.model.tmp.1");
    link_to("victim", "results/left/x.partial");
    link_to("victim", "results/left/.cache/states-1.bin.tmp.1");
    link_to("victim/important.txt", "results/left/cells.csv");
    link_to("victim/important.txt", "results/left/sweep.json.tmp.1");
    cli_result r = RAN(0, "run", "left.yaml");
    cli_free(&r);
    victim_is_whole(&more);
    assert_int_equal(more, 0);
    assert_false(exists("results/left/a.h5.tmp.1") || exists("results/left/x.model.tmp.1"));
    assert_false(exists("results/left/x.partial") || exists("results/left/.cache/states-1.bin.tmp.1"));
    assert_true(exists("results/left/notes.tmp.7/text") && exists("results/left/notes.tmp.8"));
    lb_results *x = results("results/left");
    char name[512];
    snprintf(name, sizeof name, "results/left/%s.partial", x->record[1].stem);
    link_to("victim", name);
    snprintf(name, sizeof name, "results/left/%s.journal", x->record[1].stem);
    link_to("victim/important.txt", name);
    lb_results_free(x);
    r = RAN(0, "run", "left.yaml", "--again", "--no-report");
    cli_has(r.err, "2 cells run");
    cli_free(&r);
    victim_is_whole(&more);
    assert_int_equal(more, 0);
}

/* Somebody may have put the cache on a scratch disk: it is used, and nobody cleans up there. */
static void a_cache_elsewhere(void **state) {
    (void)state;
    size_t more;
    make_victim();
    put_file("cache.yaml", SMALL);
    make_folder("results/cache");
    link_to("victim", "results/cache/.cache");
    cli_result r = RAN(0, "run", "cache.yaml", "--no-report", "-o", "keep_cache=false");
    cli_has(r.err, "results/cache/.cache is a link: what is behind it stays");
    cli_free(&r);
    victim_is_whole(&more);
    assert_int_equal(more, 1); /* the baseline's states */

    put_file("own.yaml", SMALL); /* a cache that is no link: only what the program put there goes */
    make_folder("results/own/.cache");
    r = RAN(0, "run", "own.yaml", "--no-report", "-o", "keep_cache=false");
    cli_free(&r);
    assert_false(exists("results/own/.cache"));
    make_folder("results/own/.cache");
    put_file("results/own/.cache/notes", "mine");
    r = RAN(0, "run", "own.yaml", "--no-report", "--again", "-o", "keep_cache=false");
    cli_free(&r);
    char path[LB_TEST_PATH], **names = NULL;
    size_t n = 0;
    path_in(path, home, "results/own/.cache");
    assert_ok(lb_fs_list(path, NULL, &names, &n));
    assert_int_equal(n, 1);
    lb_fs_list_free(names, n);
}

static void places_that_are_links(void **state) {
    (void)state;
    static const struct {
        const char *at, *to, *said;
    } place[] = {{"report", "victim", "results/place/report: is a symbolic link, expected a folder"},
                 {"report/plots", "victim", "report/plots: is a symbolic link, expected a folder"},
                 {"report/tables", "victim", "report/tables: is a symbolic link, expected a folder"},
                 {".lock", "victim/important.txt", "results/place/.lock: is a symbolic link, expected a file"}};
    size_t more;
    make_victim();
    put_file("place.yaml", SMALL);
    cli_result r = RAN(0, "run", "place.yaml", "--no-report");
    cli_free(&r);
    for (size_t i = 0; i < sizeof place / sizeof place[0]; i++) {
        char name[512], path[LB_TEST_PATH];
        snprintf(name, sizeof name, "results/place/%s", place[i].at);
        path_in(path, home, name);
        if (i > 0) make_folder("results/place/report");
        (void)remove(path);
        link_to(place[i].to, name);
        SAYS(1, place[i].said, "run", "place.yaml");
        assert_int_equal(unlink(path), 0);
        victim_is_whole(&more);
        assert_int_equal(more, 0);
    }
    /* Where the page is going to be, and where gnuplot draws. */
    make_folder("results/place/report/plots");
    link_to("victim/important.txt", "results/place/report/index.html");
    link_to("victim/important.txt", "results/place/report/plots/ppl-bits-eval-txt-W2-16.tmp.svg");
    r = RAN(0, "report", "results/place");
    cli_free(&r);
    victim_is_whole(&more);
    assert_int_equal(more, 0);
    char path[LB_TEST_PATH];
    path_in(path, home, "results/place/report/index.html");
    assert_false(lb_fs_is_link(path));
}

/* A folder of results is passed on, so nothing that is no list of expected values gets into it. */
static void only_expected_values_are_copied(void **state) {
    (void)state;
    make_folder("exp");
    put_file("secret", "name,word\nme,hush\n");
    put_file("exp/config.yaml", "model: ../tiny\nthreads: 2\neval: {text: ../eval.txt, protocol: W2-16, windows: 2}\n"
                                "quantize: [{method: rtn}]\n");
    link_to("secret", "exp/expected.csv");
    cli_result r = RAN(1, "run", "exp/config.yaml", "--no-report");
    cli_has(r.err, "exp/expected.csv:1: no column 'method'");
    cli_has_not(r.err, "hush");
    cli_free(&r);
    assert_false(exists("results/config/expected.csv") || exists("results/exp/expected.csv"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_that_look_like_leftovers),
        cmocka_unit_test(a_cache_elsewhere),
        cmocka_unit_test(places_that_are_links),
        cmocka_unit_test(only_expected_values_are_copied),
    };
    return cmocka_run_group_tests_name("cli/links", tests, make_model, clean);
}
