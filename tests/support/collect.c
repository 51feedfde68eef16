#include "support/collect.h"

#include "support/support.h"

lb_status collect_all(lb_stream *s, const lb_weights *w, const int32_t *input, int32_t n, uint32_t needs, bool advance,
                      lb_arena *a, lb_stats *out) {
    lb_wanted want[COLLECT_INPUTS];
    lb_collected got[COLLECT_INPUTS];
    assert_true(n <= COLLECT_INPUTS);
    for (int32_t i = 0; i < n; i++) want[i] = (lb_wanted){.input = input[i], .needs = needs};
    LB_TRY(advance ? lb_stream_collect_advance(s, w, want, n, a, got) : lb_stream_collect(s, w, want, n, a, got));
    for (int32_t i = 0; i < n; i++) out[i] = lb_collected_stats(&got[i]);
    return LB_OK;
}

lb_status collect_head(lb_stream *s, const lb_net *n, const lb_weights *w, uint32_t needs, lb_arena *a, lb_stats *out) {
    lb_collected got;
    const lb_wanted want = {.input = n->site[n->head].input, .needs = needs};
    LB_TRY(lb_stream_collect_outside(s, w, &want, a, &got));
    *out = lb_collected_stats(&got);
    return LB_OK;
}
