/* <dir>/cells.csv and everything under <dir>/report/. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "report/parts.h"
#include "report/plot.h"

typedef struct writer {
    const lb_report_view *v;
    const char *dir; /* of the results */
} writer;

static lb_status put(const writer *w, const char *leaf, lb_str *s, lb_status made) {
    lb_status st = made;
    if (st == LB_OK) st = lb_str_check(s);
    char *path = st == LB_OK ? lb_fs_join(w->dir, leaf) : NULL;
    if (st == LB_OK && !path) st = LB_E_NOMEM;
    if (st == LB_OK) st = lb_fs_write_atomic(path, s->s ? s->s : "", s->len);
    lb_free(path);
    lb_str_free(s);
    return st;
}

static const struct {
    lb_table_format f;
    const char *ext;
} file[] = {{LB_TABLE_MARKDOWN, "md"}, {LB_TABLE_CSV, "csv"}, {LB_TABLE_LATEX, "tex"}};

static lb_status leaf_of(const writer *w, const char *name, const char *ext, char **out) {
    *out = lb_arena_printf(w->v->arena, "report/tables/%s.%s", name, ext);
    return *out ? LB_OK : LB_E_NOMEM;
}

static lb_status layer_tables(const writer *w) {
    bool apart = lb_report_layers_apart(w->v->r);
    for (int64_t i = 0; i < w->v->r->n; i++) {
        const lb_record *c = &w->v->r->record[i];
        if (!lb_report_has_layers(c)) continue;
        LB_TRY(lb_interrupt_check());
        char *raw = lb_arena_printf(w->v->arena, "layers-%s", c->stem), *leaf;
        char *name = raw ? lb_report_slug(w->v->arena, raw) : NULL;
        if (!name) return LB_E_NOMEM;
        for (size_t k = 0; k < sizeof file / sizeof file[0]; k++) {
            lb_str s = {0};
            LB_TRY(leaf_of(w, name, file[k].ext, &leaf));
            lb_status made = lb_report_layers(w->v->arena, c, c->label, true, file[k].f, &s);
            LB_TRY(put(w, leaf, &s, made));
        }
        if (apart) {
            lb_str s = {0};
            LB_TRY(leaf_of(w, name, "html", &leaf));
            lb_status made = lb_report_layers_page(w->v, c, &s);
            LB_TRY(put(w, leaf, &s, made));
        }
    }
    return LB_OK;
}

/* Unless it is empty. */
static lb_status put_some(const writer *w, const char *name, const char *ext, lb_str *s, lb_status made) {
    char *leaf;
    lb_status st = leaf_of(w, name, ext, &leaf);
    bool empty = made == LB_OK && !s->failed && !s->len;
    if (st == LB_OK && !empty) return put(w, leaf, s, made);
    lb_str_free(s);
    return st;
}

/* What is expected, and what is published. */
static lb_status expected_tables(const writer *w, const char *expected_csv, lb_table_format f, const char *ext) {
    const lb_results *r = w->v->r;
    int64_t outside;
    lb_str s = {0};
    lb_status made = lb_report_expected_table(r, expected_csv, f, &s, &outside);
    LB_TRY(put_some(w, "expected", ext, &s, made));
    s = (lb_str){0};
    made = lb_report_published_table(r, expected_csv, w->v->options, f, &s, &outside);
    LB_TRY(put_some(w, "published", ext, &s, made));
    s = (lb_str){0};
    const lb_report_options *o = w->v->options;
    bool asked = f == LB_TABLE_LATEX && (o->siunitx || o->latex != LB_LATEX_FLOAT); /* else it may be long */
    made = lb_report_literature_table(r, expected_csv, o, f, asked, &s);
    return put_some(w, "literature", ext, &s, made);
}

static lb_status tables(const writer *w, const char *expected_csv) {
    lb_str bare = {0};
    lb_status tabular = lb_report_paper_tables(w->v, LB_LATEX_TABULAR, &bare);
    LB_TRY(put(w, "report/tables/main.tabular.tex", &bare, tabular));
    for (size_t k = 0; k < sizeof file / sizeof file[0]; k++) {
        lb_table_format f = file[k].f;
        char *leaf;
        lb_str s = {0};
        LB_TRY(leaf_of(w, "main", file[k].ext, &leaf));
        lb_status made = f == LB_TABLE_LATEX ? lb_report_paper_tables(w->v, w->v->options->latex, &s)
                                             : lb_report_main_tables(w->v, f, &s);
        if (made == LB_OK && f == LB_TABLE_MARKDOWN) made = lb_report_absent_list(w->v, f, &s);
        if (made == LB_OK && f == LB_TABLE_MARKDOWN) made = lb_report_notes(w->v, f, &s);
        LB_TRY(put(w, leaf, &s, made));
        s = (lb_str){0};
        LB_TRY(leaf_of(w, "sizes", file[k].ext, &leaf));
        made = lb_report_sizes(w->v, f, &s);
        LB_TRY(put(w, leaf, &s, made));
        if (expected_csv) LB_TRY(expected_tables(w, expected_csv, f, file[k].ext));
    }
    return layer_tables(w);
}

static lb_status pages(const writer *w, const lb_plot_list *plots, const char *expected_csv) {
    static const struct {
        lb_table_format f;
        const char *leaf;
    } page[] = {{LB_TABLE_HTML, "report/index.html"},
                {LB_TABLE_MARKDOWN, "report/report.md"},
                {LB_TABLE_LATEX, "report/body.tex"}};
    for (size_t k = 0; k < sizeof page / sizeof page[0]; k++) {
        lb_str s = {0};
        lb_status made = lb_report_page(w->v, plots, expected_csv, page[k].f, &s);
        LB_TRY(put(w, page[k].leaf, &s, made));
    }
    return LB_OK;
}

/* The expected values stay with the results, so that the report can be made again without the experiment's folder. */
static lb_status keep_expected(const writer *w, const char *expected_csv) {
    char *copy = lb_fs_join(w->dir, "expected.csv"), *text = NULL;
    size_t n = 0;
    if (!copy) return LB_E_NOMEM;
    lb_status st = LB_OK;
    if (strcmp(copy, expected_csv) != 0) {
        st = lb_fs_read(expected_csv, &text, &n);
        if (st == LB_OK) st = lb_fs_write_atomic(copy, text, n);
    }
    lb_free(text);
    lb_free(copy);
    return st;
}

/* ---- what killed ones left ---- */

static bool is_left(const char *name, const char *end, const char *const *made) {
    size_t n;
    const char *pid = lb_fs_tmp_pid(name, end, made, &n);
    return pid && lb_fs_dead(pid, n);
}

/* index.html.tmp.PID, main.csv.tmp.PID */
static bool is_left_file(const char *name, bool folder) {
    static const char *const made[] = {".html", ".md", ".tex", ".csv", ".gp", ".dat", NULL};
    return !folder && is_left(name, "", made);
}

/* What gnuplot was drawing: perplexity.tmp.PID.svg; of earlier versions perplexity.tmp.svg. */
static bool is_left_picture(const char *name, bool folder) {
    static const char *const end[] = {".svg", ".png", ".pdf", "-latex.tex", "-latex.pdf", "-tikz.tex"},
                             *const earlier[] = {".tmp.svg", ".tmp.png", ".tmp.pdf"};
    if (folder) return false;
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++)
        if (is_left(name, end[i], NULL)) return true;
    for (size_t i = 0; i < sizeof earlier / sizeof earlier[0]; i++)
        if (lb_str_ends(name, earlier[i])) return true;
    return is_left_file(name, folder);
}

/* A page of layers is made anew where index.html has no room for them. */
static bool is_table_or_left(const char *name, bool folder) {
    bool page = strncmp(name, "layers-", 7) == 0 && lb_str_ends(name, ".html");
    return (!folder && page) || is_left_file(name, folder);
}

/* The results folder is a run's own, but for the tables that a report writes there. */
static bool is_left_table(const char *name, bool folder) {
    static const char *const made[] = {"cells.csv", "expected.csv", NULL};
    return !folder && is_left(name, "", made);
}

/* One report at a time writes into a folder: that of a run and one by hand would take each other's pictures away. *fd
 * is to be closed, unless it is negative. A file system without locks is no hindrance. */
static lb_status take_turn(const char *report_dir, int *fd) {
    *fd = open(report_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*fd < 0) return lb_fail(LB_E_IO, "%s: cannot open: %s", report_dir, strerror(errno));
    while (flock(*fd, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
        const struct timespec moment = {0, 50 * 1000 * 1000};
        LB_TRY(lb_interrupt_check());
        nanosleep(&moment, NULL);
    }
    return LB_OK;
}

static lb_status write_all(const writer *w, const char *report_dir, const char *expected_csv, lb_log *log) {
    char *results_dir = lb_arena_printf(w->v->arena, "%s/.", w->dir); /* it may be a link itself */
    char *tables_dir = lb_arena_printf(w->v->arena, "%s/report/tables", w->dir);
    char *plots_dir = lb_arena_printf(w->v->arena, "%s/report/plots", w->dir);
    if (!results_dir || !tables_dir || !plots_dir) return LB_E_NOMEM;
    LB_TRY(lb_fs_own_folder(tables_dir));
    LB_TRY(lb_fs_own_folder(plots_dir));
    lb_fs_remove_ours(results_dir, is_left_table);
    lb_fs_remove_ours(report_dir, is_left_file);
    lb_fs_remove_ours(tables_dir, is_table_or_left);
    lb_fs_remove_ours(plots_dir, is_left_picture);
    if (expected_csv) LB_TRY(keep_expected(w, expected_csv));
    lb_str s = {0};
    lb_status made = lb_report_cells_csv(w->v->r, &s);
    LB_TRY(put(w, "cells.csv", &s, made));
    LB_TRY(tables(w, expected_csv));
    lb_plot_list plots;
    LB_TRY(lb_plot_all(w->v, plots_dir, log, &plots));
    return pages(w, &plots, expected_csv);
}

static lb_status write_in_turn(const writer *w, const char *expected_csv, lb_log *log) {
    char *report_dir = lb_arena_printf(w->v->arena, "%s/report", w->dir);
    int fd = -1;
    if (!report_dir) return LB_E_NOMEM;
    LB_TRY(lb_fs_own_folder(report_dir));
    lb_status st = take_turn(report_dir, &fd);
    if (st == LB_OK) st = write_all(w, report_dir, expected_csv, log);
    if (fd >= 0) close(fd);
    return st;
}

lb_status lb_report_write(const lb_results *r, const lb_report_options *o, const char *expected_csv, lb_log *log) {
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_report_view v;
    lb_status st = lb_report_view_make(a, r, o, &v);
    writer w = {&v, r->dir};
    if (st == LB_OK) st = write_in_turn(&w, expected_csv, log);
    lb_arena_free(a);
    return st;
}
