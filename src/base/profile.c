#include "base/profile.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { STAGES = 16 };

static const char *const work_name[LB_WORKS] = {"float32 products",
                                                "float64 products",
                                                "bfloat16 products",
                                                "rounding to bf16",
                                                "factorizations",
                                                "attention",
                                                "softmax of logits",
                                                "norms",
                                                "rotary positions",
                                                "swiglu",
                                                "sums of H",
                                                "solving, the rest",
                                                "decoding weights",
                                                "fake quantization",
                                                "AdamW"};

typedef struct sums {
    double seconds, flops, bytes;
    int64_t calls;
} sums;

/* One a thread; kept until the process ends, as threads of a team are. */
typedef struct counts {
    sums sum[STAGES][LB_WORKS];
    lb_scope *open;
    struct counts *next;
} counts;

bool lb_profile_on;
static const char *stage_name[STAGES] = {"start"};
static double stage_wall[STAGES], stage_since;
static int stages = 1;
static atomic_int stage_now;
static _Atomic(counts *) all;
static _Thread_local counts *mine;

void lb_profile_enable(void) {
    lb_profile_on = true;
    stage_since = lb_clock_s();
}

void lb_profile_stage(const char *name) {
    if (!lb_profile_on) return;
    double now = lb_clock_s();
    stage_wall[atomic_load(&stage_now)] += now - stage_since;
    stage_since = now;
    int i = 0;
    while (i < stages && strcmp(stage_name[i], name) != 0) i++;
    if (i == STAGES) i = STAGES - 1; /* more stages than anyone names: the last takes the rest */
    if (i == stages) stage_name[stages++] = name;
    atomic_store(&stage_now, i);
}

static counts *of_this_thread(void) {
    if (mine || !(mine = lb_alloc(1, sizeof *mine))) return mine;
    mine->next = atomic_load(&all);
    while (!atomic_compare_exchange_weak(&all, &mine->next, mine)) {
    }
    return mine;
}

void lb_profile_enter(lb_scope *s, lb_work work) {
    counts *c = of_this_thread();
    if (!c) return; /* without memory this thread is not counted */
    *s = (lb_scope){.start = lb_clock_s(), .outer = c->open, .work = work};
    c->open = s;
}

void lb_profile_leave(lb_scope *s, double flops, double bytes) {
    counts *c = mine;
    double took = lb_clock_s() - s->start;
    sums *to = &c->sum[atomic_load(&stage_now)][s->work];
    c->open = s->outer;
    if (s->outer) s->outer->inside += took;
    to->seconds += took - s->inside;
    to->flops += flops;
    to->bytes += bytes;
    to->calls++;
}

static sums total(int stage, int work) {
    sums t = {0};
    for (const counts *c = atomic_load(&all); c; c = c->next) {
        const sums *s = &c->sum[stage][work];
        t.seconds += s->seconds;
        t.flops += s->flops;
        t.bytes += s->bytes;
        t.calls += s->calls;
    }
    return t;
}

int lb_profile_read(lb_profile_row *row, double *wall, int most) {
    int n = 0;
    lb_profile_stage(stage_name[atomic_load(&stage_now)]); /* brings the wall time up to now */
    for (int i = 0; i < stages; i++) {
        int first = n;
        for (int k = 0; k < LB_WORKS && n < most; k++) {
            sums t = total(i, k);
            if (t.calls == 0) continue;
            int at = n++;
            for (; at > first && row[at - 1].seconds < t.seconds; at--) row[at] = row[at - 1];
            row[at] = (lb_profile_row){stage_name[i], work_name[k], t.seconds, t.flops, t.bytes, t.calls};
        }
        for (int k = first; k < n; k++) wall[k] = stage_wall[i];
    }
    return n;
}
