/* Help texts and the man page, from the commands' tables. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

static const char *const about = "lowbit: compress language models, and measure what it costs.\n"
                                 "Runs quantization methods (round-to-nearest, GPTQ, NF4, QAT) over calibration data\n"
                                 "and reports perplexity, per-layer errors and exact sizes as tables and plots.\n";

/* As it is typed: a switch takes no word behind it. */
void lb_cli_flag_text(const lb_option *o, char *out, size_t size) {
    size_t n = (size_t)snprintf(out, size, o->type == LB_OPT_BOOL ? "--[no-]" : "--");
    for (const char *p = o->name; *p && n + 1 < size; p++) out[n++] = *p == '_' ? '-' : *p;
    out[n < size ? n : size - 1] = 0;
}

static void value_text(const lb_option *o, lb_str *out) {
    if (o->type == LB_OPT_BOOL)
        lb_str_add(out, "default %s", o->def && strcmp(o->def, "true") == 0 ? "on" : "off");
    else
        lb_options_describe(o, out);
}

static void overview(lb_str *out) {
    lb_str_add(out, "%s\nusage: lowbit COMMAND [ARGUMENTS]\n\n", about);
    for (size_t i = 0; lb_commands[i]; i++)
        lb_str_add(out, "  %-10s %s\n", lb_commands[i]->name, lb_commands[i]->summary);
    lb_str_add(out,
               "\nlowbit COMMAND --help explains one, lowbit help NAME a method, an option, a key, a protocol, a "
               "column or a flag;\n"
               "lowbit help config lists every key of a config file.\n"
               "Environment: LOWBIT_KERNELS=plain|avx2|avx512 forces a kernel variant, LOWBIT_QUIET=1 hides progress,\n"
               "LOWBIT_TRACE=1 shows where an error came from.\n");
}

void lb_cli_help(const lb_command *c, lb_str *out) {
    if (!c) {
        overview(out);
        return;
    }
    lb_str_add(out, "usage: lowbit %s %s\n\n%s\n", c->name, c->usage, c->summary);
    if (c->details) lb_str_add(out, "%s\n", c->details);
    if (c->flags.n) lb_str_add(out, "\noptions:\n");
    for (size_t i = 0; i < c->flags.n; i++) {
        const lb_option *o = &c->flags.table[i];
        char name[64];
        lb_cli_flag_text(o, name, sizeof name);
        lb_str_add(out, "  %-18s %s (", name, o->help);
        value_text(o, out);
        lb_str_add(out, ")\n");
    }
    if (c->overrides) lb_str_add(out, "  -o KEY=VALUE       %s\n", c->overrides);
    if (c->open_flags)
        lb_str_add(out, "  --OPTION VALUE     any option of the method: lowbit methods NAME lists them\n");
    if (c->example) lb_str_add(out, "\nexample: %s\n", c->example);
}

/* Text into roff: backslashes and leading dots are escaped, hyphens kept as typed. */
static void roff(lb_str *out, const char *s) {
    bool start = true;
    for (; *s; s++) {
        if (start && (*s == '.' || *s == '\'')) lb_str_add(out, "\\&");
        if (*s == '\\')
            lb_str_add(out, "\\e");
        else if (*s == '-')
            lb_str_add(out, "\\-");
        else
            lb_str_add_bytes(out, s, 1);
        start = *s == '\n';
    }
}

static void man_command(lb_str *out, const lb_command *c) {
    lb_str_add(out, ".SS \"lowbit %s ", c->name);
    roff(out, c->usage);
    lb_str_add(out, "\"\n");
    roff(out, c->summary);
    lb_str_add(out, "\n");
    if (c->details) {
        lb_str_add(out, ".PP\n.nf\n");
        roff(out, c->details);
        lb_str_add(out, "\n.fi\n");
    }
    for (size_t i = 0; i < c->flags.n; i++) {
        const lb_option *o = &c->flags.table[i];
        char name[64];
        lb_cli_flag_text(o, name, sizeof name);
        lb_str_add(out, ".TP\n.B ");
        roff(out, name);
        lb_str_add(out, "\n");
        roff(out, o->help);
        lb_str_add(out, " (");
        lb_str text = {0};
        value_text(o, &text);
        roff(out, text.s ? text.s : "");
        lb_str_free(&text);
        lb_str_add(out, ")\n");
    }
    if (c->example) {
        lb_str_add(out, ".PP\nExample:\n.PP\n.nf\n.RS\n");
        roff(out, c->example);
        lb_str_add(out, "\n.RE\n.fi\n");
    }
}

void lb_cli_man(lb_str *out) {
    lb_str_add(out,
               ".TH LOWBIT 1 \"\" \"lowbit " LB_VERSION_STRING "\" \"User Commands\"\n.SH NAME\n"
               "lowbit \\- compress language models, and measure what it costs\n.SH SYNOPSIS\n.B lowbit\n.I COMMAND\n"
               "[\\fIARGUMENTS\\fR]\n.SH DESCRIPTION\n");
    roff(out, about);
    lb_str_add(out, ".SH COMMANDS\n");
    for (size_t i = 0; lb_commands[i]; i++) man_command(out, lb_commands[i]);
    lb_str_add(out,
               ".SH ENVIRONMENT\n.TP\n.B LOWBIT_KERNELS\nplain, avx2 or avx512: forces a kernel variant.\n.TP\n"
               ".B LOWBIT_QUIET\nHides progress.\n.TP\n.B LOWBIT_TRACE\nShows where an error came from.\n"
               ".SH EXIT STATUS\n0 done; 1 failed, or some cells of a sweep failed; 2 wrong usage; 130 interrupted.\n");
}
