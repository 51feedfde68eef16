/* Colours, markers and dashes by name, so that a method looks the same in every figure, page and run. */
#include "report/plot_style.h"

#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* Okabe and Ito's colours but for their yellow, which white paper swallows; then those that are farthest from all
 * before them, for normal sight and each of the common colour blindnesses, as tests/unit/test_palette.c measures. */
static const char *const colour[LB_PALETTE_COLOURS] = {"#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9",
                                                       "#e69f00", "#8800ff", "#663311", "#112288", "#aacc77", "#554455",
                                                       "#bb55ff", "#dd1144", "#ddaaaa", "#8811cc"};

/* Circle, square, triangles up and down, diamond, pentagon; then those without an inside: cross, plus, star. */
static const int filled[LB_PALETTE_SHAPES] = {7, 5, 9, 11, 13, 15, 2, 1, 3};
static const int open[LB_PALETTE_SHAPES] = {6, 4, 8, 10, 12, 14, 2, 1, 3};
static const char *const dash[LB_PALETTE_DASHES] = {"solid",  "(12,5)",        "(3,3)", "(12,4,3,4)",
                                                    "(20,6)", "(8,3,2,3,2,3)", "(6,6)"};

/* Nobody has seen these names change their look, so they never may. */
static const struct {
    const char *method;
    int colour, shape;
} known[] = {{"none", 0, 0},      {"rtn", 1, 0},          {"gptq", 2, 1},      {"qat", 3, 2},      {"nf4", 4, 3},
             {"hqq", 5, 4},       {"autoround", 6, 5},    {"wanda", 7, 6},     {"low_rank", 8, 7}, {"act", 9, 4},
             {"hadamard", 10, 1}, {"smoothquant", 11, 2}, {"finetune", 12, 8}, {"cast", 13, 0}};

static const struct {
    const char *group;
    int dash;
} known_group[] = {{"", 0}, {"row", 0}, {"64", 1}, {"tensor", 2}, {"128", 3}, {"32", 4}};

/* FNV-1a, 32 bits. */
static uint32_t hash(const char *s, size_t n) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 16777619u;
    return h;
}

static int find(const char *s, size_t n) {
    for (int i = 0; i < COUNT(known); i++)
        if (strlen(known[i].method) == n && memcmp(known[i].method, s, n) == 0) return i;
    return -1;
}

static int shape_of(const char *s, size_t n) {
    int k = find(s, n);
    return k >= 0 ? known[k].shape : (int)(hash(s, n) % LB_PALETTE_SHAPES);
}

/* The last stage that compresses weights: act, which rounds inputs, comes behind it. Its length in *n. */
static const char *last_stage(const char *method, size_t *n) {
    static const char inputs[] = "+act";
    size_t end = strlen(method), tail = sizeof inputs - 1;
    if (end > tail && strcmp(method + end - tail, inputs) == 0) end -= tail;
    size_t from = end;
    while (from && method[from - 1] != '+') from--;
    *n = end - from;
    return method + from;
}

const char *lb_palette_at(int i) { return colour[i]; }

const char *lb_palette_colour(const char *method) {
    size_t n;
    const char *s = last_stage(method, &n);
    int k = find(s, n);
    return colour[k >= 0 ? known[k].colour : 1 + (int)(hash(s, n) % (LB_PALETTE_COLOURS - 1))];
}

int lb_palette_shape(const char *method) {
    size_t n;
    const char *s = last_stage(method, &n);
    int shape = shape_of(s, n);
    if (strlen(method) == n) return shape;
    /* The other stages, without the '+' between: one of the shapes that are left. */
    uint32_t others = 0;
    for (const char *p = method; *p;) {
        size_t one = strcspn(p, "+");
        if (p != s) others += (uint32_t)shape_of(p, one);
        p += one + (p[one] == '+');
    }
    return (shape + 1 + (int)(others % (LB_PALETTE_SHAPES - 1))) % LB_PALETTE_SHAPES;
}

int lb_palette_dash(const char *group) {
    for (int i = 0; i < COUNT(known_group); i++)
        if (strcmp(known_group[i].group, group) == 0) return known_group[i].dash;
    return (int)(hash(group, strlen(group)) % LB_PALETTE_DASHES);
}

const char *lb_palette_dashes(int i) { return dash[i]; }

int lb_palette_point(int shape, bool is_open) { return is_open ? open[shape] : filled[shape]; }

int lb_palette_hollow(int point) {
    for (int i = 0; i < LB_PALETTE_SHAPES; i++)
        if (filled[i] == point) return open[i];
    return point;
}
