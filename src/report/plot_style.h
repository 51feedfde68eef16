/* How plots look: one colour and marker a method and one line style a group, in every figure of every report; and what
 * an author asks for in `plots:` of a config or in a file of its own. */
#ifndef LB_REPORT_PLOT_STYLE_H
#define LB_REPORT_PLOT_STYLE_H

#include "base/mem.h"
#include "base/str.h"
#include "io/yaml.h"
#include "result/record.h"

/* ---- palette.c ---- */

#define LB_PALETTE_COLOURS 16
#define LB_PALETTE_SHAPES  9
#define LB_PALETTE_DASHES  7
/* "#0072b2". Methods of the program have colours of their own, others one by a hash of their name; a pipeline that of
 * the last stage that compresses weights. */
const char *lb_palette_colour(const char *method);
const char *lb_palette_at(int i);           /* the first is black, which the unquantized model alone has */
int lb_palette_shape(const char *method);   /* of its marker; of a pipeline another than that of its last stage */
int lb_palette_dash(const char *group);     /* "row", "64", ...; the first is solid */
const char *lb_palette_dashes(int dash);    /* gnuplot's dashtype */
int lb_palette_point(int shape, bool open); /* gnuplot's pointtype; some shapes have no inside */
int lb_palette_hollow(int point);           /* the same shape without its inside */

/* ---- what an author asks for ---- */

typedef enum lb_plot_format {
    LB_PLOT_SVG = 1,
    LB_PLOT_PNG = 2,
    LB_PLOT_PDF = 4,
    LB_PLOT_CAIROLATEX = 8,
    LB_PLOT_TIKZ = 16
} lb_plot_format;
#define LB_PLOT_USUAL_FORMATS (LB_PLOT_SVG | LB_PLOT_PNG | LB_PLOT_PDF)

typedef struct lb_plot_limit {
    const char *axis; /* bits ppl delta kl mib */
    double low, high;
} lb_plot_limit;

typedef struct lb_plot_options {
    unsigned formats;           /* of lb_plot_format */
    double width_in, height_in; /* 0: each figure has its own size */
    double most_height_in;      /* of a figure with more to show than that is high */
    bool exact;                 /* that high, however much there is to show */
    const char *font;           /* NULL: sans serif */
    double font_size;           /* in points; 0: as the size has it */
    bool title;
    lb_pairs titles;  /* of figures: theirs instead of the program's */
    lb_pairs palette; /* of methods: colours instead of the program's */
    const char *const *method, *const *figure;
    size_t methods, figures; /* 0: all */
    lb_plot_limit *limit;
    size_t limits;
    const char *extra; /* lines of style.gp that may be in a script; NULL: none */
} lb_plot_options;

extern const lb_plot_options lb_plot_usual;
extern const char *const lb_plot_figures[]; /* names that files begin with; NULL-terminated */

/* For help (plot_keys.c): each ends with name NULL. */
typedef struct lb_plot_word {
    const char *name, *about;
} lb_plot_word;
extern const lb_plot_word lb_plot_keys[], lb_plot_figure_words[];
extern const lb_plot_word lb_plot_other_words[]; /* about: the key that is meant */

/* A map of the keys that docs/report.md lists. LB_E_CONFIG: with file and line. */
LB_NODISCARD lb_status lb_plot_options_from(lb_arena *a, const lb_yaml *n, lb_plot_options *out);
/* The same of a file, with or without `plots:` above the keys; NULL: the usual. */
LB_NODISCARD lb_status lb_plot_options_read(lb_arena *a, const char *yaml_path, lb_plot_options *out);
void lb_plot_options_text(const lb_plot_options *o, lb_str *s); /* what reads back to the same */
/* Lines for every script, from a file of `set` and `unset`; NULL: it is not there. LB_E_CONFIG: a line that could do
 * more than set a look. */
LB_NODISCARD lb_status lb_plot_lines_read(lb_arena *a, const char *path, const char **out);

#endif
