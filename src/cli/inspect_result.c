#include "cli/inspect_result.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "result/bundle.h"
#include "result/figures.h"
#include "result/store.h"

static const char *told(const lb_record *r, const char *key) {
    const char *value = lb_pairs_get(&r->provenance, key);
    return value ? value : "?";
}

static void show_record(const lb_record *r, const char *path, const char *hash, lb_str *out) {
    lb_str_add(out, "result       %s\nsha256       %s\ncell         %s\n", path, hash, r->label);
    lb_str_add(out, "model        %s, at %s\n             sha256 %s\n", told(r, "model"), told(r, "model_path"),
               told(r, "model_sha256"));
    lb_str_add(out, "method       %s, %s", r->method, r->storage);
    if (r->size.quantized.weights > 0) lb_str_add(out, ", %.3f bits a weight", lb_size_bits(&r->size.quantized));
    lb_str_add(out, "\n");
    for (int64_t i = 0; i < r->evals; i++) {
        const lb_eval_row *e = &r->eval[i];
        const lb_task_result *t = &e->eval.task;
        lb_str_add(out, "%-12s %s, %s, %lld of %lld %s: ", i ? "" : "evaluated", e->name, e->eval.protocol.id,
                   (long long)e->eval.windows, (long long)e->eval.windows_all, t->items ? "items" : "windows");
        if (t->items) lb_str_add(out, "accuracy %.2f %%", 100 * t->acc);
        if (t->right_norm) lb_str_add(out, ", acc_norm %.2f %%", 100 * t->acc_norm);
        if (!isnan(e->eval.ppl)) lb_str_add(out, "%sperplexity %.6f", t->items ? ", " : "", e->eval.ppl);
        if (!isnan(e->eval.ppl_se)) lb_str_add(out, " +- %.6f", e->eval.ppl_se);
        lb_str_add(out, "\n");
    }
}

/* What its method told of the layers: least and most. */
static void show_told(const lb_record *r, lb_str *out) {
    const char *head = "told";
    for (size_t k = 0; k < r->diagnostics.n; k++) {
        const lb_diagnostic *d = &r->diagnostics.table[k];
        double least = INFINITY, most = -INFINITY;
        int64_t n = 0;
        for (int64_t i = 0; i < r->layers; i++) {
            if (!lb_is_told(&r->layer[i].told, k)) continue;
            least = fmin(least, r->layer[i].told.value[k]);
            most = fmax(most, r->layer[i].told.value[k]);
            n++;
        }
        if (n == 0) continue;
        lb_str_add(out, "%-12s %s %g", head, d->name, least);
        if (most > least) lb_str_add(out, " to %g", most);
        lb_str_add(out, "%s%s in %lld layer%s: %s\n", d->unit[0] ? " " : "", d->unit, (long long)n, n == 1 ? "" : "s",
                   d->meaning);
        head = "";
    }
}

/* Columns as wide as what stands in them. */
static void show_layers(const lb_bundle *b, lb_str *out) {
    lb_str text = {0};
    size_t name = 24, stored = 24;
    for (int64_t i = 0; i < b->layers; i++) {
        text.len = 0;
        lb_storage_text(&b->layer[i].storage, &text);
        if (text.len > stored) stored = text.len;
        if (strlen(b->layer[i].name) > name) name = strlen(b->layer[i].name);
    }
    lb_str_add(out, "\n%-*s  %-*s  %16s  %12s  %12s\n", (int)name, "name", (int)stored, "stored", "shape", "bytes",
               "at");
    for (int64_t i = 0; i < b->layers; i++) {
        const lb_bundle_layer *l = &b->layer[i];
        char shape[48];
        snprintf(shape, sizeof shape, "%lld x %lld", (long long)l->rows, (long long)l->cols);
        text.len = 0;
        lb_storage_text(&l->storage, &text);
        lb_str_add(out, "%-*s  %-*s  %16s  %12lld  %12lld\n", (int)name, l->name, (int)stored, text.s ? text.s : "",
                   shape, (long long)l->bytes, (long long)l->start);
    }
    if (text.failed) out->failed = true;
    lb_str_free(&text);
}

static lb_status show(lb_arena *a, lb_h5 *h, const char *path, bool layers, lb_str *out) {
    lb_record r;
    lb_bundle b;
    char hash[65], bytes[32];
    LB_TRY(lb_store_read_open(h, a, &r));
    LB_TRY(lb_h5_hash(path, hash));
    show_record(&r, path, hash, out);
    show_told(&r, out);
    if (!r.keeps) {
        lb_str_add(out, "keeps        no layers (keep_layers: false)\n");
        return lb_str_check(out);
    }
    LB_TRY(lb_bundle_read(h, a, &b));
    lb_format_bytes((double)b.bytes, bytes);
    lb_str_add(out, "keeps        %s%lld layers and tensors, %s\n", r.keeps_model ? "the whole model: " : "",
               (long long)b.layers, bytes);
    if (layers && b.layers > 0) show_layers(&b, out);
    return lb_str_check(out);
}

lb_status lb_cli_inspect_result(lb_arena *a, const char *path, bool layers, lb_str *out) {
    lb_h5 *h = NULL;
    LB_TRY(lb_h5_open(path, &h));
    lb_status st = lb_h5_blame(show(a, h, path, layers, out), path);
    lb_h5_abandon(h);
    return st;
}
