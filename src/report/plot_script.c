/* The files of a plot: script, data, pictures. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "report/plot.h"

static const char *const format[] = {"svg", "png", "pdf"};

static void script(const lb_plotter *w, lb_plot *p, lb_str *s) {
    lb_str_add(s, "# ");
    lb_markup_text(s, LB_TABLE_TERMINAL, p->title);
    lb_str_add(s,
               "\n# Data: %s.dat. To draw it again, here: gnuplot %s.gp. Once changed, this file is never overwritten."
               "\n# One format only: gnuplot -e \"formats='pdf'\" %s.gp\n\n",
               p->name, p->name, p->name);
    lb_str_add(s, "if (!exists('formats')) formats = 'svg png pdf'\nif (!exists('stem')) stem = '%s'\n", p->name);
    /* gnuplot's own format has room for a sign in front, which moves numbers off their tics. */
    lb_str_add(s, "data = '%s.dat'\nset encoding utf8\nset format '%%h'\ntitle = ", p->name);
    lb_plot_title(p, s);
    lb_str_add(s, "\n");
    lb_plot_looks(w, p, s);
    lb_str_add(s, "%s", p->setup.s ? p->setup.s : "");
    lb_str_add(s, "\ndo for [format in formats] {\n");
    lb_str_add(s,
               "    if (format eq 'svg') { set terminal svg noenhanced size %d,%d font 'sans-serif,13' background "
               "'white' }\n",
               p->width, p->height);
    lb_str_add(s,
               "    if (format eq 'png') { set terminal pngcairo noenhanced size %d,%d font 'Sans,10' fontscale 2 "
               "linewidth 2 pointscale 2 }\n",
               2 * p->width, 2 * p->height);
    lb_str_add(s,
               "    if (format eq 'pdf') { set terminal pdfcairo noenhanced size %.3fin,%.3fin font 'Sans,13' "
               "fontscale 0.75 linewidth 2 pointscale 1.2 }\n",
               p->width / 72.0, p->height / 72.0);
    lb_str_add(s, "    set output stem.'.'.format\n%s}\nunset output\n", p->draw.s ? p->draw.s : "");
}

static lb_status path_of(lb_arena *a, const char *dir, const char *stem, const char *ext, char **out) {
    *out = lb_arena_printf(a, "%s/%s.%s", dir, stem, ext);
    return *out ? LB_OK : LB_E_NOMEM;
}

static lb_status write_text(lb_arena *a, const char *dir, const char *stem, const char *ext, const lb_str *s) {
    char *path;
    LB_TRY(lb_str_check(s));
    LB_TRY(path_of(a, dir, stem, ext, &path));
    return lb_fs_write_atomic(path, s->s ? s->s : "", s->len);
}

/* ---- scripts that an author changed ---- */

static const char mark[] = "# lowbit wrote the lines above: SHA-256 ";

static lb_status sign(lb_str *s) {
    char hex[LB_HASH_HEX];
    LB_TRY(lb_str_check(s));
    LB_TRY(lb_hash_bytes(s->s, s->len, hex));
    lb_str_add(s, "%s%s\n", mark, hex);
    return lb_str_check(s);
}

/* A file that ends with the hash of all lines before. Links are not looked at. */
static lb_status is_ours(const char *path, bool *ours) {
    char *text = NULL, hex[LB_HASH_HEX];
    size_t n = 0;
    *ours = false;
    if (lb_fs_is_link(path) || lb_fs_read_most(path, LB_PLOT_SCRIPT_MOST, &text, &n) != LB_OK) return LB_OK;
    const char *last = NULL;
    for (const char *p = text; (p = strstr(p, mark)); p++) last = p;
    lb_status st = last ? lb_hash_bytes(text, (size_t)(last - text), hex) : LB_OK;
    if (last && st == LB_OK) {
        const char *rest = last + strlen(mark);
        *ours = strncmp(rest, hex, LB_HASH_HEX - 1) == 0 && strcmp(rest + LB_HASH_HEX - 1, "\n") == 0;
    }
    lb_free(text);
    return st;
}

/* NAME, or where somebody changed NAME.gp, NAME.new, NAME.new-2, ...: the first whose script is not there or is still
 * as it was written. Those after it have had their day. */
static lb_status script_stem(lb_plotter *w, const lb_plot *p, const char **out) {
    enum { MOST = 9 };
    *out = NULL;
    for (int i = 0; i < MOST; i++) {
        const char *stem = i == 0   ? p->name
                           : i == 1 ? lb_arena_printf(p->arena, "%s.new", p->name)
                                    : lb_arena_printf(p->arena, "%s.new-%d", p->name, i);
        char *path;
        bool ours;
        if (!stem) return LB_E_NOMEM;
        LB_TRY(path_of(p->arena, w->dir, stem, "gp", &path));
        if (!lb_fs_there(path)) {
            if (!*out) *out = stem;
            continue;
        }
        LB_TRY(is_ours(path, &ours));
        if (ours && *out)
            (void)unlink(path);
        else if (ours)
            *out = stem;
        else if (!*out)
            lb_str_add(&w->kept, "%s %s.gp", w->kept.len ? "," : "", stem);
    }
    return *out ? LB_OK : lb_fail(LB_E_IO, "%s/%s.new-%d.gp: no name is left for a script", w->dir, p->name, MOST - 1);
}

/* An edited script may be anybody's, so it is not run either. */
void lb_plot_end(lb_plotter *w) {
    if (w->kept.len && !w->kept.failed)
        lb_warn(w->log,
                "plot scripts that were changed, or are an earlier version's, are kept:%s (in %s); this report's stand "
                "beside them as NAME.new.gp and made the pictures",
                w->kept.s, w->dir);
    lb_str_free(&w->kept);
}

/* ---- pictures ---- */

/* The pictures appear under their names only when all are drawn; else none is left that shows other data. */
static lb_status draw(lb_plotter *w, const lb_plot *p, const char *script_name, bool *drawn) {
    char *stem = lb_arena_printf(p->arena, "%s.tmp.%ld", p->name, (long)getpid()), *from[3], *to[3];
    if (!stem) return LB_E_NOMEM;
    for (int i = 0; i < 3; i++) {
        LB_TRY(path_of(p->arena, w->dir, stem, format[i], &from[i]));
        LB_TRY(path_of(p->arena, w->dir, p->name, format[i], &to[i]));
        unlink(from[i]); /* gnuplot would write through a link */
        unlink(to[i]);
    }
    *drawn = false;
    if (w->no_gnuplot) return LB_OK;
    lb_status st = lb_gnuplot_run(w->dir, script_name, stem);
    for (int i = 0; st == LB_OK && i < 3; i++)
        if (rename(from[i], to[i]) != 0) st = lb_fail(LB_E_IO, "%s: gnuplot did not write it", to[i]);
    *drawn = st == LB_OK;
    for (int i = 0; st != LB_OK && i < 3; i++) {
        unlink(from[i]);
        unlink(to[i]);
    }
    if (st == LB_E_NOMEM || st == LB_E_INTERRUPTED) return st;
    w->no_gnuplot = st == LB_E_UNSUPPORTED;
    if (w->no_gnuplot)
        lb_warn(w->log, "no plots: %s; the scripts and data are in %s (apt-get install gnuplot-nox)", lb_error(),
                w->dir);
    else if (st != LB_OK)
        lb_warn(w->log, "plot %s: %s", p->name, lb_error());
    return LB_OK;
}

static lb_status remember(lb_plotter *w, const lb_plot *p, bool drawn) {
    lb_plot_list *l = w->list;
    if (l->n == w->cap) {
        int64_t cap = w->cap ? 2 * w->cap : 16;
        lb_plot_entry *at = LB_NEW(p->arena, lb_plot_entry, cap);
        if (!at) return LB_E_NOMEM;
        if (l->n) memcpy(at, l->at, (size_t)l->n * sizeof *at);
        l->at = at, w->cap = cap;
    }
    l->at[l->n++] = (lb_plot_entry){p->name, p->caption ? p->caption : p->title, drawn};
    return LB_OK;
}

/* Its own file, also where models or texts have names that look alike as those of files. */
static lb_status own_name(const lb_plotter *w, lb_plot *p) {
    const char *base = w->suffix ? lb_arena_printf(p->arena, "%s-%s", p->name, w->suffix) : p->name;
    p->name = base;
    for (int64_t i = 0, n = 2; p->name && i < w->list->n; i++)
        if (strcmp(w->list->at[i].name, p->name) == 0) {
            p->name = lb_arena_printf(p->arena, "%s-%lld", base, (long long)n++);
            i = -1;
        }
    return p->name ? LB_OK : LB_E_NOMEM;
}

static lb_status put_script(lb_plotter *w, lb_plot *p, const char **stem) {
    lb_str s = {0};
    script(w, p, &s);
    lb_status st = sign(&s);
    if (st == LB_OK) st = script_stem(w, p, stem);
    if (st == LB_OK) st = write_text(p->arena, w->dir, *stem, "gp", &s);
    lb_str_free(&s);
    return st;
}

lb_status lb_plot_finish(lb_plotter *w, lb_plot *p) {
    const char *stem;
    if (!lb_plot_wanted(w, p->name)) return LB_OK;
    LB_TRY(own_name(w, p));
    LB_TRY(lb_str_check(&p->setup));
    LB_TRY(lb_str_check(&p->draw));
    LB_TRY(put_script(w, p, &stem));
    LB_TRY(write_text(p->arena, w->dir, p->name, "dat", &p->dat));
    char *name = lb_arena_printf(p->arena, "%s.gp", stem);
    if (!name) return LB_E_NOMEM;
    bool drawn = false;
    LB_TRY(draw(w, p, name, &drawn));
    return remember(w, p, drawn);
}
