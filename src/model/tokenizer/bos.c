/* Who says what about BOS in a model's folder. What counts is tokenizer.json's post-processor; transformers asks other
 * files too, each version others (docs/tokenizers.md has the table that was measured). */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "io/json.h"
#include "model/tokenizer/impl.h"

/* What version 4 of transformers makes of a class: its own post-processor, or tokenizer.json's. */
typedef enum habit { LEAVES_IT, PUTS_BOS, PUTS_NONE } habit; /* the latter two unless add_bos_token says otherwise */

static habit habit_of(const char *class) {
    static const struct {
        const char *name;
        habit habit;
    } known[] = {{"LlamaTokenizer", PUTS_BOS},
                 {"CodeLlamaTokenizer", PUTS_BOS},
                 {"GemmaTokenizer", PUTS_BOS},
                 {"CohereTokenizer", PUTS_BOS},
                 {"GPTNeoXTokenizer", PUTS_NONE}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i].name);
        if (!strncmp(class, known[i].name, n) && (!class[n] || !strcmp(class + n, "Fast"))) return known[i].habit;
    }
    return LEAVES_IT;
}

/* What the folder says beside tokenizer.json. */
typedef struct sayings {
    const char *class; /* tokenizer_class; NULL: version 4 takes the one of config.json's model_type */
    bool llama;        /* that is llama, the only type whose class counts here: no model of another is read */
    habit habit;       /* of that class */
    const json_t *add; /* add_bos_token; NULL: not there. null is false to version 4 */
    int32_t bos;       /* that tokenizer_config.json names, or Llama's classes take without; -1: none */
} sayings;

lb_status lb_tok_model_type(const char *dir, char out[64]) {
    char *path = lb_fs_join(dir, "config.json");
    json_t *config = NULL;
    if (!path) return LB_E_NOMEM;
    lb_status st = lb_fs_exists(path) ? lb_json_read_most(path, LB_JSON_MOST_CONFIG, &config) : LB_OK;
    const char *type = json_string_value(json_object_get(config, "model_type"));
    snprintf(out, 64, "%s", type ? type : "");
    json_decref(config);
    lb_free(path);
    return st;
}

/* whatever: add_bos_token does not change it. */
static void add_clause(lb_str *says, const sayings *x, const char *versions, const char *puts, bool whatever) {
    lb_str_add(says, "; transformers %s %s for ", versions, puts);
    if (x->class)
        lb_str_add(says, "tokenizer_class %.64s", x->class);
    else
        lb_str_add(says, "config.json's model_type llama, as no tokenizer_class is named");
    if (whatever && x->add) lb_str_add(says, ", whatever add_bos_token says");
}

/* The clauses of all that disagree with what is taken. */
static void compare(const lb_tokenizer *t, const sayings *x, lb_str *says) {
    bool adds = t->adds_bos, given = json_is_boolean(x->add), yes = json_is_true(x->add);
    bool by_type = !x->class && x->llama; /* 5.2 then has a post-processor of its own, */
    bool code = x->class && x->llama && strncmp(x->class, "CodeLlama", 9) == 0; /* and 5.24 then */
    bool by_class = x->habit != LEAVES_IT;                                      /* 4 has one */
    bool four = x->add ? yes : x->habit == PUTS_BOS;
    bool differs = by_class && four != adds && !given; /* what is given is a clause of its own */
    if (given && yes != adds)
        lb_str_add(says, "; tokenizer_config.json says add_bos_token: %s", yes ? "true" : "false");
    if (differs && four && by_type)
        add_clause(says, x, "4 and 5.2", "put one", true);
    else if (differs)
        add_clause(says, x, "4", four ? "puts one" : "puts none", false);
    if (by_type && !adds && !(differs && four)) add_clause(says, x, "5.2", "puts one", true);
    if (code && !adds) add_clause(says, x, "5.24", "puts one", true);
    if (x->class && x->llama && adds && x->habit == PUTS_NONE) add_clause(says, x, "5.24", "puts none", true);
    if (adds && x->bos >= 0 && x->bos != t->bos && ((by_class && four) || by_type || code))
        lb_str_add(says, "; the BOS of transformers' class, which some versions put, is \"%.*s\"",
                   (int)(t->token[x->bos].n < 64 ? t->token[x->bos].n : 64), t->token[x->bos].s);
}

lb_status lb_tok_compare_bos(lb_tokenizer *t, const char *dir, const json_t *config, int32_t named) {
    sayings x = {.class = json_string_value(json_object_get(config, "tokenizer_class")),
                 .add = json_object_get(config, "add_bos_token"),
                 .bos = named};
    char puts[96] = "puts no BOS";
    lb_str says = {0};
    if (x.add && !json_is_boolean(x.add) && !json_is_null(x.add))
        return lb_fail(LB_E_FORMAT, "%s/tokenizer_config.json: key 'add_bos_token': expected true or false", dir);
    char type[64];
    LB_TRY(lb_tok_model_type(dir, type));
    x.llama = strcmp(type, "llama") == 0;
    x.habit = x.class ? habit_of(x.class) : x.llama ? PUTS_BOS : LEAVES_IT;
    if (x.bos < 0 && (!x.class || strstr(x.class, "Llama"))) x.bos = lb_tok_index_get(&t->index, "<s>", 3);
    if (t->adds_bos)
        snprintf(puts, sizeof puts, "puts \"%.*s\"", (int)(t->token[t->bos].n < 64 ? t->token[t->bos].n : 64),
                 t->token[t->bos].s);
    compare(t, &x, &says);
    lb_status st = lb_str_check(&says);
    if (st == LB_OK && says.len) {
        t->bos_dispute = lb_arena_printf(
            t->arena, "the model's files disagree about BOS: tokenizer.json's post-processor %s, which is taken%s",
            puts, says.s);
        if (!t->bos_dispute) st = LB_E_NOMEM;
    }
    lb_str_free(&says);
    return st;
}

/* A tokenizer.model does not say. add_bos_token does; without it version 4 goes by the class, and 5.24 puts none. */
lb_status lb_tok_habit_bos(lb_tokenizer *t, const char *dir, const json_t *config) {
    static const char *const types[] = {"llama", "mistral", "mixtral", "gemma", "gemma2", "cohere"};
    const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
    const json_t *add = json_object_get(config, "add_bos_token");
    char type[64];
    if (add && !json_is_boolean(add) && !json_is_null(add))
        return lb_fail(LB_E_FORMAT, "%s/tokenizer_config.json: key 'add_bos_token': expected true or false", dir);
    LB_TRY(lb_tok_model_type(dir, type));
    bool puts = class && habit_of(class) == PUTS_BOS;
    for (size_t i = 0; i < sizeof types / sizeof *types && !class; i++) puts = puts || strcmp(type, types[i]) == 0;
    t->adds_bos = add ? json_is_true(add) : puts && t->bos >= 0;
    if (t->adds_bos && t->bos < 0)
        return lb_fail(LB_E_FORMAT, "%s/tokenizer_config.json: add_bos_token is true, but no BOS token is named", dir);
    if (add || !t->adds_bos) return LB_OK;
    t->bos_dispute = lb_arena_printf(
        t->arena,
        "the model's files do not say whether BOS is put (no add_bos_token); it is, as transformers 4 does for %s "
        "%.64s; transformers 5.24 puts none",
        class ? "tokenizer_class" : "config.json's model_type", class ? class : type);
    return t->bos_dispute ? LB_OK : LB_E_NOMEM;
}
