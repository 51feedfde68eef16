/* Sets of code points: classes, properties, case, and how PCRE2 is told of them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/regex_impl.h"

/* ---- characters ---- */

lb_uni_run lb_uni_run_at(int i) {
    uint32_t v = lb_uni_packed[i], kind = lb_uni_kind[v & 0x7FF];
    int32_t next = i + 1 < lb_uni_n_run ? (int32_t)(lb_uni_packed[i + 1] >> 11) : LB_UNI_MAX + 1;
    return (lb_uni_run){.first = (int32_t)(v >> 11),
                        .last = next - 1,
                        .category = (lb_uni_category)(kind & 31),
                        .script = (int)(kind >> 5 & 0xFF),
                        .flags = kind >> 13};
}

/* The run of `code`, which is not before run `from`: by steps that double, so that what is near is found at once. */
static int run_of(int from, int32_t code) {
    int step = 1;
    for (; from + step < lb_uni_n_run && (int32_t)(lb_uni_packed[from + step] >> 11) <= code; step *= 2) from += step;
    for (; step; step /= 2)
        if (from + step < lb_uni_n_run && (int32_t)(lb_uni_packed[from + step] >> 11) <= code) from += step;
    return from;
}

lb_uni_run lb_uni_run_of(int32_t code) { return lb_uni_run_at(run_of(0, code)); }
lb_uni_category lb_uni_category_of(int32_t code) { return lb_uni_run_of(code).category; }

/* ---- sets ---- */

void lb_rx_set_add(lb_rx_set *s, int32_t first, int32_t last) {
    if (s->n && s->r[s->n - 1].last == first - 1) { /* runs of one property come in order */
        s->r[s->n - 1].last = last;
        return;
    }
    if (s->n == s->cap) {
        int64_t cap = s->cap ? 2 * s->cap : 16;
        lb_uni_range *r = LB_NEW_UNSET(s->arena, lb_uni_range, cap);
        if (!r) {
            s->failed = true;
            return;
        }
        if (s->n) memcpy(r, s->r, (size_t)s->n * sizeof *r);
        s->r = r;
        s->cap = cap;
    }
    s->sorted = !s->n || (s->sorted && first > s->r[s->n - 1].last);
    s->r[s->n++] = (lb_uni_range){first, last};
}

static int by_first(const void *a, const void *b) {
    const lb_uni_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

void lb_rx_set_sort(lb_rx_set *s) {
    if (s->sorted || !s->n) return;
    qsort(s->r, (size_t)s->n, sizeof *s->r, by_first);
    int64_t n = 0;
    for (int64_t i = 1; i < s->n; i++) {
        if (s->r[i].first > s->r[n].last + 1)
            s->r[++n] = s->r[i];
        else if (s->r[i].last > s->r[n].last)
            s->r[n].last = s->r[i].last;
    }
    s->n = n + 1;
    s->sorted = true;
}

/* Two sets in order as one, which needs no sorting. */
static void merge(lb_rx_set *s, const lb_rx_set *with) {
    lb_rx_set both = {.arena = s->arena, .failed = s->failed};
    for (int64_t i = 0, k = 0; i < s->n || k < with->n;) {
        bool own = k == with->n || (i < s->n && s->r[i].first <= with->r[k].first);
        lb_uni_range r = own ? s->r[i++] : with->r[k++];
        lb_uni_range *before = both.n ? &both.r[both.n - 1] : NULL;
        if (!before || r.first > before->last + 1)
            lb_rx_set_add(&both, r.first, r.last);
        else if (r.last > before->last)
            before->last = r.last;
    }
    if (both.failed)
        s->failed = true;
    else
        *s = both;
}

void lb_rx_set_join(lb_rx_set *s, const lb_rx_set *with) {
    if (s->n && with->n && s->sorted && with->sorted)
        merge(s, with);
    else
        for (int64_t i = 0; i < with->n; i++) lb_rx_set_add(s, with->r[i].first, with->r[i].last);
    s->failed = s->failed || with->failed;
}

void lb_rx_set_invert(lb_rx_set *s) {
    lb_rx_set_sort(s);
    lb_rx_set rest = {.arena = s->arena, .failed = s->failed};
    int32_t from = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (s->r[i].first > from) lb_rx_set_add(&rest, from, s->r[i].first - 1);
        from = s->r[i].last + 1;
    }
    if (from <= LB_UNI_MAX) lb_rx_set_add(&rest, from, LB_UNI_MAX);
    *s = rest;
    lb_rx_set_sort(s);
}

void lb_rx_set_meet(lb_rx_set *s, lb_rx_set *with) {
    lb_rx_set_invert(s);
    lb_rx_set_invert(with);
    lb_rx_set_join(s, with);
    lb_rx_set_invert(s);
}

/* The first range of a sorted set that does not end before `code`. */
static int64_t range_from(const lb_rx_set *s, int32_t code) {
    int64_t low = 0, high = s->n;
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        if (s->r[mid].last < code)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool lb_rx_set_has(const lb_rx_set *s, int32_t code) {
    int64_t i = range_from(s, code);
    return i < s->n && s->r[i].first <= code;
}

/* ---- properties ---- */

typedef struct property {
    const char *name; /* small letters only, as names are compared */
    uint32_t categories;
    unsigned flags; /* any of them */
    lb_uni_range also[3];
    int n_also;
} property;

#define ONE(c)  (1U << LB_UNI_##c)
#define WORD    LB_UNI_M | ONE(ND) | ONE(PC)
#define VISIBLE (LB_UNI_ALL & ~(LB_UNI_Z | ONE(CC) | ONE(CS) | ONE(CN)))
static const property known[] = {
    {"any", LB_UNI_ALL, 0, {{0}}, 0},
    {"assigned", LB_UNI_ALL & ~ONE(CN), 0, {{0}}, 0},
    {"ascii", 0, 0, {{0, 0x7F}}, 1},
    {"alnum", ONE(ND), LB_UNI_ALPHABETIC, {{0}}, 0},
    {"alpha", 0, LB_UNI_ALPHABETIC, {{0}}, 0},
    {"alphabetic", 0, LB_UNI_ALPHABETIC, {{0}}, 0},
    {"blank", ONE(ZS), 0, {{9, 9}}, 1},
    {"cntrl", ONE(CC), 0, {{0}}, 0},
    {"digit", ONE(ND), 0, {{0}}, 0},
    {"graph", VISIBLE, 0, {{0}}, 0},
    {"lower", 0, LB_UNI_LOWERCASE, {{0}}, 0},
    {"lowercase", 0, LB_UNI_LOWERCASE, {{0}}, 0},
    {"print", VISIBLE | ONE(ZS), 0, {{0}}, 0},
    {"punct", LB_UNI_P, 0, {{0}}, 0},
    {"posixpunct", LB_UNI_P | LB_UNI_S, 0, {{0}}, 0},
    {"space", LB_UNI_Z, 0, {{9, 13}, {0x85, 0x85}}, 2},
    {"whitespace", LB_UNI_Z, 0, {{9, 13}, {0x85, 0x85}}, 2},
    {"upper", 0, LB_UNI_UPPERCASE, {{0}}, 0},
    {"uppercase", 0, LB_UNI_UPPERCASE, {{0}}, 0},
    {"word", WORD, LB_UNI_ALPHABETIC, {{0}}, 0},
    {"xdigit", 0, 0, {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}, 3},
    {"asciihexdigit", 0, 0, {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}, 3},
    {"l", LB_UNI_L, 0, {{0}}, 0},
    {"letter", LB_UNI_L, 0, {{0}}, 0},
    {"lc", ONE(LU) | ONE(LL) | ONE(LT), 0, {{0}}, 0},
    {"casedletter", ONE(LU) | ONE(LL) | ONE(LT), 0, {{0}}, 0},
    {"m", LB_UNI_M, 0, {{0}}, 0},
    {"mark", LB_UNI_M, 0, {{0}}, 0},
    {"combiningmark", LB_UNI_M, 0, {{0}}, 0},
    {"n", LB_UNI_N, 0, {{0}}, 0},
    {"number", LB_UNI_N, 0, {{0}}, 0},
    {"p", LB_UNI_P, 0, {{0}}, 0},
    {"punctuation", LB_UNI_P, 0, {{0}}, 0},
    {"s", LB_UNI_S, 0, {{0}}, 0},
    {"symbol", LB_UNI_S, 0, {{0}}, 0},
    {"z", LB_UNI_Z, 0, {{0}}, 0},
    {"separator", LB_UNI_Z, 0, {{0}}, 0},
    {"c", LB_UNI_C, 0, {{0}}, 0},
    {"other", LB_UNI_C, 0, {{0}}, 0},
};
static const struct {
    const char *brief, *full; /* brief: as PCRE2 has it too */
} category_name[LB_UNI_N_CATEGORIES] = {
    {"Lu", "uppercaseletter"},    {"Ll", "lowercaseletter"},  {"Lt", "titlecaseletter"},
    {"Lm", "modifierletter"},     {"Lo", "otherletter"},      {"Mn", "nonspacingmark"},
    {"Mc", "spacingmark"},        {"Me", "enclosingmark"},    {"Nd", "decimalnumber"},
    {"Nl", "letternumber"},       {"No", "othernumber"},      {"Pc", "connectorpunctuation"},
    {"Pd", "dashpunctuation"},    {"Ps", "openpunctuation"},  {"Pe", "closepunctuation"},
    {"Pi", "initialpunctuation"}, {"Pf", "finalpunctuation"}, {"Po", "otherpunctuation"},
    {"Sm", "mathsymbol"},         {"Sc", "currencysymbol"},   {"Sk", "modifiersymbol"},
    {"So", "othersymbol"},        {"Zs", "spaceseparator"},   {"Zl", "lineseparator"},
    {"Zp", "paragraphseparator"}, {"Cc", "control"},          {"Cf", "format"},
    {"Cs", "surrogate"},          {"Co", "privateuse"},       {"Cn", "unassigned"},
};

/* All runs are looked at and few are taken: only the kind of each is decoded. */
static void add_property(lb_rx_set *s, const property *p) {
    for (int i = 0; i < lb_uni_n_run; i++) {
        uint32_t kind = lb_uni_kind[lb_uni_packed[i] & 0x7FF];
        if (!((p->categories >> (kind & 31) & 1) | (p->flags & kind >> 13))) continue;
        lb_uni_run run = lb_uni_run_at(i);
        lb_rx_set_add(s, run.first, run.last);
    }
    for (int i = 0; i < p->n_also; i++) lb_rx_set_add(s, p->also[i].first, p->also[i].last);
}

static void add_script(lb_rx_set *s, int script) {
    for (int i = 0; i < lb_uni_n_run; i++) {
        uint32_t kind = lb_uni_kind[lb_uni_packed[i] & 0x7FF];
        if ((int)(kind >> 5 & 0xFF) != script) continue;
        lb_uni_run run = lb_uni_run_at(i);
        lb_rx_set_add(s, run.first, run.last);
    }
}

bool lb_rx_set_property(lb_rx_set *s, const char *name, size_t n, bool in_class) {
    char plain[64]; /* Oniguruma ignores case, spaces, '-' and '_' */
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (c == ' ' || c == '-' || c == '_') continue;
        if (len + 1 == sizeof plain) return false;
        plain[len++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    plain[len] = 0;
    /* superscripts and fractions of Latin-1 */
    if (!in_class && !strcmp(plain, "word")) {
        lb_rx_set_add(s, 0xB2, 0xB3);
        lb_rx_set_add(s, 0xB9, 0xB9);
        lb_rx_set_add(s, 0xBC, 0xBE);
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(plain, known[i].name)) return add_property(s, &known[i]), true;
    for (int i = 0; i < LB_UNI_N_CATEGORIES; i++) {
        const char *b = category_name[i].brief;
        bool brief = len == 2 && plain[0] == (b[0] | 0x20) && plain[1] == b[1];
        if (brief || !strcmp(plain, category_name[i].full))
            return add_property(s, &(property){.categories = 1U << i}), true;
    }
    for (int i = 0; i < lb_uni_n_script; i++)
        for (int k = 0; k < 3 && lb_uni_script[i][k]; k++)
            if (!strcmp(plain, lb_uni_script[i][k])) return add_script(s, i), true;
    return false;
}

/* ---- case ---- */

static bool in_fold_run(const lb_uni_fold_run *f, int32_t code) {
    return code >= f->first && code <= f->last && (code - f->first) % f->step == 0;
}

int32_t lb_rx_fold(int32_t code) {
    for (int i = 0; i < lb_uni_n_fold; i++)
        if (in_fold_run(&lb_uni_fold[i], code)) return code + lb_uni_fold[i].delta;
    return code;
}

/* Adds c + to for every character c of a fold run for which c + from is in the sorted set. */
static void fold_run(lb_rx_set *out, const lb_rx_set *in, const lb_uni_fold_run *f, int32_t from, int32_t to) {
    for (int64_t k = range_from(in, f->first + from); k < in->n && in->r[k].first <= f->last + from; k++) {
        int32_t first = in->r[k].first - from, last = in->r[k].last - from;
        first = first > f->first ? f->first + (first - f->first + f->step - 1) / f->step * f->step : f->first;
        if (last > f->last) last = f->last;
        for (int32_t c = first; c <= last; c += f->step) lb_rx_set_add(out, c + to, c + to);
    }
}

void lb_rx_set_fold(lb_rx_set *s) {
    lb_rx_set_sort(s);
    lb_rx_set least = {.arena = s->arena}; /* the least ones of all members */
    lb_rx_set_join(&least, s);
    for (int i = 0; i < lb_uni_n_fold; i++) fold_run(&least, s, &lb_uni_fold[i], 0, lb_uni_fold[i].delta);
    lb_rx_set_sort(&least);
    lb_rx_set all = {.arena = s->arena, .failed = least.failed};
    lb_rx_set_join(&all, &least);
    for (int i = 0; i < lb_uni_n_fold; i++) fold_run(&all, &least, &lb_uni_fold[i], lb_uni_fold[i].delta, 0);
    *s = all;
    lb_rx_set_sort(s);
}

/* ---- for PCRE2 ---- */

static void write_code(lb_str *out, int32_t c) {
    bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (plain)
        lb_str_add(out, "%c", (char)c);
    else
        lb_str_add(out, "\\x{%x}", (unsigned)c);
}

static void write_range(lb_str *out, int32_t first, int32_t last) {
    write_code(out, first);
    if (last > first + 1) lb_str_add(out, "-");
    if (last > first) write_code(out, last);
}

/* Runs of each category, [1]: without those that are LB_UNI_NEWER. */
static int runs_in[2][LB_UNI_N_CATEGORIES];
static void count_runs(void) {
    for (int i = 0; i < lb_uni_n_run; i++) {
        lb_uni_run run = lb_uni_run_at(i);
        runs_in[0][run.category]++;
        if (!(run.flags & LB_UNI_NEWER)) runs_in[1][run.category]++;
    }
}

/* The categories that lie in the set with all their characters, and those of which it has none (without `newer`: but
 * for the newer ones). */
static void whole_categories(const lb_rx_set *s, bool newer, uint32_t *inside, uint32_t *outside) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, count_runs);
    int covered[LB_UNI_N_CATEGORIES] = {0};
    uint32_t touched = 0, all = 0;
    int i = 0;
    for (int64_t k = 0; k < s->n; k++) {
        for (i = run_of(i, s->r[k].first); i < lb_uni_n_run; i++) {
            lb_uni_run run = lb_uni_run_at(i);
            if (run.first > s->r[k].last) break;
            if (newer || !(run.flags & LB_UNI_NEWER)) {
                touched |= 1U << run.category;
                covered[run.category] += s->r[k].first <= run.first && s->r[k].last >= run.last;
            }
            if (run.last > s->r[k].last) break; /* the next range may be in it too */
        }
    }
    *inside = 0;
    for (int c = 0; c < LB_UNI_N_CATEGORIES; c++) {
        int n = runs_in[!newer][c];
        if (n && c != LB_UNI_CN && c != LB_UNI_CS) all |= 1U << c; /* unassigned ones differ; surrogates are none */
        if (n && covered[c] == n) *inside |= 1U << c;
    }
    *inside &= all;
    *outside = all & ~touched;
    for (int m = 0; m < lb_uni_n_moved && newer; m++) /* PCRE2 may have it where it was */
        *(lb_rx_set_has(s, lb_uni_moved[m].code) ? outside : inside) &= ~(1U << lb_uni_moved[m].from);
}

/* How a set is written: its categories, and the ranges beside them. */
typedef struct spelling {
    uint32_t categories;
    lb_rx_set rest;
} spelling;
static int64_t parts(const spelling *w) { return w->rest.n + (w->categories != 0); }

static bool left_out(lb_uni_run run, uint32_t categories, bool newer) {
    if (run.category == LB_UNI_CS) return false;
    return run.flags & LB_UNI_NEWER ? newer : !(categories >> run.category & 1);
}

/* What of the set PCRE2's categories leave out: characters of other categories, and those newer than its tables. Across
 * what is covered a range goes on, if the set does. With `most` parts it stops: they will not be written. */
static void leftover(const lb_rx_set *s, bool newer, int64_t most, spelling *w) {
    int i = 0;
    for (int64_t k = 0; k < s->n && parts(w) < most; k++) {
        lb_uni_range r = s->r[k];
        lb_uni_run first = lb_uni_run_at(i = run_of(i, r.first));
        while (first.last < r.last && !left_out(first, w->categories, newer)) first = lb_uni_run_at(++i);
        if (!left_out(first, w->categories, newer)) continue;
        if (first.first > r.first) r.first = first.first;
        int end = run_of(i, r.last);
        lb_uni_run last = lb_uni_run_at(end);
        while (!left_out(last, w->categories, newer)) last = lb_uni_run_at(--end);
        if (last.last < r.last) r.last = last.last;
        lb_rx_set_add(&w->rest, r.first, r.last);
    }
}

static void write_categories(lb_str *out, uint32_t categories) {
    static const struct {
        uint32_t mask;
        char letter;
    } group[] = {{LB_UNI_L, 'L'}, {LB_UNI_M, 'M'}, {LB_UNI_N, 'N'}, {LB_UNI_P, 'P'}, {LB_UNI_S, 'S'}, {LB_UNI_Z, 'Z'}};
    for (size_t i = 0; i < sizeof group / sizeof *group; i++) {
        if ((categories & group[i].mask) != group[i].mask) continue;
        lb_str_add(out, "\\p{%c}", group[i].letter);
        categories &= ~group[i].mask;
    }
    for (int i = 0; i < LB_UNI_N_CATEGORIES; i++)
        if (categories >> i & 1) lb_str_add(out, "\\p{%s}", category_name[i].brief);
}

void lb_rx_set_write(lb_rx_set *s, lb_rx_spelling how, lb_str *out) {
    lb_rx_set_sort(s);
    lb_rx_set others = {.arena = s->arena, .failed = s->failed};
    lb_rx_set_join(&others, s);
    lb_rx_set_invert(&others);
    if (!s->n || !others.n) {
        lb_str_add(out, s->n ? "(?s:.)" : "(?!)");
        out->failed = out->failed || others.failed;
        return;
    }
    spelling yes = {.rest = {.arena = s->arena, .failed = others.failed}}, no = yes;
    bool newer = how != LB_RX_OLDER, wide = s->r[s->n - 1].last == LB_UNI_MAX; /* the smaller side is looked over */
    if (how != LB_RX_RANGES && wide)
        whole_categories(&others, newer, &no.categories, &yes.categories);
    else if (how != LB_RX_RANGES)
        whole_categories(s, newer, &yes.categories, &no.categories);
    if (wide) leftover(&others, newer, INT64_MAX, &no);
    leftover(s, newer, wide ? parts(&no) + 1 : INT64_MAX, &yes);
    if (!wide) leftover(&others, newer, parts(&yes), &no);
    bool negative = parts(&no) < parts(&yes);
    const spelling *w = negative ? &no : &yes;
    bool single = !negative && !w->categories && w->rest.n == 1 && w->rest.r[0].first == w->rest.r[0].last;
    if (single) {
        write_code(out, w->rest.r[0].first);
    } else {
        lb_str_add(out, negative ? "[^" : "[");
        for (int64_t i = 0; i < w->rest.n && w->rest.r[i].first <= 0x7F; i++)
            write_range(out, w->rest.r[i].first, w->rest.r[i].last);
        write_categories(out, w->categories);
        for (int64_t i = 0; i < w->rest.n; i++)
            if (w->rest.r[i].first > 0x7F) write_range(out, w->rest.r[i].first, w->rest.r[i].last);
        lb_str_add(out, "]");
    }
    out->failed = out->failed || yes.rest.failed || no.rest.failed;
}
