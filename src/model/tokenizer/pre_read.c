/* Reading pre-tokenizers: each becomes a step, or two. */
#include "model/tokenizer/impl.h"

static lb_status read_behavior(const lb_tokenizer *t, const json_t *c, const char *fallback, lb_tok_behavior *out) {
    static const struct {
        const char *name;
        lb_tok_behavior behavior;
    } known[] = {
        {"Isolated", LB_TOK_ISOLATED},        {"Removed", LB_TOK_REMOVED},
        {"Contiguous", LB_TOK_CONTIGUOUS},    {"MergedWithPrevious", LB_TOK_WITH_PREVIOUS},
        {"MergedWithNext", LB_TOK_WITH_NEXT},
    };
    const char *s = fallback;
    if (!fallback || json_object_get(c, "behavior")) LB_TRY(lb_json_str(t->name, c, "behavior", &s));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(s, known[i].name)) {
            *out = known[i].behavior;
            return LB_OK;
        }
    return lb_tok_unknown(t, "behavior", s);
}

static lb_status read_split(lb_tokenizer *t, const json_t *c, lb_tok_step *s) {
    const char *regex;
    LB_TRY(lb_tok_get_pattern(t, c, &s->literal, &regex));
    LB_TRY(read_behavior(t, c, NULL, &s->behavior));
    LB_TRY(lb_tok_get_bool(t, c, "invert", false, &s->invert));
    s->kind = regex ? LB_TOK_REGEX : LB_TOK_LITERAL;
    if (!regex) return LB_OK;
    s->pattern = regex;
    const lb_tok_known *scanned = lb_tok_known_pattern(regex);
    bool isolated = s->behavior == LB_TOK_ISOLATED; /* matched or not, every part is a word */
    if (scanned && (isolated || (scanned->covers && s->invert && s->behavior == LB_TOK_REMOVED))) {
        s->kind = LB_TOK_SCAN;
        s->scan = scanned->scan;
        return LB_OK;
    }
    return lb_tok_pattern_new(t, "pre-tokenizer Split", regex, &s->regex);
}

static void add_step(lb_tokenizer *t, lb_tok_step s) { t->step[t->n_step++] = s; }

static lb_status read_byte_level(lb_tokenizer *t, const json_t *c) {
    bool prefix, regex;
    LB_TRY(lb_tok_get_bool(t, c, "add_prefix_space", true, &prefix));
    LB_TRY(lb_tok_get_bool(t, c, "use_regex", true, &regex));
    if (prefix) add_step(t, (lb_tok_step){.kind = LB_TOK_SPACE_FIRST});
    if (regex)
        add_step(t, (lb_tok_step){.kind = LB_TOK_SCAN, .scan = lb_tok_scan_gpt2, .pattern = lb_tok_pattern_gpt2});
    t->byte_level = t->alphabet = true;
    return LB_OK;
}

lb_status lb_tok_spell_bytes(lb_tokenizer *t) {
    if (!t->byte_level) return LB_OK;
    LB_TRY(lb_tok_room(t, t->n_step, "pre-tokenizers"));
    add_step(t, (lb_tok_step){.kind = LB_TOK_ALPHABET});
    t->byte_level = false;
    return LB_OK;
}

lb_status lb_tok_read_metaspace(lb_tokenizer *t, const json_t *c, lb_tok_view *mark, lb_tok_prepend *prepend) {
    static const struct {
        const char *name;
        lb_tok_prepend prepend;
    } schemes[] = {{"always", LB_TOK_ALWAYS}, {"first", LB_TOK_FIRST}, {"never", LB_TOK_NEVER}};
    int32_t code;
    LB_TRY(lb_tok_get_text(t, c, "replacement", mark));
    if (!mark->n || lb_tok_char(mark->s, mark->n, &code) != mark->n)
        return lb_fail(LB_E_FORMAT, "%s: Metaspace's replacement \"%s\": expected one character", t->name, mark->s);
    const char *scheme = "always";
    bool prefix;
    LB_TRY(lb_tok_get_bool(t, c, "add_prefix_space", true, &prefix)); /* files from before prepend_scheme */
    if (!prefix) scheme = "never";
    const json_t *given = json_object_get(c, "prepend_scheme");
    if (given && !json_is_null(given)) LB_TRY(lb_json_str(t->name, c, "prepend_scheme", &scheme));
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (!strcmp(scheme, schemes[i].name)) {
            *prepend = schemes[i].prepend;
            return LB_OK;
        }
    return lb_tok_unknown(t, "Metaspace's prepend_scheme", scheme);
}

/* Whether what stands before this step puts something before a text, or spells it otherwise. The library asks whether a
 * piece begins where the text did before all that; then a piece behind the first may, too. */
static bool moved(const lb_tokenizer *t) {
    for (int i = 0; i < t->n_norm; i++)
        if ((t->norm[i].kind == LB_TOK_PREPEND || t->norm[i].kind == LB_TOK_NORM_ALPHABET) && t->n_step) return true;
    for (int i = 0; i < t->n_step; i++) {
        lb_tok_step_kind kind = t->step[i].kind;
        if (kind == LB_TOK_ALPHABET || kind == LB_TOK_METASPACE || kind == LB_TOK_SPACE_FIRST) return true;
    }
    return false;
}

/* The kinds that take no more than a behaviour or a flag. false: none of these. */
static lb_status read_chars(lb_tokenizer *t, const char *type, const json_t *c, lb_tok_step *s, bool *known) {
    bool each;
    *known = true;
    s->kind = LB_TOK_CHARS;
    if (!strcmp(type, "Digits")) {
        LB_TRY(lb_tok_get_bool(t, c, "individual_digits", false, &each));
        s->is = lb_tok_is_number;
        s->behavior = each ? LB_TOK_ISOLATED : LB_TOK_CONTIGUOUS;
    } else if (!strcmp(type, "Punctuation")) {
        s->is = lb_tok_is_punct;
        return read_behavior(t, c, "Isolated", &s->behavior);
    } else if (!strcmp(type, "WhitespaceSplit") || !strcmp(type, "BertPreTokenizer")) {
        s->is = lb_tok_is_space;
        s->behavior = LB_TOK_REMOVED;
    } else if (!strcmp(type, "Whitespace")) {
        s->kind = LB_TOK_WORDS;
    } else {
        *known = false;
    }
    return LB_OK;
}

/* Falcon's. */
static bool splits_three_digits(const json_t *c) {
    const char *regex = json_string_value(json_object_get(json_object_get(c, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(c, "behavior"));
    return regex && behavior && !strcmp(regex, "[0-9][0-9][0-9]") && !strcmp(behavior, "Isolated");
}

/* The library doubles the head of a text, or fails, where one of these changes a piece to which a Replace that matched
 * nothing gave its first characters. */
static lb_status check_inserted(const lb_tokenizer *t, const char *type) {
    bool changes = !strcmp(type, "ByteLevel") || (!strcmp(type, "Metaspace") && t->n_step);
    if (!changes || !t->n_norm || !t->norm[t->n_norm - 1].inserts) return LB_OK;
    return lb_tok_inserted(t, !t->n_step ? "pre-tokenizer ByteLevel" : "pre-tokenizers that change a piece");
}

static lb_status read_step(lb_tokenizer *t, const char *type, const json_t *c, void *user) {
    (void)user;
    bool known;
    /* What is behind ByteLevel sees its alphabet; these two find the same in the bytes. */
    bool spelled = t->byte_level && (!strcmp(type, "Digits") || splits_three_digits(c));
    if (!spelled) LB_TRY(lb_tok_spell_bytes(t));
    LB_TRY(lb_tok_room(t, t->n_step, "pre-tokenizers"));
    LB_TRY(check_inserted(t, type));
    if (!strcmp(type, "ByteLevel")) return read_byte_level(t, c);
    lb_tok_step s = {.spelled = spelled};
    LB_TRY(read_chars(t, type, c, &s, &known));
    if (known) {
        add_step(t, s);
        if (!strcmp(type, "BertPreTokenizer")) add_step(t, (lb_tok_step){.kind = LB_TOK_CHARS, .is = lb_tok_is_punct});
        return LB_OK;
    }
    if (!strcmp(type, "Split")) {
        lb_status status = read_split(t, c, &s);
        add_step(t, s); /* also where it failed: what was compiled is freed with the tokenizer */
        return status;
    }
    if (!strcmp(type, "CharDelimiterSplit")) {
        s.kind = LB_TOK_LITERAL;
        s.behavior = LB_TOK_REMOVED;
        LB_TRY(lb_tok_get_text(t, c, "delimiter", &s.literal));
        if (!s.literal.n) return lb_fail(LB_E_FORMAT, "%s: CharDelimiterSplit without a delimiter", t->name);
    } else if (!strcmp(type, "Metaspace")) {
        s.kind = LB_TOK_METASPACE;
        LB_TRY(lb_tok_get_bool(t, c, "split", true, &s.split));
        LB_TRY(lb_tok_read_metaspace(t, c, &s.literal, &s.prepend));
        if (s.prepend == LB_TOK_FIRST && moved(t))
            return lb_fail(
                LB_E_UNSUPPORTED,
                "%s: pre-tokenizer Metaspace with prepend_scheme 'first' behind others: not known here behind "
                "ByteLevel, another Metaspace or normalizer Prepend",
                t->name);
    } else {
        return lb_tok_unknown(t, "pre-tokenizer", type);
    }
    add_step(t, s);
    return LB_OK;
}

lb_status lb_tok_read_pre_tokenizer(lb_tokenizer *t, const json_t *c) {
    return lb_tok_each_part(t, c, "pretokenizers", read_step, NULL);
}
