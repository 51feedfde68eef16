/* A folder with tokenizer.model and no tokenizer.json: what the files beside it add. */
#include "model/tokenizer/impl.h"

static lb_status read_all(lb_tokenizer *t, const char *dir, lb_tok_beside *b) {
    int32_t named = -1;
    LB_TRY(lb_tok_read_beside(t, dir, b));
    LB_TRY(lb_tok_list_added(t, b));
    LB_TRY(lb_tok_read_spm(t, b->added));
    if (b->special) LB_TRY(lb_tok_read_config(t, b->special_file.path, b->special, &named));
    if (b->config) LB_TRY(lb_tok_read_config(t, b->config_file.path, b->config, &named));
    return lb_tok_habit_bos(t, dir, b->config);
}

lb_status lb_tok_load_spm(lb_tokenizer *t, const char *dir) {
    lb_tok_kept model;
    LB_TRY(lb_tok_keep_file(t, dir, "tokenizer.model", LB_JSON_MOST_VOCAB, &model));
    t->spm = model.text; /* its strings are views */
    lb_tok_beside b = {0};
    lb_status status = read_all(t, dir, &b);
    lb_tok_free_beside(&b);
    return status;
}
