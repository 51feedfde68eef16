/* The number published is the number stored: a plug-in that lies in any part of what it returns gets an error that
 * names the part, and one that is honest gives the same results when it was killed in between, whatever it stores. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "support/sweep_kit.h"

/* home/liar.so and home/model_liar.so */
static void compile(const char *name, const char *flags) {
    char source[LB_TEST_PATH], root[LB_TEST_PATH], command[3 * LB_TEST_PATH], out[4096];
    lb_test_fixture("tests/cli/plugins/liar.c", source);
    lb_test_fixture("src", root);
    snprintf(command, sizeof command,
             "cc -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -fPIC -shared %s -I%s -o %s/%s.so %s 2>&1", flags, root, home,
             name, source);
    if (cli_shell(command, out, sizeof out) != 0) fail_msg("%s\n%s", command, out);
}

static int prepare(void **state) {
    int code = make_model(state);
    if (code) return code;
    compile("liar", "");
    compile("model_liar", "-DMODEL");
    return 0;
}

typedef struct lie {
    const char *options, *message; /* after "method liar: layer 2.up: " */
} lie;

static const lie lies[] = {
    {"lie: code", "code 255 at row 3, column 7 does not fit in 4 bits"},
    {"lie: code, bits: 7, group: 16", "code 255 at row 3, column 7 does not fit in 7 bits"},
    {"lie: code, kind: nf4, group: 64", "code 255 at row 3, column 7 does not fit in 4 bits"},
    {"lie: scale_nan", "scale nan at row 5: must be finite"},
    {"lie: scale_inf, group: 16", "scale inf at row 2, group 1: must be finite"},
    {"lie: scale_nan, kind: fp4, group: 32", "scale nan at block 5: must be finite"},
    {"lie: scale_fine, scale_type: f16",
     "scale 0.100000001 at row 5: must be a float16, as which it would be 0.0999755859"},
    {"lie: scale_fine, scale_type: bf16, group: tensor",
     "scale 0.100000001 at the matrix: must be a bfloat16, as which it would be 0.100097656"},
    {"lie: scale_inf, scale_type: f16", "scale inf at row 5: must be finite"},
    {"lie: scale_fine, kind: nf4, group: 64, scale_type: bf16", "scale 0.100000001 at block 5: must be a bfloat16"},
    {"lie: zero_half", "zero 2.5 at row 5: must be a whole number in [0, 15]"},
    {"lie: zero_half, group: tensor, bits: 2", "zero 2.5 at the matrix: must be a whole number in [0, 3]"},
    {"lie: zero_below, group: 24", "zero -1 at row 2, group 1: must be a whole number in [0, 15]"},
    {"lie: zero_above", "zero 16 at row 5: must be a whole number in [0, 15]"},
    {"lie: zero_nan", "zero nan at row 5: must be a whole number in [0, 15]"},
    {"lie: zero_there, symmetric: true", "zero is there: int4 row sym does not store it"},
    {"lie: order_twice, order: true, group: 16", "order[2] = 30: that column is at position 1 already"},
    {"lie: order_beyond, order: true, group: 16", "order[2] = 32: the layer has 32 columns"},
    {"lie: order_there, group: 16", "order is there: int4 g16 asym does not store it"},
    {"lie: dq_scale, kind: nf4, group: 64, double_quant: true", "at block 5: dq_code, dq_scale and dq_mean give"},
    {"lie: dq_mean, kind: nf4, group: 64, double_quant: true", "at block 0: dq_code, dq_scale and dq_mean give"},
    {"lie: dq_nan, kind: nf4, group: 64, double_quant: true", "dq_scale[0] = nan: must be finite"},
    {"lie: codes_null", "codes is missing: int4 row asym stores it"},
    {"lie: scale_null", "scale is missing: int4 row asym stores it"},
    {"lie: rows", "came back as (47, 32), expected (48, 32)"},
    {"lie: storage", "stored as int4 row sym, its spec said int4 row asym"},
    {"lie: flags", "flags 0x100000: a method may set 0x1f"},
    {"lie: damp", "damp = nan: must be in [0, 1]"},
    {"lie: dead", "dead_columns = -3: must be in [0, 32]"},
    {"lie: act", "act.bits = 99: must be 0 or in [2, 8]"},
};
enum { LIES = sizeof lies / sizeof lies[0] };

/* A config of n entries, and one that is honest at the end. */
static void put_lies(const char *name, const lie *l, size_t n, const char *head) {
    lb_str s = {0};
    lb_str_add(&s, COMMON "%squantize:\n", head);
    for (size_t i = 0; i < n; i++) lb_str_add(&s, "  - {method: liar, number: %zu, %s}\n", i, l[i].options);
    lb_str_add(&s, "  - {method: liar, number: 999}\n");
    assert_ok(lb_str_check(&s));
    put_file(name, s.s);
    lb_str_free(&s);
}

static void expect_lies(const char *folder, const lie *l, size_t n, const char *where) {
    lb_results *r = results(folder);
    assert_int_equal(r->n, n + 2);
    for (size_t i = 0; i < n; i++) {
        const lb_record *c = &r->record[i + 1];
        assert_int_equal(c->state, LB_CELL_FAILED);
        cli_has(c->message, where);
        cli_has(c->message, l[i].message);
    }
    assert_int_equal(r->record[n + 1].state, LB_CELL_DONE);
    lb_results_free(r);
}

static void every_lie_is_named(void **state) {
    (void)state;
    put_lies("lies.yaml", lies, LIES, "");
    SAYS(1, "failed: method liar: layer 2.up: zero 2.5 at row 5: must be a whole number in [0, 15]", "run", "lies.yaml",
         "--no-report", "--plugin", "./liar.so");
    expect_lies("results/lies", lies, LIES, "method liar: layer 2.up: ");
}

static void in_model_scope_too(void **state) {
    (void)state;
    static const lie models[] = {
        {"lie: no_layer", "method liar returned no layer 2.up"},
        {"lie: layer_too_many", "method liar returned layer embed, which is not to be quantized"},
        {"lie: changed_nan", "method liar changed 2.mlp_norm: nan at row 0, column 7: must be finite"},
        {"lie: no_arrays", "method liar returned no arrays of layers"},
    };
    enum { MODELS = sizeof models / sizeof models[0] };
    put_lies("model.yaml", lies, LIES, "training: {text: cal.txt}\n");
    cli_result r = RAN(1, "run", "model.yaml", "--no-report", "--plugin", "./model_liar.so");
    cli_free(&r);
    expect_lies("results/model", lies, LIES, "method liar: layer 2.up: ");
    put_lies("whole.yaml", models, MODELS, "training: {text: cal.txt}\n");
    r = RAN(1, "run", "whole.yaml", "--no-report", "--plugin", "./model_liar.so");
    cli_free(&r);
    expect_lies("results/whole", models, MODELS, "");
}

static void quantize_writes_no_lie(void **state) {
    (void)state;
    SAYS(1, "method liar: layer 2.up: zero 2.5 at row 5: must be a whole number in [0, 15]", "quantize", "tiny",
         "--method", "liar", "--lie", "zero_half", "--out", "lie.model", "--plugin", "./liar.so");
    assert_false(exists("lie.model/model.safetensors"));
}

/* Killed in its last block, a cell goes on from the bytes of the blocks before: the same numbers for every storage, and
 * the same error for a lie. */
static void killed_is_uninterrupted(void **state) {
    (void)state;
    static const lie cells[] = {
        {"bits: 2", NULL},
        {"bits: 3, group: 24, scale_type: f16, act_bits: 8", NULL},
        {"bits: 5, group: 16, scale_type: bf16, order: true", NULL},
        {"bits: 8, group: tensor, symmetric: true", NULL},
        {"kind: nf4, group: 50", NULL},
        {"kind: fp4, group: 32, scale_type: f16", NULL},
        {"kind: nf4, group: 2, double_quant: true", NULL},
        {"lie: code", "code 255"},
        {"lie: scale_nan", "scale nan"},
        {"lie: zero_half", "zero 2.5"},
        {"lie: order_twice, order: true, group: 16", "order[2]"},
        {"lie: dq_mean, kind: nf4, group: 64, double_quant: true", "dq_mean"},
    };
    enum { CELLS = sizeof cells / sizeof cells[0], HONEST = 7 };
    put_lies("kill.yaml", cells, CELLS, "");
    cli_options o = here();
    cli_result r = CLI(&o, "run", "kill.yaml", "--no-report", "--plugin", "./liar.so", "-o", "results=whole");
    assert_int_equal(r.code, 1);
    cli_free(&r);
    for (int i = 0; i < CELLS; i++) {
        char name[32];
        snprintf(name, sizeof name, "die.%d", i);
        put_file(name, "");
    }
    o.env[0] = "LIAR_DIES=die";
    for (int run = 0; run <= CELLS; run++) {
        r = CLI(&o, "run", "kill.yaml", "--no-report", "--plugin", "./liar.so", "-o", "results=killed");
        assert_int_equal(r.code, run < CELLS ? 128 + SIGKILL : 1);
        if (run > 0) cli_has(r.err, "going on at block 2, the ones before were finished");
        cli_free(&r);
    }
    lb_results *a = results("whole/kill"), *b = results("killed/kill");
    assert_int_equal(a->n, CELLS + 2);
    assert_int_equal(b->n, CELLS + 2);
    for (int64_t i = 0; i < a->n; i++) {
        bool lied = i > HONEST && i <= CELLS;
        assert_int_equal(a->record[i].state, lied ? LB_CELL_FAILED : LB_CELL_DONE);
        assert_int_equal(b->record[i].state, a->record[i].state);
        assert_string_equal(a->record[i].message, b->record[i].message);
        if (lied) cli_has(a->record[i].message, cells[i - 1].message);
    }
    lb_results_free(a);
    lb_results_free(b);
    same_results("whole/kill", "killed/kill", CELLS + 2);
}

/* ---- what is read back ---- */

/* The path of the one file in a folder of home whose name starts and ends so. */
static void find_file(const char *dir, const char *start, const char *end, char out[LB_TEST_PATH]) {
    char path[LB_TEST_PATH], **names;
    size_t n;
    int found = 0;
    path_in(path, home, dir);
    assert_ok(lb_fs_list(path, end, &names, &n));
    for (size_t i = 0; i < n; i++) {
        if (strncmp(names[i], start, strlen(start)) != 0) continue;
        path_in(out, path, names[i]);
        found++;
    }
    lb_fs_list_free(names, n);
    assert_int_equal(found, 1);
}

/* One bit at a part of the length. */
static void flip_bit(const char *path, double where) {
    char *bytes;
    size_t n;
    assert_ok(lb_fs_read(path, &bytes, &n));
    bytes[(size_t)(where * (double)(n - 1))] ^= 0x10;
    assert_ok(lb_fs_write_atomic(path, bytes, n));
    lb_free(bytes);
}

static void run_again(const char *cell, const char *warning) {
    char path[LB_TEST_PATH];
    find_file("damaged/cache", cell, ".h5", path);
    assert_int_equal(unlink(path), 0);
    cli_result r = RAN(0, "run", "cache.yaml", "--no-report", "-o", "results=damaged");
    cli_has(r.err, "1 cell run, 2 kept");
    if (warning)
        cli_has(r.err, warning);
    else
        cli_has_not(r.err, "again");
    cli_free(&r);
    same_results("whole/cache", "damaged/cache", 3);
}

/* A changed bit anywhere, a lost end, another file in its place: made again, with a warning and the same results. */
static void damaged_caches_are_made_again(void **state) {
    (void)state;
    static const double where[] = {0.0, 0.0005, 0.3, 0.7, 0.98, 1.0};
    static const struct {
        const char *file, *cell, *warning;
    } cache[] = {{"states-", "rtn-", "the baseline's states of eval.txt are computed again"},
                 {"statistics-", "gptq-", "the statistics are computed again"}};
    put_file("cache.yaml", COMMON "quantize:\n  - {method: rtn, bits: 3}\n  - {method: gptq, bits: 3}\n");
    for (int i = 0; i < 2; i++) {
        cli_result r = RAN(0, "run", "cache.yaml", "--no-report", "-o", i ? "results=damaged" : "results=whole");
        cli_free(&r);
    }
    for (int i = 0; i < 2; i++) {
        char path[LB_TEST_PATH];
        struct stat st;
        for (size_t k = 0; k < sizeof where / sizeof where[0]; k++) {
            find_file("damaged/cache/.cache", cache[i].file, ".bin", path);
            flip_bit(path, where[k]);
            run_again(cache[i].cell, cache[i].warning);
        }
        run_again(cache[i].cell, NULL); /* it is whole again */
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size / 2), 0);
        run_again(cache[i].cell, cache[i].warning);
        assert_ok(lb_fs_write_atomic(path, "LBSTATE1", 8));
        run_again(cache[i].cell, cache[i].warning);
    }
}

static void damaged_blocks_are_made_again(void **state) {
    (void)state;
    static const lie cells[] = {{"bits: 3, group: 24, scale_type: f16, act_bits: 8", NULL}};
    static const double where[] = {0.0, 0.01, 0.5, 1.0};
    put_lies("block.yaml", cells, 1, "");
    cli_options o = here(), dies = here();
    dies.env[0] = "LIAR_DIES=block";
    cli_result r = CLI(&o, "run", "block.yaml", "--no-report", "--plugin", "./liar.so", "-o", "results=whole");
    assert_int_equal(r.code, 0);
    cli_free(&r);
    for (size_t k = 0; k < sizeof where / sizeof where[0]; k++) {
        char to[64], name[512], folder[LB_TEST_PATH];
        snprintf(to, sizeof to, "results=blocks%zu", k);
        put_file("block.0", "");
        r = CLI(&dies, "run", "block.yaml", "--no-report", "--plugin", "./liar.so", "-o", to);
        assert_int_equal(r.code, 128 + SIGKILL);
        cli_free(&r);
        snprintf(name, sizeof name, "blocks%zu/block", k);
        find_file(name, "liar-", ".partial", folder);
        char block[LB_TEST_PATH];
        path_in(block, folder, "00007.block");
        flip_bit(block, where[k]);
        r = CLI(&o, "run", "block.yaml", "--no-report", "--plugin", "./liar.so", "-o", to);
        assert_int_equal(r.code, 0);
        cli_has(r.err, "00007.block: ");
        cli_has(r.err, "its layers are computed again");
        cli_free(&r);
        same_results("whole/block", name, 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_lie_is_named),
        cmocka_unit_test(in_model_scope_too),
        cmocka_unit_test(quantize_writes_no_lie),
        cmocka_unit_test(killed_is_uninterrupted),
        cmocka_unit_test(damaged_caches_are_made_again),
        cmocka_unit_test(damaged_blocks_are_made_again),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
