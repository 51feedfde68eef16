/* Quantization-aware training as the product does it, timed step by step.
 *   qat MODEL TEXT STEPS BATCH LENGTH THREADS BITS GROUP|row [FILE]      STEPS: those that count
 * Prints tokens a second over the steps after the first, and of the first step the loss and the gradient's norm before
 * clipping. With FILE, the tokens of all steps (STEPS + 1, BATCH, LENGTH) are also written there as int32, for peers to
 * train on the same: drawn as the trainer draws them, which equal losses show. */
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "bench/kit.h"
#include "eval/train.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "model/model.h"

/* The trainer tells of every step once; between two of these calls lies one whole step. */
static lb_status (*keep_point)(lb_trainer *t, int64_t step, const lb_train_loss *loss, double rate, double norm);
static double first_s, last_s, first_loss, first_norm;
static lb_status stamp(lb_trainer *t, int64_t step, const lb_train_loss *loss, double rate, double norm) {
    last_s = lb_clock_s();
    if (step == 0) first_s = last_s, first_loss = loss->total, first_norm = norm;
    return keep_point(t, step, loss, rate, norm);
}

enum { SEED = 0 };

static void write_batches(const char *path, const lb_corpus *corpus, int64_t steps, int64_t batch, int64_t length) {
    int32_t *tokens = must_have(lb_alloc((size_t)(steps * batch * length), sizeof *tokens)), *at = tokens;
    for (int64_t step = 0; step < steps; step++) {
        lb_rng g = lb_rng_make(SEED, (uint64_t)step);
        for (int64_t i = 0; i < batch; i++, at += length) {
            int64_t from = lb_rng_below(&g, corpus->tokens - length + 1);
            memcpy(at, corpus->token + from, (size_t)length * sizeof *at);
        }
    }
    must(lb_fs_write_atomic(path, tokens, (size_t)(steps * batch * length) * sizeof *tokens));
    lb_free(tokens);
}

int main(int argc, char **argv) {
    if (argc != 9 && argc != 10) {
        fprintf(stderr, "usage: qat MODEL TEXT STEPS BATCH LENGTH THREADS BITS GROUP [FILE]\n");
        return 2;
    }
    lb_team *team;
    lb_arena *a;
    lb_model *m;
    lb_corpus *corpus;
    lb_trainer *t;
    lb_model_out made = {0};
    char all_steps[32];
    int64_t steps = number_arg(argv[3], 1), batch = number_arg(argv[4], 1), length = number_arg(argv[5], 2);
    snprintf(all_steps, sizeof all_steps, "%lld", (long long)steps + 1);
    const char *const pairs[] = {"bits", argv[7], "group", argv[8],  "steps", all_steps, "warmup",
                                 "0",    "batch", argv[4], "length", argv[5], NULL};
    if (lb_blas_init(1) != LB_OK) return 1;
    must(lb_kernels_init());
    must(lb_team_new((int)number_arg(argv[6], 1), &team));
    must(lb_arena_new(0, &a));
    must(lb_model_open(argv[1], LB_WEIGHTS, team, &m));
    must(lb_corpus_open(argv[2], m->tokenizer, LB_BOS_NEVER, NULL, &corpus));
    if (argc == 10) write_batches(argv[9], corpus, steps + 1, batch, length);
    const lb_method *method = lb_method_find("qat");
    void *options = method_options(method, a, pairs);
    bool *quantize = must_have(LB_NEW(a, bool, m->net->sites));
    const void **layer_options = must_have(LB_NEW(a, const void *, m->net->sites));
    for (int32_t i = 0; i < m->net->sites; i++) {
        quantize[i] = true;
        layer_options[i] = options;
    }
    must(lb_trainer_new(a, m->net, &m->weights, corpus, quantize, layer_options, SEED, team, NULL, &t));
    keep_point = t->record;
    t->record = stamp;
    must(method->model(t, options, &made));
    if (lb_trainer_curve(t)->n != steps + 1) must(lb_fail(LB_E_ARG, "not every step was told of"));
    printf("%.2f %.6g %.6g\n", (double)(steps * batch * length) / (last_s - first_s), first_loss, first_norm);
    return 0;
}
