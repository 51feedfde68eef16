#include "report/html.h"

#include "base/fs.h"
#include "base/mem.h"

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;margin:2rem auto;padding:0 1.5rem;"
    "max-width:96rem}\n"
    "h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.25rem;margin:2.2rem 0 .6rem;border-bottom:1px solid #ccc;"
    "padding-bottom:.2rem}h3{font-size:1.05rem;margin:1.4rem 0 .4rem}\n"
    ".table{overflow-x:auto;margin:1rem 0}table{border-collapse:collapse;font-variant-numeric:tabular-nums;"
    "font-size:.8rem}\n"
    "caption{text-align:left;font-weight:600;padding:.3rem 0}th,td{padding:.2rem .38rem;text-align:left;"
    "white-space:nowrap}\n"
    "th{border-top:2px solid #333;border-bottom:1px solid #333;vertical-align:bottom}"
    "tbody tr:last-child td{border-bottom:2px solid #333}\n"
    ".n{text-align:right}tr.rule td{border-top:1px solid #333}tbody tr:hover{background:#f3f6fa}\n"
    "figure{margin:1.5rem 0}figure img{max-width:100%;height:auto}figcaption{font-size:.9rem;color:#333;"
    "max-width:60rem}\n"
    "ul{padding-left:1.3rem;font-size:.92rem}li{margin:.15rem 0;overflow-wrap:anywhere}"
    "details{margin:.5rem 0}summary{cursor:pointer}\n"
    "pre{background:#f6f6f6;padding:.8rem;overflow-x:auto;font-size:.85rem}\n"
    "@media print{body{margin:0;max-width:none}.table{overflow:visible}}\n";

void lb_html_begin(lb_str *out, const char *title) {
    lb_str_add(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    lb_markup_text(out, LB_TABLE_HTML, title);
    lb_str_add(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", style);
}

void lb_html_end(lb_str *out) { lb_str_add(out, "</body>\n</html>\n"); }

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
    lb_str_add(out, "<figure id=\"%s\"><img alt=\"", name);
    lb_markup_text(out, LB_TABLE_HTML, caption);
    lb_str_add(out, "\" src=\"data:image/svg+xml;base64,");
    lb_html_base64(out, svg, n);
    lb_free(svg);
    lb_str_add(out, "\">\n<figcaption>");
    lb_markup_text(out, LB_TABLE_HTML, caption);
    for (size_t i = 0; i < sizeof file / sizeof file[0]; i++)
        lb_str_add(out, " <a href=\"plots/%s.%s\">%s</a>", name, file[i], file[i]);
    lb_str_add(out, "</figcaption></figure>\n");
    return lb_str_check(out);
}
