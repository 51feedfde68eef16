#include "cli/profile.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/profile.h"
#include "base/str.h"
#include "math/roofline.h"

enum { MOST = 200 };

/* What the machine could do with this mix of operations and traffic (Williams et al. 2009): the lower of the rate of
 * products and of the traffic's. */
static double attainable(const lb_roofline *r, const lb_profile_row *row) {
    bool wide = strcmp(row->work, "float64 products") == 0 || strcmp(row->work, "factorizations") == 0;
    bool half = strcmp(row->work, "bfloat16 products") == 0;
    double peak = wide ? r->flops_f64 : half ? r->flops_bf16 : r->flops_f32;
    double by_traffic = row->bytes > 0 ? row->flops / row->bytes * r->bytes : peak;
    return by_traffic < peak ? by_traffic : peak;
}

static void add_stage(lb_str *out, const lb_profile_row *row, int n, double wall, int threads, const lb_roofline *r) {
    double inside = 0, all = wall * threads;
    for (int i = 0; i < n; i++) {
        double rate = row[i].flops / row[i].seconds * threads, best = attainable(r, &row[i]);
        inside += row[i].seconds;
        lb_str_add(out, "%-12s%-18s %9.3f  %5.1f %%  %9lld  %8.2f  %7.2f  ", i ? "" : row[i].stage, row[i].work,
                   row[i].seconds, 100 * row[i].seconds / all, (long long)row[i].calls, rate / 1e9,
                   row[i].bytes / row[i].seconds * threads / 1e9);
        if (best > 0)
            lb_str_add(out, "%8.0f %%\n", 100 * rate / best);
        else
            lb_str_add(out, "%10s\n", "-");
    }
    double rest = all > inside ? all - inside : 0;
    lb_str_add(out, "%-12s%-18s %9.3f  %5.1f %%   (%.3f s of wall time on %d threads)\n", "", "anything else", rest,
               100 * rest / all, wall, threads);
}

lb_status lb_cli_profile_print(lb_team *team) {
    lb_profile_row row[MOST];
    double wall[MOST];
    lb_roofline r = {0};
    char bf16[48] = "";
    lb_str out = {0};
    int n = lb_profile_read(row, wall, MOST);
    LB_TRY(lb_roofline_measure(team, 0.2, &r));
    for (int i = 0; i < n && r.flops_bf16 == 0; i++)
        if (strcmp(row[i].work, "bfloat16 products") == 0) LB_TRY(lb_roofline_bf16(team, 0.2, &r.flops_bf16));
    if (r.flops_bf16 > 0) snprintf(bf16, sizeof bf16, ", %.0f in bfloat16", r.flops_bf16 / 1e9);
    lb_str_add(&out,
               "\nroofline: %.0f GFLOP/s in float32 products, %.0f in float64%s, %.1f GB/s of memory traffic\n"
               "%-12s%-18s %9s  %7s  %9s  %8s  %7s  %10s\n",
               r.flops_f32 / 1e9, r.flops_f64 / 1e9, bf16, r.bytes / 1e9, "stage", "work", "thread s", "share", "calls",
               "GFLOP/s", "GB/s", "roofline");
    for (int i = 0, j; i < n; i = j) {
        for (j = i; j < n && row[j].stage == row[i].stage; j++) {
        }
        add_stage(&out, row + i, j - i, wall[i], lb_team_threads(team), &r);
    }
    lb_status st = lb_str_check(&out);
    if (st == LB_OK) fputs(out.s, stderr);
    lb_str_free(&out);
    return st;
}
