#include "base/draw.h"

#include <assert.h>

#include "base/mem.h"

static void swap(int64_t *x, int64_t i, int64_t j) {
    int64_t t = x[i];
    x[i] = x[j];
    x[j] = t;
}

static void count_up(int64_t *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = i;
}

/* ---- Python ---- */

static int64_t below(lb_mt *m, int64_t n) { return lb_mt_randint(m, 0, n - 1); }

/* Numbers that were drawn: a table of at least twice as many places, -1 where there is none. */
static bool put(int64_t *table, int64_t mask, int64_t value) {
    int64_t at = (int64_t)(((uint64_t)value * 0x9E3779B97F4A7C15u) >> 20) & mask;
    while (table[at] >= 0 && table[at] != value) at = (at + 1) & mask;
    bool fresh = table[at] < 0;
    table[at] = value;
    return fresh;
}

static lb_status sample_of_many(lb_mt *m, int64_t n, int64_t k, int64_t *out) {
    int64_t places = 16;
    while (places < 2 * k) places *= 2;
    int64_t *table = lb_alloc((size_t)places, sizeof *table);
    if (!table) return LB_E_NOMEM;
    for (int64_t i = 0; i < places; i++) table[i] = -1;
    for (int64_t i = 0; i < k; i++) {
        do out[i] = below(m, n);
        while (!put(table, places - 1, out[i]));
    }
    lb_free(table);
    return LB_OK;
}

static lb_status sample_of_pool(lb_mt *m, int64_t n, int64_t k, int64_t *out) {
    int64_t *pool = lb_alloc((size_t)n + 1, sizeof *pool);
    if (!pool) return LB_E_NOMEM;
    count_up(pool, n);
    for (int64_t i = 0; i < k; i++) {
        int64_t j = below(m, n - i);
        out[i] = pool[j];
        pool[j] = pool[n - i - 1];
    }
    lb_free(pool);
    return LB_OK;
}

lb_status lb_mt_sample(lb_mt *m, int64_t n, int64_t k, int64_t *out) {
    assert(k >= 0 && k <= n);
    int64_t set_size = 21, power = 1; /* what CPython takes a set of k for */
    while (power < 3 * k) power *= 4;
    if (k > 5) set_size += power;
    return n <= set_size ? sample_of_pool(m, n, k, out) : sample_of_many(m, n, k, out);
}

void lb_mt_shuffle(lb_mt *m, int64_t *x, int64_t n) {
    for (int64_t i = n - 1; i > 0; i--) swap(x, i, below(m, i + 1));
}

/* ---- numpy ---- */

/* PCG64 (O'Neill 2014: XSL-RR of 128 bits of state), whose 64-bit words give 32-bit ones, the lower half first. */
typedef struct pcg64 {
    unsigned __int128 state, increment;
    uint32_t upper;
    bool has_upper;
} pcg64;

static void step(pcg64 *g) {
    const unsigned __int128 multiplier = (unsigned __int128)0x2360ed051fc65da4u << 64 | 0x4385df649fccf645u;
    g->state = g->state * multiplier + g->increment;
}

static uint32_t next_word(pcg64 *g) {
    g->has_upper = !g->has_upper;
    if (!g->has_upper) return g->upper;
    step(g);
    uint64_t x = (uint64_t)(g->state >> 64) ^ (uint64_t)g->state;
    int turn = (int)(g->state >> 122);
    x = x >> turn | x << (-turn & 63);
    g->upper = (uint32_t)(x >> 32);
    return (uint32_t)x;
}

/* numpy's SeedSequence(seed): a pool of four words, of which generate_state makes eight. */
static uint32_t hash_word(uint32_t value, uint32_t *constant) {
    value ^= *constant;
    *constant *= 0x931e8875u;
    value *= *constant;
    return value ^ value >> 16;
}

static void seed_pool(uint64_t seed, uint32_t pool[4]) {
    const uint32_t entropy[4] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t constant = 0x43b0d7e5u;
    for (int i = 0; i < 4; i++) pool[i] = hash_word(entropy[i], &constant);
    for (int from = 0; from < 4; from++)
        for (int to = 0; to < 4; to++) {
            if (from == to) continue;
            uint32_t x = 0xca01f9ddu * pool[to] - 0x4973f715u * hash_word(pool[from], &constant);
            pool[to] = x ^ x >> 16;
        }
}

static pcg64 default_rng(uint64_t seed) {
    uint32_t pool[4], constant = 0x8b51f9ddu, word[8];
    seed_pool(seed, pool);
    for (int i = 0; i < 8; i++) {
        uint32_t x = pool[i % 4] ^ constant;
        constant *= 0x58f38dedu;
        x *= constant;
        word[i] = x ^ x >> 16;
    }
    unsigned __int128 half[4];
    for (int i = 0; i < 4; i++) half[i] = word[2 * i] | (uint64_t)word[2 * i + 1] << 32;
    pcg64 g = {.increment = (half[2] << 64 | half[3]) << 1 | 1};
    step(&g);
    g.state += half[0] << 64 | half[1];
    step(&g);
    return g;
}

static uint32_t mt_word(void *m) { return lb_mt_u32(m); }
static uint32_t pcg_word(void *g) { return next_word(g); }

/* Both generators shuffle alike: from the last place on, with numbers whose bits beyond the place's are cut off, and
 * which are drawn again where they are beyond it. */
static void permute(int64_t n, uint32_t (*word)(void *), void *user, int64_t *out) {
    assert(n >= 0 && n < UINT32_MAX);
    count_up(out, n);
    for (int64_t i = n - 1; i > 0; i--) {
        uint32_t mask = UINT32_MAX >> __builtin_clz((uint32_t)i), j;
        do j = word(user) & mask;
        while (j > i);
        swap(out, i, j);
    }
}

void lb_numpy_permutation(uint64_t seed, int64_t n, int64_t *out) {
    pcg64 g = default_rng(seed);
    permute(n, pcg_word, &g, out);
}

void lb_numpy_old_permutation(uint32_t seed, int64_t n, int64_t *out) {
    lb_mt m;
    lb_mt_seed_word(&m, seed);
    permute(n, mt_word, &m, out);
}

/* ---- PyTorch ---- */

void lb_torch_permutation(uint64_t seed, int64_t n, int64_t *out) {
    assert(n >= 0 && n < UINT32_MAX / 20);
    lb_mt m;
    lb_mt_seed_word(&m, (uint32_t)seed);
    count_up(out, n);
    for (int64_t i = 0; i < n - 1; i++) swap(out, i, i + lb_mt_u32(&m) % (n - i));
}

void lb_torch_randint(uint64_t seed, int64_t low, int64_t high, int64_t n, int64_t *out) {
    assert(low < high && high - low < UINT32_MAX / 20);
    lb_mt m;
    lb_mt_seed_word(&m, (uint32_t)seed);
    for (int64_t i = 0; i < n; i++) out[i] = low + lb_mt_u32(&m) % (high - low);
}
