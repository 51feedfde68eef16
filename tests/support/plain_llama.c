#include "support/plain_llama.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double *numbers(int64_t n) {
    double *x = calloc((size_t)n, sizeof *x);
    if (!x) abort();
    return x;
}

/* One sequence in a block. */
typedef struct desk {
    const lb_arch *a;
    int64_t T;
    double *input[PLAIN_INPUTS]; /* (T, width) */
    double *q, *k, *v, *up, *middle;
} desk;

static int64_t width_of(const lb_arch *a, plain_input i) {
    return i == PLAIN_IN_O ? a->heads * a->head_dim : i == PLAIN_IN_DOWN ? a->hidden : a->dim;
}

static desk open_desk(const lb_arch *a, int64_t T) {
    desk d = {.a = a, .T = T};
    for (int i = 0; i < PLAIN_INPUTS; i++) d.input[i] = numbers(T * width_of(a, (plain_input)i));
    d.q = numbers(T * a->heads * a->head_dim);
    d.k = numbers(T * a->kv_heads * a->head_dim);
    d.v = numbers(T * a->kv_heads * a->head_dim);
    d.up = numbers(T * a->hidden);
    d.middle = numbers(T * a->dim);
    return d;
}

static void close_desk(desk *d) {
    for (int i = 0; i < PLAIN_INPUTS; i++) free(d->input[i]);
    free(d->q);
    free(d->k);
    free(d->v);
    free(d->up);
    free(d->middle);
}

static void norm(const lb_arch *a, const double *x, const float *weight, int64_t T, double *y) {
    for (int64_t t = 0; t < T; t++) {
        double sum = 0;
        for (int64_t i = 0; i < a->dim; i++) sum += x[t * a->dim + i] * x[t * a->dim + i];
        for (int64_t i = 0; i < a->dim; i++)
            y[t * a->dim + i] = x[t * a->dim + i] * (double)weight[i] / sqrt(sum / (double)a->dim + a->norm_eps);
    }
}

/* One token's input as its quantizer leaves it: a range that holds 0, codes half to even. */
static void quantize_token(lb_actquant act, double *x, int64_t n) {
    if (!act.bits) return;
    double low = 0, high = 0, top = (double)((1 << act.bits) - 1), half = (double)((1 << (act.bits - 1)) - 1);
    for (int64_t i = 0; i < n; i++) low = fmin(low, x[i]), high = fmax(high, x[i]);
    double scale = act.symmetric ? fmax(-low, high) / half : (high - low) / top;
    double zero = act.symmetric ? 0 : rint(-low / scale);
    double first = act.symmetric ? -half : 0, last = act.symmetric ? half : top;
    if (!(scale > 0)) return;
    for (int64_t i = 0; i < n; i++) x[i] = (fmin(fmax(rint(x[i] / scale) + zero, first), last) - zero) * scale;
}

/* y (T, rows) = q(x) Wᵀ, or += with `add`. */
static void linear(const plain_linear *l, const double *x, int64_t T, bool add, double *y) {
    lb_cmat W = l->W;
    double *one = numbers(W.cols);
    for (int64_t t = 0; t < T; t++) {
        memcpy(one, x + t * W.cols, (size_t)W.cols * sizeof *one);
        quantize_token(l->act, one, W.cols);
        for (int64_t r = 0; r < W.rows; r++) {
            double sum = add ? y[t * W.rows + r] : 0;
            for (int64_t c = 0; c < W.cols; c++) sum += one[c] * (double)W.d[r * W.ld + c];
            y[t * W.rows + r] = sum;
        }
    }
    free(one);
}

static void rotate(const desk *d, double *x, int64_t heads) {
    int64_t n = d->a->head_dim;
    bool pairs = d->a->rope == LB_ROPE_PAIRS;
    for (int64_t t = 0; t < d->T; t++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < n / 2; i++) {
                double *row = x + (t * heads + h) * n, *u = row + (pairs ? 2 * i : i);
                double *w = row + (pairs ? 2 * i + 1 : i + n / 2);
                double angle = (double)t * pow(d->a->rope_base, -2.0 * (double)i / (double)n), a = *u, b = *w;
                *u = a * cos(angle) - b * sin(angle);
                *w = a * sin(angle) + b * cos(angle);
            }
}

static void attend(const desk *d, double *out) {
    const lb_arch *a = d->a;
    int64_t n = a->head_dim;
    double *p = numbers(d->T);
    for (int64_t h = 0; h < a->heads; h++)
        for (int64_t t = 0; t < d->T; t++) {
            int64_t g = h * a->kv_heads / a->heads;
            const double *q = d->q + (t * a->heads + h) * n;
            double *o = out + (t * a->heads + h) * n, sum = 0;
            for (int64_t s = 0; s <= t; s++) {
                double dot = 0;
                for (int64_t i = 0; i < n; i++) dot += q[i] * d->k[(s * a->kv_heads + g) * n + i];
                sum += p[s] = exp(dot / sqrt((double)n));
            }
            for (int64_t i = 0; i < n; i++) o[i] = 0;
            for (int64_t s = 0; s <= t; s++)
                for (int64_t i = 0; i < n; i++) o[i] += p[s] / sum * d->v[(s * a->kv_heads + g) * n + i];
        }
    free(p);
}

/* The inputs of all linears into the desk; x (T, dim) moves on. */
static void through_block(const desk *d, const plain_block *b, double *x) {
    const lb_arch *a = d->a;
    int64_t T = d->T;
    norm(a, x, b->attn_norm, T, d->input[PLAIN_IN_ATTN]);
    linear(&b->linear[PLAIN_Q], d->input[PLAIN_IN_ATTN], T, false, d->q);
    linear(&b->linear[PLAIN_K], d->input[PLAIN_IN_ATTN], T, false, d->k);
    linear(&b->linear[PLAIN_V], d->input[PLAIN_IN_ATTN], T, false, d->v);
    rotate(d, d->q, a->heads);
    rotate(d, d->k, a->kv_heads);
    attend(d, d->input[PLAIN_IN_O]);
    linear(&b->linear[PLAIN_O], d->input[PLAIN_IN_O], T, true, x);
    norm(a, x, b->mlp_norm, T, d->input[PLAIN_IN_MLP]);
    linear(&b->linear[PLAIN_GATE], d->input[PLAIN_IN_MLP], T, false, d->input[PLAIN_IN_DOWN]);
    linear(&b->linear[PLAIN_UP], d->input[PLAIN_IN_MLP], T, false, d->up);
    for (int64_t i = 0; i < T * a->hidden; i++) {
        double g = d->input[PLAIN_IN_DOWN][i];
        d->input[PLAIN_IN_DOWN][i] = g / (1 + exp(-g)) * d->up[i];
    }
    linear(&b->linear[PLAIN_DOWN], d->input[PLAIN_IN_DOWN], T, true, x);
}

const char *const plain_names[PLAIN_LINEARS] = {"q", "k", "v", "o", "gate", "up", "down"};

plain_block plain_block_of(const lb_net *n, const lb_weights *w, int64_t block) {
    plain_block p = {.attn_norm = w->vector[lb_net_vector(n, block, -1, "attn_norm", false)],
                     .mlp_norm = w->vector[lb_net_vector(n, block, -1, "mlp_norm", false)]};
    for (int l = 0; l < PLAIN_LINEARS; l++) {
        const lb_linop *op = &w->site[lb_net_site(n, block, plain_names[l])];
        p.linear[l] = (plain_linear){op->W, op->act};
    }
    return p;
}

plain_walk plain_walk_start(const lb_arch *a, lb_cmat embed, const int32_t *tokens, int64_t samples, int64_t length) {
    plain_walk p = {*a, samples, length, numbers(samples * length * a->dim)};
    for (int64_t t = 0; t < samples * length; t++)
        for (int64_t i = 0; i < a->dim; i++) p.x[t * a->dim + i] = (double)embed.d[tokens[t] * embed.ld + i];
    return p;
}

void plain_walk_end(plain_walk *p) {
    free(p->x);
    p->x = NULL;
}

static void add_gram(double *H, const double *X, int64_t rows, int64_t cols, double share) {
    for (int64_t t = 0; t < rows; t++)
        for (int64_t i = 0; i < cols; i++)
            for (int64_t j = 0; j < cols; j++) H[i * cols + j] += X[t * cols + i] * X[t * cols + j] * share;
}

double *plain_walk_hessian(const plain_walk *p, const plain_block *b, plain_input i) {
    desk d = open_desk(&p->arch, p->length);
    int64_t cols = width_of(&p->arch, i), n = p->length * p->arch.dim;
    double *H = numbers(cols * cols);
    for (int64_t s = 0; s < p->samples; s++) {
        memcpy(d.middle, p->x + s * n, (size_t)n * sizeof *d.middle);
        through_block(&d, b, d.middle);
        add_gram(H, d.input[i], p->length, cols, 1.0 / (double)(p->samples * p->length));
    }
    close_desk(&d);
    return H;
}

double *plain_walk_rows(const plain_walk *p, const plain_block *b, plain_input i) {
    desk d = open_desk(&p->arch, p->length);
    int64_t each = p->length * width_of(&p->arch, i), n = p->length * p->arch.dim;
    double *rows = numbers(p->samples * each);
    for (int64_t s = 0; s < p->samples; s++) {
        memcpy(d.middle, p->x + s * n, (size_t)n * sizeof *d.middle);
        through_block(&d, b, d.middle);
        memcpy(rows + s * each, d.input[i], (size_t)each * sizeof *rows);
    }
    close_desk(&d);
    return rows;
}

void plain_walk_advance(plain_walk *p, const plain_block *b) {
    desk d = open_desk(&p->arch, p->length);
    for (int64_t s = 0; s < p->samples; s++) through_block(&d, b, p->x + s * p->length * p->arch.dim);
    close_desk(&d);
}

static double *final_states(const plain_walk *p, const float *final_norm) {
    double *h = numbers(p->samples * p->length * p->arch.dim);
    norm(&p->arch, p->x, final_norm, p->samples * p->length, h);
    return h;
}

double *plain_walk_head_rows(const plain_walk *p, const float *final_norm) { return final_states(p, final_norm); }

double *plain_walk_head_hessian(const plain_walk *p, const float *final_norm) {
    int64_t tokens = p->samples * p->length, n = p->arch.dim;
    double *h = final_states(p, final_norm), *H = numbers(n * n);
    add_gram(H, h, tokens, n, 1.0 / (double)tokens);
    free(h);
    return H;
}

double *plain_walk_log_p(const plain_walk *p, const float *final_norm, lb_cmat head) {
    int64_t tokens = p->samples * p->length;
    double *h = final_states(p, final_norm), *out = numbers(tokens * head.rows);
    const plain_linear l = {.W = head};
    linear(&l, h, tokens, false, out);
    for (int64_t t = 0; t < tokens; t++) {
        double *row = out + t * head.rows, top = row[0], sum = 0;
        for (int64_t i = 0; i < head.rows; i++) top = fmax(top, row[i]);
        for (int64_t i = 0; i < head.rows; i++) sum += exp(row[i] - top);
        for (int64_t i = 0; i < head.rows; i++) row[i] -= top + log(sum);
    }
    free(h);
    return out;
}

static double difference(lb_cmat a, lb_cmat b, int64_t r, int64_t c) {
    return (double)a.d[r * a.ld + c] - (b.d ? (double)b.d[r * b.ld + c] : 0);
}

double plain_trace(lb_cmat a, lb_cmat b, const double *H) {
    double sum = 0;
    for (int64_t r = 0; r < a.rows; r++)
        for (int64_t i = 0; i < a.cols; i++)
            for (int64_t j = 0; j < a.cols; j++)
                sum += difference(a, b, r, i) * H[i * a.cols + j] * difference(a, b, r, j);
    return sum;
}

double plain_squares(lb_cmat a, lb_cmat b) {
    double sum = 0;
    for (int64_t r = 0; r < a.rows; r++)
        for (int64_t c = 0; c < a.cols; c++) sum += difference(a, b, r, c) * difference(a, b, r, c);
    return sum;
}
