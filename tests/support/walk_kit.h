/* What tests of layers that are one share: a cell's record, layer by layer, beside plain walks through the model. */
#ifndef LB_TESTS_WALK_KIT_H
#define LB_TESTS_WALK_KIT_H

#include "support/plain_llama.h"
#include "support/probe.h"
#include "support/small_model.h"

enum { WALK_SAMPLES = 5, WALK_LENGTH = 52, WALK_BLOCKS = 4 };
#define WALK_CONFIG                                                                                                    \
    "calibration: {text: text.txt, samples: 5, length: 52}\neval: {text: text.txt, protocol: W2-32, windows: 3}\n"     \
    "quantize:\n"

/* Bytes of a block of the small models with 3 bits, by hand: rows of 32-bit words, and a scale of 4 bytes and a zero of
 * 3 bits for each row; 16 columns are 8 bytes, 24 are 12. q and o are (16, 16), k and v (8, 16), gate and up (24, 16),
 * down (16, 24). Zeros of 16 rows are 6 bytes, of 8 rows 3, of 24 rows 9. */
enum {
    WALK_QO = 16 * (8 + 4) + 6,
    WALK_KV = 8 * (8 + 4) + 3,
    WALK_GATE_UP = 24 * (8 + 4) + 9,
    WALK_DOWN = 16 * (12 + 4) + 6,
    WALK_BLOCK = 2 * WALK_QO + 2 * WALK_KV + 2 * WALK_GATE_UP + WALK_DOWN,
    WALK_WEIGHTS = 2 * 16 * 16 + 2 * 8 * 16 + 2 * 24 * 16 + 16 * 24
};

extern const plain_input walk_reads[PLAIN_LINEARS];

typedef struct walk_world {
    small_plan s;
    lb_runner runner;
    lb_model *model;
    const lb_cell *cell;
    lb_record record;
    double *H0[WALK_BLOCKS][PLAIN_INPUTS];
} walk_world;

void walk_open(walk_world *x, const char *model, const char *name, const char *yaml);
void walk_close(walk_world *x);
/* The row of that name, or the test fails. */
const lb_layer_row *walk_row(const lb_record *r, const char *name);
int64_t walk_width(plain_input i);
/* The largest difference, as a share of sqrt(H_ii H_jj). */
double walk_apart(const double *a, const double *b, int64_t n);
/* The calibration's sequences before the first block, and the same once more; plain_walk_end. */
plain_walk walk_start(const walk_world *x);
plain_walk walk_copy(const plain_walk *p);
/* A row's errors against W of what the probe made of layer `made`, each under its own H; own NULL: it has none. */
void walk_check_errors(const walk_world *x, const char *name, const char *made, lb_cmat W, const double *own,
                       const double *H0);

const char *walk_folder(small_plan *s, const char *name); /* in small_home */
/* The cell in a folder of its own, its file written there. */
lb_status walk_run_in(small_plan *s, const char *dir, const lb_cell *c, lb_record *out);

#endif
