/* What check.py holds against transformers, of one model:
 *
 *     dump families             the names of the families, a line each
 *     dump logits MODEL OUT     OUT/numbers.safetensors: "logits"
 *     dump all MODEL OUT        and "loss"; "H KEY", "tokens KEY" of what each layer reads; OUT/gradients and
 * OUT/export: the gradients, as if they were weights, and the weights, as lowbit writes folders
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "math/blas.h"
#include "support/parity.h"

enum { T = 29, MOST = 2048 };

static void stop_at(const char *what) {
    fprintf(stderr, "%s: %s\n", what, lb_error());
    exit(1);
}
static void need(lb_status st, const char *what) {
    if (st != LB_OK) stop_at(what);
}

typedef struct list {
    lb_arena *arena;
    lb_tensor_out t[MOST];
    int64_t n;
} list;

static void add(list *l, const char *name, const float *data, int64_t rows, int64_t cols) {
    if (l->n == MOST) {
        fprintf(stderr, "more than %d tensors\n", MOST);
        exit(1);
    }
    l->t[l->n++] =
        (lb_tensor_out){.name = lb_arena_strdup(l->arena, name), .ndim = 2, .shape = {rows, cols}, .data = data};
    if (!l->t[l->n - 1].name) stop_at(name);
}

static void add_input(list *l, const char *key, const lb_stats *s) {
    char name[320];
    int64_t n = s->H.cols;
    float *H = LB_NEW(l->arena, float, n *n), *tokens = LB_NEW(l->arena, float, 1);
    if (!H || !tokens) stop_at(key);
    for (int64_t i = 0; i < n * n; i++) H[i] = (float)s->H.d[i / n * s->H.ld + i % n];
    tokens[0] = (float)s->tokens;
    snprintf(name, sizeof name, "H %s", key);
    add(l, name, H, n, n);
    snprintf(name, sizeof name, "tokens %s", key);
    add(l, name, tokens, 1, 1);
}

static void add_all(list *l, const lb_model *m, const int32_t *token, const char *out) {
    char path[4096], key[256];
    parity p;
    float *loss = LB_NEW(l->arena, float, 1);
    if (!loss) stop_at(m->path);
    need(parity_run(l->arena, m, token, T, &p), m->path);
    loss[0] = (float)p.loss;
    add(l, "logits", p.logits.d, p.logits.rows, p.logits.cols);
    add(l, "loss", loss, 1, 1);
    for (int32_t i = 0; i < m->net->sites; i++) {
        if (!p.inputs[i].H.d) continue;
        parity_key(m, i, key);
        bool there = false; /* parts of one tensor read one input */
        for (int64_t k = 0; k < l->n; k++) there |= !strncmp(l->t[k].name, "H ", 2) && !strcmp(l->t[k].name + 2, key);
        if (!there) add_input(l, key, &p.inputs[i]);
    }
    snprintf(path, sizeof path, "%s/gradients", out);
    need(lb_model_export(m, &p.grads, LB_F32, path, NULL), path);
    snprintf(path, sizeof path, "%s/export", out);
    need(lb_model_export(m, &m->weights, LB_F32, path, NULL), path);
}

int main(int argc, char **argv) {
    list l = {0};
    lb_model *m;
    int32_t token[T];
    lb_mat logits;
    char path[4096];
    if (argc == 2 && strcmp(argv[1], "families") == 0) {
        for (int i = 0; lb_family_table[i]; i++) puts(lb_family_table[i]->name);
        return 0;
    }
    if (argc != 4 || (strcmp(argv[1], "logits") != 0 && strcmp(argv[1], "all") != 0)) {
        fprintf(stderr, "usage: %s families | logits MODEL OUT | all MODEL OUT\n", argv[0]);
        return 2;
    }
    need(lb_blas_init(1), "OpenBLAS");
    need(lb_arena_new(0, &l.arena), "memory");
    need(lb_model_open(argv[2], LB_WEIGHTS, NULL, &m), argv[2]);
    parity_tokens(token, T, m->net->vocab);
    if (strcmp(argv[1], "all") == 0) {
        add_all(&l, m, token, argv[3]);
    } else {
        need(parity_logits(l.arena, m, token, T, &logits), argv[2]);
        add(&l, "logits", logits.d, logits.rows, logits.cols);
    }
    snprintf(path, sizeof path, "%s/numbers.safetensors", argv[3]);
    need(lb_safetensors_write(path, LB_F32, l.t, l.n, NULL), path);
    lb_model_close(m);
    lb_arena_free(l.arena);
    return 0;
}
