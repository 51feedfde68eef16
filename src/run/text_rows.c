#include "run/text_rows.h"

#include <string.h>

#include "model/recipes.h"

void lb_text_rows_take(const lb_source *s, const lb_protocol *p, lb_rows_config *rows) {
    const char *join = rows->join;
    if (s) lb_source_rows(s, &rows->form, &rows->field, &rows->join);
    if (p && lb_protocol_fixes_rows(p)) rows->join = join;
}

lb_row_spec lb_text_rows_spec(const lb_rows_config *rows) {
    return (lb_row_spec){.form = rows->form, .field = rows->field, .chat = rows->chat, .first = rows->first};
}

bool lb_text_rows_say_join(const lb_rows_config *rows) { return strcmp(rows->join, LB_JOIN_AUTO) != 0; }

static bool is_one(const char *path, const lb_rows_config *rows) {
    const lb_row_spec spec = lb_text_rows_spec(rows);
    return lb_rows_form(path, &spec) == LB_ROWS_FILE;
}

lb_status lb_text_rows_check(const char *text, const char *path, const lb_rows_config *rows) {
    if (!lb_text_rows_say_join(rows) || !is_one(path, rows)) return LB_OK;
    return lb_fail(LB_E_CONFIG, "join has no effect: text %s is read as one (rows: lines or json cuts it)", text);
}

static const char *between(const lb_protocol *p) {
    return strcmp(lb_protocol_join(p), " ") == 0 ? "a space" : "an empty line";
}

/* Those that say themselves what comes between rows, and how many there are. */
static lb_status check_fixed(const lb_protocol *p, const lb_rows_config *rows) {
    const char *join = lb_protocol_join(p);
    int64_t first = lb_protocol_first(p);
    if (lb_text_rows_say_join(rows) && !join)
        return lb_fail(LB_E_CONFIG, "join has no effect: protocol %s takes each row for itself", p->id);
    if (lb_text_rows_say_join(rows) && strcmp(rows->join, join) != 0)
        return lb_fail(LB_E_CONFIG, "protocol %s joins rows by %s itself", p->id, between(p));
    if (rows->first && first && rows->first != first)
        return lb_fail(LB_E_CONFIG, "first: protocol %s takes the first %lld rows", p->id, (long long)first);
    if (rows->first && !first) return lb_fail(LB_E_CONFIG, "first: protocol %s takes all rows", p->id);
    return LB_OK;
}

lb_status lb_text_rows_scored(const char *text, const char *path, const lb_protocol *p, lb_rows_config *rows,
                              lb_log *log, const char **join) {
    bool one = is_one(path, rows);
    if (one && lb_protocol_needs_rows(p))
        return lb_fail(LB_E_CONFIG, "text %s is read as one: protocol %s takes rows (rows: json or lines cuts it)",
                       text, p->id);
    LB_TRY(lb_text_rows_check(text, path, rows));
    if (lb_protocol_fixes_rows(p)) LB_TRY(check_fixed(p, rows));
    if (one && lb_protocol_fixes_rows(p))
        lb_warn(log, "%s: read as one text: %s is of rows that are joined by %s (rows: lines cuts it)", text, p->id,
                between(p));
    if (lb_protocol_first(p)) rows->first = lb_protocol_first(p);
    *join = lb_text_rows_say_join(rows) ? rows->join : lb_protocol_join(p);
    return LB_OK;
}

lb_status lb_text_rows_draw(const lb_protocol *p, lb_corpus *c) {
    int64_t windows = lb_protocol_draws(p);
    if (!windows) return LB_OK;
    lb_sequences drawn;
    LB_TRY(lb_recipe_tokens(c, LB_RECIPE_DOCUMENTS, 0, windows, p->n, c->arena, &drawn));
    c->token = (int32_t *)(uintptr_t)drawn.token; /* of its own arena */
    c->tokens = lb_sequences_tokens(&drawn);
    lb_corpus_close_rows(c);
    return LB_OK;
}
