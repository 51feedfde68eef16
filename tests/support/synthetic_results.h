/* Results that no model made: records with plain numbers, for reports, plots and the store. All numbers are exact in
 * binary or given as constants, so that exact expected outputs hold on every machine. */
#ifndef TESTS_SUPPORT_SYNTHETIC_RESULTS_H
#define TESTS_SUPPORT_SYNTHETIC_RESULTS_H

#include "result/record.h"

typedef enum synthetic_kind {
    SYNTHETIC_SWEEP,  /* none, rtn, gptq over three seeds, nf4, qat, finetune; two evaluations; one failed, one refused
                       */
    SYNTHETIC_SINGLE, /* baseline and one cell */
    SYNTHETIC_CLOSE,  /* 8 bits: differences in the fifth digit */
    SYNTHETIC_HUGE,   /* perplexities to 4e5, layers without errors */
    SYNTHETIC_MANY,   /* sixteen series over four bit widths */
    SYNTHETIC_ABSENT  /* nothing could be run */
} synthetic_kind;

/* The folder is only kept as a name. Aborts when memory is out. */
lb_results *synthetic_results_new(synthetic_kind kind, const char *dir);
/* SYNTHETIC_SWEEP with every gptq cell a second time, calibrated on this text, which costs it 0.25 nats more on the
 * second evaluation; differences are those of the windows. */
lb_results *synthetic_results_two_texts(const char *second, const char *dir);
/* SYNTHETIC_SWEEP with every gptq cell, of 128 calibration samples, three times more: of 4, 16 and 32, which costs it
 * 0.5, 0.03125 and 0 nats on the second evaluation. */
lb_results *synthetic_results_samples(const char *dir);
void synthetic_results_paired(
    lb_results *r); /* each cell's difference that of its windows, as of cells that were run */
void synthetic_results_labels(
    lb_results *r);                          /* cells of several seeds are called "gptq 2b g64 s1", as a sweep has it */
void synthetic_results_costs(lb_results *r); /* times and memory that no clock made */
void synthetic_results_free(lb_results *r);

#endif
