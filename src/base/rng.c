#include "base/rng.h"

#include <assert.h>
#include <math.h>

/* Philox4x32-10: ten rounds over a 128-bit counter (here: block number, stream) under a 64-bit key (the seed). */
static void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[0] = n0;
        c[1] = (uint32_t)p1;
        c[2] = n2;
        c[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

lb_rng lb_rng_make(uint64_t seed, uint64_t stream) { return (lb_rng){.seed = seed, .stream = stream}; }

uint32_t lb_rng_u32(lb_rng *r) {
    if (r->left == 0) {
        r->buf[0] = (uint32_t)r->counter;
        r->buf[1] = (uint32_t)(r->counter >> 32);
        r->buf[2] = (uint32_t)r->stream;
        r->buf[3] = (uint32_t)(r->stream >> 32);
        philox(r->buf, (uint32_t)r->seed, (uint32_t)(r->seed >> 32));
        r->counter++;
        r->left = 4;
    }
    return r->buf[4 - r->left--];
}

uint64_t lb_rng_u64(lb_rng *r) {
    uint64_t low = lb_rng_u32(r);
    return low | (uint64_t)lb_rng_u32(r) << 32;
}

double lb_rng_uniform(lb_rng *r) { return (double)(lb_rng_u64(r) >> 11) * 0x1p-53; }

int64_t lb_rng_below(lb_rng *r, int64_t n) {
    assert(n > 0);
    uint64_t m = (uint64_t)n, reject = -m % m; /* 2^64 mod n: the uneven start of the range is drawn again */
    uint64_t v;
    do v = lb_rng_u64(r);
    while (v < reject);
    return (int64_t)(v % m);
}

double lb_rng_normal(lb_rng *r) {
    if (r->has_spare) {
        r->has_spare = false;
        return r->spare;
    }
    double radius = sqrt(-2 * log(1 - lb_rng_uniform(r))); /* 1 - u is in (0, 1] */
    double angle = 2 * 3.14159265358979323846 * lb_rng_uniform(r);
    r->spare = radius * sin(angle);
    r->has_spare = true;
    return radius * cos(angle);
}

/* MT19937 (Matsumoto & Nishimura 1998), seeded as CPython's random.seed(int): init_by_array over the 32-bit words of
 * the integer, lowest first. */
enum { N = 624, M = 397 };

void lb_mt_seed_word(lb_mt *m, uint32_t seed) {
    uint32_t *s = m->state;
    s[0] = seed;
    for (uint32_t i = 1; i < N; i++) s[i] = 1812433253u * (s[i - 1] ^ s[i - 1] >> 30) + i;
    m->index = N;
}

void lb_mt_seed(lb_mt *m, uint64_t seed) {
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, *s = m->state;
    int words = key[1] ? 2 : 1;
    lb_mt_seed_word(m, 19650218u);
    uint32_t i = 1;
    for (int k = 0; k < N; k++) { /* N is more than the words of the key */
        uint32_t j = (uint32_t)(k % words);
        s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30) * 1664525u) + key[j] + j;
        if (++i == N) {
            s[0] = s[N - 1];
            i = 1;
        }
    }
    for (int k = 0; k < N - 1; k++) {
        s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30) * 1566083941u) - i;
        if (++i == N) {
            s[0] = s[N - 1];
            i = 1;
        }
    }
    s[0] = 0x80000000u;
}

static void mt_refill(lb_mt *m) {
    uint32_t *s = m->state;
    for (int i = 0; i < N; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % N] & 0x7fffffffu);
        s[i] = s[(i + M) % N] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    m->index = 0;
}

uint32_t lb_mt_u32(lb_mt *m) {
    if (m->index >= N) mt_refill(m);
    uint32_t y = m->state[m->index++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

double lb_mt_random(lb_mt *m) {
    uint32_t a = lb_mt_u32(m) >> 5, b = lb_mt_u32(m) >> 6;
    return (a * 67108864.0 + b) / 9007199254740992.0;
}

/* getrandbits(k), 1 <= k <= 64: words lowest first, the last one cut from the top. */
static uint64_t mt_bits(lb_mt *m, int k) {
    if (k <= 32) return lb_mt_u32(m) >> (32 - k);
    uint64_t low = lb_mt_u32(m);
    return low | (uint64_t)(lb_mt_u32(m) >> (64 - k)) << 32;
}

int64_t lb_mt_randint(lb_mt *m, int64_t a, int64_t b) {
    uint64_t n = (uint64_t)b - (uint64_t)a + 1;
    assert(a <= b && n != 0); /* 0: the whole 64-bit range */
    int bits = 64 - __builtin_clzll(n);
    uint64_t r;
    do r = mt_bits(m, bits);
    while (r >= n);
    return (int64_t)((uint64_t)a + r);
}
