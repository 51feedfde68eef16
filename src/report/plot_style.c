/* What series look like, and what an author asked for. */
#include "report/plot_style.h"

#include <string.h>

#include "report/plot.h"

/* ---- series ---- */

static bool taken(const lb_plot *p, int point, int dash) {
    for (int i = 0; i < p->looks; i++)
        if (p->look[i].point == point && (p->no_lines || p->look[i].dash == dash)) return true;
    return false;
}

/* Other dashes first, then the marker's inside, then its shape: the colour stays the method's. */
void lb_plot_style_of(lb_plot *p, int at, const char *method, const char *group, int extra) {
    enum { EVERY = LB_PALETTE_DASHES * 2 * LB_PALETTE_SHAPES };
    int shape = lb_palette_shape(method), dash = lb_palette_dash(group);
    lb_plot_look look = {.at = at, .method = method};
    for (int k = extra; k < extra + EVERY; k++) {
        bool open = (k / LB_PALETTE_DASHES) % 2 ? !p->open_markers : p->open_markers;
        look.dash = (dash + k) % LB_PALETTE_DASHES;
        look.point = lb_palette_point((shape + k / (2 * LB_PALETTE_DASHES)) % LB_PALETTE_SHAPES, open);
        if (!taken(p, look.point, look.dash)) break;
    }
    lb_plot_look *all = LB_NEW(p->arena, lb_plot_look, p->looks + 1);
    if (!all) {
        p->setup.failed = true;
        return;
    }
    if (p->looks) memcpy(all, p->look, (size_t)p->looks * sizeof *all);
    all[p->looks++] = look;
    p->look = all;
}

void lb_plot_style_row(lb_plot *p, int at, const lb_report_row *row) {
    char group[32];
    lb_plot_style_of(p, at, row->cell[0]->method, lb_report_group_text(row->cell[0], group), 0);
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
