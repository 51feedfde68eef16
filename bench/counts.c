/* One small, fixed piece of work per kernel, for counting instructions: bench/counts runs it under callgrind, which
 * counts only while `counted` runs. Work is chosen so that each takes a few million instructions. counts NAME      one
 * of them, on one thread counts           the names */
#include <string.h>

#include "bench/kit.h"
#include "io/tensor.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "model/attention.h"
#include "model/forward.h"
#include "model/tokenizer/tokenizer.h"

typedef struct bench {
    const char *name;
    void (*run)(void);
} bench;

/* Its name is what callgrind is told: it must stay a function of its own. */
void counted(void (*work)(void));
__attribute__((noinline, noclone)) void counted(void (*work)(void)) {
    work();
    __asm__ volatile("" ::: "memory");
}

static lb_arena *arena;
static lb_mat x, y, z;
static const lb_kernels *kn;

/* ---- vector kernels ---- */

enum { LENGTH = 4099, TIMES = 64 }; /* a tail that fills no vector */

static void work_exp(void) {
    for (int i = 0; i < TIMES; i++) kn->exp(y.d, x.d, LENGTH);
}
static void work_exp_sum(void) {
    for (int i = 0; i < TIMES; i++) (void)kn->exp_sum(y.d, x.d, 1.5f, LENGTH);
}
static void work_sum_exp(void) {
    for (int i = 0; i < TIMES; i++) (void)kn->sum_exp(x.d, 1.5f, LENGTH);
}
static void work_swiglu(void) {
    for (int i = 0; i < TIMES; i++) kn->swiglu(y.d, x.d, z.d, LENGTH);
}
static void work_rmsnorm(void) {
    for (int i = 0; i < TIMES; i++) kn->rmsnorm(y.d, x.d, z.d, 1e-5f, LENGTH);
}
static void vectors(void (*work)(void)) {
    x = random_mat(1, 1, LENGTH);
    y = random_mat(2, 1, LENGTH);
    z = random_mat(3, 1, LENGTH);
    counted(work);
}
static void run_exp(void) { vectors(work_exp); }
static void run_exp_sum(void) { vectors(work_exp_sum); }
static void run_sum_exp(void) { vectors(work_sum_exp); }
static void run_swiglu(void) { vectors(work_swiglu); }
static void run_rmsnorm(void) { vectors(work_rmsnorm); }

static void work_matmul(void) {
    for (int i = 0; i < 4; i++) kn->matmul(y, lb_mat_c(x), lb_mat_c(z), i > 0);
}
static void run_matmul(void) {
    x = random_mat(1, 250, 130);
    z = random_mat(2, 130, 64);
    y = random_mat(3, 250, 64);
    counted(work_matmul);
}

/* ---- model ---- */

enum { DIM = 192, VOCAB = 1500 };
static const lb_attend kind = {.heads = 3, .kv_heads = 1, .head_dim = 64, .scale = 0.125f};
static lb_attention attention;
static lb_mat k, v;

static void work_attention(void) { lb_attention_run(&kind, &attention, lb_mat_c(x), lb_mat_c(k), lb_mat_c(v), x); }
static void run_attention(void) {
    enum { T = 600 };
    must(lb_attention_new(arena, &kind, 1, T, &attention));
    x = random_mat(1, T, kind.heads * kind.head_dim);
    k = random_mat(2, T, kind.kv_heads * kind.head_dim);
    v = random_mat(3, T, kind.kv_heads * kind.head_dim);
    counted(work_attention);
}

enum { ROWS = 300 };
static int32_t target[ROWS];
static double nll[ROWS];
static void work_head(void) { must(lb_head_nll(lb_head_at(lb_mat_c(y)), lb_mat_c(x), target, nll, NULL)); }
static void run_head(void) {
    x = random_mat(1, ROWS, DIM);
    y = random_mat(2, VOCAB, DIM);
    for (int i = 0; i < ROWS; i++) target[i] = (int32_t)(i * 31 % VOCAB);
    counted(work_head);
}

/* Words of a made-up language, the first far more often than the last, with numbers and punctuation between them. */
static char *made_up_text(size_t len) {
    static const char consonant[] = "bdfgklmnprst", vowel[] = "aeiou";
    char *text = must_have(lb_alloc(len + 16, 1));
    lb_rng r = lb_rng_make(9, 0);
    for (size_t n = 0; n < len;) {
        int64_t word = lb_rng_below(&r, 1 + lb_rng_below(&r, 400)), form = lb_rng_below(&r, 20);
        for (int64_t w = word + 12; w > 0; w /= 60) {
            text[n++] = consonant[w % 12];
            text[n++] = vowel[w / 12 % 5];
        }
        if (form == 0) text[n++] = (char)('0' + word % 10);
        if (form == 1) text[n++] = '.';
        if (form == 2) text[n++] = '\n';
        text[n++] = ' ';
    }
    text[len] = 0;
    return text;
}

static lb_tokenizer *tokenizer;
static char *text;
enum { TEXT = 40000 };
static void work_tokenizer(void) {
    int32_t *ids;
    int64_t n;
    must(lb_tokenizer_encode(tokenizer, text, TEXT, false, &ids, &n));
    lb_free(ids);
}
static void run_tokenizer(void) {
    text = made_up_text(TEXT);
    must(lb_tokenizer_train(text, TEXT, 400, &tokenizer));
    counted(work_tokenizer);
}

/* ---- storage ---- */

static lb_tensor tensor;
static void work_dequantize(void) { must(lb_tensor_read_f32(&tensor, 0, lb_tensor_count(&tensor), y.d)); }
static void dequantize(lb_dtype type) {
    int64_t elements, bytes;
    tensor = (lb_tensor){.name = "w", .type = type, .ndim = 2, .shape = {64, 4096}};
    lb_dtype_block(type, &elements, &bytes);
    must(lb_tensor_measure(&tensor, "counts"));
    uint8_t *data = must_have(lb_alloc(tensor.bytes, 1));
    lb_rng r = lb_rng_make(5, 0);
    for (size_t i = 0; i < tensor.bytes; i++)
        data[i] = (uint8_t)(lb_rng_u32(&r) & 0x3b); /* no scale becomes infinite */
    tensor.data = data;
    y = random_mat(1, 64, 4096);
    counted(work_dequantize);
}
static void run_q4_1(void) { dequantize(LB_Q4_1); }
static void run_q8_0(void) { dequantize(LB_Q8_0); }

static lb_storage storage = {.format = &lb_uniform, .bits = 3, .group = 64};
static lb_layer made;
static void work_round(void) { must(lb_round_to_nearest(arena, &storage, false, lb_mat_c(x), &made)); }
static void run_round(void) {
    x = random_mat(1, 64, 1000);
    counted(work_round);
}

static uint8_t *packed;
static int64_t packed_bytes;
static void work_pack(void) {
    must(lb_pack_codes(made.codes, made.rows, made.cols, storage.bits, packed, packed_bytes));
}
static void work_unpack(void) {
    must(lb_unpack_codes(packed, packed_bytes, made.rows, made.cols, storage.bits, made.codes));
}
static void packing(void (*work)(void)) {
    x = random_mat(1, 256, 1000);
    work_round();
    packed_bytes = made.rows * lb_packed_row_bytes(made.cols, storage.bits);
    packed = must_have(lb_alloc((size_t)packed_bytes, 1));
    work_pack();
    counted(work);
}
static void run_pack(void) { packing(work_pack); }
static void run_unpack(void) { packing(work_unpack); }

/* ---- gptq ---- */

static const lb_method *gptq;
static void *gptq_options;
static lb_hessian hessian;
static void work_gptq(void) { solve_layer(gptq, gptq_options, lb_mat_c(x), &hessian, arena, NULL, &made); }
static void run_gptq(void) {
    static const char *const pairs[] = {"bits", "3", "group", "64", "block", "64", NULL};
    gptq = lb_method_find("gptq");
    gptq_options = method_options(gptq, arena, pairs);
    x = random_mat(1, 96, 200);
    hessian = random_hessian(2, 400, 200, arena, NULL);
    counted(work_gptq);
}

static const bench benches[] = {
    {"exp", run_exp},
    {"exp_sum", run_exp_sum},
    {"sum_exp", run_sum_exp},
    {"swiglu", run_swiglu},
    {"rmsnorm", run_rmsnorm},
    {"matmul", run_matmul},
    {"grid", run_round},
    {"gptq", run_gptq},
    {"pack", run_pack},
    {"unpack", run_unpack},
    {"q4_1", run_q4_1},
    {"q8_0", run_q8_0},
    {"tokenizer", run_tokenizer},
    {"attention", run_attention},
    {"head", run_head},
};

int main(int argc, char **argv) {
    if (lb_blas_init(1) != LB_OK) return 1;
    must(lb_kernels_init());
    must(lb_arena_new(0, &arena));
    kn = lb_kernels_active();
    for (size_t i = 0; i < sizeof benches / sizeof benches[0]; i++) {
        if (argc == 1) puts(benches[i].name);
        if (argc != 2 || strcmp(argv[1], benches[i].name) != 0) continue;
        benches[i].run();
        return 0;
    }
    if (argc == 1) return 0;
    fprintf(stderr, "%s: must be one of those that `counts` lists\n", argv[1]);
    return 2;
}
