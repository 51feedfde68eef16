/* The files of a plot: script, data, pictures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "report/plot.h"

static const char *const usual_name[] = {"svg", "png", "pdf"};
static const char *const tex_name[] = {"latex", "tikz"};

static void terminals(const lb_plot_options *o, const lb_plot_frame *f, bool tex, lb_str *s) {
    double w = f->width, h = f->height, k = f->scale;
    if (tex) {
        /* Both set texts in the document's font; cairolatex has no size for it of its own. */
        char letters[80];
        snprintf(letters, sizeof letters, "\\fontsize{%.4g}{%.4g}\\selectfont", LB_PLOT_FONT * k,
                 1.2 * LB_PLOT_FONT * k);
        lb_str_add(s,
                   "    if (format eq 'latex') { set terminal cairolatex pdf colortext size %.3fin,%.3fin font ',%.4g' "
                   "header '%s' "
                   "linewidth %.4g }\n"
                   "    if (format eq 'tikz') { set terminal tikz size %.3fin,%.3fin font '%s' linewidth %.4g "
                   "pointscale 2 }\n",
                   w / 72, h / 72, LB_PLOT_FONT * k, letters, 1.5 * k, w / 72, h / 72, letters, 1.5 * k);
        return;
    }
    lb_str_add(
        s, "    if (format eq 'svg') { set terminal svg noenhanced size %.0f,%.0f font '%s,%.4g' background 'white'", w,
        h, o->font ? o->font : "sans-serif", LB_PLOT_FONT * k);
    if (k != 1) lb_str_add(s, " linewidth %.4g", k);
    lb_str_add(
        s,
        " }\n    if (format eq 'png') { set terminal pngcairo noenhanced size %.0f,%.0f font '%s,%.4g' fontscale 2 "
        "linewidth %.4g pointscale 2 }\n",
        2 * w, 2 * h, o->font ? o->font : "Sans", 10 * k, 2 * k);
    lb_str_add(s,
               "    if (format eq 'pdf') { set terminal pdfcairo noenhanced size %.3fin,%.3fin font '%s,%.4g' "
               "fontscale 0.75 linewidth %.4g pointscale 1.2 }\n",
               w / 72, h / 72, o->font ? o->font : "Sans", LB_PLOT_FONT * k, 2 * k);
}

/* ---- the script ---- */

/* One of the texts, from its first quote on; returns what is behind it. */
static const char *add_text(lb_str *out, const char *p, bool tex, bool tic) {
    lb_str text = {0}, quoted = {0};
    for (p++; *p && (*p != '\'' || p[1] == '\''); p++) {
        lb_str_add_bytes(&text, p, 1);
        if (*p == '\'') p++;
    }
    lb_plot_quote_as(&quoted, text.s ? text.s : "", tex ? LB_TABLE_LATEX : LB_TABLE_TERMINAL);
    for (const char *q = quoted.s ? quoted.s : ""; *q; q++)
        lb_str_add_bytes(out, tic && *q == '%' ? "%%" : q, tic && *q == '%' ? 2 : 1);
    out->failed = out->failed || text.failed || quoted.failed;
    lb_str_free(&quoted);
    lb_str_free(&text);
    return p + (*p == '\'');
}

/* Commands, and the texts and entries of the legend in them as the terminal takes them. */
static void add_commands(const lb_plot *plot, lb_str *out, const lb_str *from, bool tex) {
    static const char marks[] = {LB_PLOT_TEXT, LB_PLOT_TIC, LB_PLOT_ENTRY, 0};
    for (const char *p = from->s ? from->s : ""; *p;) {
        size_t n = strcspn(p, marks);
        lb_str_add_bytes(out, p, n);
        p += n;
        if (*p == LB_PLOT_TEXT || *p == LB_PLOT_TIC) p = add_text(out, p + 1, tex, *p == LB_PLOT_TIC);
        if (*p != LB_PLOT_ENTRY) continue;
        char *end;
        long at = strtol(p + 1, &end, 10);
        lb_plot_quote_as(out, plot->entry[at], tex ? LB_TABLE_LATEX : LB_TABLE_TERMINAL);
        p = end + 1;
    }
}

static void settings(const lb_plotter *w, const lb_plot *p, const lb_plot_frame *f, bool tex, lb_str *s) {
    add_commands(p, s, &p->setup, tex);
    if (p->legend && f->narrow)
        lb_str_add(
            s,
            "set bmargin at screen %.4f\nset key at screen 0.5, screen %.4f center bottom horizontal Left reverse "
            "samplen 2 maxcols %d\n",
            f->scale * (LB_PLOT_LEGEND_LINE * f->lines + LB_PLOT_BELOW_AXES) / f->height, 4 * f->scale / f->height,
            f->columns);
    else if (p->legend)
        lb_str_add(s, "set key outside right top Left reverse samplen 3.2\n");
    if (w->o->extra) lb_str_add(s, "# style.gp\n%s%s", w->o->extra, lb_str_ends(w->o->extra, "\n") ? "" : "\n");
}

static void format_list(unsigned formats, bool tex, lb_str *s) {
    for (int i = tex ? 3 : 0, n = 0; i < (tex ? 5 : 3); i++)
        if (formats & 1u << i) lb_str_add(s, "%s%s", n++ ? " " : "", tex ? tex_name[i - 3] : usual_name[i]);
}

static void script(const lb_plotter *w, const lb_plot *p, const lb_plot_frame *f, bool tex, const char *name,
                   lb_str *s) {
    lb_str title = {0};
    lb_str_add(s, "# ");
    lb_markup_text(s, LB_TABLE_TERMINAL, p->title);
    lb_str_add(s,
               "\n# Data: %s.dat. To draw it again, here: gnuplot %s.gp. Once changed, this file is never overwritten."
               "\n# One format only: gnuplot -e \"formats='%s'\" %s.gp\n\nif (!exists('formats')) formats = '",
               p->name, name, tex ? tex_name[0] : "pdf", name);
    format_list(w->o->formats, tex, s);
    lb_str_add(s, "'\nif (!exists('stem')) stem = '%s'\n", p->name);
    /* gnuplot's own format has room for a sign in front, which moves numbers off their tics. */
    lb_str_add(s, "data = '%s.dat'\nset encoding utf8\nset format '%%h'\ntitle = ", p->name);
    lb_plot_title(w, p, &title);
    add_commands(p, s, &title, tex);
    lb_str_add(s, "\n");
    lb_plot_looks(w, p, f->scale, s);
    if (!p->each) settings(w, p, f, tex, s);
    lb_str_add(s, "\ndo for [format in formats] {\n");
    terminals(w->o, f, tex, s);
    /* A line of a legend is as high as frames have it: SVG takes 1.5 times the font's size for one, others 1.17. */
    double line = f->narrow || p->whole ? LB_PLOT_LEGEND_LINE : LB_PLOT_SIDE_LINE;
    if (p->legend || p->beside)
        lb_str_add(s, "    set key spacing (format eq 'svg' ? %.3g : %.3g)\n", line / (1.5 * LB_PLOT_FONT),
                   line / (1.17 * LB_PLOT_FONT));
    lb_str_add(s, tex ? "    set output stem.'-'.format.'.tex'\n" : "    set output stem.'.'.format\n");
    if (p->each) settings(w, p, f, tex, s);
    add_commands(p, s, &p->draw, tex);
    lb_str_add(s, "}\nunset output\n");
    s->failed = s->failed || title.failed;
    lb_str_free(&title);
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
lb_status lb_plot_is_ours(const char *path, bool *ours) {
    char *text = NULL, hex[LB_HASH_HEX];
    size_t n = 0;
    *ours = false;
    if (lb_fs_is_link(path)) return LB_OK;
    lb_status st = lb_fs_read_most(path, LB_PLOT_SCRIPT_MOST, &text, &n);
    if (st != LB_OK) return st == LB_E_NOMEM || st == LB_E_INTERRUPTED ? st : LB_OK;
    const char *last = NULL;
    for (const char *p = text; (p = strstr(p, mark)); p++) last = p;
    if (last) st = lb_hash_bytes(text, (size_t)(last - text), hex);
    if (last && st == LB_OK) {
        const char *rest = last + strlen(mark);
        *ours = strncmp(rest, hex, LB_HASH_HEX - 1) == 0 && strcmp(rest + LB_HASH_HEX - 1, "\n") == 0;
    }
    lb_free(text);
    return st;
}

/* NAME, or where somebody changed NAME.gp, NAME.new, NAME.new-2, ...: the first whose script is not there or is still
 * as it was written. Those after it have had their day. */
static lb_status script_stem(lb_plotter *w, const lb_plot *p, const char *name, const char **out) {
    enum { MOST = 9 };
    *out = NULL;
    for (int i = 0; i < MOST; i++) {
        const char *stem = i == 0   ? name
                           : i == 1 ? lb_arena_printf(p->arena, "%s.new", name)
                                    : lb_arena_printf(p->arena, "%s.new-%d", name, i);
        char *path;
        bool ours;
        if (!stem) return LB_E_NOMEM;
        LB_TRY(path_of(p->arena, w->dir, stem, "gp", &path));
        if (!lb_fs_there(path)) {
            if (!*out) *out = stem;
            continue;
        }
        LB_TRY(lb_plot_is_ours(path, &ours));
        if (ours && *out)
            (void)unlink(path);
        else if (ours)
            *out = stem;
        else if (!*out)
            lb_str_add(&w->kept, "%s %s.gp", w->kept.len ? "," : "", stem);
    }
    return *out ? LB_OK : lb_fail(LB_E_IO, "%s/%s.new-%d.gp: no name is left for a script", w->dir, name, MOST - 1);
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

/* What a plot has beside its scripts and data: BASE.ext, or BASE-latex.tex; of each the format it is made for. */
static const struct {
    const char *end;
    unsigned format;
} picture[] = {{".svg", LB_PLOT_SVG},
               {".png", LB_PLOT_PNG},
               {".pdf", LB_PLOT_PDF},
               {"-latex.pdf", LB_PLOT_CAIROLATEX},
               {"-latex.tex", LB_PLOT_CAIROLATEX},
               {"-tikz.tex", LB_PLOT_TIKZ}};
enum { PICTURES = sizeof picture / sizeof picture[0] };

/* cairolatex's file includes its picture by the name that it was drawn under. */
static lb_status rename_within(const char *from, const char *to, const char *stem, const char *name) {
    char *text, *rest;
    size_t n;
    lb_str s = {0};
    LB_TRY(lb_fs_read(from, &text, &n));
    rest = text;
    for (char *at; (at = strstr(rest, stem)); rest = at + strlen(stem)) {
        lb_str_add_bytes(&s, rest, (size_t)(at - rest));
        lb_str_add(&s, "%s", name);
    }
    lb_str_add(&s, "%s", rest);
    lb_free(text);
    lb_status st = lb_str_check(&s);
    if (st == LB_OK) st = lb_fs_write_atomic(to, s.s ? s.s : "", s.len);
    lb_str_free(&s);
    return st;
}

static lb_status take(const char *from, const char *to, const char *stem, const char *name) {
    if (lb_str_ends(to, ".tex") && lb_fs_exists(from)) return rename_within(from, to, stem, name);
    if (rename(from, to) == 0) return LB_OK;
    return lb_fail(LB_E_IO, "%s: gnuplot did not write it", to);
}

/* The pictures of these formats appear under their names only when all are drawn; else none is left that shows other
 * data. */
static lb_status draw(lb_plotter *w, const lb_plot *p, unsigned formats, const char *script_name, bool *drawn) {
    char *stem = lb_arena_printf(p->arena, "%s.tmp.%ld", p->name, (long)getpid()), *from[PICTURES], *to[PICTURES];
    if (!stem) return LB_E_NOMEM;
    for (int i = 0; i < PICTURES; i++) {
        from[i] = lb_arena_printf(p->arena, "%s/%s%s", w->dir, stem, picture[i].end);
        to[i] = lb_arena_printf(p->arena, "%s/%s%s", w->dir, p->name, picture[i].end);
        if (!from[i] || !to[i]) return LB_E_NOMEM;
        unlink(from[i]); /* gnuplot would write through a link */
        if (formats & picture[i].format) unlink(to[i]);
    }
    *drawn = false;
    if (w->no_gnuplot) return LB_OK;
    lb_status st = lb_gnuplot_run(w->dir, script_name, stem);
    for (int i = 0; st == LB_OK && i < PICTURES; i++)
        if (formats & picture[i].format) st = take(from[i], to[i], stem, p->name);
    *drawn = st == LB_OK;
    for (int i = 0; i < PICTURES; i++) {
        unlink(from[i]);
        if (st != LB_OK && formats & picture[i].format) unlink(to[i]);
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

/* Writes one of the plot's scripts and runs it. */
static lb_status put_script(lb_plotter *w, const lb_plot *p, const lb_plot_frame *f, bool tex, bool *drawn) {
    lb_str s = {0};
    const char *name = tex ? lb_arena_printf(p->arena, "%s-latex", p->name) : p->name, *stem = NULL;
    *drawn = false;
    if (!name) return LB_E_NOMEM;
    script(w, p, f, tex, name, &s);
    lb_status st = sign(&s);
    if (st == LB_OK) st = script_stem(w, p, name, &stem);
    if (st == LB_OK) st = write_text(p->arena, w->dir, stem, "gp", &s);
    lb_str_free(&s);
    LB_TRY(st);
    char *file = lb_arena_printf(p->arena, "%s.gp", stem);
    if (!file) return LB_E_NOMEM;
    unsigned tex_formats = LB_PLOT_CAIROLATEX | LB_PLOT_TIKZ;
    return draw(w, p, w->o->formats & (tex ? tex_formats : ~tex_formats), file, drawn);
}

/* What the figure has no room for, the caption has. */
static lb_status say_in_full(lb_plot *p) {
    LB_TRY(lb_str_check(&p->shortened));
    if (!p->shortened.len) return LB_OK;
    p->caption = lb_arena_printf(p->arena, "%s In full: %s.", p->caption ? p->caption : p->title, p->shortened.s);
    return p->caption ? LB_OK : LB_E_NOMEM;
}

lb_status lb_plot_finish(lb_plotter *w, lb_plot *p) {
    lb_plot_frame f;
    bool drawn, also;
    if (!lb_plot_wanted(w, p->name)) return LB_OK;
    LB_TRY(own_name(w, p));
    LB_TRY(lb_str_check(&p->setup));
    LB_TRY(lb_str_check(&p->draw));
    LB_TRY(lb_plot_lay_out(w, p, &f));
    LB_TRY(say_in_full(p));
    LB_TRY(write_text(p->arena, w->dir, p->name, "dat", &p->dat));
    LB_TRY(put_script(w, p, &f, false, &drawn));
    if (w->o->formats & (LB_PLOT_CAIROLATEX | LB_PLOT_TIKZ)) LB_TRY(put_script(w, p, &f, true, &also));
    return remember(w, p, drawn);
}
