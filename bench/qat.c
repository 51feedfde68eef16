/* Quantization-aware training as the product does it, timed step by step: tokens a second over the steps after the
 * first, peak bytes. qat MODEL TEXT STEPS BATCH LENGTH THREADS BITS GROUP|row      STEPS: those that count */
#include "base/clock.h"
#include "bench/kit.h"
#include "eval/train.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "model/model.h"

/* The trainer tells of every step once; between two of these calls lies one whole step. */
static lb_status (*keep_point)(lb_trainer *t, int64_t step, const lb_train_loss *loss, double rate, double norm);
static double first_s, last_s;
static lb_status stamp(lb_trainer *t, int64_t step, const lb_train_loss *loss, double rate, double norm) {
    last_s = lb_clock_s();
    if (step == 0) first_s = last_s;
    return keep_point(t, step, loss, rate, norm);
}

int main(int argc, char **argv) {
    if (argc != 9) {
        fprintf(stderr, "usage: qat MODEL TEXT STEPS BATCH LENGTH THREADS BITS GROUP\n");
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
    lb_blas_init();
    must(lb_kernels_init());
    must(lb_team_new((int)number_arg(argv[6], 1), &team));
    must(lb_arena_new(0, &a));
    must(lb_model_open(argv[1], LB_WEIGHTS, team, &m));
    must(lb_corpus_open(argv[2], m->tokenizer, LB_BOS_NEVER, NULL, &corpus));
    const lb_method *method = lb_method_find("qat");
    void *options = method_options(method, a, pairs);
    int64_t layers = m->arch.layers * LB_LINEARS;
    bool *quantize = must_have(LB_NEW(a, bool, layers));
    const void **layer_options = must_have(LB_NEW(a, const void *, layers));
    for (int64_t i = 0; i < layers; i++) {
        quantize[i] = true;
        layer_options[i] = options;
    }
    must(lb_trainer_new(a, &m->arch, &m->weights, corpus, quantize, layer_options, 0, team, NULL, &t));
    keep_point = t->record;
    t->record = stamp;
    must(method->model(t, options, &made));
    if (lb_trainer_curve(t)->n != steps + 1) must(lb_fail(LB_E_ARG, "not every step was told of"));
    printf("%.2f %lld\n", (double)(steps * batch * length) / (last_s - first_s), (long long)lb_peak_memory_bytes());
    return 0;
}
