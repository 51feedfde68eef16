/* Escapes: what a backslash and what follows it stand for. */
#include <string.h>

#include "model/tokenizer/regex_impl.h"

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Up to `most` digits of the base at x->at; *n: how many there were. */
static int32_t digits(lb_rx *x, int base, int most, int *n) {
    int64_t v = 0;
    for (*n = 0; *n < most && x->at < x->end; ++*n, x->at++) {
        int d = hex_value(*x->at);
        if (d < 0 || d >= base) break;
        v = v * base + d;
    }
    return v > INT32_MAX ? INT32_MAX : (int32_t)v;
}

static lb_status give(lb_rx *x, const char *from, int32_t code, lb_rx_escaped *out) {
    size_t n = (size_t)(x->at - from);
    if (code > LB_UNI_MAX || (code >= 0xD800 && code < 0xE000))
        return lb_rx_refuse(x, from, n, "a code that is no character", "it matches nothing");
    out->kind = LB_RX_CODE;
    out->code = code;
    return LB_OK;
}

/* \xHH and \nnn are bytes, which make characters only together. */
static lb_status give_byte(lb_rx *x, const char *from, int32_t code, lb_rx_escaped *out) {
    if (code > 0x7F)
        return lb_rx_refuse(x, from, (size_t)(x->at - from), "a byte of a character",
                            "a whole character is written \\x{...}");
    return give(x, from, code, out);
}

/* \x{...} and \o{...}: from is at the backslash, x->at behind the letter. */
static lb_status braced(lb_rx *x, const char *from, int base, int most, lb_rx_escaped *out) {
    int n;
    x->at++;
    int32_t code = digits(x, base, most, &n);
    if (!n || x->at == x->end || *x->at != '}')
        return lb_rx_refuse(x, from, (size_t)(x->at - from), "a list of codes, or an incomplete one",
                            "only one code in braces is known here");
    x->at++;
    return give(x, from, code, out);
}

static lb_status control(lb_rx *x, const char *from, lb_rx_escaped *out) {
    bool long_form = from[1] == 'C';
    if (long_form && (x->at == x->end || *x->at++ != '-'))
        return lb_rx_refuse(x, from, 2, "an incomplete control character", "\\C-a is one");
    int letter = x->at < x->end ? *x->at | 0x20 : 0;
    if (letter < 'a' || letter > 'z')
        return lb_rx_refuse(x, from, (size_t)(x->at - from), "a control character of no letter",
                            "only \\ca to \\cz are known here");
    x->at++;
    return give(x, from, letter & 0x1F, out);
}

static lb_status property(lb_rx *x, const char *from, bool in_class, lb_rx_escaped *out) {
    const char *name = ++x->at, *close = memchr(name, '}', (size_t)(x->end - name));
    if (!close) return lb_rx_refuse(x, from, 3, "a property without an end", "'}' is missing");
    x->at = close + 1;
    out->kind = LB_RX_SET;
    out->negative = from[1] == 'P';
    if (name < close && *name == '^') {
        name++;
        out->negative = !out->negative;
    }
    if (lb_rx_set_property(&out->set, name, (size_t)(close - name), in_class)) return LB_OK;
    return lb_rx_refuse(x, from, (size_t)(x->at - from), "a property that is not known here",
                        "general categories, POSIX classes and scripts are");
}

/* \d \s \h \w, in capitals all but them. */
static void char_type(char letter, bool in_class, lb_rx_escaped *out) {
    int small = letter | 0x20;
    const char *name = small == 'd' ? "digit" : small == 's' ? "space" : small == 'h' ? "xdigit" : "word";
    out->kind = LB_RX_SET;
    out->negative = letter != small;
    (void)lb_rx_set_property(&out->set, name, strlen(name), in_class);
}

/* A backslash and a digit: a reference to a group, or a byte in octal digits. */
static lb_status numbered(lb_rx *x, const char *from, bool in_class, lb_rx_escaped *out) {
    int n;
    const char *start = x->at;
    if (!in_class && *start != '0') {
        int32_t group = digits(x, 10, 9, &n);
        if (group <= 9 || group <= x->groups) {
            out->kind = LB_RX_OTHER;
            out->code = group; /* below any letter */
            return LB_OK;
        }
        x->at = start;
    }
    if (*start == '8' || *start == '9') {
        x->at++;
        return give(x, from, *start, out);
    }
    int32_t code = digits(x, 8, 3, &n);
    return give_byte(x, from, code, out);
}

static lb_status by_letter(lb_rx *x, const char *from, char c, bool in_class, lb_rx_escaped *out) {
    static const char controls[] = "abefnrtv", means[] = "\a\b\x1B\f\n\r\t\v";
    int n;
    const char *k = strchr(controls, c);
    if (k && (c != 'b' || in_class)) return give(x, from, means[k - controls], out);
    if (strchr("dDsSwWhH", c)) return char_type(c, in_class, out), LB_OK;
    bool brace = x->at < x->end && *x->at == '{';
    switch (c) {
    case 'p':
    case 'P':
        if (brace) return property(x, from, in_class, out);
        break;
    case 'x': {
        if (brace) return braced(x, from, 16, 8, out);
        int32_t code = digits(x, 16, 2, &n);
        if (!n) return lb_rx_refuse(x, from, 2, "a code without digits", "\\x41 or \\x{41} is one");
        return give_byte(x, from, code, out);
    }
    case 'o':
        if (brace) return braced(x, from, 8, 11, out);
        break;
    case 'u': {
        int32_t code = digits(x, 16, 4, &n);
        if (n < 4)
            return lb_rx_refuse(x, from, (size_t)(x->at - from), "a code of fewer than four digits", "\\u0041 is one");
        return give(x, from, code, out);
    }
    case 'c':
    case 'C':
        return control(x, from, out);
    case 'M':
        return lb_rx_refuse(x, from, 2, "a meta character", "it is a byte of a character");
    default:
        break;
    }
    if (in_class) return give(x, from, c, out);
    if (strchr("XyY", c)) return lb_rx_refuse(x, from, 2, "a text segment", "it is not known here");
    if (c == 'G') return lb_rx_refuse(x, from, 2, "where the search began", "it is not known here");
    bool named = x->at < x->end && (*x->at == '<' || *x->at == '\'');
    if (c == 'g' && named) return lb_rx_refuse(x, from, 2, "a call of a group", "it is not known here");
    out->code = c;
    if (strchr("AzZK", c))
        out->kind = LB_RX_ASSERT;
    else if (strchr("bBRNO", c) || (c == 'k' && named))
        out->kind = LB_RX_OTHER;
    else
        return give(x, from, c, out); /* any other letter stands for itself */
    return LB_OK;
}

lb_status lb_rx_read_escape(lb_rx *x, bool in_class, lb_rx_escaped *out) {
    const char *from = x->at - 1;
    *out = (lb_rx_escaped){.set = {.arena = x->arena}};
    if (x->at == x->end) return lb_rx_refuse(x, from, 1, "a backslash at the end", "it escapes nothing");
    char c = *x->at;
    if (c >= '0' && c <= '9') return numbered(x, from, in_class, out);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        x->at++;
        return by_letter(x, from, c, in_class, out);
    }
    int32_t code;
    LB_TRY(lb_rx_next(x, &code));
    return give(x, from, code, out);
}
