/* Which tensor of the files is which site's or vector's: names by pattern, then shapes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "model/family.h"

enum { NAME = LB_TENSOR_NAME };

/* One spelling of a row (or of its bias): the tensor's name, and what of the tensor is meant. */
typedef struct spelling {
    int32_t row;
    bool bias, stacked, transposed;
    char name[NAME];
    char from[NAME], to[NAME], of[NAME]; /* expressions; "" : all rows */
} spelling;

/* A tensor that a spelling fits. */
typedef struct found {
    const lb_tensor *t;
    const spelling *as;
    int32_t row, bias;
    int64_t block, expert;
} found;

typedef struct matching {
    lb_arena *arena;
    const lb_family *family;
    const lb_net *net;
    const lb_tensor_files *files;
    const char **name; /* of the files' tensors as the family calls them; NULL: it is no part of it */
    spelling *spelling;
    int32_t spellings;
    int64_t *block; /* (blocks) by the number in the files: the first block that has it */
    int64_t blocks;
    found *at; /* sorted */
    int64_t n, room;
} matching;

/* "x.weight" to "x.bias". */
static void bias_name(const char *weight, char out[NAME]) {
    size_t n = strlen(weight);
    if (lb_str_ends(weight, ".weight")) n -= strlen(".weight");
    if (n > NAME - 6) n = NAME - 6;
    for (size_t i = 0; i < n; i++) out[i] = weight[i];
    memcpy(out + n, ".bias", 6);
}

/* What stands behind a name: [@], [a:b:n], ~. */
static void read_part(const char *text, spelling *s) {
    for (; *text && *text != '|'; text++) {
        if (*text == '~') {
            s->transposed = true;
            continue;
        }
        size_t in = strcspn(text, "]");
        if (strncmp(text, "[@]", 3) == 0) {
            s->stacked = true;
        } else {
            size_t a = strcspn(text, ":"), b = a + 1 + strcspn(text + a + 1, ":");
            snprintf(s->from, NAME, "%.*s", (int)a - 1, text + 1);
            snprintf(s->to, NAME, "%.*s", (int)(b - a) - 1, text + a + 1);
            snprintf(s->of, NAME, "%.*s", (int)(in - b) - 1, text + b + 1);
        }
        text += in;
    }
}

/* All spellings of all rows, in the format of these files. */
static lb_status list_spellings(matching *m) {
    int32_t most = 0;
    for (const lb_tensor_row *row = m->family->tensor; row->ours; row++) {
        const char *text = m->files->hf ? row->hf : row->gguf;
        most += text ? 2 : 0;
        for (; text && *text; text++) most += *text == '|' ? 2 : 0;
    }
    if (!(m->spelling = LB_NEW(m->arena, spelling, most + 1))) return LB_E_NOMEM;
    for (const lb_tensor_row *row = m->family->tensor; row->ours; row++) {
        for (const char *text = m->files->hf ? row->hf : row->gguf; text;) {
            spelling *s = &m->spelling[m->spellings++];
            s->row = (int32_t)(row - m->family->tensor);
            size_t n = strcspn(text, "|[~");
            snprintf(s->name, NAME, "%.*s", (int)n, text);
            read_part(text + n, s);
            if (row->bias) {
                spelling *b = &m->spelling[m->spellings++];
                *b = *s;
                b->bias = true;
                bias_name(s->name, b->name);
            }
            text = strchr(text, '|') ? strchr(text, '|') + 1 : NULL;
        }
    }
    return LB_OK;
}

/* ---- names ---- */

static const lb_wrapping *wrapping_of(const lb_family *f, const lb_numbers *n) {
    return lb_number_find(n, LB_NUMBER_WRAPPED) ? f->wrapping : NULL;
}

static bool is_other(const lb_wrapping *w, const char *name) {
    for (const char *const *other = w->other; *other; other++)
        if (strncmp(name, *other, strlen(*other)) == 0) return true;
    return false;
}

int64_t lb_family_left_out(const lb_family *f, const lb_numbers *n, const lb_tensor_files *files) {
    const lb_wrapping *w = wrapping_of(f, n);
    int64_t left = 0;
    for (int64_t i = 0; w && i < files->n; i++) left += is_other(w, files->t[i]->name);
    return left;
}

/* Names in the files without what the text part stands in. */
static lb_status unwrap_names(matching *m) {
    const lb_wrapping *w = wrapping_of(m->family, m->net->numbers);
    if (!(m->name = LB_NEW(m->arena, const char *, m->files->n + 1))) return LB_E_NOMEM;
    for (int64_t i = 0; i < m->files->n; i++) {
        const char *name = m->files->t[i]->name;
        m->name[i] = w && is_other(w, name) ? NULL : name;
        for (int k = 0; w && m->name[i] && w->name[k][0]; k++) {
            size_t n = strlen(w->name[k][0]);
            if (strncmp(name, w->name[k][0], n) != 0) continue;
            if (!(m->name[i] = lb_arena_printf(m->arena, "%s%s", w->name[k][1], name + n))) return LB_E_NOMEM;
            break;
        }
    }
    return LB_OK;
}

static bool fits(const lb_family *f, const char *pattern, const char *name, int64_t *block, int64_t *expert) {
    if (lb_pattern_match(pattern, name, block, expert)) return true;
    size_t n = f->prefix ? strlen(f->prefix) : 0;
    return n && strncmp(pattern, f->prefix, n) == 0 && lb_pattern_match(pattern + n, name, block, expert);
}

/* Blocks by their numbers in the files, which begin at 0 and have no gaps. */
static lb_status number_blocks(matching *m) {
    if (!(m->block = LB_NEW(m->arena, int64_t, m->net->blocks + 1))) return LB_E_NOMEM;
    for (int64_t b = 0; b < m->net->blocks; b++) {
        int64_t number = b;
        if (m->files->hf) LB_TRY(lb_family_file_block(m->family, m->net->numbers, b, &number));
        if (number == m->blocks)
            m->block[m->blocks++] = b;
        else if (number != m->blocks - 1)
            return lb_fail(LB_E_FORMAT, "the %s family: block %lld has the number %lld in files: expected %lld or %lld",
                           m->family->name, (long long)b, (long long)number, (long long)m->blocks - 1,
                           (long long)m->blocks);
    }
    return LB_OK;
}

/* The number in the files of a block of the net; -1: outside the blocks. */
static int64_t file_number(const matching *m, int64_t block) {
    int64_t number = m->blocks - 1;
    while (number >= 0 && m->block[number] > block) number--;
    return number;
}

static lb_status add_found(matching *m, found x) {
    if (m->n == m->room) {
        int64_t more = m->room ? 2 * m->room : 64;
        found *to = LB_NEW(m->arena, found, more);
        if (!to) return LB_E_NOMEM;
        if (m->n) memcpy(to, m->at, (size_t)m->n * sizeof *to);
        m->at = to;
        m->room = more;
    }
    m->at[m->n++] = x;
    return LB_OK;
}

static bool same_bytes(const lb_tensor *a, const lb_tensor *b) {
    return a->type == b->type && a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

/* A head that repeats a tied embedding carries nothing. */
static lb_status check_tied(const matching *m, const lb_tensor *t) {
    const lb_tensor_row *embed = lb_family_row(m->family, m->net->site[m->net->embed].role, false, false);
    int64_t block, expert;
    for (int32_t k = 0; k < m->spellings; k++)
        for (int64_t i = 0; i < m->files->n && m->family->tensor + m->spelling[k].row == embed; i++)
            if (m->name[i] && fits(m->family, m->spelling[k].name, m->name[i], &block, &expert) &&
                same_bytes(t, m->files->t[i]))
                return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: tensor %s differs from the embedding, %s says they are tied (%s)", m->files->path,
                   t->name, m->files->says, lb_number_called(m->net->numbers, "tied"));
}

static lb_status must_be(const matching *m, const lb_tensor *t, const lb_tensor *want) {
    bool same = t->ndim == want->ndim;
    for (int i = 0; same && i < want->ndim; i++) same = t->shape[i] == want->shape[i];
    if (!same) {
        char has[96], needs[96];
        lb_tensor_shape_text(t, has);
        lb_tensor_shape_text(want, needs);
        return lb_fail(LB_E_FORMAT, "%s: tensor %s is %s, %s says %s", m->files->path, t->name, has, m->files->says,
                       needs);
    }
    if (t->type >= LB_I64)
        return lb_fail(LB_E_UNSUPPORTED, "%s: tensor %s is %s: weights must be floating-point or quantized",
                       m->files->path, t->name, lb_dtype_name(t->type));
    return LB_OK;
}

/* The rows of what is stored together: [a:b:n]. */
static lb_status fused_rows(const matching *m, const found *x, int64_t rows, int64_t *from, int64_t *of) {
    int64_t to;
    *from = 0;
    *of = rows;
    if (!x->as->of[0]) return LB_OK;
    LB_TRY(lb_expression_count(m->net->numbers, x->as->from, x->block, from));
    LB_TRY(lb_expression_count(m->net->numbers, x->as->to, x->block, &to));
    LB_TRY(lb_expression_count(m->net->numbers, x->as->of, x->block, of));
    if (to - *from == rows && to <= *of) return LB_OK;
    return lb_fail(LB_E_FORMAT, "the %s family: %s: rows %lld to %lld of %lld are not %lld rows", m->family->name,
                   x->as->name, (long long)*from, (long long)to, (long long)*of, (long long)rows);
}

static lb_status check_shape(const matching *m, const found *x, const lb_net_shape *shape) {
    const lb_tensor_row *row = &m->family->tensor[x->row];
    lb_tensor want = {.ndim = 1, .shape = {row->rows ? shape->rows : shape->cols}};
    int64_t from, of, experts, runs;
    LB_TRY(lb_family_runs(row, m->net->numbers, x->block, &runs));
    if (runs > 0 && !x->bias) want = (lb_tensor){.ndim = 2, .shape = {runs, shape->cols / runs}};
    if (!row->rows) return must_be(m, x->t, &want);
    LB_TRY(fused_rows(m, x, shape->rows, &from, &of));
    want.shape[0] = of;
    if (x->bias) return must_be(m, x->t, &want);
    if (!m->files->hf && of == 1 && x->t->ndim == 1) { /* a layer of one row */
        want.shape[0] = shape->cols;
        return must_be(m, x->t, &want);
    }
    want = (lb_tensor){.ndim = 2, .shape = {of, shape->cols}};
    if (x->as->transposed) want = (lb_tensor){.ndim = 2, .shape = {shape->cols, of}};
    if (x->as->stacked) {
        LB_TRY(lb_expression_count(m->net->numbers, "experts", x->block, &experts));
        want = (lb_tensor){.ndim = 3, .shape = {experts, of, shape->cols}};
    }
    return must_be(m, x->t, &want);
}

/* There is a row for it: is there such a weight, in this block, of these numbers? */
static lb_status take_found(matching *m, const found *x, bool *taken) {
    const lb_tensor_row *row = &m->family->tensor[x->row];
    const char *role = strrchr(row->ours, '.') ? strrchr(row->ours, '.') + 1 : row->ours;
    const lb_family_shapes ctx = {m->family, m->net->numbers};
    lb_net_shape shape;
    int64_t experts = 0;
    bool expert = strchr(row->ours, '@') != NULL;
    LB_TRY(lb_family_shape(&ctx, role, x->block, expert ? 0 : -1, &shape));
    if (expert) LB_TRY(lb_expression_count(m->net->numbers, "experts", x->block, &experts));
    if (expert && x->expert >= experts)
        return lb_fail(LB_E_FORMAT, "%s: tensor %s: %s says %s = %lld", m->files->path, x->t->name, m->files->says,
                       lb_number_called(m->net->numbers, "experts"), (long long)experts);
    if (shape.back)
        return lb_fail(LB_E_FORMAT, "%s: tensor %s: block %lld has the weights of block %lld", m->files->path,
                       x->t->name, (long long)x->block, (long long)(x->block - shape.back));
    *taken = shape.rows > 0 && (!x->bias || shape.bias);
    if (!*taken) return LB_OK;
    LB_TRY(check_shape(m, x, &shape));
    return add_found(m, *x);
}

/* From the number in the name to the block; what all blocks share, without one, is block 0's. */
static lb_status find_block(const matching *m, found *x) {
    if (x->block < 0 && m->family->tensor[x->row].ours[0] == '#') x->block = 0;
    if (x->block < 0) return LB_OK;
    if (x->block >= m->blocks) {
        const lb_number *layers = lb_number_find(m->net->numbers, "layers");
        const char *key = layers->key ? layers->key : "blocks of its own"; /* a rule counts those that share */
        return lb_fail(LB_E_FORMAT, "%s: tensor %s: %s says %s = %lld", m->files->path, x->t->name, m->files->says, key,
                       (long long)m->blocks);
    }
    x->block = m->block[x->block];
    return LB_OK;
}

/* Every row that the tensor's name fits; a stack or what is fused fits several. */
static lb_status name_tensor(matching *m, const lb_tensor *t, const char *name) {
    const lb_site *head = &m->net->site[m->net->head];
    bool known = false, none = false;
    for (int32_t k = 0; k < m->spellings; k++) {
        const spelling *s = &m->spelling[k];
        found x = {.t = t, .as = s, .row = s->row, .bias = s->bias};
        bool taken = false;
        if (!fits(m->family, s->name, name, &x.block, &x.expert)) continue;
        if (head->same_as >= 0 && !s->bias && strcmp(m->family->tensor[s->row].ours, head->role) == 0)
            return check_tied(m, t);
        LB_TRY(find_block(m, &x));
        LB_TRY(take_found(m, &x, &taken));
        known = known || taken;
        none = none || !taken;
    }
    if (known) return LB_OK;
    for (const char *const *h = m->family->harmless; h && *h; h++) {
        int64_t block, expert;
        if (fits(m->family, *h, name, &block, &expert)) return LB_OK;
    }
    if (!m->files->hf && m->family->rope && lb_gguf_rope_tensor(t->name)) return LB_OK;
    if (none)
        return lb_fail(LB_E_FORMAT, "%s: tensor %s: %s says that there is none", m->files->path, t->name,
                       m->files->says);
    return lb_fail(LB_E_UNSUPPORTED, "%s: tensor %s: the %s family has no such tensor", m->files->path, t->name,
                   m->family->name);
}

static int by_place(const void *a, const void *b) {
    const found *x = a, *y = b;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    if (x->block != y->block) return x->block < y->block ? -1 : 1;
    if (x->expert != y->expert) return x->expert < y->expert ? -1 : 1;
    return x->bias - y->bias;
}

/* NULL: none. Another spelling of the same thing is an error. */
static lb_status look_up(const matching *m, const found *key, const found **out) {
    found stack = *key;
    stack.expert = -1;
    *out = NULL;
    if (m->n == 0) return LB_OK;
    const found *x = bsearch(key, m->at, (size_t)m->n, sizeof *key, by_place);
    const found *y = key->expert >= 0 ? bsearch(&stack, m->at, (size_t)m->n, sizeof *key, by_place) : NULL;
    const found *first = x ? x : y, *other = x && y ? y : NULL;
    if (!first) return LB_OK;
    if (!other && first > m->at && by_place(first - 1, first) == 0) other = first - 1;
    if (!other && first + 1 < m->at + m->n && by_place(first + 1, first) == 0) other = first + 1;
    if (other)
        return lb_fail(LB_E_FORMAT, "%s: tensors %s and %s: two spellings of one weight", m->files->path,
                       first->t->name, other->t->name);
    *out = first;
    return LB_OK;
}

/* ---- places ---- */

static lb_status missing(const matching *m, const found *key) {
    char name[NAME];
    for (int32_t k = 0; k < m->spellings; k++) {
        const spelling *s = &m->spelling[k];
        if (s->row != key->row || s->bias != (key->bias != 0)) continue;
        lb_pattern_name(s->name, file_number(m, key->block), key->expert, name, sizeof name);
        return lb_fail(LB_E_FORMAT, "%s: tensor %s is missing", m->files->path, name);
    }
    return lb_fail(LB_E_UNSUPPORTED, "%s: the %s family has no %s in such files", m->files->path, m->family->name,
                   m->family->tensor[key->row].ours);
}

/* What a slot is: its row, and where. */
static const lb_tensor_row *key_of(const lb_family *f, const lb_net *net, const lb_net_slot *p, found *key) {
    const lb_site *s = p->site >= 0 ? &net->site[p->site] : NULL;
    const lb_vector *v = s ? NULL : &net->vector[p->vector];
    int32_t block = s ? s->block : v->block, expert = s ? s->expert : v->expert;
    const lb_tensor_row *row = lb_family_row(f, s ? s->role : v->role, block >= 0, expert >= 0);
    *key = (found){.row = (int32_t)(row - f->tensor), .bias = v && v->bias, .block = block, .expert = expert};
    return row;
}

static lb_status place(const matching *m, const lb_net_slot *p, lb_placed *out) {
    const lb_net *net = m->net;
    const found *x;
    found key;
    int64_t of, rows = p->site >= 0 ? net->site[p->site].rows : 1;
    (void)key_of(m->family, net, p, &key);
    LB_TRY(look_up(m, &key, &x));
    if (!x) return missing(m, &key);
    *out = (lb_placed){.t = x->t,
                       .rows = rows,
                       .cols = p->site >= 0 ? net->site[p->site].cols : net->vector[p->vector].n,
                       .vector = p->site < 0};
    if (out->vector && !key.bias) return LB_OK;
    LB_TRY(fused_rows(m, x, out->vector ? out->cols : rows, &out->first, &of));
    if (out->vector) {
        if (out->first % out->cols != 0)
            return lb_fail(LB_E_UNSUPPORTED, "%s: tensor %s: a part of it that begins at %lld cannot be read",
                           m->files->path, x->t->name, (long long)out->first);
        out->first /= out->cols;
        return LB_OK;
    }
    out->first += x->as->stacked ? key.expert * of : 0;
    out->transposed = x->as->transposed;
    return LB_OK;
}

lb_status lb_family_match(lb_arena *a, const lb_family *f, const lb_net *net, const lb_tensor_files *files,
                          lb_placed *out) {
    matching m = {.arena = a, .family = f, .net = net, .files = files};
    LB_TRY(list_spellings(&m));
    LB_TRY(number_blocks(&m));
    LB_TRY(unwrap_names(&m));
    for (int64_t i = 0; i < files->n; i++)
        if (m.name[i]) LB_TRY(name_tensor(&m, files->t[i], m.name[i]));
    if (m.n) qsort(m.at, (size_t)m.n, sizeof *m.at, by_place);
    for (int32_t i = 0; i < net->slots; i++) LB_TRY(place(&m, &net->slot[i], &out[i]));
    return LB_OK;
}

lb_status lb_family_tensor_place(const lb_family *f, const lb_net *net, int32_t slot, lb_tensor_place *out) {
    const matching m = {.family = f, .net = net};
    found key;
    spelling s = {0};
    char name[NAME];
    int64_t number, rows, cols;
    const lb_tensor_row *row = key_of(f, net, &net->slot[slot], &key);
    size_t n = strcspn(row->hf, "|[~");
    snprintf(s.name, sizeof s.name, "%.*s", (int)n, row->hf);
    if (!key.bias) read_part(row->hf + n, &s);
    if (key.bias)
        bias_name(s.name, name);
    else
        memcpy(name, s.name, sizeof name);
    LB_TRY(lb_family_file_block(f, net->numbers, key.block, &number));
    *out = (lb_tensor_place){.transposed = s.transposed};
    lb_pattern_name(name, number, key.expert, out->name, sizeof out->name);
    lb_slot_shape(net, slot, &rows, &cols);
    key.as = &s;
    LB_TRY(fused_rows(&m, &key, rows, &out->first, &out->rows));
    if (!s.stacked) return LB_OK;
    out->matrix = key.expert;
    return lb_expression_count(net->numbers, "experts", key.block, &out->stacked);
}
