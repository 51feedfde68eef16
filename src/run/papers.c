#include "run/papers.h"

#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "io/csv.h"
#include "quant/method.h"
#include "run/share.h"
#include "run/sources.h"

static const char place_of_lists[] = "data/papers";

static lb_status find_lists(lb_arena *a, const char **dir) {
    LB_TRY(lb_share_find(a, place_of_lists, dir));
    if (!*dir && lb_fs_is_dir(place_of_lists)) *dir = place_of_lists;
    return LB_OK;
}

lb_status lb_papers_open(lb_arena *a, lb_papers *out) {
    const char *dir;
    LB_TRY(find_lists(a, &dir));
    if (dir) return lb_papers_read(a, dir, out);
    return lb_fail(LB_E_ARG, "%s: neither here nor with the program: published numbers are not installed",
                   place_of_lists);
}

lb_status lb_papers_find(lb_arena *a, const lb_papers **out) {
    const char *dir;
    lb_papers *p = LB_NEW(a, lb_papers, 1);
    *out = NULL;
    if (!p) return LB_E_NOMEM;
    LB_TRY(find_lists(a, &dir));
    if (!dir) return LB_OK;
    *out = p;
    return lb_papers_read(a, dir, p);
}

/* ---- experiments that have a row ---- */

typedef struct experiment {
    const char *dir;
    lb_csv csv;
    int method, options, protocol, expected, source, place;
} experiment;

typedef struct experiments {
    experiment *at;
    size_t n;
} experiments;

static lb_status read_experiment(lb_arena *a, const char *dir, const char *name, experiments *out) {
    const char *path = lb_arena_printf(a, "%s/%s/expected.csv", dir, name);
    if (!path) return LB_E_NOMEM;
    if (!lb_fs_exists(path)) return LB_OK;
    experiment e = {.dir = name};
    lb_status st = lb_csv_read(a, path, &e.csv);
    if (st != LB_OK) return st == LB_E_NOMEM ? st : LB_OK; /* it may be under way: `lowbit papers ... >expected.csv` */
    e.method = lb_csv_column(&e.csv, "method");
    e.options = lb_csv_column(&e.csv, "options");
    e.protocol = lb_csv_column(&e.csv, "protocol");
    e.expected = lb_csv_column(&e.csv, "expected");
    e.source = lb_csv_column(&e.csv, "source");
    e.place = lb_csv_column(&e.csv, "place");
    bool whole = e.method >= 0 && e.options >= 0 && e.protocol >= 0 && e.expected >= 0 && e.source >= 0 && e.place >= 0;
    if (whole) out->at[out->n++] = e; /* others compare with no paper's table */
    return LB_OK;
}

static lb_status read_experiments(lb_arena *a, experiments *out) {
    static const char place[] = "experiments";
    const char *dir;
    char **name;
    size_t n;
    *out = (experiments){0};
    LB_TRY(lb_share_find(a, place, &dir));
    if (!dir) dir = place;
    if (!lb_fs_is_dir(dir)) return LB_OK;
    LB_TRY(lb_fs_list(dir, "", &name, &n));
    out->at = LB_NEW(a, experiment, n + 1);
    lb_status st = out->at ? LB_OK : LB_E_NOMEM;
    for (size_t i = 0; i < n && st == LB_OK; i++) {
        const char *kept = lb_arena_strdup(a, name[i]);
        st = kept ? read_experiment(a, dir, kept, out) : LB_E_NOMEM;
    }
    lb_fs_list_free(name, n);
    return st;
}

/* "GPTQ (arXiv:2210.17323)", as the column `source` of a list of expected values has it. */
static const char *source_text(lb_arena *a, const lb_published *x) {
    return lb_arena_printf(a, "%s (%s)", x->paper, x->source);
}

static const char *find_experiment(const experiments *all, const lb_papers_row *r, const char *source) {
    for (size_t i = 0; i < all->n; i++) {
        const experiment *e = &all->at[i];
        for (size_t k = 0; k < e->csv.rows; k++) {
            char **field = e->csv.row[k];
            if (strcmp(field[e->expected], r->x->text) == 0 && strcmp(field[e->place], r->x->table) == 0 &&
                strcmp(field[e->options], r->cell.options) == 0 && strcmp(field[e->method], r->cell.method) == 0 &&
                strcmp(field[e->protocol], r->cell.protocol) == 0 && strcmp(field[e->source], source) == 0)
                return e->dir;
        }
    }
    return "";
}

/* ---- what of a row can be run ---- */

static bool calibrates(lb_arena *a, const char *method) {
    char *rest = lb_arena_strdup(a, method), *one;
    bool any = false;
    while (rest && (one = strsep(&rest, "+"))) {
        const lb_method *m = lb_method_find(one);
        any = any || (m && (m->needs & LB_NEEDS_CALIBRATION));
    }
    return any;
}

/* *text NULL: the method takes no notice of one. */
static lb_status find_calibration(lb_arena *a, lb_papers_row *r, const char **text) {
    *text = r->calibration = NULL;
    if (!r->cell.entry || !calibrates(a, r->cell.method)) return LB_OK;
    const lb_published_draw *d = lb_published_draw_of(r->x);
    *text = d->text;
    r->calibration =
        lb_arena_printf(a, "text: %s, recipe: %s, samples: %d, length: %d", d->text, d->recipe, d->samples, d->length);
    return r->calibration ? LB_OK : LB_E_NOMEM;
}

/* Appends the name if the source has to be fetched; *why: there is no source of that name. */
static lb_status look_for(lb_arena *a, const lb_sources *s, const char *name, lb_source_kind kind, lb_str *fetch,
                          const char **why) {
    lb_resolved r;
    if (!lb_sources_find(s, name)) {
        *why = lb_arena_printf(a, "no source is called %s", name);
        return *why ? LB_OK : LB_E_NOMEM;
    }
    LB_TRY(lb_sources_resolve(a, s, ".", name, kind, "configs/sources.yaml", &r));
    if (r.missing) lb_str_add(fetch, " %s", name);
    return LB_OK;
}

static lb_status judge_files(lb_arena *a, const lb_sources *s, lb_papers_row *r, lb_str *fetch, const char **why) {
    if (!r->x->model->source[0]) {
        *why = lb_arena_printf(a, "no source has %s", r->x->model->name);
        return *why ? LB_OK : LB_E_NOMEM;
    }
    LB_TRY(look_for(a, s, r->cell.model, LB_SOURCE_MODEL, fetch, why));
    if (*why) return LB_OK;
    LB_TRY(look_for(a, s, r->cell.evaluation, LB_SOURCE_TEXT, fetch, why));
    const char *calibration;
    LB_TRY(find_calibration(a, r, &calibration));
    if (calibration && !*why) LB_TRY(look_for(a, s, calibration, LB_SOURCE_TEXT, fetch, why));
    return lb_str_check(fetch);
}

static lb_status judge(lb_arena *a, const lb_sources *s, lb_papers_row *r) {
    lb_str fetch = {0};
    const char *why = r->cell.why;
    lb_status st = why ? LB_OK : judge_files(a, s, r, &fetch, &why);
    r->runs = !why;
    if (st == LB_OK)
        r->runs_how = why         ? lb_arena_printf(a, "no: %s", why)
                      : fetch.len ? lb_arena_printf(a, "fetch%s first", fetch.s)
                                  : "yes";
    lb_str_free(&fetch);
    LB_TRY(st);
    return r->runs_how ? LB_OK : LB_E_NOMEM;
}

/* A name as a shell takes it. */
static void word(lb_str *out, const char *option, const char *text) {
    bool plain =
        text[0] && !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+%:/")];
    lb_str_add(out, plain ? "%s%s" : "%s'%s'", option, text);
}

static lb_status find_command(lb_arena *a, const experiments *all, lb_papers_row *r) {
    lb_str s = {0};
    const char *source = source_text(a, r->x);
    r->command = "";
    if (!source) return LB_E_NOMEM;
    r->experiment = find_experiment(all, r, source);
    if (!r->runs) return LB_OK;
    if (r->experiment[0]) {
        lb_str_add(&s, "lowbit run experiments/%s/config.yaml -o model=%s", r->experiment, r->cell.model);
    } else {
        word(&s, "lowbit papers ", r->x->model->name);
        word(&s, " --paper ", r->x->paper);
        word(&s, " --table ", r->x->table);
        word(&s, " --protocol ", r->x->protocol);
        lb_str_add(&s, " --format config >papers.yaml && lowbit run papers.yaml");
    }
    lb_status st = lb_str_check(&s);
    if (st == LB_OK && !(r->command = lb_arena_strdup(a, s.s))) st = LB_E_NOMEM;
    lb_str_free(&s);
    return st;
}

/* ---- which rows ---- */

/* In letters of any case: a copy in small ones on both sides. */
static bool fits(lb_arena *a, const char *pattern, const char *name) {
    char *p = lb_arena_strdup(a, pattern), *n = lb_arena_strdup(a, name);
    if (!p || !n) return false;
    for (char *c = p; *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
    for (char *c = n; *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
    return lb_str_glob(p, n);
}

enum { OF_MODEL, OF_METHOD, OF_PAPER, OF_TABLE, OF_PROTOCOL, NAMES };
static const char *const name_of[NAMES] = {"model", "method", "paper", "table", "protocol"};

typedef struct wanted {
    const char *pattern[NAMES];
} wanted;

/* The names that a row answers to; the second may be NULL. */
static void names(const lb_papers_row *r, int what, const char **first, const char **second) {
    const lb_published *x = r->x;
    const char *const own[NAMES] = {x->model->name, x->method_name, x->paper, x->table, x->protocol};
    *first = own[what];
    *second = what == OF_MODEL      ? (x->model->source[0] ? x->model->source : NULL)
              : what == OF_METHOD   ? r->cell.method
              : what == OF_PROTOCOL ? r->cell.protocol
                                    : NULL;
}

static bool answers(lb_arena *a, const lb_papers_row *r, int what, const char *pattern) {
    const char *first, *second;
    names(r, what, &first, &second);
    return fits(a, pattern, first) || (second && fits(a, pattern, second));
}

static lb_status unknown(lb_arena *a, const lb_papers_row *row, size_t n, int what, const char *pattern) {
    const char **known = LB_NEW(a, const char *, 2 * n + 1), *second;
    size_t k = 0;
    if (!known) return LB_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        names(&row[i], what, &known[k++], &second);
        if (second) known[k++] = second;
    }
    const char *near = lb_str_nearest(pattern, known, k), *slash = strrchr(pattern, '/'), *as = NULL;
    char *begins = lb_arena_printf(a, "%s*", pattern);
    if (!begins) return LB_E_NOMEM;
    for (size_t i = 0; i < k && !near && !as; i++) {
        if (slash && fits(a, slash + 1, known[i])) as = known[i]; /* facebook/opt-125m, a path */
        if (pattern[0] && fits(a, begins, known[i])) as = begins;
    }
    if (!near) near = as;
    return near ? lb_fail(LB_E_ARG, "%s '%s': no published number has it: did you mean '%s'?", name_of[what], pattern,
                          near)
                : lb_fail(LB_E_ARG, "%s '%s': no published number has it", name_of[what], pattern);
}

static lb_status check_names(lb_arena *a, const lb_papers_row *row, size_t n, const wanted *w) {
    for (int what = 0; what < NAMES; what++) {
        bool any = !w->pattern[what];
        lb_arena_mark mark = lb_arena_save(a);
        for (size_t i = 0; i < n && !any; i++) any = answers(a, &row[i], what, w->pattern[what]);
        lb_arena_restore(a, mark);
        if (!any) return unknown(a, row, n, what, w->pattern[what]);
    }
    return LB_OK;
}

/* Each of the names is known, and no row has all of them: which names of the next kind go with the first. */
static lb_status nowhere_together(lb_arena *a, const lb_papers_row *row, size_t n, const wanted *w) {
    enum { MOST = 24 };
    int of = -1, other = -1;
    size_t some = 0;
    lb_str all = {0}, there = {0};
    const char *seen[MOST];
    for (int what = 0; what < NAMES; what++) {
        if (!w->pattern[what]) continue;
        lb_str_add(&all, "%s%s '%s'", all.len ? ", " : "", name_of[what], w->pattern[what]);
        if (of < 0)
            of = what;
        else if (other < 0)
            other = what;
    }
    for (size_t i = 0; i < n && some < MOST && other >= 0; i++) {
        const char *name, *second;
        bool before = !answers(a, &row[i], of, w->pattern[of]);
        names(&row[i], other, &name, &second);
        for (size_t k = 0; k < some && !before; k++) before = strcmp(seen[k], name) == 0;
        if (before) continue;
        lb_str_add(&there, "%s%s", some ? ", " : "", name);
        seen[some++] = name;
    }
    lb_status st = lb_str_check(&all);
    if (st == LB_OK) st = lb_str_check(&there);
    if (st == LB_OK)
        st = lb_fail(LB_E_ARG, "no published number has all of %s: of %s '%s' there is %s%s", all.s, name_of[of],
                     w->pattern[of], there.s, some == MOST ? ", ..." : "");
    lb_str_free(&all);
    lb_str_free(&there);
    return st;
}

lb_status lb_papers_none_runs(const lb_papers_row *row, size_t n) {
    static const char no[] = "no: ";
    const char *how = row[0].runs_how;
    return lb_fail(LB_E_ARG, "none of these %zu published numbers can be run here: the first: %s", n,
                   strncmp(how, no, strlen(no)) == 0 ? how + strlen(no) : how);
}

static bool is_wanted(lb_arena *a, const lb_papers_row *r, const wanted *w) {
    bool yes = true;
    lb_arena_mark mark = lb_arena_save(a);
    for (int what = 0; what < NAMES && yes; what++) yes = !w->pattern[what] || answers(a, r, what, w->pattern[what]);
    lb_arena_restore(a, mark);
    return yes;
}

lb_status lb_papers_choose(lb_arena *a, const lb_papers *p, const lb_papers_wish *w, lb_papers_row **out, size_t *n) {
    const wanted names_wanted = {{w->model, w->method, w->paper, w->table, w->protocol}};
    lb_sources sources;
    experiments all;
    lb_papers_row *row = LB_NEW(a, lb_papers_row, p->rows + 1);
    if (!row) return LB_E_NOMEM;
    LB_TRY(lb_sources_open(a, ".", &sources));
    LB_TRY(read_experiments(a, &all));
    for (size_t i = 0; i < p->rows; i++) {
        row[i].x = &p->row[i];
        LB_TRY(lb_published_cell_of(a, row[i].x, &row[i].cell));
    }
    LB_TRY(check_names(a, row, p->rows, &names_wanted));
    size_t kept = 0, asked = 0;
    lb_papers_row first = {0};
    for (size_t i = 0; i < p->rows; i++) {
        if (!is_wanted(a, &row[i], &names_wanted)) continue;
        lb_papers_row r = row[i];
        LB_TRY(judge(a, &sources, &r));
        if (!asked++) first = r;
        if (w->runnable && !r.runs) continue;
        LB_TRY(find_command(a, &all, &r));
        row[kept++] = r;
    }
    if (!asked) return nowhere_together(a, row, p->rows, &names_wanted);
    if (!kept) return lb_papers_none_runs(&first, asked);
    *out = row, *n = kept;
    return LB_OK;
}
