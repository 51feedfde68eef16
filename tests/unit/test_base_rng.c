#include "support/support.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

/* The known answers that Random123 publishes for philox4x32-10. */
static void philox_known_answers(void **state) {
    (void)state;
    static const struct {
        uint64_t seed, counter, stream;
        uint32_t want[4];
    } kat[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof kat / sizeof kat[0]; i++) {
        lb_rng r = lb_rng_make(kat[i].seed, kat[i].stream);
        r.counter = kat[i].counter;
        for (int k = 0; k < 4; k++) assert_int_equal(lb_rng_u32(&r), kat[i].want[k]);
    }
}

static void streams_differ_and_repeat(void **state) {
    (void)state;
    lb_rng a = lb_rng_make(7, 0), b = lb_rng_make(7, 1), c = lb_rng_make(7, 0);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = lb_rng_u64(&a);
        assert_true(x == lb_rng_u64(&c));
        same += x == lb_rng_u64(&b);
    }
    assert_int_equal(same, 0);
}

/* Moments within five standard errors for the fixed seed; a uniform or normal that is scaled or shifted is far off. */
static void moments(void **state) {
    (void)state;
    enum { N = 200000 };
    lb_rng r = lb_rng_make(1, 2);
    double u1 = 0, u2 = 0, g1 = 0, g2 = 0, g4 = 0;
    for (int i = 0; i < N; i++) {
        double u = lb_rng_uniform(&r), g = lb_rng_normal(&r);
        assert_true(u >= 0 && u < 1 && isfinite(g));
        u1 += u / N, u2 += u * u / N, g1 += g / N, g2 += g * g / N, g4 += g * g * g * g / N;
    }
    double se = 5 / sqrt(N);
    assert_true(fabs(u1 - 0.5) < se * 0.289 && fabs(u2 - 1.0 / 3) < se * 0.3);
    assert_true(fabs(g1) < se && fabs(g2 - 1) < se * 1.42 && fabs(g4 - 3) < se * 9.8);
}

static void below_is_even(void **state) {
    (void)state;
    enum { N = 70000 };
    lb_rng r = lb_rng_make(3, 0);
    int count[7] = {0};
    for (int i = 0; i < N; i++) {
        int64_t v = lb_rng_below(&r, 7);
        assert_in_range(v, 0, 6);
        count[v]++;
    }
    for (int k = 0; k < 7; k++) assert_true(abs(count[k] - N / 7) < 5 * 93); /* sqrt(N 6/49) = 93 */
    assert_int_equal(lb_rng_below(&r, 1), 0);
    /* For n just above 2^62 a remainder without rejection would favour small values 4:3. */
    int64_t n = (INT64_C(1) << 62) + (INT64_C(1) << 60), low = 0;
    for (int i = 0; i < N; i++) low += lb_rng_below(&r, n) < n / 2;
    assert_true(fabs((double)low - N / 2.0) < 5 * 133); /* sqrt(N) / 2 = 133 */
}

/* CPython 3: r = random.Random(seed); two getrandbits(32), random(), six randint, then the 700th getrandbits(32). */
static void mersenne_twister_is_python(void **state) {
    (void)state;
    static const struct {
        uint64_t seed;
        uint32_t first[2];
        double random;
        int64_t randint[6];
        uint32_t last;
    } want[] = {
        {UINT64_C(0),
         {3626764237u, 1654615998u},
         0x1.84129978f9c1ap-1,
         {INT64_C(0), INT64_C(-5), INT64_C(1112038970), INT64_C(2087043557), INT64_C(983446123055234400),
          INT64_C(249874)},
         3861210115u},
        {UINT64_C(1),
         {577090037u, 2444712010u},
         0x1.b1e2d5b3584f8p-1,
         {INT64_C(0), INT64_C(-1), INT64_C(506456969), INT64_C(1930549411), INT64_C(2390978841596054555),
          INT64_C(110076)},
         1283879010u},
        {UINT64_C(42),
         {2746317213u, 478163327u},
         0x1.99c6b5eeb2060p-6,
         {INT64_C(0), INT64_C(-2), INT64_C(958682846), INT64_C(2342331444), INT64_C(3171397913962775657),
          INT64_C(16663)},
         2562254028u},
        {UINT64_C(4294967295),
         {2728839433u, 2661025012u},
         0x1.a0274a3720bf8p-3,
         {INT64_C(0), INT64_C(4), INT64_C(1460408326), INT64_C(4130059007), INT64_C(547080031606630216),
          INT64_C(186166)},
         3980107163u},
        {UINT64_C(4294967296),
         {485306839u, 1508871100u},
         0x1.abdb5477a4f26p-2,
         {INT64_C(0), INT64_C(-5), INT64_C(1423829729), INT64_C(4272311653), INT64_C(-2064471645324221272),
          INT64_C(39727)},
         3039397249u},
        {UINT64_C(1311768467463790320),
         {3646699384u, 2523371432u},
         0x1.ee0be07a21c7fp-1,
         {INT64_C(0), INT64_C(2), INT64_C(1493822412), INT64_C(1332324837), INT64_C(-2507688356044359503),
          INT64_C(69773)},
         4177664805u},
        {UINT64_C(18446744073709551615),
         {93740670u, 1068495656u},
         0x1.5a35a94f333d8p-2,
         {INT64_C(0), INT64_C(2), INT64_C(408097150), INT64_C(3189129643), INT64_C(-1059788623140602032),
          INT64_C(246261)},
         2237894828u},
    };
    static const int64_t range[6][2] = {
        {0, 0}, {-5, 9}, {0, INT64_C(1) << 31}, {0, UINT32_MAX}, {-(INT64_C(1) << 62), INT64_C(1) << 62}, {0, 262144}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        lb_mt m;
        uint32_t last = 0;
        lb_mt_seed(&m, want[i].seed);
        for (int k = 0; k < 2; k++) assert_int_equal(lb_mt_u32(&m), want[i].first[k]);
        assert_true(lb_mt_random(&m) == want[i].random);
        for (int k = 0; k < 6; k++) assert_true(lb_mt_randint(&m, range[k][0], range[k][1]) == want[i].randint[k]);
        for (int k = 0; k < 700; k++) last = lb_mt_u32(&m);
        assert_int_equal(last, want[i].last);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers), cmocka_unit_test(streams_differ_and_repeat),  cmocka_unit_test(moments),
        cmocka_unit_test(below_is_even),        cmocka_unit_test(mersenne_twister_is_python),
    };
    return cmocka_run_group_tests_name("base/rng", tests, NULL, NULL);
}
