/* What a result keeps of a quantized model: layers of every format in any order, tables that say what cannot be, bytes
 * that are not what they were. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "quant/format.h"
#include "result/bundle.h"
#include "support/io_probe.h"
#include "support/support.h"

static lb_arena *arena;
static char path[LB_TEST_PATH];

static int setup(void **state) {
    (void)state;
    snprintf(path, sizeof path, "%s/cell.h5", lb_test_tmpdir());
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

enum { ROWS = 5, COLS = 64 };

static const lb_storage turned = {.format = &lb_uniform,
                                  .bits = 4,
                                  .group = 16,
                                  .t_scale = true,
                                  .t_scale_type = LB_SCALE_F16,
                                  .t_hadamard = 32,
                                  .t_sign = true};
static const lb_storage floats = {.format = &lb_f32, .bits = 32};
static const lb_storage ordered = {.format = &lb_uniform,
                                   .bits = 3,
                                   .group = 16,
                                   .order = true,
                                   .scale_type = LB_SCALE_BF16,
                                   .act = {.bits = 8, .symmetric = true}};
static const lb_storage doubled = {
    .format = &lb_nf4, .bits = 4, .group = 64, .double_quant = true, .act = {.bits = 4, .mode = LB_ACTQUANT_STATIC}};

static uint8_t byte_of(int64_t layer, int64_t i) { return (uint8_t)(layer * 31 + i * 7); }

static void *bytes_of(const lb_bundle *b, int64_t layer) {
    uint8_t *v = LB_NEW(arena, uint8_t, b->layer[layer].bytes);
    assert_non_null(v);
    for (int64_t i = 0; i < b->layer[layer].bytes; i++) v[i] = byte_of(layer, i);
    return v;
}

/* Three layers, put last to first. */
static lb_bundle *make(void) {
    static const lb_storage *const each[] = {&ordered, &doubled, &floats};
    static const char *const name[] = {"0.q", "0.down", "final_norm"};
    lb_bundle *b = NULL;
    int64_t at = -1;
    assert_ok(lb_bundle_new(path, 3, &b));
    for (int64_t i = 0; i < 3; i++) {
        assert_ok(lb_bundle_add(b, name[i], i < 2 ? ROWS : 1, COLS, each[i], &at));
        assert_int_equal(at, i);
    }
    assert_status(LB_E_ARG, lb_bundle_add(b, "more", 1, 1, &floats, &at));
    for (int64_t i = 2; i >= 0; i--) assert_ok(lb_bundle_put(b, i, bytes_of(b, i)));
    return b;
}

static lb_status write_it(const lb_bundle *b) {
    lb_h5 *h = NULL;
    LB_TRY(lb_h5_create(path, &h));
    lb_status st = lb_bundle_write(h, b);
    if (st == LB_OK) return lb_h5_close(h);
    lb_h5_abandon(h);
    return st;
}

static lb_status read_tables(lb_bundle *out) {
    lb_h5 *h = NULL;
    LB_TRY(lb_h5_open(path, &h));
    lb_status st = lb_bundle_read(h, arena, out);
    lb_h5_abandon(h);
    return st;
}

static void comes_back(void **state) {
    (void)state;
    lb_bundle *b = make(), back;
    lb_h5 *h = NULL;
    char **names;
    size_t n;
    assert_ok(lb_fs_list(lb_test_tmpdir(), "", &names, &n)); /* nothing of it has a name that a kill could leave */
    for (size_t i = 0; i < n; i++) assert_null(strstr(names[i], "cell.h5"));
    lb_fs_list_free(names, n);
    assert_ok(write_it(b));
    assert_ok(lb_h5_open(path, &h));
    assert_true(lb_bundle_is_in(h));
    assert_ok(lb_bundle_read(h, arena, &back));
    assert_int_equal(back.layers, 3);
    for (int64_t i = 0; i < 3; i++) {
        const lb_bundle_layer *x = &b->layer[i], *y = &back.layer[i];
        uint8_t *v = malloc((size_t)y->bytes);
        assert_string_equal(x->name, y->name);
        assert_true(lb_storage_same(&x->storage, &y->storage));
        assert_true(x->rows == y->rows && x->cols == y->cols && x->start == y->start && x->bytes == y->bytes);
        assert_true(y->storage.act.bits == (i == 0 ? 8 : i == 1 ? 4 : 0) && y->storage.act.symmetric == !i);
        assert_ok(lb_bundle_get(h, &back, i, v));
        for (int64_t k = 0; k < y->bytes; k++) assert_int_equal(v[k], byte_of(i, k));
        free(v);
    }
    static const char *const parts[] = {"codes",    "scales",      "zeros",        "order",
                                        "codes",    "scale_codes", "scale_scales", "scale_mean",
                                        "codebook", "act_scale",   "act_zero",     "floats"};
    assert_int_equal(back.parts, 12);
    for (int i = 0; i < 12; i++) assert_string_equal(back.part[i].name, parts[i]);
    lb_h5_abandon(h);
    lb_bundle_close(b);
}

static void every_format_has_words(void **state) {
    (void)state;
    for (int i = 0; lb_formats[i]; i++)
        for (int bits = lb_formats[i]->bits_min; bits <= lb_formats[i]->bits_max; bits++)
            for (int way = 0; way < 8; way++) {
                lb_storage s = {.format = lb_formats[i], .bits = bits, .group = lb_formats[i]->group}, back;
                if (!s.group) s.group = way & 1 ? 32 : s.format->shape == LB_SHAPE_FLAT ? 50 : LB_GROUP_ROW;
                s.symmetric = way & 2;
                s.scale_type = way & 4 && s.format->has & LB_HAS_SCALE_TYPE ? LB_SCALE_F16 : LB_SCALE_F32;
                s.order = way & 1;
                s.t_scale = way & 2;
                s.t_scale_type = way & 4 ? LB_SCALE_BF16 : LB_SCALE_F32;
                s.t_hadamard = way & 1 ? 16 : 0;
                s.t_sign = way & 4;
                if (way & 2) s.act = (lb_actquant){.bits = 8, .symmetric = way & 1, .group = way};
                if (way & 4) s.act = (lb_actquant){.bits = 4, .symmetric = way & 1, .mode = LB_ACTQUANT_STATIC};
                lb_storage_words w;
                lb_section section[LB_MOST_SECTIONS];
                lb_size size;
                int64_t sum = 0;
                assert_ok(lb_storage_to_words(&s, &w));
                assert_ok(lb_storage_from_words(&w, &back));
                assert_true(lb_storage_same(&s, &back));
                assert_ok(lb_storage_size(&s, ROWS, COLS, &size));
                for (int k = 0, n = lb_storage_sections(&s, ROWS, COLS, section); k < n; k++) {
                    assert_non_null(section[k].name);
                    sum += section[k].bytes;
                }
                assert_int_equal(sum, size.total);
            }
    lb_storage out;
    const lb_storage_words none = {.format = "int", .scale_type = "f64"}, odd = {.format = "intt", .scale_type = "f32"};
    assert_status(LB_E_FORMAT, lb_storage_from_words(&none, &out));
    assert_error_has("scale_type 'f64'");
    assert_status(LB_E_FORMAT, lb_storage_from_words(&odd, &out));
    assert_error_has("format 'intt'");
    lb_storage_words w;
    assert_ok(lb_storage_to_words(&turned, &w));
    assert_true(w.t_scale == 1 && w.t_scale_type == 1 && w.t_hadamard == 32 && w.t_sign == 1);
    w.t_scale = 2;
    assert_status(LB_E_FORMAT, lb_storage_from_words(&w, &out));
    assert_error_has("t_scale 2: must be in [0, 1]");
    w.t_scale = 1, w.t_scale_type = 3;
    assert_status(LB_E_FORMAT, lb_storage_from_words(&w, &out));
    assert_error_has("t_scale_type 3: must be in [0, 2]");
    w.t_scale_type = 0, w.t_sign = -1;
    assert_status(LB_E_FORMAT, lb_storage_from_words(&w, &out));
    assert_error_has("t_sign -1: must be in [0, 1]");
    const lb_storage_words no_mode = {.format = "int", .scale_type = "f32", .act_bits = 8, .act_mode = 2};
    assert_status(LB_E_FORMAT, lb_storage_from_words(&no_mode, &out));
    assert_error_has("act_mode 2: must be in [0, 1]");
}

/* Columns of T are there only where a layer has one; what an older program wrote has none. */
static void transforms_come_back(void **state) {
    (void)state;
    static const lb_storage *const each[] = {&turned, &ordered};
    static const char *const parts[] = {"codes", "scales", "zeros", "t_scale", "t_sign",
                                        "codes", "scales", "zeros", "order"};
    for (int64_t from = 0; from < 2; from++) {
        lb_bundle *b = NULL, back;
        lb_h5 *h = NULL;
        int64_t at;
        assert_ok(lb_bundle_new(path, 2, &b));
        for (int64_t i = from; i < 2; i++) assert_ok(lb_bundle_add(b, i ? "0.k" : "0.q", ROWS, COLS, each[i], &at));
        for (int64_t i = 0; i < 2 - from; i++) assert_ok(lb_bundle_put(b, i, bytes_of(b, i)));
        assert_ok(write_it(b));
        assert_ok(lb_h5_open(path, &h));
        assert_true(lb_h5_has(h, "/kept/layers/t_hadamard") == !from && lb_h5_has(h, "/kept/layers/t_sign") == !from);
        assert_ok(lb_bundle_read(h, arena, &back));
        for (int64_t i = from; i < 2; i++) assert_true(lb_storage_same(&back.layer[i - from].storage, each[i]));
        assert_int_equal(back.parts, from ? 4 : 9);
        for (int64_t i = 0; i < back.parts; i++) assert_string_equal(back.part[i].name, parts[i + (from ? 5 : 0)]);
        lb_h5_abandon(h);
        lb_bundle_close(b);
    }
}

/* Each row of the tables changed before it is written. */
static void impossible_tables(void **state) {
    (void)state;
    lb_bundle back;
    static const char other[] = "zeros";
    for (int fault = 0; fault < 10; fault++) {
        lb_bundle *b = make();
        lb_bundle_layer *l = &b->layer[1];
        lb_bundle_part *p = &b->part[l->part + 1];
        if (fault == 0) l->words.format = "nf5";
        if (fault == 1) l->words.bits = 3;
        if (fault == 2) l->rows++;
        if (fault == 3) l->start = b->bytes;
        if (fault == 4) l->words.act_bits = 9;
        if (fault == 5) p->name = other;
        if (fault == 6) p->start++;
        if (fault == 7) p->sha256[3] = 'x';
        if (fault == 8) p->layer = 0;
        if (fault == 9) b->parts--;
        assert_ok(write_it(b));
        lb_status st = read_tables(&back);
        assert_int_equal(st, LB_E_FORMAT);
        assert_error_has(fault == 9 ? "layer final_norm: part 11 of /kept/parts: expected floats" : "layer 0.down: ");
        lb_bundle_close(b);
    }
    lb_bundle *b = make(); /* one row more than its layers have */
    b->part[b->parts] = b->part[b->parts - 1];
    b->parts++;
    assert_ok(write_it(b));
    assert_status(LB_E_FORMAT, read_tables(&back));
    assert_error_has("/kept/parts has 13 rows, its layers 12 parts");
    lb_bundle_close(b);
}

static void bytes_of_all_layers_or_none(void **state) {
    (void)state;
    lb_bundle *b = NULL;
    int64_t at;
    lb_h5 *h = NULL;
    assert_ok(lb_bundle_new(path, 2, &b));
    assert_ok(lb_bundle_add(b, "0.q", ROWS, COLS, &ordered, &at));
    assert_status(LB_E_ARG, write_it(b));
    assert_error_has("0 of 1 layers to keep");
    assert_ok(lb_bundle_put(b, 0, bytes_of(b, 0)));
    assert_status(LB_E_ARG, lb_bundle_put(b, 0, bytes_of(b, 0)));
    assert_error_has("layer 0.q comes twice");
    lb_bundle_close(b);
    assert_ok(lb_bundle_new(path, 0, &b)); /* a cell that quantizes nothing */
    assert_ok(write_it(b));
    lb_bundle_close(b);
    lb_bundle back;
    assert_ok(read_tables(&back));
    assert_int_equal(back.layers, 0);
    assert_ok(lb_h5_create(path, &h));
    assert_ok(lb_h5_close(h));
    assert_status(LB_E_UNSUPPORTED, read_tables(&back));
    assert_error_has("keep_layers: true");
}

static lb_status whole(const char *unused) {
    (void)unused;
    static uint8_t v[4096];
    lb_bundle *b = NULL, back;
    int64_t at;
    lb_status st = lb_bundle_new(path, 1, &b);
    if (st == LB_OK) st = lb_bundle_add(b, "0.q", ROWS, COLS, &ordered, &at);
    if (st == LB_OK) st = lb_bundle_put(b, 0, v);
    if (st == LB_OK) st = write_it(b);
    lb_bundle_close(b);
    lb_h5 *h = NULL;
    if (st == LB_OK) st = lb_h5_open(path, &h);
    if (st == LB_OK) st = lb_bundle_read(h, arena, &back);
    if (st == LB_OK) st = lb_bundle_get(h, &back, 0, v);
    lb_h5_abandon(h);
    return st;
}

static void memory(void **state) {
    (void)state;
    assert_true(sweep_allocations(whole, path) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(every_format_has_words),
        cmocka_unit_test(transforms_come_back),
        cmocka_unit_test(impossible_tables),
        cmocka_unit_test(bytes_of_all_layers_or_none),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
