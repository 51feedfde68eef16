#include "model/chat.h"

#include <string.h>

/* A string as bytes: NUL, which jansson's strings have as two bytes that no UTF-8 has, is one again. */
static void put_string(const char *s, lb_str *out) {
    for (const char *nul; (nul = strstr(s, "\xc0\x80")); s = nul + 2) {
        lb_str_add_bytes(out, s, (size_t)(nul - s));
        lb_str_add_bytes(out, "", 1);
    }
    lb_str_add_bytes(out, s, strlen(s));
}

/* What there is instead of the key that was asked for. */
static lb_status no_field(const char *where, const json_t *row, const char *field) {
    lb_str keys = {0};
    const char *key;
    json_t *v;
    int n = 0;
    json_object_foreach((json_t *)row, key, v) if (!lb_json_twice(key) && n++ < 12)
        lb_str_add(&keys, "%s%.40s", n > 1 ? ", " : "", key);
    lb_status st = lb_str_check(&keys);
    bool messages = json_object_get(row, "messages"), alpaca = json_object_get(row, "instruction");
    if (st == LB_OK)
        st = lb_fail(LB_E_FORMAT, "%s: no key '%s': its keys are %s%s", where, field, keys.s ? keys.s : "none",
                     messages ? " (field: messages)"
                     : alpaca ? " (chat: alpaca)"
                              : "");
    lb_str_free(&keys);
    return st;
}

/* One message; chatml or plain. */
static lb_status put_message(const char *where, const json_t *m, bool chatml, bool first, lb_str *text) {
    const char *role = NULL, *content = NULL;
    if (!json_is_object(m)) return lb_fail(LB_E_FORMAT, "%s: a message is no object", where);
    if (chatml) LB_TRY(lb_json_str(where, m, "role", &role));
    LB_TRY(lb_json_str(where, m, "content", &content));
    if (chatml) {
        lb_str_add(text, "<|im_start|>");
        put_string(role, text);
        lb_str_add(text, "\n");
    } else if (!first) {
        lb_str_add(text, "\n\n");
    }
    put_string(content, text);
    if (chatml) lb_str_add(text, "<|im_end|>\n");
    return LB_OK;
}

/* Both prompts are those of Alpaca's repository, which the data sets of others took over. */
static lb_status put_alpaca(const char *where, const json_t *row, lb_str *text) {
    const char *instruction, *input = "", *output;
    LB_TRY(lb_json_str(where, row, "instruction", &instruction));
    LB_TRY(lb_json_str(where, row, "output", &output));
    if (json_object_get(row, "input") && !json_is_null(json_object_get(row, "input")))
        LB_TRY(lb_json_str(where, row, "input", &input));
    lb_str_add(text,
               "Below is an instruction that describes a task%s. Write a response that appropriately completes "
               "the request.\n\n### Instruction:\n",
               input[0] ? ", paired with an input that provides further context" : "");
    put_string(instruction, text);
    if (input[0]) {
        lb_str_add(text, "\n\n### Input:\n");
        put_string(input, text);
    }
    lb_str_add(text, "\n\n### Response:\n");
    put_string(output, text);
    return LB_OK;
}

lb_status lb_row_text(const char *where, const json_t *row, const char *field, int chat, lb_str *text) {
    const char *s;
    if (chat == LB_CHAT_ALPACA) {
        LB_TRY(put_alpaca(where, row, text));
        return lb_str_check(text);
    }
    const json_t *v = json_object_get(row, field);
    if (!v) return no_field(where, row, field);
    if (!json_is_array(v)) {
        if (chat == LB_CHAT_CHATML)
            return lb_fail(LB_E_FORMAT, "%s: key '%s': chat: chatml needs a list of messages with role and content",
                           where, field);
        LB_TRY(lb_json_str(where, row, field, &s));
        put_string(s, text);
    }
    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++)
        LB_TRY(put_message(where, json_array_get(v, i), chat == LB_CHAT_CHATML, i == 0, text));
    return lb_str_check(text);
}
