/* Figures of earlier reports that this one does not draw: they would show other data than the page. What somebody
 * changed is theirs, and stays with its data. */
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "report/plot.h"

enum { MOST = 8 };
static const char tex[] = "-latex", gp[] = ".gp";

typedef struct stale {
    const lb_plotter *w;
    lb_arena *arena;
    char **name;     /* (n) scripts in the folder, without ".gp" */
    const char **of; /* (n) "front" of "front.new-2" */
    bool *ours;      /* (n) as a report wrote it */
    size_t n;
    lb_str gone; /* names of scripts, MOST of them */
    size_t dropped;
} stale;

static lb_status join(const stale *x, const char *name, const char *end, char **out) {
    *out = lb_arena_printf(x->arena, "%s/%s%s", x->w->dir, name, end);
    return *out ? LB_OK : LB_E_NOMEM;
}

static lb_status look(stale *x) {
    x->of = LB_NEW(x->arena, const char *, x->n + 1);
    x->ours = LB_NEW(x->arena, bool, x->n + 1);
    if (!x->of || !x->ours) return LB_E_NOMEM;
    for (size_t i = 0; i < x->n; i++) {
        char *path;
        LB_TRY(lb_interrupt_check());
        x->name[i][strlen(x->name[i]) - strlen(gp)] = 0;
        const char *at = strstr(x->name[i], ".new");
        for (const char *next; at && (next = strstr(at + 1, ".new"));) at = next;
        size_t rest = at ? strlen(".new") : 0;
        bool more =
            at && (!at[rest] || (at[rest] == '-' && strspn(at + rest + 1, "0123456789") == strlen(at + rest + 1)));
        x->of[i] =
            lb_arena_printf(x->arena, "%.*s", (int)(more ? (size_t)(at - x->name[i]) : strlen(x->name[i])), x->name[i]);
        if (!x->of[i]) return LB_E_NOMEM;
        LB_TRY(join(x, x->name[i], gp, &path));
        LB_TRY(lb_plot_is_ours(path, &x->ours[i]));
    }
    return LB_OK;
}

/* Of a figure that this report has. */
static bool is_current(const stale *x, const char *script) {
    bool also = x->w->o->formats & (LB_PLOT_CAIROLATEX | LB_PLOT_TIKZ);
    for (int64_t i = 0; i < x->w->list->n; i++) {
        const char *name = x->w->list->at[i].name;
        size_t n = strlen(name);
        if (strcmp(script, name) == 0 || (also && strncmp(script, name, n) == 0 && strcmp(script + n, tex) == 0))
            return true;
    }
    return false;
}

/* Did somebody change a script of this name, or one of NAME.new? */
static bool is_changed(const stale *x, const char *script) {
    for (size_t i = 0; i < x->n; i++)
        if (strcmp(x->of[i], script) == 0 && !x->ours[i]) return true;
    return false;
}

static lb_status drop(const stale *x, const char *name, const char *end) {
    char *path;
    LB_TRY(join(x, name, end, &path));
    (void)unlink(path);
    return LB_OK;
}

/* What the script drew, and, unless a changed one of the other kind still draws them, its data. */
static lb_status drop_figure(const stale *x, const char *script) {
    static const char *const usual[] = {".svg", ".png", ".pdf"}, *const of_tex[] = {"-latex.pdf", "-latex.tex",
                                                                                    "-tikz.tex"};
    size_t n = strlen(script) - (lb_str_ends(script, tex) ? strlen(tex) : 0);
    const char *figure = lb_arena_printf(x->arena, "%.*s", (int)n, script),
               *other = figure ? lb_arena_printf(x->arena, "%s%s", figure, tex) : NULL;
    if (!other) return LB_E_NOMEM;
    bool is_tex = strcmp(script, other) == 0;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        LB_TRY(drop(x, is_tex ? figure : script, is_tex ? of_tex[i] : usual[i]));
    return is_tex || is_changed(x, other) ? LB_OK : drop(x, script, ".dat");
}

static lb_status drop_all(stale *x) {
    LB_TRY(look(x));
    for (size_t i = 0; i < x->n; i++) {
        if (is_current(x, x->of[i]) || is_changed(x, x->of[i])) continue;
        LB_TRY(drop(x, x->name[i], gp));
        if (strcmp(x->name[i], x->of[i]) != 0) continue;
        LB_TRY(drop_figure(x, x->of[i]));
        if (x->dropped++ < MOST) lb_str_add(&x->gone, "%s%s", x->gone.len ? ", " : "", x->of[i]);
    }
    if (x->dropped > MOST) lb_str_add(&x->gone, " and %zu more", x->dropped - MOST);
    return lb_str_check(&x->gone);
}

lb_status lb_plot_drop_stale(const lb_plotter *w, lb_arena *a) {
    stale x = {.w = w, .arena = a};
    LB_TRY(lb_fs_list(w->dir, gp, &x.name, &x.n));
    lb_status st = drop_all(&x);
    if (st == LB_OK && x.gone.len)
        lb_info(w->log, "figures of an earlier report are gone from %s: %s", w->dir, x.gone.s);
    lb_fs_list_free(x.name, x.n);
    lb_str_free(&x.gone);
    return st;
}
