/* The frame of index.html, and pictures inside it. */
#ifndef LB_REPORT_HTML_H
#define LB_REPORT_HTML_H

#include "report/table.h"

LB_NODISCARD lb_status lb_html_begin(lb_str *out, const char *title);
void lb_html_end(lb_str *out);
/* <img> with the SVG inside the page, so that the page can be sent alone; links to the other files beside it. */
LB_NODISCARD lb_status lb_html_figure(lb_str *out, const char *plots_dir, const char *name, const char *caption);
void lb_html_base64(lb_str *out, const void *data, size_t n);

/* page_script.c */
extern const char lb_html_style[], lb_html_script[];
LB_NODISCARD lb_status lb_html_policy(lb_str *out); /* <meta>: the pictures inside, and no script but that one */

#endif
