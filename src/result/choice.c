#include "result/choice.h"

#include <string.h>

#include "base/fs.h"

/* Bytes of "embedding." at the head of a key; 0: it is of no end. */
static size_t end_prefix(const char *key) {
    static const char *const end[] = {"embedding.", "head."};
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++)
        if (strncmp(key, end[i], strlen(end[i])) == 0) return strlen(end[i]);
    return 0;
}

/* What is only white space, or has line ends in it, is shown in quotes: a name is one line. */
static void add_value(lb_str *s, const char *value) {
    size_t n = strlen(value);
    bool plain = n == 0 || (value[0] != ' ' && value[n - 1] != ' ');
    for (size_t i = 0; i < n; i++) plain = plain && (unsigned char)value[i] >= 0x20;
    if (!plain) lb_str_add(s, "\"");
    for (; *value; value++) {
        if (*value == '\n')
            lb_str_add(s, "\\n");
        else
            lb_str_add(s, (unsigned char)*value < 0x20 ? "\\x%02x" : "%c", (unsigned char)*value);
    }
    if (!plain) lb_str_add(s, "\"");
}

/* Of a mixture "a/x.txt + b/y.txt" both files' names. */
static void add_text(lb_str *s, const char *before, const char *value) {
    static const char between[] = LB_TEXTS_MIXED;
    const char *to;
    lb_str_add(s, "%s", before);
    for (; (to = strstr(value, between)); value = to + strlen(between)) {
        const char *name = value;
        for (const char *p = value; p < to; p++)
            if (*p == '/') name = p + 1;
        lb_str_add(s, "%.*s%s", (int)(to - name), name, between);
    }
    lb_str_add(s, "%s", lb_fs_basename(value));
}

void lb_choice_add(lb_str *s, const char *key, const char *value) {
    size_t end = end_prefix(key);
    if (end) {
        lb_str_add(s, " %.*s", (int)end - 1, key);
        key += end;
    }
    static const char calibration[] = "calibration.", training[] = "training.";
    bool calibrated = strncmp(key, calibration, sizeof calibration - 1) == 0;
    bool trained = strncmp(key, training, sizeof training - 1) == 0;
    const char *k = calibrated ? key + sizeof calibration - 1 : trained ? key + sizeof training - 1 : key;
    if (end && strcmp(key, "bits") == 0)
        lb_str_add(s, strcmp(value, "1") == 0 ? " %s bit" : " %s bits", value);
    else if (end && strcmp(key, "group") == 0)
        lb_str_add(s, value[0] >= '0' && value[0] <= '9' ? " g%s" : " %s", value);
    else if (k != key && strcmp(k, "text") == 0)
        add_text(s, trained ? " trained on " : " on ", value);
    else if (trained && strcmp(k, "validation") == 0)
        lb_str_add(s, "%s%s", value[0] ? " validated on " : " not validated", lb_fs_basename(value));
    else if (strcmp(value, "true") == 0)
        lb_str_add(s, " %s", k);
    else if (strcmp(value, "false") == 0)
        lb_str_add(s, " no_%s", k);
    else if (strcmp(key, "token_weight") == 0 && strcmp(value, "none") != 0)
        lb_str_add(s, " %s", value);
    else if (strcmp(key, "seed") == 0) /* the cell's: a text's own is seed=1 */
        lb_str_add(s, " s%s", value);
    else {
        lb_str_add(s, " %s=", k);
        add_value(s, value);
    }
}
