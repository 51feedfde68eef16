#include "math/bf16.h"

#include "base/profile.h"
#include "math/kernels.h"

void lb_bf16_round(lb_cmat x, uint16_t *out) {
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_BF16_ROUND);
    for (int64_t i = 0; i < x.rows; i++) lb_kernels_active()->bf16(out + i * x.cols, x.d + i * x.ld, x.cols);
    lb_scope_end(&scope, 0, 6.0 * (double)x.rows * (double)x.cols);
}

#if !defined(LB_HAVE_ONEDNN)

/* A build without oneDNN refuses by name; nothing else is asked of it. */
lb_status lb_bf16_check(void) {
    return lb_fail(LB_E_UNSUPPORTED, "products in bf16 need oneDNN 2.x, and this build is without it: install it "
                                     "(Debian: libdnnl-dev) and build again, or use float32");
}
const char *lb_bf16_version(void) { return ""; }
const char *lb_bf16_isa(void) { return ""; }
bool lb_bf16_native(void) { return false; }
lb_status lb_bf16_new(lb_bf16 **out) {
    *out = NULL;
    return lb_bf16_check();
}
void lb_bf16_free(lb_bf16 *c) { (void)c; }
lb_status lb_bf16_bytes(lb_bf16 *c, int64_t rows, int64_t cols, size_t *bytes) {
    (void)c, (void)rows, (void)cols;
    *bytes = 0;
    return lb_bf16_check();
}
lb_status lb_bf16_pack(lb_bf16 *c, lb_cmat W, void *to, lb_bf16_mat *out) {
    (void)c, (void)W, (void)to;
    *out = (lb_bf16_mat){0};
    return lb_bf16_check();
}
lb_status lb_bf16_matmul(const lb_bf16_mat *W, const uint16_t *x, int64_t m, bool add, lb_mat y) {
    (void)W, (void)x, (void)m, (void)add, (void)y;
    return lb_bf16_check();
}

#else

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "math/bf16_library.h"

/* Rows of x that a matrix's order is chosen for; oneDNN keeps to it for any other number. */
enum { TYPICAL_ROWS = 512 };

/* A matrix's order in memory, and the primitive that rounds float32 into it. */
typedef struct layout {
    int64_t rows, cols;
    dnnl_memory_desc_t plain, packed;
    dnnl_primitive_t round;
    size_t bytes;
    struct layout *next;
} layout;

/* A product of one shape. */
typedef struct product {
    int64_t m;
    const layout *W;
    bool add;
    dnnl_memory_desc_t x, y;
    const dnnl_memory_desc_t *scratch; /* the primitive's */
    size_t scratch_bytes;
    dnnl_primitive_t run;
    struct product *next;
} product;

struct lb_bf16 {
    dnnl_engine_t engine;
    pthread_mutex_t lock; /* of the two lists, whose entries stay as they are until the end */
    layout *layouts;
    product *products;
};

/* oneDNN splits work over OpenMP's threads, and how it cuts a product depends on their number. One, for this thread:
 * told to OpenMP by each thread that comes here, it says nothing to any other. */
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
static void be_alone(void) {
    static _Thread_local bool told;
    if (!told) lb_onednn.set_threads(1);
    told = true;
}
#elif DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_SEQ
static void be_alone(void) {}
#else
#error "oneDNN must be built for OpenMP or sequential: with another runtime it starts threads of its own"
#endif

static lb_status fail(dnnl_status_t st, const char *what) {
    if (st == dnnl_out_of_memory) return lb_fail(LB_E_NOMEM, "out of memory: oneDNN, %s", what);
    return lb_fail(LB_E_UNSUPPORTED, "oneDNN %s (%s) cannot %s in bf16: status %d", lb_bf16_version(), lb_bf16_isa(),
                   what, (int)st);
}
#define DNNL_TRY(what, call)                                                                                           \
    do {                                                                                                               \
        dnnl_status_t dnnl_try_ = (call);                                                                              \
        if (dnnl_try_ != dnnl_success) return fail(dnnl_try_, what);                                                   \
    } while (0)

const char *lb_bf16_version(void) {
    static _Thread_local char text[32];
    if (lb_onednn_load() != LB_OK) return LB_ONEDNN_BUILT_WITH;
    const dnnl_version_t *v = lb_onednn.version();
    if (!text[0]) snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

const char *lb_bf16_isa(void) {
    static const struct {
        int isa;
        const char *name;
    } known[] = {{dnnl_cpu_isa_sse41, "sse41"},
                 {dnnl_cpu_isa_avx, "avx"},
                 {dnnl_cpu_isa_avx2, "avx2"},
                 {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
                 {dnnl_cpu_isa_avx512_core, "avx512_core"},
                 {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
                 {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
                 {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"}};
    if (lb_onednn_load() != LB_OK) return "";
    int isa = (int)lb_onednn.get_effective_cpu_isa();
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].isa == isa) return known[i].name;
    return "unnamed";
}

bool lb_bf16_native(void) {
    if (lb_onednn_load() != LB_OK) return false;
    int isa = (int)lb_onednn.get_effective_cpu_isa();
    return isa == dnnl_cpu_isa_avx512_core_bf16 || isa == dnnl_cpu_isa_avx512_core_amx;
}

/* ---- shapes ---- */

static lb_status matrix(dnnl_data_type_t type, int64_t rows, int64_t cols, bool transposed, dnnl_memory_desc_t *out) {
    dnnl_dims_t plain = {rows, cols}, turned = {cols, rows}, by_row = {cols, 1}, by_column = {1, cols};
    DNNL_TRY("describe a matrix", lb_onednn.memory_desc_init_by_strides(out, 2, transposed ? turned : plain, type,
                                                                        transposed ? by_column : by_row));
    return LB_OK;
}

/* Work space from the caller, so that threads may share a primitive; added to y with a sum after the product. */
static lb_status attributes(bool add, dnnl_primitive_attr_t *out) {
    dnnl_post_ops_t sum = NULL;
    dnnl_status_t st = lb_onednn.primitive_attr_create(out);
    if (st != dnnl_success) return fail(st, "describe a product");
    st = lb_onednn.primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
    if (st == dnnl_success && add) st = lb_onednn.post_ops_create(&sum);
    if (st == dnnl_success && add) st = lb_onednn.post_ops_append_sum(sum, 1.0f);
    if (st == dnnl_success && add) st = lb_onednn.primitive_attr_set_post_ops(*out, sum);
    lb_onednn.post_ops_destroy(sum);
    if (st == dnnl_success) return LB_OK;
    lb_onednn.primitive_attr_destroy(*out);
    return fail(st, "describe a product");
}

/* The product of x and y with weights in the order `W`, which may be left to oneDNN. */
static dnnl_status_t describe(dnnl_engine_t e, const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *W,
                              const dnnl_memory_desc_t *y, dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out) {
    dnnl_matmul_desc_t d;
    dnnl_status_t st = lb_onednn.matmul_desc_init(&d, x, W, NULL, y);
    return st == dnnl_success ? lb_onednn.primitive_desc_create(out, &d, attr, e, NULL) : st;
}

static lb_status choose_order(dnnl_engine_t e, layout *l) {
    dnnl_memory_desc_t x, y, any;
    dnnl_dims_t turned = {l->cols, l->rows};
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t d;
    LB_TRY(matrix(dnnl_bf16, TYPICAL_ROWS, l->cols, false, &x));
    LB_TRY(matrix(dnnl_f32, TYPICAL_ROWS, l->rows, false, &y));
    LB_TRY(matrix(dnnl_f32, l->rows, l->cols, true, &l->plain));
    DNNL_TRY("describe a matrix", lb_onednn.memory_desc_init_by_tag(&any, 2, turned, dnnl_bf16, dnnl_format_tag_any));
    LB_TRY(attributes(false, &attr));
    dnnl_status_t st = describe(e, &x, &any, &y, attr, &d);
    lb_onednn.primitive_attr_destroy(attr);
    if (st != dnnl_success) return fail(st, "multiply");
    l->packed = *lb_onednn.primitive_desc_query_md(d, dnnl_query_weights_md, 0);
    l->bytes = (lb_onednn.memory_desc_get_size(&l->packed) + 63) / 64 * 64;
    lb_onednn.primitive_desc_destroy(d);
    return LB_OK;
}

static lb_status new_layout(dnnl_engine_t e, layout *l) {
    dnnl_primitive_desc_t d;
    LB_TRY(choose_order(e, l));
    dnnl_status_t st = lb_onednn.reorder_primitive_desc_create(&d, &l->plain, e, &l->packed, e, NULL);
    if (st != dnnl_success) return fail(st, "round a matrix");
    st = lb_onednn.primitive_create(&l->round, d);
    lb_onednn.primitive_desc_destroy(d);
    return st == dnnl_success ? LB_OK : fail(st, "round a matrix");
}

static lb_status new_product(dnnl_engine_t e, product *p) {
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t d;
    const_dnnl_primitive_desc_t own;
    LB_TRY(matrix(dnnl_bf16, p->m, p->W->cols, false, &p->x));
    LB_TRY(matrix(dnnl_f32, p->m, p->W->rows, false, &p->y));
    LB_TRY(attributes(p->add, &attr));
    dnnl_status_t st = describe(e, &p->x, &p->W->packed, &p->y, attr, &d);
    lb_onednn.primitive_attr_destroy(attr);
    if (st != dnnl_success) return fail(st, "multiply");
    st = lb_onednn.primitive_create(&p->run, d);
    lb_onednn.primitive_desc_destroy(d);
    if (st == dnnl_success) st = lb_onednn.primitive_get_primitive_desc(p->run, &own);
    if (st != dnnl_success) return fail(st, "multiply");
    p->scratch = lb_onednn.primitive_desc_query_md(own, dnnl_query_scratchpad_md, 0);
    p->scratch_bytes = lb_onednn.memory_desc_get_size(p->scratch);
    return LB_OK;
}

static lb_status get_layout(lb_bf16 *c, int64_t rows, int64_t cols, const layout **out) {
    for (layout *l = c->layouts; l; l = l->next)
        if (l->rows == rows && l->cols == cols) {
            *out = l;
            return LB_OK;
        }
    layout *l = lb_alloc(1, sizeof *l);
    if (!l) return LB_E_NOMEM;
    l->rows = rows, l->cols = cols;
    lb_status st = new_layout(c->engine, l);
    if (st != LB_OK) {
        lb_onednn.primitive_destroy(l->round);
        lb_free(l);
        return st;
    }
    l->next = c->layouts;
    *out = c->layouts = l;
    return LB_OK;
}

static lb_status get_product(lb_bf16 *c, int64_t m, const lb_bf16_mat *W, bool add, const product **out) {
    const layout *l;
    LB_TRY(get_layout(c, W->rows, W->cols, &l));
    for (product *p = c->products; p; p = p->next)
        if (p->m == m && p->W == l && p->add == add) {
            *out = p;
            return LB_OK;
        }
    product *p = lb_alloc(1, sizeof *p);
    if (!p) return LB_E_NOMEM;
    p->m = m, p->W = l, p->add = add;
    lb_status st = new_product(c->engine, p);
    if (st != LB_OK) {
        lb_onednn.primitive_destroy(p->run);
        lb_free(p);
        return st;
    }
    p->next = c->products;
    *out = c->products = p;
    return LB_OK;
}

static lb_status locked_layout(lb_bf16 *c, int64_t rows, int64_t cols, const layout **out) {
    be_alone();
    pthread_mutex_lock(&c->lock);
    lb_status st = get_layout(c, rows, cols, out);
    pthread_mutex_unlock(&c->lock);
    return st;
}

/* ---- running ---- */

enum { MOST_ARGS = 4 };
typedef struct arg {
    int what;
    const dnnl_memory_desc_t *md;
    const void *d; /* oneDNN takes what it only reads as void too */
} arg;

static lb_status execute(const lb_bf16 *c, const_dnnl_primitive_t p, const arg *a, int n, const char *what) {
    dnnl_exec_arg_t x[MOST_ARGS];
    dnnl_stream_t stream = NULL;
    int made = 0;
    dnnl_status_t st = lb_onednn.stream_create(&stream, c->engine, dnnl_stream_default_flags);
    for (; made < n && st == dnnl_success; made += st == dnnl_success) {
        x[made].arg = a[made].what;
        st = lb_onednn.memory_create(&x[made].memory, a[made].md, c->engine, (void *)(uintptr_t)a[made].d);
    }
    if (st == dnnl_success) st = lb_onednn.primitive_execute(p, stream, n, x);
    if (st == dnnl_success) st = lb_onednn.stream_wait(stream);
    while (made > 0) lb_onednn.memory_destroy(x[--made].memory);
    lb_onednn.stream_destroy(stream);
    return st == dnnl_success ? LB_OK : fail(st, what);
}

lb_status lb_bf16_bytes(lb_bf16 *c, int64_t rows, int64_t cols, size_t *bytes) {
    const layout *l = NULL;
    *bytes = 0;
    LB_TRY(locked_layout(c, rows, cols, &l));
    *bytes = l->bytes;
    return LB_OK;
}

lb_status lb_bf16_pack(lb_bf16 *c, lb_cmat W, void *to, lb_bf16_mat *out) {
    const layout *l = NULL;
    assert(W.ld == W.cols || W.rows == 1);
    LB_TRY(locked_layout(c, W.rows, W.cols, &l));
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_BF16_ROUND);
    const arg a[] = {{DNNL_ARG_FROM, &l->plain, W.d}, {DNNL_ARG_TO, &l->packed, to}};
    lb_status st = execute(c, l->round, a, 2, "round a matrix");
    lb_scope_end(&scope, 0, 6.0 * (double)W.rows * (double)W.cols);
    LB_TRY(st);
    *out = (lb_bf16_mat){c, W.rows, W.cols, to};
    return LB_OK;
}

static lb_status multiply(const product *p, const lb_bf16_mat *W, const uint16_t *x, lb_mat y) {
    void *scratch = NULL;
    if (p->scratch_bytes && !(scratch = lb_alloc(1, p->scratch_bytes))) return LB_E_NOMEM;
    const arg a[] = {{DNNL_ARG_SRC, &p->x, x},
                     {DNNL_ARG_WEIGHTS, &p->W->packed, W->d},
                     {DNNL_ARG_DST, &p->y, y.d},
                     {DNNL_ARG_SCRATCHPAD, p->scratch, scratch}};
    lb_status st = execute(W->c, p->run, a, MOST_ARGS, "multiply");
    lb_free(scratch);
    return st;
}

lb_status lb_bf16_matmul(const lb_bf16_mat *W, const uint16_t *x, int64_t m, bool add, lb_mat y) {
    const product *p = NULL;
    assert(y.rows == m && y.cols == W->rows && (y.ld == y.cols || m == 1));
    if (m == 0) return LB_OK;
    be_alone();
    pthread_mutex_lock(&W->c->lock);
    lb_status st = get_product(W->c, m, W, add, &p);
    pthread_mutex_unlock(&W->c->lock);
    LB_TRY(st);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_BF16);
    st = multiply(p, W, x, y);
    double rows = (double)W->rows, cols = (double)W->cols;
    lb_scope_end(&scope, 2.0 * (double)m * rows * cols, 2.0 * cols * ((double)m + rows) + 4.0 * (double)m * rows);
    return st;
}

/* ---- all of it ---- */

lb_status lb_bf16_new(lb_bf16 **out) {
    *out = NULL;
    LB_TRY(lb_onednn_load());
    be_alone();
    lb_bf16 *c = lb_alloc(1, sizeof *c);
    if (!c) return LB_E_NOMEM;
    pthread_mutex_init(&c->lock, NULL);
    dnnl_status_t st = lb_onednn.engine_create(&c->engine, dnnl_cpu, 0);
    if (st != dnnl_success) {
        lb_bf16_free(c);
        return fail(st, "start");
    }
    *out = c;
    return LB_OK;
}

void lb_bf16_free(lb_bf16 *c) {
    if (!c) return;
    for (product *p = c->products, *next; p; p = next) {
        next = p->next;
        lb_onednn.primitive_destroy(p->run);
        lb_free(p);
    }
    for (layout *l = c->layouts, *next; l; l = next) {
        next = l->next;
        lb_onednn.primitive_destroy(l->round);
        lb_free(l);
    }
    lb_onednn.engine_destroy(c->engine);
    pthread_mutex_destroy(&c->lock);
    lb_free(c);
}

lb_status lb_bf16_check(void) {
    lb_bf16 *c;
    const layout *l = NULL;
    LB_TRY(lb_bf16_new(&c));
    lb_status st = locked_layout(c, 64, 64, &l);
    lb_bf16_free(c);
    if (st != LB_E_UNSUPPORTED) return st;
    return lb_fail(st,
                   "products in bf16: oneDNN %s finds %s on this processor, expected avx512_core_bf16 or "
                   "avx512_core_amx (or avx512_core, where they are emulated): use float32",
                   lb_bf16_version(), lb_bf16_isa());
}

#endif
