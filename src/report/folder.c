/* What a results folder holds beside what its tables show, and what it lacks. */
#include <string.h>

#include "report/parts.h"

static lb_status say(lb_table_format f, lb_str *out, const char *text) {
    if (!text) return LB_E_NOMEM;
    lb_markup_paragraph(out, f, text);
    return lb_str_check(out);
}

/* "1 of 3 cells has not run: run the config again." */
static lb_status say_of_cells(const lb_report_view *v, lb_table_format f, lb_str *out, int64_t n, int64_t of,
                              const char *what) {
    if (n == 0) return LB_OK;
    return say(f, out,
               lb_arena_printf(v->arena, "%lld of %lld cell%s %s %s: run the config again.", (long long)n,
                               (long long)of, of == 1 ? "" : "s", n == 1 ? "has" : "have", what));
}

static bool is_of_several_folders(const lb_results *r) {
    for (int64_t i = 0; i < r->n; i++) {
        const char *x = r->record[i].folder, *y = r->record[0].folder;
        if (strcmp(x ? x : "", y ? y : "") != 0) return true;
    }
    return false;
}

lb_status lb_report_folder_notes(const lb_report_view *v, lb_table_format f, lb_str *out) {
    const lb_results *r = v->r;
    int64_t cells = 0, pending = 0, missing = 0;
    for (int64_t i = 0; i < r->n; i++) {
        cells += !r->record[i].unlisted;
        pending += r->record[i].state == LB_CELL_PENDING;
        missing += r->record[i].state == LB_CELL_MISSING;
    }
    LB_TRY(say_of_cells(v, f, out, pending, cells, "not run"));
    LB_TRY(say_of_cells(v, f, out, missing, cells, "no file that can be read"));
    for (int64_t i = 0; i < r->notices; i++) LB_TRY(say(f, out, r->notice[i]));
    if (r->unlisted == 0 || cells < r->n) return LB_OK;
    if (is_of_several_folders(r))
        return say(f, out,
                   lb_arena_printf(v->arena,
                                   "%lld earlier result%s in these folders, not of their sweeps: --all has them.",
                                   (long long)r->unlisted, r->unlisted == 1 ? "" : "s"));
    const char *what = r->unlisted == 1 ? "result in this folder is" : "results in this folder are";
    return say(f, out,
               lb_arena_printf(v->arena, "%lld earlier %s not of this sweep: lowbit report %s --all",
                               (long long)r->unlisted, what, r->dir));
}
