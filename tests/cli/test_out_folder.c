/* Folders that a command writes appear whole or not at all: refused before the work where that cannot be, nothing left
 * when the work fails, and what a killed process left goes. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "support/folder.h"
#include "support/letter_tokenizer.h"
#include "support/sweep_kit.h"

/* Long enough to be interrupted. */
#define LONG "quantize", "tiny", "--method", "finetune", "--training", "cal.txt", "--steps", "1000000", "--length", "64"

static size_t entries(const char *name) {
    char path[LB_TEST_PATH], **names = NULL;
    size_t n = 0;
    path_in(path, home, name);
    assert_ok(lb_fs_list(path, NULL, &names, &n));
    lb_fs_list_free(names, n);
    return n;
}

static void make_folder(const char *name) {
    char path[LB_TEST_PATH];
    path_in(path, home, name);
    assert_ok(lb_fs_mkdirs(path));
}

static void remove_folder(const char *name) {
    char path[LB_TEST_PATH];
    path_in(path, home, name);
    lb_fs_remove_folder(path);
}

static void link_to(const char *target, const char *name) {
    char path[LB_TEST_PATH];
    path_in(path, home, name);
    (void)unlink(path);
    assert_int_equal(symlink(target, path), 0);
}

static void refused(const char *out, const char *why) {
    cli_options o = here();
    const char *const command[][10] = {{"quantize", "tiny", "--method", "rtn", "--out", out},
                                       {"train", "cal.txt", "--steps", "1", "--warmup", "0", "--out", out}};
    for (size_t i = 0; i < 2; i++) {
        cli_result r = cli_run(&o, command[i]);
        assert_int_equal(r.code, 1);
        cli_has(r.err, why);
        cli_has_not(r.err, "rtn"); /* before the work */
        cli_has_not(r.err, "tokens");
        cli_free(&r);
    }
}

static void refused_before_the_work(void **state) {
    (void)state;
    make_folder("place/full");
    put_file("place/full/notes.txt", "x");
    put_file("place/file", "x");
    make_folder("place/empty");
    link_to("/nonexistent/place", "place/broken");
    link_to("empty", "place/link");
    refused("place/broken", "--out place/broken: is a symbolic link (to /nonexistent/place): name the folder itself");
    refused("place/link", "--out place/link: is a symbolic link (to empty): name the folder itself");
    refused("place/link/", "--out place/link: is a symbolic link");
    refused("place/file", "--out place/file: exists and is not a folder");
    refused("place/file/out", "--out place/file/out: cannot write there: Not a directory");
    refused("place/broken/out", "--out place/broken: ");
    refused("place/full", "--out place/full: the folder is not empty (notes.txt): give a new or an empty one");
    refused("place/full/..", "name the folder to write by a name of its own");
    refused("/proc/none/a/b", "--out /proc/none: cannot make the folder: ");
    assert_int_equal(entries("place"), 5);
    assert_int_equal(entries("place/empty"), 0);
}

/* Wherever writing stops: no folder, no temporary one, none of the parents that were made for it. Of this model the
 * record is the largest file, and the last. */
static void nothing_is_left(void **state) {
    (void)state;
    bool late = false, whole = false;
    cli_options o = here();
    cli_result r =
        CLI(&o, "train", "cal.txt", "--out", "small", "--vocab", "270", "--layers", "2", "--dim", "8", "--hidden", "8",
            "--heads", "2", "--kv-heads", "1", "--steps", "1", "--warmup", "0", "--batch", "1", "--length", "16");
    assert_int_equal(r.code, 0);
    cli_free(&r);
    make_folder("left");
    for (long limit = 2000; limit < 100000 && !whole; limit += 4000) {
        o.file_limit = limit;
        r = CLI(&o, "quantize", "small", "--method", "rtn", "--out", "left/a/b/out", "--dtype", "bf16");
        whole = r.code == 0;
        late = late || (!whole && strstr(r.err, "lowbit.h5"));
        if (!whole) {
            assert_int_equal(r.code, 1);
            cli_has(r.err, "File too large");
            assert_int_equal(entries("left"), 0);
        }
        cli_free(&r);
    }
    assert_true(late && whole);
    assert_int_equal(entries("left/a/b/out"), 6);
    o.file_limit = 0;
    r = CLI(&o, "quantize", "tiny", "--method", "rtn", "--bitz", "4", "--out", "left/c/d");
    assert_int_equal(r.code, 1);
    cli_free(&r);
    assert_int_equal(entries("left"), 1);
}

static void tmp_of(pid_t pid, const char *out, char path[LB_TEST_PATH]) {
    assert_true(snprintf(path, LB_TEST_PATH, "%s/%s.tmp.%ld", home, out, (long)pid) < LB_TEST_PATH);
}

/* A killed one's folder goes when the same is written again; that of one under way stays. */
static void what_a_killed_one_left_goes(void **state) {
    (void)state;
    char path[LB_TEST_PATH], busy[LB_TEST_PATH];
    cli_options o = here();
    make_folder("kill");
    pid_t dead = cli_start(&o, (const char *const[]){LONG, "--out", "kill/out", NULL});
    tmp_of(dead, "kill/out", path);
    assert_true(cli_wait_for(dead, path));
    assert_int_equal(kill(dead, SIGKILL), 0);
    assert_int_equal(cli_wait(dead), 128 + SIGKILL);
    assert_true(lb_fs_is_dir(path));
    pid_t alive = cli_start(&o, (const char *const[]){LONG, "--out", "kill/out", NULL});
    tmp_of(alive, "kill/out", busy);
    assert_true(cli_wait_for(alive, busy));
    put_file("kill/out.tmp.x", "not ours");
    make_folder("kill/other.tmp.999999999");
    cli_result r = RAN(0, "quantize", "tiny", "--method", "rtn", "--out", "kill/out");
    cli_free(&r);
    assert_false(lb_fs_exists(path));
    assert_true(lb_fs_is_dir(busy));
    /* out, the one under way, the other two */
    assert_int_equal(entries("kill"), 4);
    assert_int_equal(kill(alive, SIGTERM), 0);
    assert_int_equal(cli_wait(alive), 130);
    assert_int_equal(entries("kill"), 3);
    assert_true(exists("kill/out/lowbit.h5"));
}

#define EXPORT "name: ex\n" COMMON "export: f32\nquantize: [{method: rtn}]\n"

/* The only folder in results/ex whose name ends so, and how many of its names do. */
static size_t find(const char *start, const char *end, char name[LB_TEST_PATH]) {
    char path[LB_TEST_PATH], **names = NULL;
    size_t n = 0, found = 0;
    path_in(path, home, "results/ex");
    assert_ok(lb_fs_list(path, end, &names, &n));
    for (size_t i = 0; i < n; i++) {
        if (strncmp(names[i], start, strlen(start)) != 0) continue;
        found++;
        path_in(name, "results/ex", names[i]);
    }
    lb_fs_list_free(names, n);
    return found;
}

/* An export in the way of a cell that runs again is replaced; what is not an export stops the cell before the work. */
static void exports_of_a_sweep(void **state) {
    (void)state;
    char model[LB_TEST_PATH], result[LB_TEST_PATH], notes[LB_TEST_PATH], path[LB_TEST_PATH];
    put_file("ex.yaml", EXPORT);
    cli_result r = RAN(0, "run", "ex.yaml");
    cli_free(&r);
    assert_int_equal(find("rtn", ".model", model), 1);
    assert_int_equal(find("rtn", ".h5", result), 1);
    r = RAN(0, "run", "ex.yaml", "--again");
    cli_has(r.err, "2 cells run, 0 kept");
    cli_free(&r);
    assert_int_equal(entries(model), 5);

    path_in(notes, model, "notes.txt");
    put_file(notes, "mine\n");
    r = RAN(1, "run", "ex.yaml", "--again");
    cli_has(r.err, "rtn-4b");
    cli_has(r.err, ".model: the folder is not empty (notes.txt)");
    cli_has_not(r.err, "[2/2] rtn 4b row: PPL");
    cli_free(&r);
    assert_true(exists(notes));
    path_in(path, home, notes);
    assert_int_equal(unlink(path), 0);

    /* The model without its result counts for nothing, and is no obstacle. */
    r = RAN(0, "run", "ex.yaml");
    cli_free(&r);
    path_in(path, home, result);
    assert_int_equal(unlink(path), 0);
    r = RAN(0, "run", "ex.yaml");
    cli_has(r.err, "1 cell run, 1 kept");
    cli_free(&r);

    remove_folder(model);
    link_to("/nonexistent/place", model);
    SAYS(1, ".model: is a symbolic link (to /nonexistent/place)", "run", "ex.yaml", "--again");
    assert_int_equal(find("", ".tmp", model), 0);
}

/* BLOOM tells no longest context: calibration sequences are then as long as the papers'. */
static void without_a_context(void **state) {
    (void)state;
    cli_options o = here();
    char text[LB_TEST_PATH];
    folder f = folder_take("families/bloom/a");
    make_folder("bloom");
    path_in(f.dir, home, "bloom");
    folder_write(&f);
    letter_tokenizer(f.dir);
    folder_drop(&f);
    path_in(text, home, "letters.txt");
    letter_text(text, 1, 2100);
    SAYS(1, "sequential windows (2 of 2048 tokens) need a text of 4096 tokens", "quantize", "bloom", "--method", "rtn",
         "--calibration", "letters.txt", "--samples", "2", "--out", "bloom-q");
    cli_result r = CLI(&o, "quantize", "bloom", "--method", "rtn", "--calibration", "letters.txt", "--samples", "1",
                       "--out", "bloom-q");
    if (r.code != 0) fail_msg("%s", r.err);
    cli_free(&r);
    remove_folder("bloom");
    remove_folder("bloom-q");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_before_the_work),     cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(what_a_killed_one_left_goes), cmocka_unit_test(exports_of_a_sweep),
        cmocka_unit_test(without_a_context),
    };
    return cmocka_run_group_tests(tests, make_model, clean);
}
