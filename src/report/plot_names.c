/* Names that are longer than a figure has room for: without their middle, where names of a sweep say the same. */
#include <string.h>
#include <utf8proc.h>

#include "report/plot.h"

#define ELLIPSIS "\xe2\x80\xa6"

/* Bytes of the longest beginning of `s` that takes at most so many columns. */
static size_t bytes_within(const char *s, size_t columns) {
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)s;
    size_t n = 0, used = 0;
    while (at[n]) {
        utf8proc_int32_t c;
        utf8proc_ssize_t size = utf8proc_iterate(at + n, -1, &c);
        int wide = size > 0 ? utf8proc_charwidth(c) : 1;
        if (used + (size_t)wide > columns) break;
        used += (size_t)wide;
        n += size > 0 ? (size_t)size : 1;
    }
    return n;
}

/* head: the share of what stays that stands before the gap. */
static const char *without_middle(lb_arena *a, const char *name, size_t most, double head) {
    size_t width = lb_text_width(name), keep = most - 1, front = (size_t)(head * (double)keep + 0.5);
    if (width <= most) return name;
    size_t n = bytes_within(name, front), end = bytes_within(name, width - (keep - front));
    while (n && name[n - 1] == ' ') n--;
    while (name[end] == ' ') end++;
    return lb_arena_printf(a, "%.*s" ELLIPSIS "%s", (int)n, name, name + end);
}

const char *lb_plot_brief(lb_arena *a, const char *name, size_t most) { return without_middle(a, name, most, 0.5); }

/* Names that were different still are. */
static bool told_apart(const char *const *name, const char *const *brief, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < i; k++)
            if (strcmp(brief[i], brief[k]) == 0 && strcmp(name[i], name[k]) != 0) return false;
    return true;
}

static lb_status shorten(lb_arena *a, const char *const *name, const char **brief, int64_t n, size_t most) {
    static const double head[] = {0.5, 0.75, 0.25, 1, 0};
    for (size_t h = 0; h < sizeof head / sizeof head[0]; h++) {
        for (int64_t i = 0; i < n; i++)
            if (!(brief[i] = without_middle(a, name[i], most, head[h]))) return LB_E_NOMEM;
        if (told_apart(name, brief, n)) return LB_OK;
    }
    /* They differ in the middle alone: by number. */
    for (int64_t i = 0; i < n; i++) {
        if (lb_text_width(name[i]) <= most) continue;
        const char *rest = lb_plot_brief(a, name[i], most - 6);
        brief[i] = rest ? lb_arena_printf(a, "(%lld) %s", (long long)i + 1, rest) : NULL;
        if (!brief[i]) return LB_E_NOMEM;
    }
    return LB_OK;
}

lb_status lb_plot_fit_names(lb_plot *p, const char **name, int64_t n, size_t most) {
    if (most < LB_PLOT_NAME_LEAST) most = LB_PLOT_NAME_LEAST;
    const char **brief = LB_NEW(p->arena, const char *, n + 1);
    if (!brief) return LB_E_NOMEM;
    LB_TRY(shorten(p->arena, name, brief, n, most));
    for (int64_t i = 0; i < n; i++) {
        if (strcmp(brief[i], name[i]) == 0) continue;
        const char *said = lb_arena_printf(p->arena, "%s: %s", brief[i], name[i]);
        if (!said) return LB_E_NOMEM;
        bool before = p->shortened.s && strstr(p->shortened.s, said);
        if (!before) lb_str_add(&p->shortened, "%s%s", p->shortened.len ? "; " : "", said);
        name[i] = brief[i];
    }
    return lb_str_check(&p->shortened);
}

size_t lb_plot_longest(const char *const *name, int64_t n) {
    size_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        size_t w = lb_text_width(name[i]);
        if (w > most) most = w;
    }
    return most;
}

void lb_plot_legend_entry(lb_plot *p, const char *text) {
    const char **all = LB_NEW(p->arena, const char *, p->entries + 1);
    if (!all) {
        p->draw.failed = true;
        return;
    }
    if (p->entries) memcpy(all, p->entry, (size_t)p->entries * sizeof *all);
    lb_str_add(&p->draw, " title %c%d%c", LB_PLOT_ENTRY, p->entries, LB_PLOT_ENTRY);
    all[p->entries++] = text;
    p->entry = all;
}
