/* Numbers that papers and others have published, and how each would run here. Three files say it, of data/papers:
 * published.csv (the numbers with their sources), models.csv (which of the named models a published one is),
 * methods.csv (what a config says to get a method's row). */
#ifndef LB_RESULT_PUBLISHED_H
#define LB_RESULT_PUBLISHED_H

#include "io/yaml.h"
#include "result/quality.h"

/* Read at the source itself; where another work quotes it; in a thread or a private repository; printed so, but
 * contradicted by another number. */
typedef enum lb_trust { LB_TRUST_PRIMARY, LB_TRUST_QUOTED, LB_TRUST_USER, LB_TRUST_SUSPECT } lb_trust;
extern const char *const lb_trust_names[]; /* by lb_trust, NULL-terminated */
LB_NODISCARD lb_status lb_trust_parse(const char *text, int *out);

typedef struct lb_published_model {
    const char *name, *source; /* of configs/sources.yaml; "": none of those */
    double billions;           /* of parameters; 0: a mean over models */
    const char *w2_mixed;      /* the protocol that "W2-mixed" means for it; "": none */
} lb_published_model;

typedef struct lb_published_method {
    const char *name, *bits, *group; /* "*": any */
    const char *quantize;            /* an entry of a config, with $bits and $group; "": the method is not here */
    const char *note;                /* why it is not, or what the entry supposes */
} lb_published_method;

typedef struct lb_published {
    const char *paper, *source, *table, *dataset, *protocol, *bits, *group, *text;
    const lb_published_model *model;
    const lb_published_method *method;
    const char *method_name; /* as published */
    int trust;               /* lb_trust */
    int line;                /* in published.csv */
    double value;            /* NaN: published as such */
    double half_unit;        /* of the last digit of `text`: 27.65 has 0.005, 110 has 0.5, 1.3e3 has 50 */
} lb_published;

typedef struct lb_papers {
    lb_published *row;
    size_t rows;
    lb_published_model *model;
    size_t models;
    lb_published_method *method;
    size_t methods;
} lb_papers;

/* The three files of the folder. LB_E_FORMAT with file and line: a number that is none, a word of trust that there is
 * not, a model or a method that the other files do not have. */
LB_NODISCARD lb_status lb_papers_read(lb_arena *a, const char *dir, lb_papers *out);
/* A number as it is printed, or "nan", with half a unit of its last digit (NaN of a NaN). */
LB_NODISCARD lb_status lb_published_number(const char *text, double *value, double *half_unit);

/* The protocol by which a row can be measured here, asked of lb_protocol_parse. *why: what hinders; NULL: nothing. */
LB_NODISCARD lb_status lb_published_protocol(lb_arena *a, const lb_published *x, lb_protocol *out, const char **why);
/* The text that a protocol of a dataset is measured on, a name of configs/sources.yaml. */
const char *lb_published_text(const char *dataset, const char *protocol);

/* What a row is here. Where `why` is not NULL it does not run, and method and options stand for themselves: "AWQ",
 * "bits=3;group=128". */
typedef struct lb_published_cell {
    const char *method, *options; /* as a list of expected values has them: "gptq", "bits=4;group=row;model=opt-125m" */
    const char *model;            /* the option of that name */
    const char *entry;            /* of a config's `quantize`; NULL: none */
    const char *protocol, *evaluation, *metric;
    const char *why;
} lb_published_cell;
LB_NODISCARD lb_status lb_published_cell_of(lb_arena *a, const lb_published *x, lb_published_cell *out);

/* What its paper calibrates on, a text of configs/sources.yaml and the draw as a config has it; where a paper has no
 * other, the GPTQ authors' (arXiv:2210.17323, section 4). */
typedef struct lb_published_draw {
    const char *paper, *text, *recipe;
    int samples, length;
} lb_published_draw;
const lb_published_draw *lb_published_draw_of(const lb_published *x);

/* May a number be compared with: read at the source or quoted, a number, of a protocol that runs here? */
bool lb_published_counts(const lb_published *x);
/* The same model, method, bits and group, measured by the same protocol. */
bool lb_published_same_cell(const lb_published *x, const lb_published *y);

#endif
