#include "base/index.h"

#include <string.h>

#include "base/mem.h"

uint64_t lb_text_hash(const char *s, size_t n) {
    const uint64_t k = 0x9E3779B97F4A7C15u;
    uint64_t h = (uint64_t)n * k;
    while (n >= 8) {
        uint64_t v;
        memcpy(&v, s, 8);
        h = (h ^ v) * k;
        h ^= h >> 32;
        s += 8;
        n -= 8;
    }
    uint64_t v = 0;
    if (n) memcpy(&v, s, n);
    h = (h ^ v) * k;
    h ^= h >> 29;
    h *= 0xBF58476D1CE4E5B9u;
    return h ^ (h >> 32);
}

/* The text's slot, or the free one where it would go; at least one is free. */
static lb_index_slot *find(lb_index_slot *slot, size_t size, const char *text) {
    size_t i = (size_t)lb_text_hash(text, strlen(text)) & (size - 1);
    while (slot[i].text && strcmp(slot[i].text, text) != 0) i = (i + 1) & (size - 1);
    return &slot[i];
}

static lb_status grow(lb_index *x) {
    size_t size = x->size ? 2 * x->size : 64;
    lb_index_slot *slot = lb_alloc(size, sizeof *slot);
    if (!slot) return LB_E_NOMEM;
    for (size_t i = 0; i < x->size; i++)
        if (x->slot[i].text) *find(slot, size, x->slot[i].text) = x->slot[i];
    lb_free(x->slot);
    x->slot = slot;
    x->size = size;
    return LB_OK;
}

lb_status lb_index_put(lb_index *x, const char *text, size_t value, lb_index_slot **slot, bool *fresh) {
    if (2 * x->used >= x->size) LB_TRY(grow(x));
    *slot = find(x->slot, x->size, text);
    *fresh = !(*slot)->text;
    if (!*fresh) return LB_OK;
    **slot = (lb_index_slot){text, value};
    x->used++;
    return LB_OK;
}

lb_index_slot *lb_index_get(const lb_index *x, const char *text) {
    if (!x->used) return NULL;
    lb_index_slot *s = find(x->slot, x->size, text);
    return s->text ? s : NULL;
}

void lb_index_free(lb_index *x) {
    lb_free(x->slot);
    *x = (lb_index){0};
}
