/* What a cell takes no notice of: keys of texts that none of its methods reads, options of ends that are not quantized,
 * how statistics are made that nobody needs. */
#include <string.h>

#include "model/recipes.h"
#include "run/sweep.h"

/* Why no key of a text matters where none is read; of those that read it there is more to say. */
static const char no_calibration[] = "no method here reads the calibration text",
                  no_training[] = "no method here trains";

bool lb_sweep_reads_no_text(const char *why) { return why == no_calibration || why == no_training; }

static const char *unread_training(const lb_cell *cell, const char *key) {
    bool how = strcmp(key, "every") == 0 || strcmp(key, "validation_windows") == 0;
    if (!cell->trains) return no_training;
    return how && !cell->training.validation[0] ? "there is no text to validate on" : NULL;
}

/* Does the key say which text it is, or how it is read? */
static bool of_text(const char *key) {
    static const char *const is[] = {"text", "bos", "rows", "field", "join", "first", "chat"};
    for (size_t i = 0; i < sizeof is / sizeof is[0]; i++)
        if (strcmp(key, is[i]) == 0) return true;
    return false;
}

/* Why a cell does not depend on a key of its texts or of an end; NULL: it does. */
static const char *unread_elsewhere(const lb_cell *cell, const lb_axis_target *t) {
    if (t->owner == LB_OF_EMBEDDING) return cell->embedding ? NULL : "the embedding is not quantized";
    if (t->owner == LB_OF_HEAD) return cell->head ? NULL : "the head is not quantized";
    if (t->owner == LB_OF_TRAINING) return unread_training(cell, t->name);
    bool sequential = !lb_recipe_draws((lb_recipe)cell->calibration.recipe) && strcmp(t->name, "seed") == 0;
    if (cell->needs & LB_NEEDS_CALIBRATION)
        return sequential ? "windows of recipe: sequential are not drawn at random" : NULL;
    if (cell->trains && !cell->training.text && of_text(t->name)) return NULL;
    return no_calibration;
}

/* Does the cell depend on its seed? Where it reads windows that are drawn at random, and the calibration has no seed of
 * its own. */
bool lb_sweep_draws(const lb_cell *cell) {
    const lb_calibration_config *k = &cell->calibration;
    bool random_text = k->text && lb_recipe_draws((lb_recipe)k->recipe) && k->seed == LB_SEED_OF_CELL;
    return cell->trains || (cell->needs & LB_NEEDS_SEED) || ((cell->needs & LB_NEEDS_CALIBRATION) && random_text);
}

/* Why tokens weigh nothing for the cell, or their clipping; NULL: they do. */
static const char *weighs_nothing(const lb_cell *cell, const char *key) {
    bool weight = strcmp(key, "token_weight") == 0, clip = strcmp(key, "token_clip") == 0;
    if ((weight || clip) && !(cell->needs & LB_NEEDS_HESSIAN)) return "no method here needs H";
    return clip && cell->own.token_weight != LB_TOKENS_CLIP ? "only token_weight: clip has a length to clip at" : NULL;
}

/* The same of what every cell has. */
static const char *unread_of_cell(const lb_cell *cell, const char *key) {
    bool walk = strcmp(key, "propagate") == 0 || strcmp(key, "true_sequential") == 0;
    if (walk && !lb_cell_statistics(cell)) return "no method here solves layers on statistics of their inputs";
    if (strcmp(key, "seed") == 0 && !cell->draws) return "nothing is drawn at random";
    return weighs_nothing(cell, key);
}

const char *lb_sweep_unread(const lb_cell *cell, const char *axis, const lb_axis_target *t) {
    if (t->owner == LB_OF_METHOD) return NULL;
    return t->owner == LB_OF_CELL ? unread_of_cell(cell, axis) : unread_elsewhere(cell, t);
}
