/* What makes a cell again: its result is a config too. The line is to be copied into a shell, and holds names of
 * folders and files that anybody may have given. */
#include <ctype.h>
#include <string.h>

#include "base/fs.h"
#include "report/parts.h"

/* One line, whatever a name holds: here between single quotes. */
static void add_quoted(lb_str *out, const char *text) {
    for (; *text; text++)
        if (*text == '\'')
            lb_str_add(out, "'\\''");
        else
            lb_str_add(out, "%c", (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

void lb_report_again(const lb_results *r, const lb_record *c, lb_str *out) {
    const lb_results *source = c->source ? c->source : r;
    /* The page may be sent to others: where on this machine the folder is does not matter to them. */
    const char *dir = source->dir[0] == '/' ? lb_fs_basename(source->dir) : source->dir;
    lb_str_add(out, "lowbit run '");
    add_quoted(out, dir);
    lb_str_add(out, "/");
    add_quoted(out, c->stem);
    lb_str_add(out, ".h5'");
}

/* Not every shell takes what follows a # for a comment, so nothing in it may mean something to one. */
static void add_comment(lb_str *out, const char *text) {
    for (; *text; text++) {
        bool plain = isalnum((unsigned char)*text) || (unsigned char)*text >= 0x80 || strchr(" .,:=+*_/-", *text);
        lb_str_add(out, "%c", plain ? *text : '?');
    }
}

void lb_report_all_again(const lb_results *r, lb_str *out) {
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        if (c->state != LB_CELL_DONE) continue;
        lb_str_add(out, "%s# ", out->len ? "\n" : "");
        add_comment(out, c->label);
        lb_str_add(out, "\n");
        lb_report_again(r, c, out);
    }
}
