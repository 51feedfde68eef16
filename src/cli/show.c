/* What the user sees while work goes on: messages, and one line of progress. Standard error; results go to standard
 * output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/index.h"
#include "cli/cli.h"
#include "report/table.h"

static const double plain_every_s = 10.0;   /* not a terminal: a line this often */
static const double terminal_every_s = 0.1; /* a terminal: the line is rewritten at most this often */

enum { TOLD_MOST = 256 };

typedef struct screen {
    bool terminal, quiet, open; /* open: an unfinished progress line is on the terminal */
    uint64_t told[TOLD_MOST];   /* hashes of warnings */
    size_t n_told;
    double last_s;
    int64_t last_done;
    char last_stage[32];
} screen;

static screen the_screen;
static lb_log the_log;

/* U+202A to U+202E and U+2066 to U+2069 turn the direction of what follows: a line would read as another. */
static bool turns(const char *p) {
    unsigned char a = (unsigned char)p[0], b = (unsigned char)p[1], c = b ? (unsigned char)p[2] : 0;
    return a == 0xe2 && ((b == 0x80 && c >= 0xaa && c <= 0xae) || (b == 0x81 && c >= 0xa6 && c <= 0xa9));
}

/* Bytes of the character at p that may be shown; 0: a control character or no UTF-8. */
static size_t shown(const char *p) {
    unsigned char c = (unsigned char)*p;
    size_t n = c < 0x80 ? 1 : c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)p[i] & 0xc0) != 0x80) return 0;
    bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || (c == 0xc2 && (unsigned char)p[1] < 0xa0);
    return control || turns(p) ? 0 : n;
}

void lb_cli_put(FILE *f, const char *text) {
    const char *start = text, *p = text;
    while (*p) {
        size_t n = shown(p);
        p += n;
        if (n) continue;
        fwrite(start, 1, (size_t)(p - start), f);
        fputc('?', f);
        start = ++p;
    }
    fwrite(start, 1, (size_t)(p - start), f);
}

static void end_line(screen *s) {
    if (s->open) fputs("\r\033[K", stderr);
    s->open = false;
}

/* What each cell of a sweep warns of alike is read once; every result keeps it, and the report says of how many. */
static bool told_before(screen *s, const char *text) {
    uint64_t h = lb_text_hash(text, strlen(text));
    for (size_t i = 0; i < s->n_told; i++)
        if (s->told[i] == h) return true;
    if (s->n_told < TOLD_MOST) s->told[s->n_told++] = h;
    return false;
}

static void on_message(void *user, lb_level level, const char *text) {
    screen *s = user;
    if (level == LB_DEBUG || (s->quiet && level == LB_INFO)) return;
    if (level == LB_WARN && told_before(s, text)) return;
    fflush(stdout); /* what was printed before stays before, also in a file that takes both */
    end_line(s);
    if (level == LB_WARN) fputs("warning: ", stderr);
    lb_cli_put(stderr, text);
    fputc('\n', stderr);
}

/* Columns; 0: not a terminal, or one that does not say. */
static int terminal_width(int fd) {
    struct winsize w;
    return ioctl(fd, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

/* Cuts a line to so many characters. */
static void cut(char *line, int characters) {
    for (char *p = line; *p; p++)
        if (((unsigned char)*p & 0xc0) != 0x80 && characters-- == 0) {
            *p = 0;
            return;
        }
}

static void on_progress(void *user, const lb_progress *p) {
    screen *s = user;
    if (s->quiet) return;
    double now = lb_clock_s();
    bool new_stage = strcmp(s->last_stage, p->stage) != 0;
    bool last = p->done >= p->total;
    if (!new_stage && last && p->done == s->last_done) return; /* told already */
    if (!new_stage && !last && now - s->last_s < (s->terminal ? terminal_every_s : plain_every_s)) return;
    /* A stage that is over before the first plain line was due needs none. */
    if (!s->terminal && (new_stage || last) && p->elapsed_s < plain_every_s) {
        snprintf(s->last_stage, sizeof s->last_stage, "%s", p->stage);
        if (new_stage) s->last_s = now;
        return;
    }
    snprintf(s->last_stage, sizeof s->last_stage, "%s", p->stage);
    s->last_s = now;
    s->last_done = p->done;
    char elapsed[32], left[32] = "", line[256];
    lb_format_duration(p->elapsed_s, elapsed);
    if (p->left_s >= 0) lb_format_duration(p->left_s, left);
    double percent = p->total > 0 ? 100.0 * (double)p->done / (double)p->total : 0.0;
    snprintf(line, sizeof line, "  %s %3.0f %%  %lld/%lld  %s  %s%s%s", p->stage, percent, (long long)p->done,
             (long long)p->total, p->detail ? p->detail : "", elapsed, left[0] ? ", left " : "", left);
    if (s->terminal) {
        int width = terminal_width(STDERR_FILENO);
        cut(line, width > 1 ? width - 1 : 79);
        fprintf(stderr, "\r\033[K%s", line);
        s->open = true;
        if (last) end_line(s);
    } else {
        fprintf(stderr, "%s\n", line);
    }
    fflush(stderr);
}

int lb_cli_columns(void) { return terminal_width(STDOUT_FILENO); }

lb_log *lb_cli_log(bool quiet) {
    the_screen = (screen){.terminal = isatty(STDERR_FILENO) == 1, .quiet = quiet};
    the_log = (lb_log){.message = on_message, .progress = on_progress, .user = &the_screen};
    int width = lb_cli_columns();
    if (width > 0) lb_table_terminal_width((size_t)width);
    return &the_log;
}

void lb_cli_log_end(lb_log *log) {
    end_line(log->user);
    fflush(stderr);
}

void lb_cli_print(const char *text) { lb_cli_put(stdout, text); }
