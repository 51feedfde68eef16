/* Wanda: Sun et al. 2024, "A Simple and Effective Pruning Approach for Large Language Models" (arXiv:2306.11695), as
 * its authors' code: the weights of a row whose |W_ij| ||X_j|| (eq. 1) is least are pruned, the others stay what they
 * are.
 * ||X_j|| comes from diag(H): a factor that all columns share changes no order. Of equal scores the lower column goes
 * first. What is kept is stored as float16, with a bit a weight that says which. */
#include <math.h>
#include <stdlib.h>

#include "base/profile.h"
#include "quant/method.h"

enum { PATTERN_ROW, PATTERN_2_4, PATTERN_4_8 };

typedef struct wanda_opts {
    double sparsity;
    int pattern;
} wanda_opts;

static const char *const patterns[] = {"row", "2:4", "4:8", NULL};
static const lb_option table[] = {
    {"sparsity", LB_OPT_FLOAT, "0.5", 0, 0.99, NULL, "part of each row that is pruned, rounded down to columns",
     offsetof(wanda_opts, sparsity)},
    {"pattern", LB_OPT_CHOICE, "row", 0, 0, patterns,
     "which weights compete: those of a row, or each four or eight in a row, of which half are kept",
     offsetof(wanda_opts, pattern)},
};

static const lb_diagnostic told[] = {{"kept_share", "", "share of the weights that are kept", 0, 1}};

static lb_status wanda_check(const void *opts) {
    const wanda_opts *o = opts;
    if (o->pattern != PATTERN_ROW && o->sparsity != 0.5)
        return lb_fail(LB_E_UNSUPPORTED, "pattern %s prunes half: sparsity must be 0.5, not %g", patterns[o->pattern],
                       o->sparsity);
    return LB_OK;
}

static lb_status wanda_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows;
    const wanda_opts *o = opts;
    int64_t pruned = (int64_t)((double)cols * o->sparsity);
    LB_TRY(wanda_check(opts));
    *out = (lb_storage){.format = &lb_f16, .bits = 16};
    if (o->pattern == PATTERN_ROW) {
        if (pruned > 0) out->mask_of = cols, out->mask_keep = cols - pruned;
        return LB_OK;
    }
    out->mask_of = o->pattern == PATTERN_2_4 ? 4 : 8;
    out->mask_keep = out->mask_of / 2;
    if (out->mask_of <= cols) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "a row of %lld columns has no room for pattern %s", (long long)cols,
                   patterns[o->pattern]);
}

typedef struct scored {
    double score;
    int64_t col;
} scored;

static int by_score(const void *a, const void *b) {
    const scored *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? -1 : 1;
    return x->col < y->col ? -1 : x->col > y->col;
}

typedef struct job {
    const lb_layer_in *in;
    lb_layer *out;
    scored *scores; /* (threads, cols) */
} job;

static lb_status prune_row(void *ctx, int64_t r, int worker) {
    const job *j = ctx;
    const lb_cmat W = j->in->W;
    const lb_cdmat H = j->in->stats->H;
    int64_t of = j->out->storage.mask_of, keep = j->out->storage.mask_keep;
    scored *s = j->scores + (int64_t)worker * W.cols;
    uint8_t *mask = j->out->mask + r * lb_mask_row_bytes(W.cols);
    const float *w = W.d + r * W.ld;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SOLVE);
    for (int64_t start = 0; start < W.cols; start += of) {
        int64_t n = start + of < W.cols ? of : W.cols - start, pruned = n > keep ? n - keep : 0;
        for (int64_t i = 0; i < n; i++) {
            int64_t col = start + i;
            s[i] = (scored){fabs((double)w[col]) * sqrt(fmax(H.d[col * H.ld + col], 0)), col};
        }
        qsort(s, (size_t)n, sizeof *s, by_score);
        for (int64_t i = pruned; i < n; i++) {
            mask[s[i].col / 8] |= (uint8_t)(1 << s[i].col % 8);
            j->out->dense[r * W.cols + s[i].col] = w[s[i].col];
        }
    }
    lb_scope_end(&scope, 3 * (double)W.cols, 9 * (double)W.cols);
    return LB_OK;
}

static lb_status wanda_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    lb_storage s;
    LB_TRY(wanda_spec(opts, in->W.rows, in->W.cols, &s));
    LB_TRY(lb_layer_in_check(in, "wanda", true));
    LB_TRY(lb_stats_reached(in));
    LB_TRY(lb_layer_new(in->arena, &s, in->W.rows, in->W.cols, false, out));
    lb_tell(&out->told, 0, (double)lb_storage_kept(&s, in->W.cols) / (double)in->W.cols);
    if (s.mask_of == 0) { /* a sparsity of less than a column */
        for (int64_t k = 0; k < in->W.rows * in->W.cols; k++)
            out->dense[k] = in->W.d[k / in->W.cols * in->W.ld + k % in->W.cols];
        return LB_OK;
    }
    job j = {in, out, LB_NEW(in->scratch, scored, in->W.cols * lb_team_threads(in->team))};
    if (!j.scores) return LB_E_NOMEM;
    return lb_parallel_for(in->team, in->W.rows, prune_row, &j);
}

/* Each run of columns is sorted: about 1.2 n log2 n comparisons, through a pointer. */
static void wanda_cost(const void *opts, const lb_cost_of *of, lb_cost *out) {
    const wanda_opts *o = opts;
    double cols = (double)of->cols, run = o->pattern == PATTERN_ROW ? cols : o->pattern == PATTERN_2_4 ? 4 : 8;
    out->steps = (double)of->rows * cols * (12 + 8 * log2(run));
    out->scratch = (double)sizeof(scored) * cols * of->threads;
}

const lb_method lb_wanda_method = {
    .api = LB_METHOD_API,
    .name = "wanda",
    .summary = "pruning by weight and input norm; what is kept stays float16",
    .cite = "sun2024wanda",
    .needs = LB_NEEDS_HESSIAN,
    .options = {table, sizeof table / sizeof table[0], sizeof(wanda_opts)},
    .check = wanda_check,
    .spec = wanda_spec,
    .layer = wanda_layer,
    .cost = wanda_cost,
    .diagnostics = {told, sizeof told / sizeof told[0]},
};
