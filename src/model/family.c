#include "model/family.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

const lb_family *lb_family_named(const char *name) {
    for (int i = 0; lb_family_table[i]; i++)
        if (strcmp(lb_family_table[i]->name, name) == 0) return lb_family_table[i];
    return NULL;
}

lb_status lb_family_find(const char *name, const lb_family **out) {
    enum { MOST = 64 };
    const char *known[MOST];
    size_t n = 0;
    for (; lb_family_table[n] && n < MOST; n++) known[n] = lb_family_table[n]->name;
    if ((*out = lb_family_named(name))) return LB_OK;
    const char *near = lb_str_nearest(name, known, n);
    if (near) return lb_fail(LB_E_ARG, "unknown family '%s': did you mean '%s'?", name, near);
    return lb_fail(LB_E_ARG, "unknown family '%s': lowbit models lists them", name);
}

const lb_tensor_row *lb_family_row(const lb_family *f, const char *name, bool in_block, bool in_expert) {
    const char *before = in_expert ? "#.expert.@." : in_block ? "#." : "";
    size_t n = strlen(before);
    for (const lb_tensor_row *row = f->tensor; row->ours; row++)
        if (strncmp(row->ours, before, n) == 0 && strcmp(row->ours + n, name) == 0) return row;
    return NULL;
}

static lb_status shared_with(const lb_family_shapes *s, const lb_tensor_row *row, int64_t block, int64_t *back) {
    double owner;
    LB_TRY(lb_expression(s->numbers, row->owner, block, &owner));
    if (!(owner >= 0.0 && owner <= (double)block && owner == floor(owner)))
        return lb_fail(LB_E_FORMAT, "block %lld is to have the weights of block %g: must be in [0, %lld]",
                       (long long)block, owner, (long long)block);
    *back = block - (int64_t)owner;
    return LB_OK;
}

static lb_status shape_of(const lb_family_shapes *s, const lb_tensor_row *row, int64_t block, lb_net_shape *out) {
    double there = 1.0, bias = 0.0;
    if (row->when) LB_TRY(lb_expression(s->numbers, row->when, block, &there));
    if (there == 0.0) return LB_OK;
    if (row->bias) LB_TRY(lb_expression(s->numbers, row->bias, block, &bias));
    out->rows = 1;
    if (row->rows) LB_TRY(lb_expression_count(s->numbers, row->rows, block, &out->rows));
    LB_TRY(lb_expression_count(s->numbers, row->cols, block, &out->cols));
    out->bias = bias != 0.0;
    return row->owner && block >= 0 ? shared_with(s, row, block, &out->back) : LB_OK;
}

lb_status lb_family_shape(const void *ctx, const char *name, int64_t block, int64_t expert, lb_net_shape *out) {
    const lb_family_shapes *s = ctx;
    const lb_tensor_row *row = lb_family_row(s->family, name, block >= 0, expert >= 0);
    *out = (lb_net_shape){0};
    lb_status st = row ? shape_of(s, row, block, out) : LB_OK;
    return st == LB_OK || st == LB_E_NOMEM ? st : lb_fail_in(st, "the %s family: row %s", s->family->name, row->ours);
}

lb_status lb_family_runs(const lb_tensor_row *row, const lb_numbers *n, int64_t block, int64_t *out) {
    *out = 0;
    return row->runs ? lb_expression_count(n, row->runs, block, out) : LB_OK;
}

lb_status lb_family_rules(const lb_family *f, const char *rules, lb_numbering *b) {
    lb_status st = lb_numbering_rules(b, rules);
    return st == LB_OK || st == LB_E_NOMEM ? st : lb_fail_in(st, "the %s family", f->name);
}

lb_status lb_family_file_block(const lb_family *f, const lb_numbers *n, int64_t block, int64_t *out) {
    *out = block;
    return f->file_block && block >= 0 ? lb_expression_count(n, f->file_block, block, out) : LB_OK;
}

lb_status lb_family_net(lb_arena *a, const lb_family *f, const lb_numbers *numbers, const lb_net **out) {
    lb_program *program = LB_NEW(a, lb_program, 1);
    lb_numbers *own = LB_NEW(a, lb_numbers, 1);
    lb_net *net = NULL;
    double tied;
    if (!program || !own) return LB_E_NOMEM;
    *own = *numbers;
    const lb_family_shapes ctx = {f, own};
    const lb_net_shapes shapes = {lb_family_shape, &ctx};
    LB_TRY(lb_number_get(own, "tied", -1, &tied));
    LB_TRY(lb_program_parse(a, f->name, &f->program, program));
    LB_TRY(lb_net_new(a, program, own, &shapes, tied != 0.0, &net));
    *out = net;
    return LB_OK;
}

/* ---- patterns ---- */

void lb_pattern_name(const char *pattern, int64_t block, int64_t expert, char *out, size_t size) {
    size_t n = 0;
    if (size > 0) out[0] = 0;
    for (const char *p = pattern; *p && n + 1 < size; p++) {
        int wrote = *p == '#'   ? snprintf(out + n, size - n, "%lld", (long long)block)
                    : *p == '@' ? snprintf(out + n, size - n, "%lld", (long long)expert)
                                : snprintf(out + n, size - n, "%c", *p);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
}

/* "00" is no block's number: each tensor has one spelling. */
static const char *read_number(const char *s, int64_t *out) {
    int64_t n = 0;
    int digits = 0;
    for (; s[digits] >= '0' && s[digits] <= '9'; digits++) {
        if (digits == 9) return NULL;
        n = n * 10 + (s[digits] - '0');
    }
    if (digits == 0 || (digits > 1 && s[0] == '0')) return NULL;
    *out = n;
    return s + digits;
}

bool lb_pattern_match(const char *pattern, const char *name, int64_t *block, int64_t *expert) {
    *block = *expert = -1;
    for (; *pattern; pattern++) {
        if (*pattern != '#' && *pattern != '@') {
            if (*name++ != *pattern) return false;
            continue;
        }
        name = read_number(name, *pattern == '#' ? block : expert);
        if (!name) return false;
    }
    return *name == 0;
}
