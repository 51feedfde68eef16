/* Where the numbers come from: what all cells share is said once, then what differs. */
#include <stdio.h>
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

static const char *value_of(const lb_results *r, int64_t i, bool host, const char *key) {
    return r->record[i].state == LB_CELL_DONE ? lb_report_pair(pairs_of(&r->record[i], host), key) : NULL;
}

/* How the values of a key are spread over the done cells. */
typedef struct spread {
    int64_t cells, have, values;
} spread;

static spread spread_of(const lb_results *r, bool host, const char *key) {
    spread s = {0};
    for (int64_t i = 0; i < r->n; i++) {
        s.cells += r->record[i].state == LB_CELL_DONE;
        const char *v = value_of(r, i, host, key);
        if (!v) continue;
        bool seen = false;
        for (int64_t k = 0; k < i && !seen; k++) {
            const char *o = value_of(r, k, host, key);
            seen = o && strcmp(o, v) == 0;
        }
        s.have++;
        s.values += !seen;
    }
    return s;
}

/* A date or a key of its own for each cell is said with that cell. */
static bool of_each_cell(spread s) { return s.values > 1 && s.values == s.have; }

/* Cells with this value, or (value NULL) without any; at most so many names. */
static void add_cells(lb_str *line, const lb_results *r, bool host, const char *key, const char *value, int64_t most) {
    int64_t n = 0;
    for (int64_t i = 0; i < r->n; i++) {
        if (r->record[i].state != LB_CELL_DONE) continue;
        const char *v = value_of(r, i, host, key);
        if (value ? !v || strcmp(v, value) != 0 : v != NULL) continue;
        if (n < most) lb_str_add(line, "%s%s", n ? "; " : "", r->record[i].label);
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

static bool seen_before(const lb_results *r, bool host, int64_t cell, const char *key, const char *value) {
    for (int64_t i = 0; i < cell; i++) {
        const char *v = value_of(r, i, host, key);
        if (v && (!value || strcmp(v, value) == 0)) return true;
    }
    return false;
}

/* One key: a line for all cells, or one for each of its values. */
static lb_status add_key(items *same, items *differ, const lb_results *r, bool host, const char *key) {
    enum { NAMES = 6 };
    spread k = spread_of(r, host, key);
    if (of_each_cell(k)) return LB_OK;
    for (int64_t i = 0; i < r->n; i++) {
        const char *v = value_of(r, i, host, key);
        if (!v || seen_before(r, host, i, key, v)) continue;
        lb_str line = {0};
        lb_str_add(&line, "%s: %s", key, v);
        if (k.values == 1 && k.have < k.cells) {
            bool few = 2 * k.have < k.cells;
            lb_str_add(&line, few ? " (only in " : " (not in ");
            add_cells(&line, r, host, key, few ? v : NULL, NAMES);
            lb_str_add(&line, ")");
        } else if (k.values > 1) {
            lb_str_add(&line, " (");
            add_cells(&line, r, host, key, v, NAMES);
            lb_str_add(&line, ")");
        }
        LB_TRY(add_line(k.values == 1 ? same : differ, &line));
    }
    return LB_OK;
}

static lb_status add_keys(items *same, items *differ, const lb_results *r, bool host) {
    for (int64_t i = 0; i < r->n; i++) {
        if (r->record[i].state != LB_CELL_DONE) continue;
        const lb_pairs *p = pairs_of(&r->record[i], host);
        for (int64_t k = 0; k < p->n; k++)
            if (!seen_before(r, host, i, p->at[k].key, NULL)) LB_TRY(add_key(same, differ, r, host, p->at[k].key));
    }
    return LB_OK;
}

static void add_own(lb_str *line, const lb_results *r, const lb_record *c, bool host) {
    const lb_pairs *p = pairs_of(c, host);
    for (int64_t k = 0; k < p->n; k++) {
        if (!of_each_cell(spread_of(r, host, p->at[k].key))) continue;
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
static lb_status add_each(items *s, const lb_results *r) {
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
        add_own(&line, r, c, false);
        add_own(&line, r, c, true);
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
    LB_TRY(add_keys(&same, &differ, v->r, false));
    LB_TRY(add_keys(&same, &differ, v->r, true));
    LB_TRY(add_each(&each, v->r));
    list(&same, "The same for all cells:", f, out);
    list(&differ, "Different between cells:", f, out);
    list(&each, "Each cell, with every option:", f, out);
    return lb_str_check(out);
}
