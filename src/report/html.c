#include "report/html.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

lb_status lb_html_begin(lb_str *out, const char *title) {
    lb_str_add(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    LB_TRY(lb_html_policy(out));
    lb_str_add(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    lb_markup_text(out, LB_TABLE_HTML, title);
    lb_str_add(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", lb_html_style);
    return lb_str_check(out);
}

void lb_html_end(lb_str *out) { lb_str_add(out, "<script>%s</script>\n</body>\n</html>\n", lb_html_script); }

void lb_html_base64(lb_str *out, const void *data, size_t n) {
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i += 3) {
        size_t have = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)p[i] << 16;
        if (have > 1) v |= (uint32_t)p[i + 1] << 8;
        if (have > 2) v |= p[i + 2];
        char q[4] = {digit[v >> 18], digit[v >> 12 & 63], have > 1 ? digit[v >> 6 & 63] : '=',
                     have > 2 ? digit[v & 63] : '='};
        lb_str_add_bytes(out, q, 4);
    }
}

static double number_behind(const char *text, const char *key) {
    const char *at = strstr(text, key);
    return at ? strtod(at + strlen(key), NULL) : 0;
}

/* On a narrow screen a picture shrinks until its letters are 8 pixels high; then it is moved sideways. */
static void add_least_width(lb_str *out, const char *svg) {
    enum { LEAST = 8 };
    double w = number_behind(svg, " width=\""), letters = number_behind(svg, " font-size=\"");
    if (w > 0 && w < 1e5) lb_str_add(out, " style=\"min-width:%.0fpx\"", letters > LEAST ? w * LEAST / letters : w);
}

lb_status lb_html_figure(lb_str *out, const char *plots_dir, const char *name, const char *caption) {
    static const char *const file[] = {"svg", "png", "pdf", "gp", "dat"};
    char *path = NULL, *svg = NULL;
    size_t n = 0;
    lb_str leaf = {0};
    lb_str_add(&leaf, "%s.svg", name);
    lb_status st = lb_str_check(&leaf);
    if (st == LB_OK && !(path = lb_fs_join(plots_dir, leaf.s))) st = LB_E_NOMEM;
    if (st == LB_OK) st = lb_fs_read(path, &svg, &n);
    lb_str_free(&leaf);
    lb_free(path);
    LB_TRY(st);
    lb_str_add(out, "<figure id=\"%s\"><div><img alt=\"", name);
    lb_markup_text(out, LB_TABLE_HTML, caption);
    lb_str_add(out, "\" src=\"data:image/svg+xml;base64,");
    lb_html_base64(out, svg, n);
    lb_str_add(out, "\"");
    add_least_width(out, svg);
    lb_free(svg);
    lb_str_add(out, "></div>\n<figcaption>");
    lb_markup_text(out, LB_TABLE_HTML, caption);
    for (size_t i = 0; i < sizeof file / sizeof file[0]; i++)
        lb_str_add(out, " <a href=\"plots/%s.%s\">%s</a>", name, file[i], file[i]);
    lb_str_add(out, "</figcaption></figure>\n");
    return lb_str_check(out);
}
