/* What a table must show of a layer or a cell, in the order of the bits in layer.h: one row a flag. */
#include "quant/layer.h"

static const lb_flag flag[] = {
    {"dead-columns", 'D', "dead columns: inputs that never fired in calibration"},
    {"damp-raised", 'P', "damping raised beyond what was asked for"},
    {"fallback-rtn", 'F', "round-to-nearest stands in for some layers where the method failed"},
    {"ragged-group", 'R', "ragged: the group size does not divide the width, so the last group is shorter"},
    {"not-minimized", 'T', "trained: layer errors are shown, but they are not what was minimized"},
    {"bf16-products", 'B',
     "evaluated with products in bfloat16 (inputs and weights of linears and head rounded, sums in float32), and so "
     "was the baseline: not to be compared with results in float32"},
    {"few-tokens", 'C',
     "fewer than ten calibration tokens a column: H, which layers were solved on, is poorly determined, and damping "
     "does the rest"},
    {"rank-deficient", 'S',
     "fewer calibration tokens than columns: H, which layers were solved on, is rank-deficient, and damping does the "
     "rest"},
    {"starved-expert", 'E',
     "experts that too few calibration tokens were routed to (expert_tokens): some layers were made as starved_experts "
     "says"},
    {"carried-by-few", 'K',
     "fewer than 1 % of the calibration tokens carry half of some layer's H (sum of |x|^2): that H, and errors "
     "measured "
     "with it, say little of all other tokens"},
};
enum { FLAGS = sizeof flag / sizeof flag[0] };

const lb_flag *lb_flag_of(int bit) { return bit >= 0 && bit < FLAGS ? &flag[bit] : NULL; }

void lb_flags_text(uint32_t flags, lb_str *out) {
    const char *comma = "";
    for (int bit = 0; bit < FLAGS; bit++) {
        if (!(flags & 1u << bit)) continue;
        lb_str_add(out, "%s%s", comma, flag[bit].name);
        comma = ",";
    }
}

void lb_flags_letters(uint32_t flags, char out[LB_FLAG_LETTERS]) {
    size_t n = 0;
    for (int bit = 0; bit < FLAGS; bit++)
        if (flags & 1u << bit) out[n++] = flag[bit].letter;
    if (flags >> FLAGS) out[n++] = '?';
    out[n] = 0;
}
