/* lowbit run CONFIG */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/profile.h"
#include "cli/commands.h"
#include "cli/planned.h"
#include "cli/profile.h"
#include "report/report.h"
#include "run/papers.h"
#include "run/sweep_run.h"

typedef struct run_flags {
    const char *plugin;
    bool keep_stale, again, report, profile;
} run_flags;

static const lb_option flags[] = {
    {"plugin", LB_OPT_STR, "", 0, 0, NULL, "shared objects with methods of your own, separated by commas",
     offsetof(run_flags, plugin)},
    {"keep_stale", LB_OPT_BOOL, "false", 0, 0, NULL,
     "keep finished results of another code version (the report marks them)", offsetof(run_flags, keep_stale)},
    {"again", LB_OPT_BOOL, "false", 0, 0, NULL, "run every cell, finished or not", offsetof(run_flags, again)},
    {"report", LB_OPT_BOOL, "true", 0, 0, NULL, "write tables, plots and pages below the results folder",
     offsetof(run_flags, report)},
    {"profile", LB_OPT_BOOL, "false", 0, 0, NULL, LB_CLI_PROFILE_HELP, offsetof(run_flags, profile)},
};

/* Expected values make the run end with ours | expected | difference; a copy stays with the results, and goes where the
 * config says that there are none. */
static lb_status take_expected(const lb_planned *x, lb_arena *a, const char **out) {
    const char *from;
    LB_TRY(lb_cli_expected_path(&x->config, a, &from));
    *out = NULL;
    if (!from && !lb_cli_expected_none(&x->config)) return LB_OK;
    char *to = lb_fs_join(x->plans.at[0].dir, "expected.csv"), *text = NULL;
    size_t n = 0;
    if (!from) {
        lb_status st = !to                                  ? LB_E_NOMEM
                       : unlink(to) == 0 || errno == ENOENT ? LB_OK
                                                            : lb_fail(LB_E_IO, "%s: %s", to, strerror(errno));
        lb_free(to);
        return st;
    }
    /* A folder of results is passed on: what is no list of expected values does not get into it. */
    lb_status st = to ? lb_report_expected_check(from) : LB_E_NOMEM;
    if (st == LB_OK) st = lb_fs_read(from, &text, &n);
    if (st == LB_OK) st = lb_fs_write_atomic(to, text, n);
    if (st == LB_OK && !(*out = lb_arena_strdup(a, to))) st = LB_E_NOMEM;
    lb_free(text);
    lb_free(to);
    return st;
}

/* The report is written after the tables are made, which may fail, and before they are printed, so that it is there
 * also when nobody reads them to the end (a pipe to head); and they are printed also when it could not be written. */
static lb_status tables(const lb_results *r, const char *expected, lb_arena *a, bool write, lb_log *log,
                        int64_t *outside, int64_t *differs) {
    lb_str out = {0};
    lb_report_options o = {0};
    *outside = *differs = 0;
    if (expected) LB_TRY(lb_papers_find(a, &o.papers));
    lb_status written = LB_OK, st = lb_report_main_table(r, LB_TABLE_TERMINAL, &out);
    if (st == LB_OK && expected) {
        lb_str_add(&out, "\n");
        st = lb_cli_expected_tables(r, expected, &o, LB_TABLE_TERMINAL, &out, outside, differs);
    }
    if (st == LB_OK) st = lb_str_check(&out);
    if (st == LB_OK && write) written = lb_report_write(r, &o, expected, log);
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    LB_TRY(st);
    LB_TRY(written);
    if (write) lb_info(log, "written: %s/report/index.html, %s/cells.csv", r->dir, r->dir);
    return LB_OK;
}

static lb_status finish(const lb_planned *x, const run_flags *f, lb_arena *a, const lb_sweep_result *done, lb_log *log,
                        int *exit_code) {
    const char *expected;
    lb_results *r = NULL;
    int64_t outside, differs;
    LB_TRY(take_expected(x, a, &expected));
    LB_TRY(lb_cli_plots_keep(x, a));
    LB_TRY(lb_store_read_results(x->plans.at[0].dir, &r));
    lb_status st = tables(r, expected, a, f->report, log, &outside, &differs);
    lb_results_free(r);
    LB_TRY(st);
    lb_info(log, "%lld cell%s run, %lld kept, %lld refused, %lld failed", (long long)done->done,
            done->done == 1 ? "" : "s", (long long)done->kept, (long long)done->refused, (long long)done->failed);
    if (done->failed > 0) {
        lb_warn(log, "failed: %s", done->failures);
        *exit_code = 1;
    }
    lb_cli_warn_of_nothing(&x->plans, log, exit_code);
    lb_cli_expected_warn(outside, differs, log, exit_code);
    return LB_OK;
}

/* Whoever stops a sweep wants to know what it has cost. */
static lb_status run_cells(const lb_planned *x, const run_flags *f, lb_log *log, lb_sweep_result *done) {
    lb_status st = lb_sweep_run(&x->plans, &(lb_sweep_options){f->keep_stale, f->again}, log, done);
    size_t all = 0;
    for (size_t k = 0; k < x->plans.n; k++) all += x->plans.at[k].sweep.n;
    if (st == LB_E_INTERRUPTED)
        lb_info(log, "%lld of %zu cells are finished and kept: the same command goes on from there",
                (long long)(done->done + done->kept), all);
    return st;
}

static lb_status go(lb_planned *x, const run_flags *f, lb_arena *a, const char *plugin_hash, lb_log *log,
                    int *exit_code) {
    lb_sweep_result done;
    LB_TRY(lb_cli_expected_check(&x->config, a));
    LB_TRY(lb_cli_plots_check(&x->config, a));
    LB_TRY(lb_cli_plan_show(x, a, lb_cli_parts(x->config.weights), plugin_hash,
                            &(lb_plan_look_options){.again = f->again, .keep_stale = f->keep_stale}, log));
    LB_TRY(lb_cli_expected_preview(x, a, log));
    LB_TRY(run_cells(x, f, log, &done));
    lb_profile_stage("report");
    return finish(x, f, a, &done, log, exit_code);
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    const run_flags *f = values;
    const char *plugin_hash;
    lb_planned x = {0};
    if (f->profile) lb_profile_enable();
    LB_TRY(lb_cli_plugins(a, f->plugin, &plugin_hash));
    LB_TRY(lb_cli_read_config(a, args, &x.config));
    lb_status st = go(&x, f, a, plugin_hash, log, exit_code);
    if (st == LB_OK && f->profile) st = lb_cli_profile_print(x.team);
    lb_cli_plan_close(&x);
    return st;
}

const lb_command lb_cmd_run = {
    .name = "run",
    .usage = "CONFIG [-o KEY=VALUE]...",
    .summary = "run a sweep: quantize, measure, evaluate; tables and plots at the end",
    .details =
        "CONFIG is a file, a folder that holds config.yaml, one that comes with the program (demo), or a cell's "
        "result\n"
        "(CELL.h5): that cell again, in a folder beside the one it is in. Each finished\n"
        "cell is one HDF5 file in the results folder; started again after an interruption, a run keeps finished\n"
        "cells and, inside a cell, finished blocks, also of stages that prepare the model; a training (qat,\n"
        "finetune) starts over. Exit code 1 when a cell failed, every cell is refused, or a value is outside its\n"
        "expected tolerance, 130 when interrupted. Every key of a config: lowbit help config.",
    .example = "lowbit run configs/smollm2-135m.yaml -o eval.windows=20",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(run_flags)},
    .min_positional = 1,
    .max_positional = 1,
    .overrides = LB_CLI_CONFIG_KEYS,
    .run = run,
};
