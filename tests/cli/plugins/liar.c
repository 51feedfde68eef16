/* A method that rounds to nearest onto any storage and is honest, but for one thing that `lie` names, in layer 2.up:
 * what it returns there is not what its storage can hold. With -DMODEL the same in model scope, for layers that are
 * rounded without any training. As a test aid, layer 2.q kills the program once if the file $LIAR_DIES.NUMBER is there.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quant/method.h"

enum { INT, NF4, FP4 };
enum {
    NOTHING,
    CODE,
    SCALE_NAN,
    SCALE_INF,
    SCALE_FINE,
    ZERO_HALF,
    ZERO_BELOW,
    ZERO_ABOVE,
    ZERO_NAN,
    ZERO_THERE,
    ORDER_TWICE,
    ORDER_BEYOND,
    ORDER_THERE,
    DQ_SCALE,
    DQ_MEAN,
    DQ_NAN,
    CODES_NULL,
    SCALE_NULL,
    ROWS,
    STORAGE,
    FLAGS,
    DAMP,
    DEAD,
    ACT,
    NO_LAYER,
    LAYER_TOO_MANY,
    CHANGED_NAN,
    NO_ARRAYS
};

typedef struct liar_opts {
    int64_t number, bits, group, act_bits;
    int kind, scale_type, lie;
    bool symmetric, order, double_quant;
} liar_opts;

static const char *const kinds[] = {"int", "nf4", "fp4", NULL};
static const char *const scale_types[] = {"f32", "f16", "bf16", NULL};
static const char *const lies[] = {"nothing",        "code",         "scale_nan",   "scale_inf", "scale_fine",
                                   "zero_half",      "zero_below",   "zero_above",  "zero_nan",  "zero_there",
                                   "order_twice",    "order_beyond", "order_there", "dq_scale",  "dq_mean",
                                   "dq_nan",         "codes_null",   "scale_null",  "rows",      "storage",
                                   "flags",          "damp",         "dead",        "act",       "no_layer",
                                   "layer_too_many", "changed_nan",  "no_arrays",   NULL};

#define AT(field) offsetof(liar_opts, field)
static const lb_option table[] = {
    {"number", LB_OPT_INT, "0", 0, 1000, NULL, "tells cells apart", AT(number)},
    {"kind", LB_OPT_CHOICE, "int", 0, 0, kinds, "grid or codebook", AT(kind)},
    {"bits", LB_OPT_INT, "4", 2, 8, NULL, "bits a weight", AT(bits)},
    {"group", LB_OPT_GROUP, "row", 2, 65536, NULL, "weights that share a scale", AT(group)},
    {"scale_type", LB_OPT_CHOICE, "f32", 0, 0, scale_types, "how scales are stored", AT(scale_type)},
    {"symmetric", LB_OPT_BOOL, "false", 0, 0, NULL, "no zeros", AT(symmetric)},
    {"order", LB_OPT_BOOL, "false", 0, 0, NULL, "columns are grouped from the last to the first", AT(order)},
    {"double_quant", LB_OPT_BOOL, "false", 0, 0, NULL, "scales in 8 bits", AT(double_quant)},
    {"act_bits", LB_OPT_INT, "0", 0, 8, NULL, "of the inputs", AT(act_bits)},
    {"lie", LB_OPT_CHOICE, "nothing", 0, 0, lies, "what is wrong in layer 2.up", AT(lie)},
};

static lb_status spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows, (void)cols;
    const liar_opts *o = opts;
    *out = (lb_storage){.format = o->kind == INT   ? &lb_uniform
                                  : o->kind == NF4 ? &lb_nf4
                                                   : &lb_fp4,
                        .bits = (int)o->bits,
                        .group = o->group,
                        .symmetric = o->symmetric,
                        .scale_type = (lb_scale_type)o->scale_type,
                        .double_quant = o->double_quant,
                        .order = o->order,
                        .act = {.bits = (int)o->act_bits}};
    return LB_OK;
}

/* Round-to-nearest of the columns in reverse: position p is column cols - 1 - p. */
static lb_status round_reversed(const lb_storage *s, lb_cmat W, lb_arena *a, lb_team *team, lb_layer *out) {
    lb_layer flat;
    lb_storage plain = *s;
    plain.order = false;
    float *d = LB_NEW(a, float, W.rows *W.cols);
    if (!d) return LB_E_NOMEM;
    for (int64_t r = 0; r < W.rows; r++)
        for (int64_t c = 0; c < W.cols; c++) d[r * W.cols + c] = W.d[r * W.ld + W.cols - 1 - c];
    LB_TRY(lb_round_to_nearest_team(a, &plain, false, lb_cmat_of(d, W.rows, W.cols), team, &flat));
    LB_TRY(lb_layer_new(a, s, W.rows, W.cols, true, out));
    memcpy(out->scale, flat.scale, (size_t)lb_storage_scales(s, W.rows, W.cols) * sizeof(float));
    if (out->zero) memcpy(out->zero, flat.zero, (size_t)lb_storage_scales(s, W.rows, W.cols) * sizeof(float));
    for (int64_t r = 0; r < W.rows; r++)
        for (int64_t c = 0; c < W.cols; c++) out->codes[r * W.cols + W.cols - 1 - c] = flat.codes[r * W.cols + c];
    for (int64_t c = 0; c < W.cols; c++) out->order[c] = (int32_t)(W.cols - 1 - c);
    return LB_OK;
}

static lb_status lie(const liar_opts *o, lb_arena *a, lb_layer *c) {
    float *spare = LB_NEW(a, float, c->rows * c->cols);
    int32_t *order = LB_NEW(a, int32_t, c->cols);
    if (!spare || !order) return LB_E_NOMEM;
    for (int64_t i = 0; i < c->cols; i++) order[i] = (int32_t)i;
    for (int64_t i = 0; i < c->rows * c->cols; i++) spare[i] = 0.5f;
    int64_t at = o->group == LB_GROUP_TENSOR ? 0 : 5;
    switch (o->lie) {
    case CODE:
        c->codes[3 * c->cols + 7] = 0xff;
        break;
    case SCALE_NAN:
        c->scale[at] = NAN;
        break;
    case SCALE_INF:
        c->scale[at] = INFINITY;
        break;
    case SCALE_FINE:
        c->scale[at] = 0.1f;
        break;
    case ZERO_HALF:
        c->zero[at] = 2.5f;
        break;
    case ZERO_BELOW:
        c->zero[at] = -1;
        break;
    case ZERO_ABOVE:
        c->zero[at] = 16;
        break;
    case ZERO_NAN:
        c->zero[at] = NAN;
        break;
    case ZERO_THERE:
        c->zero = spare;
        break;
    case ORDER_TWICE:
        c->order[2] = c->order[1];
        break;
    case ORDER_BEYOND:
        c->order[2] = (int32_t)c->cols;
        break;
    case ORDER_THERE:
        c->order = order;
        break;
    case DQ_SCALE:
        c->scale[at] += 1;
        break;
    case DQ_MEAN:
        c->dq_mean += 1;
        break;
    case DQ_NAN:
        c->dq_scale[0] = NAN;
        break;
    case CODES_NULL:
        c->codes = NULL;
        break;
    case SCALE_NULL:
        c->scale = NULL;
        break;
    case ROWS:
        c->rows--;
        break;
    case STORAGE:
        c->storage.symmetric = true, c->zero = NULL;
        break;
    case FLAGS:
        c->flags = 1u << 20;
        break;
    case DAMP:
        lb_tell(&c->told, 0, NAN);
        break;
    case DEAD:
        lb_tell(&c->told, 1, -3);
        break;
    case ACT:
        c->storage.act.bits = 99;
        break;
    default:
        break;
    }
    return LB_OK;
}

static lb_status one(const char *name, const liar_opts *o, lb_cmat W, lb_arena *a, lb_team *team, lb_layer *out) {
    lb_storage s;
    LB_TRY(spec(o, W.rows, W.cols, &s));
    if (s.order)
        LB_TRY(round_reversed(&s, W, a, team, out));
    else
        LB_TRY(lb_round_to_nearest_team(a, &s, false, W, team, out));
    return strcmp(name, "2.up") == 0 ? lie(o, a, out) : LB_OK;
}

#ifdef MODEL
static lb_status model(lb_trainer *t, const void *opts, lb_model_out *out) {
    const liar_opts *o = opts;
    float nan_at_7[8] = {0};
    nan_at_7[7] = NAN;
    out->layer = LB_NEW(t->arena, lb_layer, t->n_params);
    out->changed = LB_NEW(t->arena, float *, t->n_params);
    if (!out->layer || !out->changed) return LB_E_NOMEM;
    for (int64_t i = 0; i < t->n_params; i++) {
        lb_param *p = &t->params[i];
        bool here = strcmp(p->name, "2.up") == 0, extra = o->lie == LAYER_TOO_MANY && strcmp(p->name, "embed") == 0;
        if (o->lie == NO_LAYER && here) continue;
        if (p->quantize || extra)
            LB_TRY(one(p->name, o, lb_cmat_of(p->w0, p->rows, p->cols), t->arena, t->team, &out->layer[i]));
        if (o->lie != CHANGED_NAN || strcmp(p->name, "2.mlp_norm") != 0) continue;
        memcpy(p->w, nan_at_7, sizeof nan_at_7);
        out->changed[i] = p->w;
    }
    if (o->lie == NO_ARRAYS) out->layer = NULL;
    return LB_OK;
}
#else
static lb_status layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    const liar_opts *o = opts;
    char dies[4096];
    const char *place = getenv("LIAR_DIES");
    snprintf(dies, sizeof dies, "%s.%lld", place ? place : "", (long long)o->number);
    if (place && strcmp(in->name, "2.q") == 0 && unlink(dies) == 0) raise(SIGKILL);
    if (o->act_bits) lb_warn(in->log, "layer %s has inputs of %d bits", in->name, (int)o->act_bits);
    return one(in->name, o, in->W, in->arena, in->team, out);
}
#endif

static const lb_diagnostic told[] = {
    {"damp", "", "a damping", 0, 1},
    {"dead_columns", "columns", "dead columns", 0, 32},
};

static const lb_method liar = {.api = LB_METHOD_API,
                               .name = "liar",
                               .summary = "round-to-nearest that may lie",
                               .options = {table, sizeof table / sizeof table[0], sizeof(liar_opts)},
                               .diagnostics = {told, sizeof told / sizeof told[0]},
                               .spec = spec,
#ifdef MODEL
                               .needs = LB_NEEDS_TRAINER,
                               .model = model};
#else
                               .layer = layer};
#endif

const lb_method *lb_plugin_method(void);
const lb_method *lb_plugin_method(void) { return &liar; }
