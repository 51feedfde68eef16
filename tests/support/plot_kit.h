/* What tests of figures share: scripts and data of results, made where gnuplot is not found. */
#ifndef TESTS_SUPPORT_PLOT_KIT_H
#define TESTS_SUPPORT_PLOT_KIT_H

#include "report/plot.h"

/* All figures, in a new folder, whose path stays until the next call. */
const char *plots_made(lb_results *r, lb_plot_list *list);
/* What a file there holds, "sizes" and "gp" (NULL: the name is whole); lb_free. */
char *plot_text(const char *dir, const char *stem, const char *ext);

#endif
