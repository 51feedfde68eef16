/* lowbit help NAME: everything that has a name is found by it, in any case, and so is what other programs call it. */
#include <string.h>

#include "cli/commands.h"
#include "cli/topics.h"
#include "support/support.h"

static lb_arena *arena;
static lb_str out;

static int setup(void **state) {
    (void)state;
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_str_free(&out);
    lb_arena_free(arena);
    return 0;
}

static const char *help_on(const char *name) {
    lb_str_free(&out);
    lb_status st = lb_topics_help(arena, name, &out);
    if (st != LB_OK) fail_msg("help %s: %s", name, lb_error());
    assert_non_null(out.s);
    return out.s;
}

static void expect(const char *name, const char *part) {
    if (!strstr(help_on(name), part)) fail_msg("help %s has no '%s':\n%s", name, part, out.s);
}

static void expect_not(const char *name, const char *part) {
    if (strstr(help_on(name), part)) fail_msg("help %s has '%s':\n%s", name, part, out.s);
}

/* Each kind, with a name of its own. */
static void kinds(void **state) {
    (void)state;
    expect("run", "usage: lowbit run CONFIG");
    expect("gptq", "needs  calibration text (Hessians)");
    expect("GPTQ", "gptq: second-order rounding");
    expect("percdamp", "percdamp: an option of gptq");
    expect("calibration.samples",
           "calibration.samples: a key of a config file\n  integer of at least 1, default 128\n");
    expect_not("calibration.length", "an option of qat");
    expect("starved_experts", "calibration.starved_experts: a key");
    expect("starved-experts", "calibration.starved_experts: a key");
    expect("axes", "axes: of a config file\n  A map from an option's name");
    expect("same_as", "the layers become one");
    expect("mxfp4", "mxfp4: a number format");
    expect("W2-2048", "All tokens but the first of each are scored");
    expect("LCPP-512", "second half of each is scored");
    expect("protocol", "LCPP-n: a protocol");
    expect("protocol", "HF-n/s: a protocol, as HF-1024/512\n");
    expect("protocol", "C4-new: a protocol");
    expect("PTB-old-512", "PTB-old: a protocol, as PTB-old, of 2048 tokens a window, or PTB-old-512\n");
    expect_not("PTB-old", "PTB-new");
    expect("hf", "Windows of n tokens that begin s tokens apart");
    expect("w2", "All tokens but the first of each are scored");
    expect("kl_mean", "kl_mean: a column of cells.csv, for --where, --columns and --sort of lowbit report\n");
    expect("b/w", "b/w: for --where, --columns");
    expect("--where", "--where: a flag of lowbit report");
    expect("keep-stale", "--[no-]keep-stale: a flag of lowbit ");
    expect("palette", "plots.palette: a key of a config file, and of a file for lowbit report --plots\n  a map from");
    expect("plots.size", "plots.size: a key of a config file");
    expect("width", "width, of plots: plots.size: a key of a config file");
    expect("figures", "figures: ppl-bits, delta-bits");
    expect("error-map", "error-map: a figure of reports, for figures and titles of plots\n  the same as a map");
    expect("F", "F: a flag of tables, fallback-rtn in files");
    expect("dead-columns", "D: a flag of tables, dead-columns in files");
    expect("last_error", "last_error: told of each layer by hqq");
    expect("llama", "lowbit models llama");
    expect("smollm2-135m", "smollm2-135m: a named model");
    expect("style.gp", "style.gp: a file\n  beside the results: lines of gnuplot");
    expect("STYLE.GP", "style.gp: a file");
    expect("seeds", "seeds: a figure of rows over seeds, for --columns and --sort of lowbit report\n");
    expect("ppl_mean_seeds", "arithmetic mean of the perplexities");
    expect("perplexity", "ppl: a column of cells.csv");
    expect("joined", "joined is a value of:\ncalibration.recipe: a key of a config file\n");
    expect("holm", "holm is a value of:\n--adjust: a flag of lowbit report\n");
    expect("bf16", "bf16 is a value of:\ncompute: a key of a config file\n");
    expect("siunitx_wide", "--latex: a flag of lowbit report\n");
    expect_not("none", " is a value of");
    expect("perplexity", "LCPP-n: a protocol");
    expect("kl-divergence", "kl_mean: a column");
}

/* Several things of one name are all told, each method's own option once. */
static void several(void **state) {
    (void)state;
    const char *text = help_on("bits");
    assert_non_null(strstr(text, "bits: an option of rtn, gptq"));
    assert_non_null(strstr(text, "bits: an option of nf4\n  integer in [2, 8], default 4\n"));
    assert_non_null(strstr(text, "bits: a column of cells.csv"));
    assert_null(strstr(strstr(text, "bits a weight\n") + 1, "integer in [1, 8], default 4"));
    expect("eval", "usage: lowbit eval MODEL TEXT");
    expect("eval", "\neval: of a config file\n");
    expect("axes.bits", "bits: an option of rtn");
    expect("quantize[0].bits", "bits: an option of rtn");
    expect("seed", "calibration.seed: a key");
    expect("seed", "--seed: a flag of lowbit train");
    expect_not("F", "damping");
}

static void theirs(void **state) {
    (void)state;
    expect("group_size", "group_size of other programs is group here\n\ngroup: an option of rtn");
    expect("zero_point", "symmetric here (zero_point: true is symmetric: false)");
    expect("nsamples", "calibration.samples: a key");
    expect("awq", "awq is not here; the nearest is smoothquant (");
    expect("awq", "needs  calibration text");
    expect("bitsandbytes", "bitsandbytes of other programs is nf4 here\n\nnf4: ");
    /* length of a section and of methods: told once. */
    const char *first = strstr(help_on("seqlen"), "calibration.length: a key");
    assert_non_null(first);
    assert_null(strstr(first + 1, "calibration.length: a key"));
}

static void unknown(void **state) {
    (void)state;
    assert_status(LB_E_ARG, lb_topics_help(arena, "gtpq", &out));
    assert_error_has("no help on 'gtpq': did you mean 'gptq'?");
    assert_status(LB_E_ARG, lb_topics_help(arena, "delta_ln_pl", &out));
    assert_error_has("did you mean 'delta_ln_ppl'?");
    assert_status(LB_E_ARG, lb_topics_help(arena, "utterly", &out));
    assert_error_has("no help on 'utterly': expected a command");
    assert_status(LB_E_ARG, lb_topics_help(arena, "", &out));
}

/* What help says of `plots:` is what is read there. */
static void plots(void **state) {
    (void)state;
    size_t figures = 0;
    for (const lb_plot_word *w = lb_plot_keys; w->name; w++) {
        lb_plot_options o;
        lb_yaml *root;
        char *text = lb_arena_printf(arena, "%s: {}\n", w->name);
        assert_ok(lb_yaml_parse(arena, "p.yaml", text, strlen(text), &root));
        if (lb_plot_options_from(arena, root, &o) != LB_OK) assert_null(strstr(lb_error(), "is not known"));
    }
    for (const lb_plot_word *w = lb_plot_figure_words; w->name; w++)
        assert_string_equal(w->name, lb_plot_figures[figures++]);
    assert_null(lb_plot_figures[figures]);
    for (const lb_plot_word *w = lb_plot_other_words; w->name; w++) {
        const lb_plot_word *key = lb_plot_keys;
        while (key->name && strcmp(key->name, w->about) != 0) key++;
        assert_non_null(key->name);
    }
}

/* Of everything that is collected there is something to say, which names it; and nothing is left out. */
static void all_of_them(void **state) {
    (void)state;
    lb_topics all;
    size_t of_kind[LB_TOPIC_KINDS] = {0}, options = 0, flags = 0;
    assert_ok(lb_topics_collect(arena, &all));
    for (size_t i = 0; i < all.n; i++) {
        of_kind[all.at[i].kind]++;
        const lb_arena_mark before = lb_arena_save(arena);
        expect(all.at[i].name, all.at[i].kind == LB_TOPIC_FLAG ? "a flag of lowbit" : all.at[i].name);
        lb_arena_restore(arena, before);
    }
    for (int k = 0; k < LB_TOPIC_KINDS; k++) assert_true(of_kind[k] > 0);
    for (size_t i = 0; lb_method_at(i); i++) options += lb_method_at(i)->options.n;
    for (size_t i = 0; lb_commands[i]; i++) flags += lb_commands[i]->flags.n;
    assert_int_equal(of_kind[LB_TOPIC_OPTION], options);
    assert_int_equal(of_kind[LB_TOPIC_FLAG], flags);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),   cmocka_unit_test(several),     cmocka_unit_test(theirs),
        cmocka_unit_test(unknown), cmocka_unit_test(all_of_them), cmocka_unit_test(plots),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
