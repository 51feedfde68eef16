/* Sets of code points: classes, properties, case, and how PCRE2 is told of them. */
#include <stdlib.h>
#include <string.h>

#include "model/regex_impl.h"

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

lb_uni_category lb_uni_category_of(int32_t code) {
    int low = 0, high = lb_uni_n_run - 1;
    while (low < high) {
        int mid = (low + high + 1) / 2;
        if ((int32_t)(lb_uni_packed[mid] >> 11) <= code)
            low = mid;
        else
            high = mid - 1;
    }
    return lb_uni_run_at(low).category;
}

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
    s->r[s->n++] = (lb_uni_range){first, last};
    s->sorted = false;
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

void lb_rx_set_join(lb_rx_set *s, const lb_rx_set *with) {
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

bool lb_rx_set_has(const lb_rx_set *s, int32_t code) {
    int64_t low = 0, high = s->n;
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        if (s->r[mid].last < code)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->n && s->r[low].first <= code;
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

static void add_property(lb_rx_set *s, const property *p) {
    for (int i = 0; i < lb_uni_n_run; i++) {
        lb_uni_run run = lb_uni_run_at(i);
        if ((p->categories >> run.category & 1) || (p->flags & run.flags)) lb_rx_set_add(s, run.first, run.last);
    }
    for (int i = 0; i < p->n_also; i++) lb_rx_set_add(s, p->also[i].first, p->also[i].last);
}

static void add_script(lb_rx_set *s, int script) {
    for (int i = 0; i < lb_uni_n_run; i++) {
        lb_uni_run run = lb_uni_run_at(i);
        if (run.script == script) lb_rx_set_add(s, run.first, run.last);
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

void lb_rx_set_fold(lb_rx_set *s) {
    lb_rx_set_sort(s);
    lb_rx_set was = *s, least = {.arena = s->arena}; /* the least ones of all members */
    lb_rx_set_join(&least, &was);
    for (int i = 0; i < lb_uni_n_fold; i++) {
        const lb_uni_fold_run *f = &lb_uni_fold[i];
        for (int32_t c = f->first; c <= f->last; c += f->step)
            if (lb_rx_set_has(&was, c)) lb_rx_set_add(&least, c + f->delta, c + f->delta);
    }
    lb_rx_set_sort(&least);
    lb_rx_set all = {.arena = s->arena, .failed = least.failed};
    lb_rx_set_join(&all, &least);
    for (int i = 0; i < lb_uni_n_fold; i++) {
        const lb_uni_fold_run *f = &lb_uni_fold[i];
        for (int32_t c = f->first; c <= f->last; c += f->step)
            if (lb_rx_set_has(&least, c + f->delta)) lb_rx_set_add(&all, c, c);
    }
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

/* The categories that lie in the set with all their characters (without `newer`: but for the newer ones). */
static uint32_t whole_categories(const lb_rx_set *s, bool newer) {
    uint32_t seen = 0,
             cut = 1U << LB_UNI_CN | 1U << LB_UNI_CS; /* unassigned ones differ; surrogates are no characters */
    int64_t at = 0;
    for (int i = 0; i < lb_uni_n_run; i++) {
        lb_uni_run run = lb_uni_run_at(i);
        if (!newer && (run.flags & LB_UNI_NEWER)) continue;
        while (at < s->n && s->r[at].last < run.first) at++;
        bool inside = at < s->n && s->r[at].first <= run.first && s->r[at].last >= run.last;
        seen |= 1U << run.category;
        if (!inside) cut |= 1U << run.category;
    }
    for (int i = 0; i < lb_uni_n_moved && newer; i++) /* PCRE2 may have it where it was */
        if (!lb_rx_set_has(s, lb_uni_moved[i].code)) cut |= 1U << lb_uni_moved[i].from;
    return seen & ~cut;
}

/* What of the set PCRE2's categories leave out: characters of other categories, and those newer than its tables. */
static void leftover(const lb_rx_set *s, uint32_t categories, bool newer, lb_rx_set *rest) {
    int64_t at = 0;
    for (int i = 0; i < lb_uni_n_run; i++) {
        lb_uni_run run = lb_uni_run_at(i);
        bool is_newer = run.flags & LB_UNI_NEWER;
        if (run.category == LB_UNI_CS || (is_newer ? !newer : categories >> run.category & 1)) continue;
        while (at < s->n && s->r[at].last < run.first) at++;
        for (int64_t k = at; k < s->n && s->r[k].first <= run.last; k++) {
            int32_t first = s->r[k].first > run.first ? s->r[k].first : run.first;
            int32_t last = s->r[k].last < run.last ? s->r[k].last : run.last;
            /* across what is covered the range may go on, if the set does */
            lb_uni_range *before = rest->n ? &rest->r[rest->n - 1] : NULL;
            if (before && s->r[k].first <= before->last)
                before->last = last;
            else
                lb_rx_set_add(rest, first, last);
        }
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

/* How the set is written: its categories, and the ranges beside them. */
typedef struct spelling {
    uint32_t categories;
    lb_rx_set rest;
} spelling;
static spelling spell(const lb_rx_set *s, lb_rx_spelling how) {
    bool newer = how != LB_RX_OLDER;
    spelling w = {.rest = {.arena = s->arena, .failed = s->failed}};
    if (how != LB_RX_RANGES) w.categories = whole_categories(s, newer);
    leftover(s, w.categories, newer, &w.rest);
    return w;
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
    spelling yes = spell(s, how), no = spell(&others, how);
    bool negative = no.rest.n + (no.categories != 0) < yes.rest.n + (yes.categories != 0);
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
