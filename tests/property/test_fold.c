/* Scales that weights take up (model/fold.h), on programs of 26 model types: what can be folded leaves the float64
 * reference's logits as they are; what is refused would change them. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/fold.h"
#include "model/weights.h"
#include "run/block_plan.h"
#include "support/llama.h"
#include "support/programs.h"

enum { T = 12 };

/* Scales are powers of two, so that nothing is rounded but in the reference. */
static const double tolerance = 1e-11;

typedef struct world {
    const lb_test_program *c;
    lb_net *n;
    lb_weights w;
} world;

static int32_t find_site(const lb_net *n, const char *role, int64_t block, int64_t expert) {
    for (int32_t i = 0; i < n->sites; i++)
        if (n->site[i].block == block && n->site[i].expert == expert && strcmp(n->site[i].role, role) == 0) return i;
    return -1;
}

static lb_status get_param(const void *ctx, const char *name, int64_t block, int64_t expert, lb_ref_param *out) {
    const world *x = ctx;
    int32_t site = find_site(x->n, name, block, expert), v = lb_net_vector(x->n, block, expert, name, false);
    int32_t bias = lb_net_vector(x->n, block, expert, name, true);
    *out = (lb_ref_param){0};
    if (site >= 0) out->W = x->w.site[site].W;
    if (v >= 0) out->W = lb_cmat_of(x->w.vector[v], 1, x->n->vector[v].n);
    if (bias >= 0) out->bias = x->w.vector[bias];
    return LB_OK;
}

static lb_ref_value logits(const world *x) {
    const lb_ref_params params = {get_param, x};
    lb_reference r;
    assert_ok(lb_reference_run(x->c->arena, &x->c->program, &x->c->numbers, &params, x->c->token, T, &r));
    const lb_ref_value *y = lb_reference_value(&r, "y");
    assert_non_null(y);
    return *y;
}

/* Sites that share weights still do. Vectors are such that (w + 1) / 2 - 1 is a float. */
static world open_world(const lb_test_program *c) {
    world x = {.c = c, .n = lb_test_program_net(c)};
    x.w = lb_test_program_weights(c, x.n);
    for (int32_t i = 0; i < x.n->vectors; i++)
        for (int64_t k = 0; k < x.n->vector[i].n; k++) {
            float *v = (float *)(uintptr_t)x.w.vector[i];
            v[k] = rintf(v[k] * 1024.0f) / 1024.0f;
        }
    return x;
}

static double difference(lb_ref_value a, lb_ref_value b, double spread) {
    double worst = 0.0;
    for (int64_t i = 0; i < T * a.cols; i++) {
        double d = fabs(a.d[i] - b.d[i]);
        worst = d <= worst ? worst : d;
    }
    return worst / spread;
}

static float *copied(const world *x, const float *from, int64_t n) {
    float *to = LB_NEW(x->c->arena, float, n);
    assert_non_null(to);
    memcpy(to, from, (size_t)n * sizeof *to);
    return to;
}

/* Column c of the site by times[c], and of all that are the same weights. */
static void divide(world *x, int32_t site, const float *times) {
    lb_cmat W = x->w.site[site].W;
    float *d = copied(x, W.d, W.rows * W.cols);
    for (int64_t i = 0; i < W.rows * W.cols; i++) d[i] /= times[i % W.cols];
    int32_t owner = lb_net_owner(x->n, site);
    for (int32_t i = 0; i < x->n->sites; i++)
        if (lb_net_owner(x->n, i) == owner) x->w.site[i].W.d = d;
}

static void divide_readers(world *x, int32_t input, const float *times) {
    const lb_net_input *in = &x->n->input[input];
    for (int32_t k = 0; k < in->sites; k++) divide(x, x->n->reader[in->first + k], times);
}

static void multiply_rows(world *x, int32_t site, const float *rows) {
    lb_cmat W = x->w.site[site].W;
    float *d = copied(x, W.d, W.rows * W.cols);
    for (int64_t i = 0; i < W.rows * W.cols; i++) d[i] *= rows[i / W.cols];
    x->w.site[site].W.d = d;
}

static void scale_vector(world *x, const lb_fold *f, int32_t vector, const float *times) {
    if (vector < 0) return;
    float *to = LB_NEW(x->c->arena, float, x->n->vector[vector].n);
    assert_non_null(to);
    lb_fold_vector(f, x->n, vector, times, x->w.vector[vector], to);
    x->w.vector[vector] = to;
}

/* Half, once or twice, by the element or row that a channel comes from. */
static float *scales(const world *x, const lb_fold *f) {
    static const float choice[] = {0.5f, 1.0f, 2.0f, 2.0f, 0.5f};
    float *times = LB_NEW(x->c->arena, float, f->cols);
    assert_non_null(times);
    for (int64_t c = 0; c < f->cols; c++) times[c] = choice[(uint32_t)f->channel[c] * 2654435761u / 7u % 5u];
    return times;
}

static world folded(const world *x, const lb_fold *f, const float *times) {
    world y = *x;
    assert_ok(lb_weights_clone(x->c->arena, x->n, &x->w, &y.w));
    scale_vector(&y, f, f->weight, times);
    scale_vector(&y, f, f->bias, times);
    if (f->site >= 0) {
        float *rows = LB_NEW(x->c->arena, float, x->n->site[f->site].rows);
        assert_non_null(rows);
        lb_fold_rows(f, x->n, times, rows);
        multiply_rows(&y, f->site, rows);
    }
    for (int32_t i = 0; i < f->inputs; i++) divide_readers(&y, f->input[i], times);
    return y;
}

static const lb_site *reader_of(const lb_net *n, int32_t input) { return &n->site[n->reader[n->input[input].first]]; }

static lb_fold fold_of(const world *x, int32_t input) {
    lb_fold f;
    assert_ok(lb_fold_of(x->c->arena, x->n, input, &f));
    assert_int_equal(f.cols, x->n->input[input].cols);
    return f;
}

/* ---- what can be folded changes nothing ---- */

static void check_folds(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    world x = open_world(c);
    lb_ref_value before = logits(&x);
    for (int32_t i = 0; i < x.n->inputs; i++) {
        lb_fold f = fold_of(&x, i);
        if (f.by == LB_SCALED_NOT || f.input[0] != i) continue; /* once a group */
        world y = folded(&x, &f, scales(&x, &f));
        double off = difference(logits(&y), before, c->spread);
        if (!(off < tolerance))
            fail_msg("%s: %s: logits move by %g of their spread", c->name, reader_of(x.n, i)->name, off);
    }
}

static void folded_scales_change_nothing(void **state) {
    (void)state;
    lb_test_programs(check_folds);
}

/* ---- which can be: all others are not ---- */

typedef struct where {
    const char *program, *role; /* the beginning of its name; of the input's first reader */
} where;
static const where refused[] = {
    {"bloom", "down"},                                 /* gelu: falcon, gpt2, gpt_neox, phi and starcoder2 too */
    {"bloom 5 heads", "qkv"}, {"bloom 5 heads", "up"}, /* x = add n: the norm's result is the residual too */
    {"falcon", "down"},       {"gpt2", "down"},        {"gpt_neox", "down"}, {"phi: ", "down"},
    {"phi head", "down"},     {"starcoder2", "down"},  {"olmo: ", "q"}, /* a norm without weights */
    {"olmo: ", "gate"},       {"olmo: ", "o"},                          /* v is clamped */
    {"olmo: ", "head"},       {"olmoe", "o"},          {"olmo2", "q"},  /* the residual itself */
    {"olmo2", "gate"},        {"opt 350m", "pin"},                      /* a row of the table of embeddings */
    {"opt 350m", "pout"},     {"opt 350m", "q"},                        /* n = add x */
    {"opt 350m", "up"},       {"opt no", "q"},         {"opt no", "up"},
};

static bool is_refused(const lb_test_program *c, const char *role) {
    char name[80];
    snprintf(name, sizeof name, "%s: ", c->name);
    if (c->tied && strcmp(role, "head") == 0) return true;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strncmp(name, refused[i].program, strlen(refused[i].program)) == 0 && strcmp(role, refused[i].role) == 0)
            return true;
    return false;
}

static void check_which(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    world x = open_world(c);
    for (int32_t i = 0; i < x.n->inputs; i++) {
        const lb_site *s = reader_of(x.n, i);
        lb_fold f = fold_of(&x, i);
        if ((f.by == LB_SCALED_NOT) != is_refused(c, s->role))
            fail_msg("%s: %s: %s", c->name, s->name, f.by ? "can be folded" : "cannot be folded");
        assert_int_equal(f.by == LB_SCALED_NOT, f.inputs == 0);
    }
}

static void all_that_can_be_folded_is(void **state) {
    (void)state;
    lb_test_programs(check_which);
}

/* ---- where they go ---- */

typedef struct home {
    const char *program, *reader; /* the input's first reader in block 1 */
    const char *maker;            /* vector or site */
    bool bias, tied;
    int32_t inputs;
    int32_t first; /* the element or row of channel 0 */
} home;
static const home homes[] = {
    {"llama grouped heads", "1.q", "1.n1", false, false, 1, 0},
    {"llama grouped heads", "1.o", "1.v", false, true, 1, 0},
    {"llama grouped heads", "1.gate", "1.n2", false, false, 1, 0},
    {"llama grouped heads", "1.down", "1.up", false, false, 1, 0},
    {"llama grouped heads", "head", "fn", false, false, 1, 0},
    {"llama biases, tied", "1.o", "1.v", true, true, 1, 0},
    {"gpt_neox parallel", "1.qkv", "1.n1", true, false, 1, 0},
    {"gpt_neox parallel", "1.up", "1.n2", true, false, 1, 0},
    {"gpt_neox parallel", "1.o", "1.qkv", true, false, 1, 32}, /* q k v of head 0, 16 columns each, then head 1 */
    {"phi3", "1.o", "1.qkv", false, true, 1, 60},
    {"phi3", "1.down", "1.gu", false, false, 1, 52}, /* gate first */
    {"opt 125m", "1.down", "1.up", true, false, 1, 0},
    {"mixtral", "1.router", "1.n2", false, false, 6, 0},
    {"mixtral", "1.expert.3.gate", "1.n2", false, false, 6, 0},
    {"mixtral", "1.expert.3.down", "1.expert.3.up", false, false, 1, 0},
};

static const char *maker_name(const lb_net *n, const lb_fold *f) {
    return f->by == LB_SCALED_ROWS        ? n->site[f->site].name
           : f->by == LB_SCALED_PARAMETER ? n->vector[f->weight].name
                                          : "nothing";
}

/* What a method is shown of ties: numbers of channels, the same for the same element or row. */
static void check_ties(const world *x, const char *reader, const lb_fold *f) {
    static const lb_method method = {.name = "none"};
    const int32_t first = x->n->span[0].site, layers = x->n->sites - first;
    const lb_read *read = NULL;
    lb_read *of;
    int32_t reads;
    lb_cell c = {.method = &method, .layer = LB_NEW(x->c->arena, lb_layer_plan, layers), .layers = layers};
    assert_non_null(c.layer);
    for (int32_t i = 0; i < layers; i++)
        c.layer[i] = (lb_layer_plan){.name = x->n->site[first + i].name,
                                     .site = first + i,
                                     .type = x->n->site[first + i].role,
                                     .quantize = true};
    if (strcmp(reader, "head") == 0) return; /* of no block */
    assert_ok(lb_block_reads(x->c->arena, x->n, &c, 1, false, &of, &reads));
    for (int32_t i = 0; i < reads; i++)
        for (int32_t k = 0; k < of[i].inputs; k++)
            if (of[i].input[k] == x->n->site[lb_net_find(x->n, reader)].input) read = &of[i];
    if (!read) fail_msg("%s: no input of %s", x->c->name, reader);
    assert_string_equal(read->in.name, reader_of(x->n, read->input[0])->name);
    assert_string_equal(read->in.role, reader_of(x->n, read->input[0])->role);
    assert_int_equal(read->in.tied != NULL, f->tied);
    for (int64_t a = 0; f->tied && a < f->cols; a++) {
        assert_in_range(read->in.tied[a], 0, f->cols - 1);
        for (int64_t b = 0; b < a; b++)
            assert_int_equal(read->in.tied[a] == read->in.tied[b], f->channel[a] == f->channel[b]);
    }
}

static void check_homes(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    world x = open_world(c);
    for (size_t k = 0; k < sizeof homes / sizeof *homes; k++) {
        const home *h = &homes[k];
        if (strcmp(c->name, h->program) != 0) continue;
        lb_fold f = fold_of(&x, x.n->site[lb_net_find(x.n, h->reader)].input);
        assert_string_equal(maker_name(x.n, &f), h->maker);
        assert_int_equal(f.bias >= 0, h->bias);
        assert_int_equal(f.tied, h->tied);
        assert_int_equal(f.inputs, h->inputs);
        assert_int_equal(f.channel[0], h->first);
        check_ties(&x, h->reader, &f);
    }
}

static void scales_go_to_what_makes_the_value(void **state) {
    (void)state;
    lb_test_programs(check_homes);
}

/* ---- to refuse is right: folded all the same, logits move ---- */

typedef struct attempt {
    const char *program, *reader, *maker;
} attempt;
static const attempt attempts[] = {
    {"gpt2 scale by block", "1.down", "1.up"}, {"olmo", "1.o", "1.v"},
    {"bloom 5 heads", "1.qkv", "1.n1"},        {"opt 350m", "1.up", "1.n1"},
    {"llama biases, tied", "head", "fn"},
};

static int32_t vector_named(const lb_net *n, const char *name) {
    for (int32_t i = 0; i < n->vectors; i++)
        if (strcmp(n->vector[i].name, name) == 0) return i;
    return -1;
}

static void check_attempt(const world *x, const attempt *t) {
    char bias[64];
    const lb_net *n = x->n;
    int32_t input = n->site[lb_net_find(n, t->reader)].input, vector = vector_named(n, t->maker);
    int32_t site = vector < 0 ? lb_net_find(n, t->maker) : -1;
    int64_t cols = n->input[input].cols, made = site >= 0 ? n->site[site].rows : cols;
    snprintf(bias, sizeof bias, "%s.bias", t->maker);
    int32_t *channel = LB_NEW(x->c->arena, int32_t, cols);
    float *twice = LB_NEW(x->c->arena, float, cols);
    assert_true(channel && twice);
    for (int64_t c = 0; c < cols; c++) {
        channel[c] = (int32_t)(c % made);
        twice[c] = 2.0f;
    }
    const lb_fold f = {.weight = vector,
                       .bias = vector_named(n, bias),
                       .site = site,
                       .channel = channel,
                       .cols = cols,
                       .input = &input,
                       .inputs = 1};
    world y = folded(x, &f, twice);
    double off = difference(logits(&y), logits(x), x->c->spread);
    if (!(off > 1e-4)) fail_msg("%s: %s: logits move by %g of their spread only", t->program, t->reader, off);
}

static void check_attempts(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    for (size_t k = 0; k < sizeof attempts / sizeof *attempts; k++) {
        if (strcmp(c->name, attempts[k].program) != 0) continue;
        world x = open_world(c);
        check_attempt(&x, &attempts[k]);
    }
}

static void others_would_change_it(void **state) {
    (void)state;
    lb_test_programs(check_attempts);
}

/* A value that sites read and a step adds to; one that stands alone. */
static lb_status eight(const void *ctx, const char *name, int64_t block, int64_t expert, lb_net_shape *out) {
    (void)ctx, (void)block, (void)expert;
    *out = (lb_net_shape){.rows = strcmp(name, "n1") == 0 ? 1 : 8, .cols = 8};
    return LB_OK;
}

static void what_is_added_to_is_no_ones(void **state) {
    (void)state;
    const lb_program_text text = {
        "x = embed token embed",
        "n = norm x n1 kind=rms eps=1e-5; g = linear n a; n += linear g b; h = linear n c; x += linear h d",
        "y = head x head", NULL};
    const lb_numbers numbers = {NULL, 0, 1};
    const lb_net_shapes shapes = {eight, NULL};
    static const bool foldable[] = {false, true, false, true}; /* n, g, n after g, h */
    lb_arena *a;
    lb_program p;
    lb_net *n;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_program_parse(a, "test", &text, &p));
    assert_ok(lb_net_new(a, &p, &numbers, &shapes, false, &n));
    assert_int_equal(n->span[1].input, 4);
    for (int32_t i = 0; i < 4; i++) {
        lb_fold f;
        assert_ok(lb_fold_of(a, n, i, &f));
        assert_int_equal(f.by != LB_SCALED_NOT, foldable[i]);
    }
    lb_arena_free(a);
}

static lb_status starved(void *ctx) {
    lb_arena *a;
    lb_fold f;
    LB_TRY(lb_arena_new(64, &a));
    lb_status st = lb_fold_of(a, ctx, 3, &f);
    lb_arena_free(a);
    return st;
}

static void check_starved(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    if (strcmp(c->name, "mixtral") == 0) assert_true(llama_fail_each_allocation(starved, lb_test_program_net(c)) >= 5);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    lb_test_programs(check_starved);
}

/* Channels that share a row get one scale: the row has it once. (w + 1) t - 1. */
static void vectors_are_scaled_once(void **state) {
    (void)state;
    static const int32_t channel[] = {1, 2, 1, 2};
    static const float times[] = {0.5f, 4.0f, 0.5f, 4.0f}, from[] = {3.0f, 1.0f, -0.5f};
    const lb_vector v[] = {{.n = 3}, {.n = 3}};
    const lb_site s = {.rows = 3};
    const lb_net n = {.vector = v, .vectors = 2, .site = &s, .sites = 1};
    const lb_fold f = {.weight = 0, .bias = 1, .one = 1.0, .channel = channel, .cols = 4};
    float to[3];
    lb_fold_vector(&f, &n, 0, times, from, to);
    assert_true(to[0] == 3.0f && to[1] == 0.0f && to[2] == 1.0f);
    lb_fold_vector(&f, &n, 1, times, from, to);
    assert_true(to[0] == 3.0f && to[1] == 0.5f && to[2] == -2.0f);
    lb_fold_rows(&f, &n, times, to);
    assert_true(to[0] == 1.0f && to[1] == 0.5f && to[2] == 4.0f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folded_scales_change_nothing),      cmocka_unit_test(all_that_can_be_folded_is),
        cmocka_unit_test(scales_go_to_what_makes_the_value), cmocka_unit_test(others_would_change_it),
        cmocka_unit_test(vectors_are_scaled_once),           cmocka_unit_test(what_is_added_to_is_no_ones),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("folds", tests, NULL, NULL);
}
