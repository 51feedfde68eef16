/* Blocks that have the weights of another one: which, in nets and in files, and what cannot be. */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "model/family.h"
#include "model/fold.h"
#include "model/numbers.h"
#include "model/weights.h"

#define BLOCK "n = norm x norm kind=ln eps=eps; h = linear n up; h = act h fn=relu; x += linear h down"

/* A family of `shares`, whose blocks have the MLP of block `of` and norms of their own, which files name after it. */
static const lb_tensor_row rows[] = {
    {.ours = "embed", .hf = "embed", .rows = "vocab", .cols = "dim"},
    {.ours = "#.norm", .hf = "#.norm.weight", .cols = "dim", .bias = "1"},
    {.ours = "#.up", .hf = "mlp.up.weight", .rows = "hidden", .cols = "dim", .bias = "bias", .owner = "of"},
    {.ours = "#.down",
     .hf = "#.down.weight|other.#.down",
     .rows = "dim",
     .cols = "hidden",
     .when = "down",
     .owner = "of"},
    {.ours = "head", .hf = "head", .rows = "vocab", .cols = "dim"},
    {0}};
static const lb_family shares = {
    .name = "shares",
    .tensor = rows,
    .program = {.before = "x = embed token embed", .block = BLOCK, .after = "y = head x head"}};

enum { BLOCKS = 4 };
typedef struct world {
    lb_arena *arena;
    lb_numbering b;
} world;

/* Block i is to have the weights of block of[i]. */
static world begin(const double of[BLOCKS]) {
    static const double ones[BLOCKS] = {1, 1, 1, 1};
    static const struct {
        const char *name;
        double value;
    } number[] = {{"layers", BLOCKS}, {"dim", 6}, {"hidden", 10}, {"vocab", 9}, {"tied", 0}, {"eps", 1e-5}};
    world w = {0};
    assert_ok(lb_arena_new(0, &w.arena));
    w.b = (lb_numbering){.arena = w.arena, .whose = "test", .blocks = BLOCKS};
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
        assert_ok(lb_numbering_set(&w.b, number[i].name, number[i].value));
    assert_ok(lb_numbering_set_blocks(&w.b, "of", of));
    assert_ok(lb_numbering_set_blocks(&w.b, "bias", ones));
    assert_ok(lb_numbering_set_blocks(&w.b, "down", ones));
    return w;
}

static lb_status build(const world *w, const lb_net **net) {
    const lb_numbers n = lb_numbering_view(&w->b);
    return lb_family_net(w->arena, &shares, &n, net);
}

static const lb_site *site_of(const lb_net *n, const char *name) {
    int32_t i = lb_net_find(n, name);
    assert_true(i >= 0);
    return &n->site[i];
}

/* Block 3 has what block 2 has, which has what block 0 has. */
static void owners(void **state) {
    (void)state;
    const double of[BLOCKS] = {0, 1, 0, 2};
    world w = begin(of);
    const lb_net *n;
    assert_ok(build(&w, &n));
    int32_t up = lb_net_find(n, "0.up"), three = lb_net_find(n, "3.up");
    assert_int_equal(site_of(n, "0.up")->same_as, -1);
    assert_int_equal(site_of(n, "1.up")->same_as, -1);
    assert_int_equal(site_of(n, "2.up")->same_as, up);
    assert_int_equal(site_of(n, "3.up")->same_as, up);
    assert_int_equal(lb_net_owner(n, three), up);
    assert_int_equal(lb_net_vector_owner(n, n->site[three].bias), n->site[up].bias);
    assert_true(n->site[three].bias != n->site[up].bias && n->site[three].input != n->site[up].input);
    assert_int_equal(lb_net_shared(n), 4);
    assert_int_equal(n->vector[lb_net_vector(n, 3, -1, "norm", false)].same_as, -1);
    /* embed, head; a norm and its bias a block; up, its bias and down of blocks 0 and 1 */
    assert_int_equal(n->slots, 2 + BLOCKS * 2 + 2 * 3);
    assert_int_equal(lb_slot_find(n, "3.up"), -1);
    assert_true(lb_slot_find(n, "1.up.bias") >= 0);
    lb_weights weights;
    float data[60] = {0}, bias[10] = {0};
    assert_ok(lb_weights_new(w.arena, n, &weights));
    lb_slot_set(n, &weights, lb_slot_find(n, "0.up"), data);
    lb_slot_set(n, &weights, lb_slot_find(n, "0.up.bias"), bias);
    for (int b = 0; b < BLOCKS; b++) {
        int32_t s = lb_net_site(n, b, "up");
        assert_ptr_equal(weights.site[s].W.d, b == 1 ? NULL : data);
        assert_ptr_equal(weights.vector[n->site[s].bias], b == 1 ? NULL : bias);
    }
    lb_arena_free(w.arena);
}

static void refused(const double of[BLOCKS], const char *name, const double *number, const char *message) {
    world w = begin(of);
    const lb_net *n;
    if (name) assert_ok(lb_numbering_set_blocks(&w.b, name, number));
    assert_status(LB_E_FORMAT, build(&w, &n));
    assert_error_has(message);
    lb_arena_free(w.arena);
}

static void what_cannot_be(void **state) {
    (void)state;
    static const double plain[BLOCKS] = {0, 0, 2, 2};
    refused((const double[]){0, 2, 2, 2}, NULL, NULL, "block 1 is to have the weights of block 2: must be in [0, 1]");
    refused((const double[]){1, 0, 2, 3}, NULL, NULL, "block 0 is to have the weights of block 1: must be in [0, 0]");
    refused((const double[]){0, 1, -1, 3}, NULL, NULL, "block 2 is to have the weights of block -1");
    refused((const double[]){0, 0.5, 2, 3}, NULL, NULL, "block 1 is to have the weights of block 0.5");
    refused((const double[]){0, 1e300, 2, 3}, NULL, NULL, "block 1 is to have the weights of block 1e+300");
    refused(plain, "hidden", (const double[]){10, 12, 10, 10},
            "block 1: step '1.up': is to have the weights of block 0, which has (10, 6) and a bias there, not (12, 6)");
    refused(plain, "bias", (const double[]){0, 1, 1, 1}, "which has (10, 6) there, not (10, 6) and a bias");
    refused(plain, "down", (const double[]){0, 1, 1, 1}, "the layer has no weights");
    refused(plain, "down", (const double[]){1, 1, 1, 0}, "the layer has no weights");
}

/* ---- in files ---- */

typedef struct file {
    lb_tensor t[32];
    int64_t n;
} file;

static float zeros[64];

static void put(file *f, const char *name, int64_t rows_of, int64_t cols) {
    f->t[f->n++] = (lb_tensor){.name = (char *)(uintptr_t)name,
                               .type = LB_F32,
                               .ndim = cols ? 2 : 1,
                               .shape = {rows_of, cols},
                               .data = zeros,
                               .bytes = (size_t)(rows_of * (cols ? cols : 1)) * sizeof(float)};
}

static file whole(void) {
    static const char *const norm[] = {"0.norm.weight", "0.norm.bias", "1.norm.weight", "1.norm.bias",
                                       "2.norm.weight", "2.norm.bias", "3.norm.weight", "3.norm.bias"};
    file f = {.n = 0};
    put(&f, "embed", 9, 6);
    put(&f, "head", 9, 6);
    for (int i = 0; i < 8; i++) put(&f, norm[i], 6, 0);
    put(&f, "mlp.up.weight", 10, 6);
    put(&f, "mlp.up.bias", 10, 0);
    put(&f, "0.down.weight", 6, 10);
    return f;
}

static lb_status match(const world *w, const lb_family *family, const lb_net *n, const file *f, lb_placed *out) {
    const lb_tensor *list[32];
    const lb_tensor_files files = {"file", "the config", true, list, f->n};
    for (int64_t i = 0; i < f->n; i++) list[i] = &f->t[i];
    return lb_family_match(w->arena, family, n, &files, out);
}

static void shared_tensors(void **state) {
    (void)state;
    world w = begin((const double[]){0, 0, 0, 0});
    const lb_net *n;
    lb_placed at[32];
    lb_tensor_place place;
    assert_ok(build(&w, &n));
    file f = whole();
    assert_ok(match(&w, &shares, n, &f, at));
    assert_string_equal(at[lb_slot_find(n, "0.up")].t->name, "mlp.up.weight");
    assert_string_equal(at[lb_slot_find(n, "0.up.bias")].t->name, "mlp.up.bias");
    assert_string_equal(at[lb_slot_find(n, "3.norm")].t->name, "3.norm.weight");
    assert_ok(lb_family_tensor_place(&shares, n, lb_slot_find(n, "0.up"), &place));
    assert_string_equal(place.name, "mlp.up.weight");
    put(&f, "2.down.weight", 6, 10);
    assert_status(LB_E_FORMAT, match(&w, &shares, n, &f, at));
    assert_error_has("tensor 2.down.weight: block 2 has the weights of block 0");
    f = whole();
    f.n--;
    assert_status(LB_E_FORMAT, match(&w, &shares, n, &f, at));
    assert_error_has("tensor 0.down.weight is missing");
    lb_arena_free(w.arena);
}

static void numbers_in_files(void **state) {
    (void)state;
    lb_family f = shares;
    world w = begin((const double[]){0, 0, 0, 0});
    const lb_net *n;
    lb_placed at[32];
    file none = whole();
    assert_ok(build(&w, &n));
    static const char *const bad[] = {"block + 1", "block * 2", "3 - block"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        f.file_block = bad[i];
        assert_status(LB_E_FORMAT, match(&w, &f, n, &none, at));
        assert_error_has("in files: expected");
    }
    lb_arena_free(w.arena);
}

/* A scale that goes into a norm would reach every block that has it; divided in one layer, it would reach its users. */
static void nothing_is_folded_into_what_is_shared(void **state) {
    (void)state;
    static const struct {
        const char *norm, *up;
        lb_scaled_by by;
    } kinds[] = {{NULL, NULL, LB_SCALED_PARAMETER}, {"of", NULL, LB_SCALED_NOT}, {NULL, "of", LB_SCALED_NOT}};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        lb_tensor_row own[sizeof rows / sizeof rows[0]];
        lb_family f = shares;
        world w = begin((const double[]){0, 0, 2, 3});
        const lb_numbers numbers = lb_numbering_view(&w.b);
        const lb_net *n;
        lb_fold fold;
        memcpy(own, rows, sizeof own);
        own[1].owner = kinds[k].norm;
        own[2].owner = kinds[k].up;
        own[3].owner = NULL;
        f.tensor = own;
        assert_ok(lb_family_net(w.arena, &f, &numbers, &n));
        for (int b = 0; b < BLOCKS; b++) {
            assert_ok(lb_fold_of(w.arena, n, n->site[lb_net_site(n, b, "up")].input, &fold));
            assert_int_equal(fold.by, b < 2 ? kinds[k].by : LB_SCALED_PARAMETER);
        }
        lb_arena_free(w.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(owners), cmocka_unit_test(what_cannot_be),
                                       cmocka_unit_test(shared_tensors), cmocka_unit_test(numbers_in_files),
                                       cmocka_unit_test(nothing_is_folded_into_what_is_shared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
