/* Where the numbers come from: what all cells share is said once, then what differs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/parts.h"

typedef struct items {
    lb_arena *arena;
    const char **at;
    size_t n, cap;
} items;

static lb_status add(items *s, const char *text) {
    if (!text) return LB_E_NOMEM;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 32;
        const char **at = LB_NEW(s->arena, const char *, cap);
        if (!at) return LB_E_NOMEM;
        if (s->n) memcpy(at, s->at, s->n * sizeof *at);
        s->at = at, s->cap = cap;
    }
    s->at[s->n++] = text;
    return LB_OK;
}

static const lb_pairs *pairs_of(const lb_record *c, bool host) { return host ? &c->host : &c->provenance; }

/* One key over all cells. Sweeps have thousands of cells: which of them share a value is found once, by sorting. */
typedef struct column {
    const char *key;
    const char **value; /* of each cell; NULL: it is not done, or has none */
    int64_t *first;     /* the first cell with the same value; -1: it has none */
    int64_t have, values;
} column;

/* The keys of one kind, in the order in which cells name them. */
typedef struct columns {
    const lb_results *r;
    bool host;
    column *at;
    int64_t n, cap, cells; /* cells: those done */
} columns;

/* A date or a key of its own for each cell is said with that cell. */
static bool of_each_cell(const column *c) { return c->values > 1 && c->values == c->have; }

static lb_status add_column(lb_arena *a, columns *t, const char *key, column **out) {
    if (t->n == t->cap) {
        int64_t cap = t->cap ? 2 * t->cap : 64;
        column *at = LB_NEW(a, column, cap);
        if (!at) return LB_E_NOMEM;
        if (t->n) memcpy(at, t->at, (size_t)t->n * sizeof *at);
        t->at = at, t->cap = cap;
    }
    column *c = &t->at[t->n++];
    *c = (column){key, LB_NEW(a, const char *, t->r->n), LB_NEW(a, int64_t, t->r->n), 0, 0};
    *out = c;
    return c->value && c->first ? LB_OK : LB_E_NOMEM;
}

/* near: where the pair stands in its cell; most cells have the same keys in the same order. NULL: no such column. */
static column *column_of(const columns *t, const char *key, int64_t near) {
    if (near < t->n && strcmp(t->at[near].key, key) == 0) return &t->at[near];
    for (int64_t i = 0; i < t->n; i++)
        if (strcmp(t->at[i].key, key) == 0) return &t->at[i];
    return NULL;
}

typedef struct placed {
    const char *value;
    int64_t cell;
} placed;

static int by_value(const void *x, const void *y) {
    const placed *a = x, *b = y;
    int order = strcmp(a->value, b->value);
    return order ? order : (a->cell > b->cell) - (a->cell < b->cell);
}

/* work: as many as there are cells. */
static void find_same(column *c, int64_t cells, placed *work) {
    for (int64_t i = 0; i < cells; i++) {
        c->first[i] = -1;
        if (c->value[i]) work[c->have++] = (placed){c->value[i], i};
    }
    if (c->have) qsort(work, (size_t)c->have, sizeof *work, by_value);
    for (int64_t k = 0; k < c->have; k++) {
        bool another = k == 0 || strcmp(work[k].value, work[k - 1].value) != 0;
        c->values += another;
        c->first[work[k].cell] = another ? work[k].cell : c->first[work[k - 1].cell];
    }
}

static lb_status collect(lb_arena *a, const lb_results *r, bool host, columns *t) {
    *t = (columns){.r = r, .host = host};
    for (int64_t i = 0; i < r->n; i++) {
        if (r->record[i].state != LB_CELL_DONE) continue;
        t->cells++;
        const lb_pairs *p = pairs_of(&r->record[i], host);
        for (int64_t k = 0; k < p->n; k++) {
            column *c = column_of(t, p->at[k].key, k);
            if (!c) LB_TRY(add_column(a, t, p->at[k].key, &c));
            if (!c->value[i]) c->value[i] = p->at[k].value;
        }
    }
    placed *work = LB_NEW(a, placed, r->n);
    if (!work && r->n) return LB_E_NOMEM;
    for (int64_t k = 0; k < t->n; k++) find_same(&t->at[k], r->n, work);
    return LB_OK;
}

/* Names of the done cells whose value is that of cell `first`; -1: of those without any. At most so many. */
static void add_cells(lb_str *line, const columns *t, const column *c, int64_t first, int64_t most) {
    int64_t n = 0;
    for (int64_t i = 0; i < t->r->n; i++) {
        if (t->r->record[i].state != LB_CELL_DONE || c->first[i] != first) continue;
        if (n < most) lb_str_add(line, "%s%s", n ? "; " : "", t->r->record[i].label);
        n++;
    }
    if (n > most) lb_str_add(line, "; %lld more", (long long)(n - most));
}

static lb_status add_line(items *s, lb_str *line) {
    lb_status st = lb_str_check(line);
    if (st == LB_OK) st = add(s, lb_arena_strdup(s->arena, line->s));
    lb_str_free(line);
    return st;
}

/* One key: a line for all cells, or one for each of its values. */
static lb_status add_key(items *same, items *differ, const columns *t, const column *c) {
    enum { NAMES = 6 };
    if (of_each_cell(c)) return LB_OK;
    for (int64_t i = 0; i < t->r->n; i++) {
        if (c->first[i] != i) continue;
        lb_str line = {0};
        lb_str_add(&line, "%s: %s", c->key, c->value[i]);
        if (c->values == 1 && c->have < t->cells) {
            bool few = 2 * c->have < t->cells;
            lb_str_add(&line, few ? " (only in " : " (not in ");
            add_cells(&line, t, c, few ? i : -1, NAMES);
            lb_str_add(&line, ")");
        } else if (c->values > 1) {
            lb_str_add(&line, " (");
            add_cells(&line, t, c, i, NAMES);
            lb_str_add(&line, ")");
        }
        LB_TRY(add_line(c->values == 1 ? same : differ, &line));
    }
    return LB_OK;
}

static lb_status add_keys(items *same, items *differ, const columns *t) {
    for (int64_t k = 0; k < t->n; k++) LB_TRY(add_key(same, differ, t, &t->at[k]));
    return LB_OK;
}

static void add_own(lb_str *line, const columns *t, int64_t cell) {
    const lb_pairs *p = pairs_of(&t->r->record[cell], t->host);
    for (int64_t k = 0; k < p->n; k++) {
        const column *c = column_of(t, p->at[k].key, k);
        if (!c || !of_each_cell(c)) continue;
        bool hash = strlen(p->at[k].value) == 64; /* its head tells cells apart; the whole is in the cell's file */
        lb_str_add(line, "; %s %.*s", p->at[k].key, hash ? 16 : 4096, p->at[k].value);
    }
}

/* Behind "    NAME:" of the resolved config's entry; NULL: it has none. */
static const char *part_of_entry(const lb_record *c, const char *name) {
    char head[64];
    int n = snprintf(head, sizeof head, "\n    %s:\n", name);
    const char *p = c->config ? strstr(c->config, head) : NULL;
    return p ? p + n : NULL;
}

/* The next line of such a part, without its blanks at the head; false: it ends here. */
static bool next_line(const char **at, const char **line, size_t *n) {
    if (strncmp(*at, "      ", 6) != 0) return false;
    *line = *at + strspn(*at, " ");
    *n = strcspn(*line, "\n");
    *at = *line + *n + ((*line)[*n] == '\n');
    return true;
}

bool lb_report_rules(const lb_record *c, lb_str *out) {
    const char *p = part_of_entry(c, "rules"), *line;
    size_t n;
    if (!p) return false;
    for (const char *between = ""; next_line(&p, &line, &n); between = ", ") {
        bool rule = strncmp(line, "- ", 2) == 0;
        if (rule) line += 2, n -= 2;
        lb_str_add(out, "%s", rule && between[0] ? "; " : between);
        lb_str_add_bytes(out, line, n);
    }
    return true;
}

bool lb_report_end(const lb_record *c, const char *which, lb_str *out) {
    static const char method[] = "method: ";
    const char *p = part_of_entry(c, which), *line;
    size_t n;
    if (!p) return false;
    for (const char *between = ""; next_line(&p, &line, &n); between = " ") {
        size_t key = strcspn(line, ":");
        if (n >= sizeof method - 1 && strncmp(line, method, sizeof method - 1) == 0) {
            lb_str_add(out, "%s%.*s", between, (int)(n - sizeof method + 1), line + sizeof method - 1);
        } else if (key + 2 <= n) {
            lb_str_add(out, "%s%.*s=", between, (int)key, line);
            lb_str_add_bytes(out, line + key + 2, n - key - 2);
        }
    }
    return true;
}

bool lb_report_config_value(const lb_record *c, const char *key, lb_str *out) {
    size_t n = strlen(key);
    for (const char *p = c->config; p && *p; p += strcspn(p, "\n"), p += *p == '\n') {
        const char *word = p + strspn(p, " ");
        if (word == p || strncmp(word, key, n) != 0 || strncmp(word + n, ": ", 2) != 0) continue;
        lb_str_add_bytes(out, word + n + 2, strcspn(word + n + 2, "\n"));
        return true;
    }
    return false;
}

static void add_part(lb_str *line, const char *name, bool has, lb_str *text) {
    if (has) lb_str_add(line, "; %s: %s", name, text->s ? text->s : "");
    line->failed = line->failed || text->failed;
    lb_str_free(text);
}

static void add_rules(lb_str *line, const lb_record *c) {
    static const char *const end[] = {"embedding", "head"};
    lb_str text = {0};
    add_part(line, "rules", lb_report_rules(c, &text), &text);
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) {
        text = (lb_str){0};
        add_part(line, end[i], lb_report_end(c, end[i], &text), &text);
    }
}

/* Every option that a cell ran with, also the defaults: what was actually used; and what is its own. */
static lb_status add_each(items *s, const columns *of_cell, const columns *of_host) {
    const lb_results *r = of_cell->r;
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        if (c->state != LB_CELL_DONE) continue;
        lb_str line = {0};
        lb_str_add(&line, "%s: seed=%llu", c->label, (unsigned long long)c->seed);
        for (int64_t k = 0; k < c->options.n; k++)
            lb_str_add(&line, " %s=%s", c->options.at[k].key, c->options.at[k].value);
        if (c->propagate && c->propagate[0]) lb_str_add(&line, " propagate=%s", c->propagate);
        if (c->true_sequential) lb_str_add(&line, " true_sequential=true");
        add_rules(&line, c);
        add_own(&line, of_cell, i);
        add_own(&line, of_host, i);
        LB_TRY(add_line(s, &line));
    }
    return LB_OK;
}

static void list(const items *s, const char *title, lb_table_format f, lb_str *out) {
    if (!s->n) return;
    lb_markup_paragraph(out, f, title);
    lb_markup_list(out, f, s->at, s->n);
}

lb_status lb_report_provenance(const lb_report_view *v, lb_table_format f, lb_str *out) {
    items same = {.arena = v->arena}, differ = same, each = same;
    columns of_cell, of_host;
    LB_TRY(collect(v->arena, v->r, false, &of_cell));
    LB_TRY(collect(v->arena, v->r, true, &of_host));
    LB_TRY(add_keys(&same, &differ, &of_cell));
    LB_TRY(add_keys(&same, &differ, &of_host));
    LB_TRY(add_each(&each, &of_cell, &of_host));
    list(&same, "The same for all cells:", f, out);
    list(&differ, "Different between cells:", f, out);
    list(&each, "Each cell, with every option:", f, out);
    return lb_str_check(out);
}
