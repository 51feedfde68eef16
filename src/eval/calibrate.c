#include "eval/calibrate.h"

#include "model/weights.h"

/* A batch: sequences that H's chunks of tokens run through. As many as fit in the budget, by their shapes alone, so
 * that the sums come out the same on every machine. At least so many that a few threads have work. */
#define CAPTURE_BYTES ((int64_t)256 << 20)
#define BATCH_MIN     4
#define BATCH_MAX     64

struct lb_stream {
    const lb_arch *arch;
    lb_team *team;
    lb_rope rope;
    lb_scratch **scratch; /* one a thread */
    float *x;             /* (samples * length, dim) */
    int64_t samples, length, block;
};

lb_status lb_stream_new(lb_arena *a, const lb_arch *arch, const lb_weights *w, const int32_t *tokens, int64_t samples,
                        int64_t length, lb_team *team, lb_stream **out) {
    if (samples < 1 || length < 1)
        return lb_fail(LB_E_CONFIG, "calibration of %lld samples of %lld tokens: both must be positive",
                       (long long)samples, (long long)length);
    if (length > arch->context)
        return lb_fail(LB_E_CONFIG, "calibration length = %lld: the model's context is %lld tokens", (long long)length,
                       (long long)arch->context);
    int threads = lb_team_threads(team);
    lb_stream *s = LB_NEW(a, lb_stream, 1);
    if (!s) return LB_E_NOMEM;
    *s = (lb_stream){.arch = arch, .team = team, .samples = samples, .length = length};
    if (!(s->x = lb_arena_get(a, (size_t)(samples * length), (size_t)arch->dim * sizeof(float))) ||
        !(s->scratch = LB_NEW(a, lb_scratch *, threads)))
        return LB_E_NOMEM;
    for (int t = 0; t < threads; t++) LB_TRY(lb_scratch_new(a, arch, length, &s->scratch[t]));
    LB_TRY(lb_rope_new(a, arch, length, &s->rope));
    LB_TRY(lb_embed(arch, w, tokens, samples * length, lb_mat_of(s->x, samples * length, arch->dim)));
    *out = s;
    return LB_OK;
}

int64_t lb_stream_block(const lb_stream *s) { return s->block; }

static int64_t batch_size(int64_t sequence_bytes) {
    int64_t n = CAPTURE_BYTES / (sequence_bytes + 1);
    if (n >= 8) n -= n % 8; /* full rounds for the usual numbers of threads */
    return n < BATCH_MIN ? BATCH_MIN : n > BATCH_MAX ? BATCH_MAX : n;
}

static int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/* Sequences that are captured at a time: one a thread, if they and whole batches end where one of H's chunks does, so
 * that the sums are those of batches; else a batch. */
static int64_t captured_at_a_time(int64_t batch, int64_t length, int threads) {
    int64_t apart = LB_HESSIAN_CHUNK; /* sequences from one such end to the next */
    while (apart > 1 && length % 2 == 0) apart /= 2, length /= 2;
    int64_t n = round_up(threads, apart);
    return batch % apart == 0 && n < batch ? n : batch;
}

typedef struct forward_job {
    lb_stream *s;
    const lb_block *b;
    const lb_weights *w; /* final norm instead of a block, into input[0] */
    lb_input stop;
    int64_t first;           /* sequence */
    lb_mat input[LB_INPUTS]; /* (together * length, width) or d NULL */
} forward_job;

static lb_status forward_one(void *ctx, int64_t piece, int worker) {
    const forward_job *j = ctx;
    lb_stream *s = j->s;
    int64_t T = s->length;
    lb_mat x = lb_mat_of(s->x + (j->first + piece) * T * s->arch->dim, T, s->arch->dim);
    lb_capture cap = {.stop = j->stop};
    for (int i = 0; i < LB_INPUTS; i++)
        if (j->input[i].d) cap.input[i] = lb_mat_part(j->input[i], piece * T, 0, T, j->input[i].cols);
    if (j->w)
        lb_final_norm(s->arch, j->w, x, cap.input[0]);
    else
        LB_TRY(lb_block_forward(s->arch, j->b, &s->rope, s->scratch[worker], x, &cap));
    return LB_OK;
}

/* All sequences, so many at a time; what is captured is added to h[i]. */
static lb_status run(forward_job *j, int64_t together, lb_hessian h[LB_INPUTS]) {
    const lb_stream *s = j->s;
    for (j->first = 0; j->first < s->samples; j->first += together) {
        int64_t n = j->first + together < s->samples ? together : s->samples - j->first;
        LB_TRY(lb_parallel_for(s->team, n, forward_one, j));
        lb_cmat X[LB_INPUTS];
        for (int i = 0; i < LB_INPUTS; i++) X[i] = lb_cmat_of(j->input[i].d, n * s->length, j->input[i].cols);
        LB_TRY(lb_hessians_add(h, X, LB_INPUTS, n, s->team));
    }
    for (int i = 0; i < LB_INPUTS; i++)
        if (j->input[i].d) LB_TRY(lb_hessian_finish(&h[i], s->team));
    return LB_OK;
}

static lb_status allocate_and_run(forward_job *j, const int64_t width[LB_INPUTS], lb_arena *a,
                                  lb_hessian h[LB_INPUTS]) {
    const lb_stream *s = j->s;
    int64_t row_bytes = 0, start[LB_INPUTS];
    for (int i = 0; i < LB_INPUTS; i++) row_bytes += width[i] * (int64_t)sizeof(float);
    int64_t batch = batch_size(s->length * row_bytes), floats = 0;
    int64_t together = captured_at_a_time(batch, s->length, lb_team_threads(s->team));
    if (together > s->samples || row_bytes == 0) together = s->samples;
    for (int i = 0; i < LB_INPUTS; i++) {
        h[i] = (lb_hessian){0};
        if (width[i]) LB_TRY(lb_hessian_new(a, width[i], &h[i]));
        start[i] = floats;
        floats += together * s->length * width[i];
    }
    float *captured = floats ? lb_realloc(NULL, 0, (size_t)floats, sizeof *captured) : NULL; /* not zeroed */
    if (floats && !captured) return LB_E_NOMEM;
    for (int i = 0; i < LB_INPUTS; i++)
        if (width[i]) j->input[i] = lb_mat_of(captured + start[i], together * s->length, width[i]);
    lb_status st = run(j, together, h);
    lb_free(captured);
    return st;
}

static lb_status block_pass(lb_stream *s, const lb_block *b, unsigned which, bool advance, lb_arena *a,
                            lb_hessian out[LB_INPUTS]) {
    if (s->block >= s->arch->layers)
        return lb_fail(LB_E_ARG, "calibration: the model has only %lld blocks", (long long)s->arch->layers);
    int64_t width[LB_INPUTS] = {0};
    forward_job j = {.s = s, .stop = LB_INPUTS};
    for (int i = 0; i < LB_INPUTS; i++) {
        if (!(which & 1u << i)) continue;
        width[i] = lb_input_width(s->arch, (lb_input)i);
        if (!advance) j.stop = (lb_input)i; /* the last one asked for */
    }
    if (!advance && !which) return lb_fail(LB_E_ARG, "calibration: no input was asked for");
    int64_t floats = lb_block_floats(b);
    float *buffer = floats ? lb_realloc(NULL, 0, (size_t)floats, sizeof *buffer) : NULL; /* not zeroed */
    if (floats && !buffer) return LB_E_NOMEM;
    lb_block loaded;
    lb_status st = lb_block_load(b, buffer, s->team, &loaded);
    j.b = &loaded;
    if (st == LB_OK) st = allocate_and_run(&j, width, a, out);
    lb_free(buffer);
    if (st == LB_OK && advance) s->block++;
    return st;
}

lb_status lb_stream_hessians(lb_stream *s, const lb_block *b, unsigned which, lb_arena *a, lb_hessian out[LB_INPUTS]) {
    lb_status st = block_pass(s, b, which, false, a, out);
    return st == LB_E_NUMERIC ? lb_fail_in(st, "block %lld", (long long)s->block) : st;
}

lb_status lb_stream_advance(lb_stream *s, const lb_block *b) {
    lb_hessian none[LB_INPUTS];
    return block_pass(s, b, 0, true, NULL, none);
}

lb_status lb_stream_hessians_advance(lb_stream *s, const lb_block *b, unsigned which, lb_arena *a,
                                     lb_hessian out[LB_INPUTS]) {
    lb_status st = block_pass(s, b, which, true, a, out);
    return st == LB_E_NUMERIC ? lb_fail_in(st, "block %lld", (long long)s->block) : st;
}

lb_status lb_stream_head_hessian(lb_stream *s, const lb_weights *w, lb_arena *a, lb_hessian *out) {
    if (s->block != s->arch->layers)
        return lb_fail(LB_E_ARG, "calibration: the head comes after block %lld, the stream is at %lld",
                       (long long)s->arch->layers - 1, (long long)s->block);
    int64_t width[LB_INPUTS] = {s->arch->dim};
    lb_hessian h[LB_INPUTS];
    forward_job j = {.s = s, .w = w, .stop = LB_INPUTS};
    lb_status st = allocate_and_run(&j, width, a, h);
    if (st == LB_E_NUMERIC) return lb_fail_in(st, "the head's input");
    *out = h[0];
    return st;
}
