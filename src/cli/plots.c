/* `plots:` of a config: checked before anything runs, kept beside the results for every report. */
#include "base/fs.h"
#include "base/str.h"
#include "cli/planned.h"
#include "report/plot_style.h"

/* NULL: the config has none. */
static const lb_yaml *asked(const lb_config *c) { return c->root ? lb_yaml_get(c->root, "plots") : NULL; }

lb_status lb_cli_plots_check(const lb_config *c, lb_arena *a) {
    lb_plot_options o;
    return asked(c) ? lb_plot_options_from(a, asked(c), &o) : LB_OK;
}

/* As canonical text: nothing else of the config gets into a folder that is passed on. */
lb_status lb_cli_plots_keep(const lb_planned *x, lb_arena *a) {
    lb_plot_options o;
    lb_str s = {0};
    if (!asked(&x->config)) return LB_OK;
    LB_TRY(lb_plot_options_from(a, asked(&x->config), &o));
    char *to = lb_arena_printf(a, "%s/plots.yaml", x->plans.at[0].dir);
    if (!to) return LB_E_NOMEM;
    lb_plot_options_text(&o, &s);
    lb_status st = lb_str_check(&s);
    if (st == LB_OK) st = lb_fs_write_atomic(to, s.s ? s.s : "", s.len);
    lb_str_free(&s);
    return st;
}
