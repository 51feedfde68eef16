#include "result/journal.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "io/json.h"
#include "result/figures.h"
#include "result/store.h"

/* o was packed after lb_json_memory_begin. */
static lb_status append(const char *dir, const char *stem, json_t *o) {
    char *line = o ? json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(o);
    if (!line) return lb_fail(LB_E_NOMEM, "out of memory: the journal of %s", stem);
    lb_status st = lb_json_memory_check(stem);
    if (st == LB_OK) st = lb_store_journal(dir, stem, line);
    lb_free(line);
    return st;
}

/* JSON has no NaN. */
static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

lb_status lb_journal_start(const char *dir, const char *stem, const char *label, const char *key) {
    char date[32];
    lb_clock_iso(date);
    lb_json_memory_begin();
    return append(dir, stem,
                  json_pack("{s:s, s:s, s:s, s:s}", "event", "start", "label", label, "key", key, "date", date));
}

lb_status lb_journal_layer(const char *dir, const char *stem, const lb_layer_row *r) {
    lb_str flags = {0};
    lb_flags_text(r->flags, &flags);
    LB_TRY(lb_str_check(&flags));
    lb_json_memory_begin();
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:s, s:o}", "event", "layer", "name", r->name,
                          "storage", r->storage, "bytes", (json_int_t)r->size.total, "weight_mse",
                          number(lb_weight_mse(&r->original)), "output_rel_own", number(lb_output_rel(&r->own)),
                          "output_rel_original", number(lb_output_rel(&r->original)), "ratio_to_rtn",
                          number(lb_layer_ratio(r)), "flags", flags.s ? flags.s : "", "seconds", number(r->seconds));
    lb_str_free(&flags);
    if (o && lb_layer_is_shared(r)) json_object_set_new(o, "same_as", json_string(r->same_as));
    return append(dir, stem, o);
}

lb_status lb_journal_eval(const char *dir, const char *stem, const lb_eval_row *r) {
    lb_json_memory_begin();
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o}", "event", "eval", "name", r->name, "protocol",
                          r->eval.protocol.id, "windows", (json_int_t)r->eval.windows, "ppl", number(r->eval.ppl),
                          "ppl_se", number(r->eval.ppl_se), "delta", number(r->has_paired ? r->paired.delta : NAN));
    if (o && lb_protocol_is_task(&r->eval.protocol)) json_object_set_new(o, "acc", number(r->eval.task.acc));
    return append(dir, stem, o);
}

lb_status lb_journal_train(const char *dir, const char *stem, const lb_trained *t) {
    lb_json_memory_begin();
    return append(dir, stem,
                  json_pack("{s:s, s:I, s:I, s:o}", "event", "train", "step", (json_int_t)t->step, "steps",
                            (json_int_t)t->steps, "seconds", number(t->seconds)));
}

/* One line of a journal that may be cut short anywhere: what is no event says nothing. */
static void read_event(const char *name, const char *line, size_t n, lb_trained *t, bool *failed) {
    json_t *o = NULL;
    const char *event = "";
    lb_trained x = {0};
    bool ok = lb_json_parse(name, line, n, &o) == LB_OK && lb_json_str(name, o, "event", &event) == LB_OK;
    if (ok && strcmp(event, "failed") == 0) *failed = true;
    if (ok && strcmp(event, "train") == 0 && lb_json_int(name, o, "step", &x.step) == LB_OK &&
        lb_json_int(name, o, "steps", &x.steps) == LB_OK && lb_json_num(name, o, "seconds", &x.seconds) == LB_OK)
        *t = x;
    json_decref(o);
    lb_error_clear();
}

lb_status lb_journal_interrupted(const char *dir, const char *stem, lb_trained *out) {
    lb_str path = {0};
    char *text = NULL;
    size_t len = 0;
    bool failed = false;
    *out = (lb_trained){0};
    lb_str_add(&path, "%s/%s.journal", dir, stem);
    lb_status st = lb_str_check(&path);
    bool there = st == LB_OK && lb_fs_exists(path.s) && !lb_fs_is_link(path.s);
    if (there && lb_fs_read(path.s, &text, &len) != LB_OK) lb_error_clear(); /* it is in nobody's way */
    for (char *line = text, *end; line && *line; line = end) {
        end = line + strcspn(line, "\n");
        read_event(path.s, line, (size_t)(end - line), out, &failed);
        end += *end == '\n';
    }
    lb_free(text);
    lb_str_free(&path);
    if (failed || out->step < 0) *out = (lb_trained){0}; /* that one came to its end */
    return st;
}

lb_status lb_journal_note(const char *dir, const char *stem, const char *event, const char *text) {
    lb_json_memory_begin();
    return append(dir, stem, json_pack("{s:s, s:s}", "event", event, "text", text));
}

void lb_journal_remove(const char *dir, const char *stem) {
    lb_str path = {0};
    lb_str_add(&path, "%s/%s.journal", dir, stem);
    if (!path.failed) (void)unlink(path.s);
    lb_str_free(&path);
}
