/* The pre-tokenizers that GGUF names (tokenizer.ggml.pre): what llama.cpp makes of each name, as expressions that cut a
 * text one after the other. It writes some patterns otherwise than the models' own tokenizer.json: these are its. */
#include "model/tokenizer/impl.h"

#define CONTRACTION  "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define WORD         "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define OTHERS       "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define OTHERS_SLASH "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
#define SPACES       "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define SPACES_ONE   "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
/* Words by case: where letters go on in small ones, or in capitals. */
#define SMALL   "[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}])([^a-z]))*((?=[\\p{L}])([^A-Z]))+"
#define CAPITAL "[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}])([^a-z]))+((?=[\\p{L}])([^A-Z]))*"

#define DIGIT       "\\p{N}"
#define DIGITS      "\\p{N}+"
#define THREE       "[0-9][0-9][0-9]"
#define UP_TO_THREE "\\p{N}{1,3}"
/* llama.cpp takes other white space than ASCII's for a vertical tab: no range has it. */
#define CJK         "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}&&[^\\s]]+"
#define CJK_KANA    "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+"
#define LLAMA3      CONTRACTION "|" WORD "|" UP_TO_THREE OTHERS SPACES
#define QWEN2       CONTRACTION "|" WORD "|" DIGIT OTHERS SPACES
#define BLOOM       " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+"
#define ASCII_PUNCT "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"

/* Letters of scripts with case, as DeepSeek LLM lists them. */
#define CASED                                                                                                          \
    "\\s?[A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}"               \
    "\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}"             \
    "\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-"          \
    "\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}"         \
    "\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}"         \
    "-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-"         \
    "\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-"         \
    "\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-"          \
    "\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}"           \
    "\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}"          \
    "\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-"         \
    "\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}"         \
    "\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-"                  \
    "\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}]+"

static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static const struct pre {
    const char *names;       /* with spaces between */
    bool ignore_merges, bos; /* unless the file says otherwise */
    const char *pattern[6];
} known[] = {
    {"gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert mpt olmo jais trillion "
     "granite-docling exaone4",
     false,
     false,
     {gpt2}},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", false, false, {DIGIT, gpt2}},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", true, true, {LLAMA3}},
    {"dbrx smaug-bpe chatglm-bpe", false, false, {LLAMA3}},
    {"glm4 glm5", true, false, {LLAMA3}},
    {"qwen2 deepseek-r1-qwen kormo f2llmv2 stablelm2 hunyuan solar-open megrez grok-2", false, false, {QWEN2}},
    {"qwen35",
     false,
     false,
     {CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|" DIGIT "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACES}},
    {"falcon", false, false, {"[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2, THREE}},
    {"default", false, false, {"[\\p{P}\\$\\+<=>\\^~\\|]+", gpt2, DIGITS, THREE}},
    {"bloom poro-chat gpt3-finnish", false, false, {BLOOM}},
    {"viking", false, false, {BLOOM, DIGIT}},
    {"tekken", true, true, {SMALL "|" CAPITAL "|" DIGIT OTHERS_SLASH SPACES}},
    {"gpt-4o llama4 kanana2 talkie minimax-m2",
     false,
     false,
     {SMALL CONTRACTION "?|" CAPITAL CONTRACTION "?|" UP_TO_THREE OTHERS_SLASH SPACES}},
    {"deepseek-llm",
     false,
     false,
     {"[\r\n]", CASED, "\\s?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3001}\\x{3002}]+",
      "\\s+$", CJK, DIGITS}},
    {"deepseek-coder", false, false, {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, DIGIT}},
    {"deepseek-v3 hunyuan-dense joyai-llm hy_v4",
     false,
     false,
     {UP_TO_THREE, CJK_KANA,
      ASCII_PUNCT "[A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*" SPACES}},
    {"bailingmoe bailingmoe2 llada-moe",
     false,
     false,
     {"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" WORD "|" DIGIT OTHERS SPACES_ONE}},
    {"seed-coder", false, false, {CONTRACTION "|" WORD "|" DIGIT "| ?[^\\s\\p{L}\\p{N}\\r\\n]+" SPACES}},
    {"minicpm5", true, false, {UP_TO_THREE, CONTRACTION "|" WORD "|" DIGITS OTHERS SPACES}},
};

static bool has_name(const char *names, const char *name) {
    size_t n = strlen(name);
    if (!n || strchr(name, ' ')) return false;
    for (const char *p = names; (p = strstr(p, name)); p += n)
        if ((p == names || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return true;
    return false;
}

static lb_status add_pattern(lb_tokenizer *t, const char *pattern) {
    lb_tok_step *s = &t->step[t->n_step];
    *s = (lb_tok_step){.kind = LB_TOK_SCAN, .behavior = LB_TOK_ISOLATED, .pattern = pattern};
    t->n_step++;
    const lb_tok_known *scanned = lb_tok_known_pattern(pattern);
    if (scanned) s->scan = scanned->scan;
    if (scanned) return LB_OK;
    s->kind = strcmp(pattern, DIGIT) ? LB_TOK_REGEX : LB_TOK_CHARS;
    s->is = lb_tok_is_number;
    return s->kind == LB_TOK_CHARS ? LB_OK : lb_tok_pattern_new(t, "tokenizer.ggml.pre", pattern, &s->regex);
}

static lb_status refuse(const lb_tokenizer *t, const char *name) {
    lb_str all = {0};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) lb_str_add(&all, " %s", known[i].names);
    lb_status status = lb_str_check(&all);
    if (status == LB_OK)
        status =
            lb_fail(LB_E_UNSUPPORTED, "%s: pre-tokenizer '%s' (tokenizer.ggml.pre): known are%s", t->name, name, all.s);
    lb_str_free(&all);
    return status;
}

lb_status lb_tok_named_pre(lb_tokenizer *t, const char *name) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!has_name(known[i].names, name)) continue;
        t->pre = lb_arena_strdup(t->arena, name);
        if (!t->pre) return LB_E_NOMEM;
        t->ignore_merges = known[i].ignore_merges;
        t->adds_bos = known[i].bos;
        for (int k = 0; k < 6 && known[i].pattern[k]; k++) LB_TRY(add_pattern(t, known[i].pattern[k]));
        return LB_OK;
    }
    return refuse(t, name);
}
