/* What series look like, and what an author asked for. */
#include "report/plot_style.h"

#include <string.h>

#include "report/plot.h"

/* ---- series ---- */

/* A series of one point shows no dashes. as_lines: but in the legend it does. */
static bool taken(const lb_plot *p, const lb_plot_look *look, bool as_lines) {
    for (int i = 0; i < p->looks; i++) {
        bool points = p->no_lines || (!as_lines && (look->lone || p->look[i].lone));
        if (p->look[i].point == look->point && (points || p->look[i].dash == look->dash)) return true;
    }
    return false;
}

/* Other dashes first, then the marker's inside, then its shape, which alone tells points apart whose inside may mean
 * something else: the colour stays the method's. */
static bool find_look(const lb_plot *p, lb_plot_look *look, int shape, int dash, bool as_lines) {
    enum { INSIDES = LB_PALETTE_DASHES * 2, EVERY = INSIDES * LB_PALETTE_SHAPES };
    for (int k = 0; k < EVERY; k += look->lone && !as_lines ? INSIDES : 1) {
        bool open = (k / LB_PALETTE_DASHES) % 2 ? !p->open_markers : p->open_markers;
        look->dash = (dash + k) % LB_PALETTE_DASHES;
        look->point = lb_palette_point((shape + k / INSIDES) % LB_PALETTE_SHAPES, open);
        if (!taken(p, look, as_lines)) return true;
    }
    return false;
}

void lb_plot_style_of(lb_plot *p, int at, const char *method, const char *group, bool lone) {
    int shape = lb_palette_shape(method), dash = lb_palette_dash(group);
    lb_plot_look look = {.at = at, .method = method, .lone = lone};
    /* Where there are more points than shapes, the legend's dashes tell them apart. */
    if (!find_look(p, &look, shape, dash, false)) (void)find_look(p, &look, shape, dash, true);
    lb_plot_look *all = LB_NEW(p->arena, lb_plot_look, p->looks + 1);
    if (!all) {
        p->setup.failed = true;
        return;
    }
    if (p->looks) memcpy(all, p->look, (size_t)p->looks * sizeof *all);
    all[p->looks++] = look;
    p->look = all;
}

void lb_plot_style_row(lb_plot *p, int at, const lb_report_row *row, bool lone) {
    char group[32];
    lb_plot_style_of(p, at, row->cell[0]->method, lb_report_group_text(row->cell[0], group), lone);
}

const char *lb_plot_colour(const lb_plotter *w, const char *method) {
    const char *own = lb_pairs_get(&w->o->palette, method);
    return own ? own : lb_palette_colour(method);
}

void lb_plot_looks(const lb_plotter *w, const lb_plot *p, double scale, lb_str *s) {
    for (int i = 0; i < p->looks; i++)
        lb_str_add(s, "set style line %d lc rgb '%s' lw 2 pt %d ps %.4g dt %s\n", p->look[i].at,
                   lb_plot_colour(w, p->look[i].method), p->look[i].point, 1.2 * scale,
                   lb_palette_dashes(p->look[i].dash));
}

/* ---- what was asked for ---- */

bool lb_plot_wanted(const lb_plotter *w, const char *name) {
    for (size_t i = 0; i < w->o->figures; i++) {
        size_t n = strlen(w->o->figure[i]);
        if (strncmp(name, w->o->figure[i], n) == 0 && (!name[n] || name[n] == '-')) return true;
    }
    return w->o->figures == 0;
}

lb_span lb_plot_limits(const lb_plotter *w, const char *axis, lb_span data) {
    for (size_t i = 0; i < w->o->limits; i++)
        if (strcmp(w->o->limit[i].axis, axis) == 0) return (lb_span){w->o->limit[i].low, w->o->limit[i].high};
    return data;
}
