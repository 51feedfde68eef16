/* The keys of `plots:`, the figures that they name, and other words for both. */
#include "report/plot_style.h"

const lb_plot_word lb_plot_keys[] = {
    {"size",
     "page (each figure its own size), column (3.35 in wide, legend below), two-columns (7 in), slide (10 in), or "
     "[width, height] in inches. Letters shrink before names do, and names lose their middle before letters get "
     "smaller than two thirds of what was asked for, or 7 points."},
    {"font", "a family of fonts that is installed"},
    {"font_size", "points, at the figure's size: of column 8, two-columns 9, slide 18"},
    {"title", "false: no titles above figures"},
    {"titles", "a map from figures to titles in place of the program's: {front: \"Size and quality\"}"},
    {"palette", "a map from methods to colours: {rtn: \"#444444\"}"},
    {"methods", "which methods are drawn: names, or patterns with * and ?; the baseline always is"},
    {"figures", "which figures are drawn"},
    {"limits", "a map from axes (bits, ppl, delta, kl, acc, mib) to [low, high]"},
    {"formats", "cairolatex and tikz, beside svg, png and pdf"},
    {0},
};

const lb_plot_word lb_plot_other_words[] = {
    {"width", "size"},      {"height", "size"},        {"two-columns", "size"}, {"slide", "size"},
    {"colours", "palette"}, {"colors", "palette"},     {"ranges", "limits"},    {"xlim", "limits"},
    {"ylim", "limits"},     {"cairolatex", "formats"}, {"tikz", "formats"},     {0},
};

const lb_plot_word lb_plot_figure_words[] = {
    {"ppl-bits", "perplexity against bits a code, or measured bits a weight where some cell's layers differ"},
    {"delta-bits", "excess loss against measured bits a weight, with 95 % intervals"},
    {"kl-bits", "KL to the unquantized model against measured bits a weight, with 95 % intervals"},
    {"front", "size of the whole model and perplexity, with the Pareto front"},
    {"layer-error", "relative output error over depth, by layer type"},
    {"error-map", "the same as a map of depth and type"},
    {"training-loss", "loss while training"},
    {"training-kl", "KL to the unquantized model while training"},
    {"training-validation", "loss on the validation text while training"},
    {"sizes", "bytes of each model as stacked bars: codes, scales, zeros, and what else is stored"},
    {"cost", "time by stage, and the most memory, of each cell"},
    {"seeds", "excess loss of each seed, their mean and its interval"},
    {"texts", "excess loss by calibration text and evaluation"},
    {"samples", "excess loss against the number of calibration samples, with 95 % intervals"},
    {"acc-bits", "accuracy of tasks against measured bits a weight"},
    {"token-map", "how few calibration tokens have half of each H, as a map of depth and type"},
    {"kl-texts", "KL to the unquantized model by calibration text and evaluation"},
    {"acc-texts", "accuracy of tasks by calibration text and task"},
    {0},
};
