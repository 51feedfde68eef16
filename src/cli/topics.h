/* Everything that has a name: what `lowbit help NAME` finds and completion offers. */
#ifndef LB_CLI_TOPICS_H
#define LB_CLI_TOPICS_H

#include "cli/cli.h"
#include "model/family.h"
#include "quant/method.h"
#include "report/facts.h"
#include "report/plot_style.h"
#include "run/config.h"
#include "run/field_names.h"
#include "run/sources.h"

typedef enum lb_topic_kind {
    LB_TOPIC_COMMAND,
    LB_TOPIC_SECTION, /* of a config */
    LB_TOPIC_KEY,     /* of a section */
    LB_TOPIC_METHOD,
    LB_TOPIC_OPTION, /* of a method */
    LB_TOPIC_FORMAT,
    LB_TOPIC_PROTOCOL,
    LB_TOPIC_FACT,   /* a column of cells.csv, or a figure of rows */
    LB_TOPIC_PLOT,   /* a key of `plots:`, or another word for it */
    LB_TOPIC_FIGURE, /* a plot of reports */
    LB_TOPIC_FLAG,   /* of a command */
    LB_TOPIC_MARK,   /* a letter of the tables */
    LB_TOPIC_TOLD,   /* what a method says of a layer */
    LB_TOPIC_FAMILY,
    LB_TOPIC_SOURCE,
    LB_TOPIC_FILE, /* of a results folder, or that a config takes along */
    LB_TOPIC_WORD, /* for something that has another name here */
    LB_TOPIC_KINDS
} lb_topic_kind;

typedef struct lb_topic {
    const char *name;
    lb_topic_kind kind;
    const void *what; /* lb_command, lb_config_section, lb_option, lb_method, lb_format, lb_fact, lb_plot_word, ... */
    const void *of;   /* of a key its section, of an option or what is told its method, of a flag its command; of a fact
                         the table that it is in, NULL if it is a short name for another */
} lb_topic;

typedef struct lb_topics {
    lb_topic *at;
    size_t n, room;
} lb_topics;

/* All of them, kind after kind. A sources.yaml that cannot be read leaves its names out. */
LB_NODISCARD lb_status lb_topics_collect(lb_arena *a, lb_topics *out);
/* What there is to say of a name; LB_E_ARG: nothing, with the nearest name. Case, '_' and '-' do not matter. */
LB_NODISCARD lb_status lb_topics_help(lb_arena *a, const char *name, lb_str *out);
/* A key of configs as -o has it: "eval.windows", of the top level "threads"; section: what stands before the key with
 * its
 * '.', or "". false: it is no such key, or of a list, which -o does not reach. */
bool lb_topic_override(const lb_topic *t, char section[64]);
/* One sentence on it; "": there is none. */
const char *lb_topic_about(const lb_topic *t);
LB_NODISCARD lb_status lb_cli_method_help(const lb_method *m, lb_str *out); /* its options and what it needs */
/* Of those in at[0..n), which are of one kind and name (topic_text.c). alone: nothing else is called so. */
LB_NODISCARD lb_status lb_topic_text(const lb_topic *const *at, size_t n, bool alone, lb_str *out);

#endif
