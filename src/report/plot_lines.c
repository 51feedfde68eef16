/* style.gp of a results folder: lines of gnuplot that every script takes over. The folder may come from anybody, and
 * gnuplot can start programs and write files, so only settings of looks are taken, and of them nothing that expands. */
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "report/plot_style.h"

#define STYLE_MOST ((size_t)64 << 10) /* bytes */

/* What `set` and `unset` may be of: no terminal, output, print, table, logfile, loadpath, fit. */
static const char *const subject[] = {
    "angles",    "arrow",    "bars",     "border",    "bmargin",   "boxwidth", "cblabel", "cbrange", "cbtics",
    "clip",      "colorbox", "dashtype", "errorbars", "format",    "grid",     "key",     "label",   "linetype",
    "lmargin",   "logscale", "margins",  "mxtics",    "mytics",    "object",   "offsets", "palette", "pointsize",
    "rmargin",   "samples",  "style",    "tics",      "title",     "tmargin",  "xlabel",  "xrange",  "xtics",
    "xzeroaxis", "ylabel",   "yrange",   "ytics",     "yzeroaxis", "zeroaxis"};

static bool is(const char *word, size_t n, const char *name) { return strlen(name) == n && memcmp(word, name, n) == 0; }

static bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/* What in the line can do more than set a look; NULL: nothing. */
static const char *dangerous(const char *line, bool palette) {
    static const char *const sign[] = {"`", "|", "!", "@", ";", "$", "\\"};
    for (size_t i = 0; i < sizeof sign / sizeof sign[0]; i++)
        if (strstr(line, sign[i])) return sign[i];
    for (const char *p = line; *p;) {
        size_t n = 0;
        while (letter(p[n])) n++;
        if (is(p, n, "system")) return "system";
        if (palette && is(p, n, "file")) return "file";
        p += n ? n : 1;
    }
    for (const char *p = line; *p; p++)
        if ((unsigned char)*p < ' ' && *p != '\t') return "a control character";
    return NULL;
}

static lb_status check_line(const char *path, int at, const char *line) {
    const char *p = line + strspn(line, " \t"), *bad;
    size_t n = strcspn(p, " \t");
    bool set = is(p, n, "set") || is(p, n, "unset"), known = !*p || *p == '#';
    if (!set && !known) return lb_fail(LB_E_CONFIG, "%s:%d: expected set, unset or a comment", path, at);
    if (set) {
        p += n + strspn(p + n, " \t");
        n = strcspn(p, " \t");
    }
    for (size_t i = 0; set && i < sizeof subject / sizeof subject[0]; i++) known = known || is(p, n, subject[i]);
    if (!known)
        return lb_fail(LB_E_CONFIG, "%s:%d: set %.*s: is none of the settings of looks that are taken (docs/report.md)",
                       path, at, (int)n, p);
    bad = set ? dangerous(p, is(p, n, "palette")) : strstr(p, "\\") ? "\\" : NULL;
    return bad ? lb_fail(LB_E_CONFIG, "%s:%d: '%s' may not be there: only settings of looks are taken", path, at, bad)
               : LB_OK;
}

lb_status lb_plot_lines_read(lb_arena *a, const char *path, const char **out) {
    char *text = NULL;
    size_t n = 0;
    *out = NULL;
    if (!lb_fs_there(path)) return LB_OK;
    if (lb_fs_is_link(path)) return lb_fail(LB_E_IO, "%s: is a symbolic link, expected a file", path);
    LB_TRY(lb_fs_read_most(path, STYLE_MOST, &text, &n));
    lb_status st = strlen(text) == n ? LB_OK : lb_fail(LB_E_CONFIG, "%s: has a zero byte", path);
    const char *kept = st == LB_OK ? lb_arena_strdup(a, text) : NULL;
    if (st == LB_OK && !kept) st = LB_E_NOMEM;
    int at = 1;
    char *rest = text;
    for (char *line; st == LB_OK && (line = strsep(&rest, "\n")); at++) st = check_line(path, at, line);
    lb_free(text);
    if (st == LB_OK) *out = kept;
    return st;
}
