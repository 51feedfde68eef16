/* Models for the benchmarks.
 *   model flops MODEL TOKENS            floating-point operations of a scored window of so many tokens, causal
 * attention model new DIR TEXT LAYERS DIM HIDDEN HEADS KV_HEADS VOCAB CONTEXT a random Llama as a Hugging Face folder
 * in bfloat16; its tokenizer is trained on TEXT */
#include <string.h>

#include "base/fs.h"
#include "bench/kit.h"
#include "model/model.h"

/* A multiply and an add are two. Linears see every token, token t attends to t + 1 keys (scores and the weighted sum of
 * values), the head scores all but the last. Norms, rotations and exponentials are left out: under 1 %. */
static int flops(const char *path, int64_t tokens) {
    lb_model *m;
    double T = (double)tokens;
    must(lb_model_open(path, LB_HEADER, NULL, &m));
    const lb_net *n = m->net;
    const lb_site *head = &n->site[n->head];
    double sum = 2.0 * (double)head->rows * (double)head->cols * (T - 1);
    for (int32_t i = 0; i < n->sites; i++)
        if (n->site[i].block >= 0) sum += 2.0 * (double)n->site[i].rows * (double)n->site[i].cols * T;
    for (int64_t b = 0; b < n->blocks; b++)
        for (int32_t i = 0; i < n->block[b].steps; i++) {
            const lb_net_step *s = &n->block[b].step[i];
            if (strcmp(s->op->name, "attend") == 0)
                sum += 2.0 * 2.0 * (double)(s->heads * s->head_dim) * T * (T + 1) / 2;
        }
    printf("%.0f\n", sum);
    lb_model_close(m);
    return 0;
}

/* The tokenizer needs no more than a taste of the text. */
enum { TASTE = 1 << 17 };

static int make(char **argv) {
    lb_arch arch = {.layers = number_arg(argv[2], 1),
                    .dim = number_arg(argv[3], 2),
                    .hidden = number_arg(argv[4], 1),
                    .heads = number_arg(argv[5], 1),
                    .kv_heads = number_arg(argv[6], 1),
                    .vocab = number_arg(argv[7], 258),
                    .context = number_arg(argv[8], 2),
                    .rope_base = 10000,
                    .norm_eps = 1e-5,
                    .rope = LB_ROPE_HALVES,
                    .tied = true};
    arch.head_dim = arch.dim / arch.heads;
    char *text;
    size_t len;
    must(lb_fs_read(argv[1], &text, &len));
    lb_tokenizer *t;
    must(lb_tokenizer_train(text, len < TASTE ? len : TASTE, arch.vocab, &t));
    lb_free(text);
    arch.vocab = lb_tokenizer_vocab(t);
    lb_model *m;
    must(lb_model_new(&arch, t, 1, &m));
    must(lb_model_export(m, &m->weights, LB_BF16, argv[0], NULL));
    lb_model_close(m);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "flops") == 0) return flops(argv[2], number_arg(argv[3], 2));
    if (argc == 11 && strcmp(argv[1], "new") == 0) return make(argv + 2);
    fprintf(stderr, "usage: model flops MODEL TOKENS\n"
                    "       model new DIR TEXT LAYERS DIM HIDDEN HEADS KV_HEADS VOCAB CONTEXT\n");
    return 2;
}
