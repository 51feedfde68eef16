#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "result/quality.h"

lb_status lb_protocol_parse(const char *id, lb_protocol *out) {
    static const struct {
        const char *prefix;
        lb_protocol_rule rule;
        int64_t least; /* the shortest window that scores a token */
    } form[] = {{"W2-", LB_RULE_W2, 2}, {"LCPP-", LB_RULE_LCPP, 4}};
    const int64_t most = 1 << 20;
    for (size_t i = 0; i < sizeof form / sizeof form[0]; i++) {
        const char *digits = id + strlen(form[i].prefix);
        if (strncmp(id, form[i].prefix, strlen(form[i].prefix)) != 0) continue;
        int64_t n = 0;
        /* No sign, no leading zero: one protocol has one spelling, since results are compared by it. */
        bool plain = *digits >= '1' && *digits <= '9' && lb_parse_i64(digits, &n) == LB_OK;
        if (!plain || n < form[i].least || n > most)
            return lb_fail(LB_E_CONFIG, "protocol %s: the window must be a whole number in [%lld, %lld]", id,
                           (long long)form[i].least, (long long)most);
        *out = (lb_protocol){.rule = form[i].rule, .n = n};
        snprintf(out->id, sizeof out->id, "%s", id);
        return LB_OK;
    }
    return lb_fail(LB_E_CONFIG,
                   "protocol '%s' is not known: W2-n (windows of n tokens, all but the first scored) and LCPP-n "
                   "(llama.cpp's: the second half of each window) are, as in W2-2048",
                   id);
}

int64_t lb_protocol_windows(const lb_protocol *p, int64_t tokens) { return tokens / p->n; }

lb_window lb_protocol_window(const lb_protocol *p, int64_t tokens, int64_t i) {
    (void)tokens;
    return (lb_window){.start = i * p->n, .n = p->n, .from = p->rule == LB_RULE_LCPP ? p->n / 2 : 0};
}
