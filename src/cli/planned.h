/* What run, check and quantize share: plug-ins, config, team and plan, and the plan as text. */
#ifndef LB_CLI_PLANNED_H
#define LB_CLI_PLANNED_H

#include "base/fs.h"
#include "cli/cli.h"
#include "report/report.h"
#include "run/plan.h"

typedef struct lb_planned {
    lb_config config;
    lb_plans plans;
    lb_team *team;
} lb_planned;

/* What of a model to open, of an lb_weights_mode. */
lb_model_parts lb_cli_parts(int weights);
/* Loads the plug-ins of a comma-separated list; *hash is that of all of them, "" for none. */
LB_NODISCARD lb_status lb_cli_plugins(lb_arena *a, const char *list, const char **hash);
/* The config of a file, of a folder that has a config.yaml (an experiment), or of a cell's result file. */
LB_NODISCARD lb_status lb_cli_read_config(lb_arena *a, const lb_cli_args *args, lb_config *out);
/* planned_result.c: is it such a file; and its config, whose results go beside the folder that it is in. */
bool lb_cli_is_result(const char *path);
LB_NODISCARD lb_status lb_cli_result_config(lb_arena *a, const char *path, const lb_cli_args *args, lb_config *out);
/* The team of a command that multiplies matrices: with what OpenBLAS needs for each thread. */
LB_NODISCARD lb_status lb_cli_team(int64_t threads, lb_team **out);
/* The plans of x->config, which has been read. */
LB_NODISCARD lb_status lb_cli_plan(lb_planned *x, lb_arena *a, lb_model_parts parts, const char *plugin_hash,
                                   lb_log *log);
void lb_cli_plan_close(lb_planned *x);
/* Is anything asked for, and all of it refused? Then the command's exit code is 1, and a warning says so. */
void lb_cli_warn_of_nothing(const lb_plans *p, lb_log *log, int *exit_code);
/* The list of expected values that the config names, or that lies beside it; NULL: there is none. */
LB_NODISCARD lb_status lb_cli_expected_path(const lb_config *c, lb_arena *a, const char **out);
bool lb_cli_expected_none(const lb_config *c); /* does it say that there is none? */
/* What can be known of it before anything runs: LB_E_FORMAT, with file and line, where it is no such list. */
LB_NODISCARD lb_status lb_cli_expected_check(const lb_config *c, lb_arena *a);
/* And warnings of what will not be compared with the cells of these plans. */
LB_NODISCARD lb_status lb_cli_expected_preview(const lb_planned *x, lb_arena *a, lb_log *log);
/* What is expected and what is published beside ours; what is outside or differs is counted. */
LB_NODISCARD lb_status lb_cli_expected_tables(const lb_results *r, const char *expected_csv, const lb_report_options *o,
                                              lb_table_format f, lb_str *out, int64_t *outside, int64_t *differs);
/* Warns of what is outside or differs; then the command's exit code is 1. */
void lb_cli_expected_warn(int64_t outside, int64_t differs, lb_log *log, int *exit_code);
/* `plots` of the config: LB_E_CONFIG with file and line; and its copy in the results folder, plots.yaml (plots.c). */
LB_NODISCARD lb_status lb_cli_plots_check(const lb_config *c, lb_arena *a);
LB_NODISCARD lb_status lb_cli_plots_keep(const lb_planned *x, lb_arena *a);
/* Bits a weight of the quantized layers; where nothing is quantized, what a weight has then. */
double lb_cli_bits(const lb_model_size *s);
/* --out of a command that writes a folder: refused now, with the flag's name, or under way. */
LB_NODISCARD lb_status lb_cli_out_begin(lb_arena *a, const char *out, lb_fs_folder *f);
/* lb_cli_plan, and prints model, data, protocol, cells with exact sizes, estimates and what of them is there already,
 * refusals, of each model. Warns if the disk or the memory will not do (plan_text.c). */
typedef struct lb_plan_look_options {
    bool wide;       /* with all that is known of sizes, for wide terminals */
    bool again;      /* what is there already does not count */
    bool keep_stale; /* what another code version made does */
} lb_plan_look_options;
LB_NODISCARD lb_status lb_cli_plan_show(lb_planned *x, lb_arena *a, lb_model_parts parts, const char *plugin_hash,
                                        const lb_plan_look_options *o, lb_log *log);

#endif
