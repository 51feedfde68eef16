/* Axes: an axis that reaches no cell is a mistake in the config, and is told with its line and the reason. */
#include <string.h>

#include "support/expand_kit.h"

static void expect_refused(const char *text, const char *message) {
    assert_status(LB_E_CONFIG, expand(text));
    assert_error_has(message);
}

static void overridden(void **state) {
    (void)state;
    expect_refused("model: m\naxes:\n  bits: [3]\nquantize:\n  - method: rtn\n    bits: 4\n",
                   "c.yaml:3: axes.bits has no effect: every entry sets bits itself (c.yaml:6)");
    /* nf4 has no act_order, so it does not count. */
    expect_refused("model: m\ncalibration: {text: t}\naxes: {act_order: [true]}\nquantize:\n  - {method: nf4}\n"
                   "  - {method: gptq, act_order: false}\n",
                   "c.yaml:3: axes.act_order has no effect: every entry that has it sets act_order itself (c.yaml:6)");
    /* By a stage, which is all that has the option. */
    expect_refused("model: m\ncalibration: {text: t}\naxes: {sparsity: [0.5]}\nquantize: [{stages: [{method: wanda, "
                   "sparsity: 0.3}, {method: rtn}]}]\n",
                   "axes.sparsity has no effect: every entry sets sparsity itself");
    /* One that takes it is enough; so is a single value, and the one that is the default. */
    expect_cells("model: m\naxes: {bits: [3]}\nquantize: [{method: rtn, bits: 4}, {method: rtn}]\n",
                 "none; rtn 4b row; rtn 3b row");
    expect_cells("model: m\naxes: {bits: [4]}\nquantize: [{method: rtn}]\n", "none; rtn 4b row");
}

static void nothing_depends_on_it(void **state) {
    (void)state;
    expect_refused("model: m\naxes: {seed: [0, 1]}\nquantize: [{method: rtn}]\n",
                   "c.yaml:2: axes.seed has no effect: nothing is drawn at random");
    expect_refused("model: m\ncalibration: {text: t}\naxes: {seed: [0, 1]}\nquantize: [{method: gptq}]\n",
                   "axes.seed has no effect");
    expect_refused("model: m\ncalibration: {text: t}\naxes: {propagate: [original, quantized]}\nquantize: [{method: "
                   "rtn}]\n",
                   "axes.propagate has no effect: no method here solves layers on statistics of their inputs");
    expect_refused("model: m\ncalibration: {text: t}\naxes: {true_sequential: [true]}\nquantize: [{method: rtn}, "
                   "{method: nf4}]\n",
                   "axes.true_sequential has no effect");
    expect_cells("model: m\ncalibration: {text: t}\naxes: {true_sequential: [true]}\nquantize: [{method: rtn}, "
                 "{method: gptq}]\n",
                 "none; rtn 4b row; gptq 4b row true_sequential");
    /* A list in an entry says so too; a single value there is what it was. */
    expect_refused("model: m\nquantize:\n  - method: rtn\n    seed: [0, 1]\n",
                   "c.yaml:4: quantize[0].seed has no effect: nothing is drawn at random");
    expect_cells("model: m\nquantize: [{method: rtn, seed: 1}]\n", "none; rtn 4b row");
}

static void refused_everywhere(void **state) {
    (void)state;
    expect_refused("model: m\naxes: {symmetric: [true]}\nquantize: [{method: rtn, symmetric: false}, {stages: "
                   "[{method: rtn}, {method: wanda}]}]\ncalibration: {text: t}\n",
                   "c.yaml:2: axes.symmetric has no effect: every cell that it reaches is refused: ");
    /* One value that runs is enough. */
    expect_cells("model: m\naxes: {bits: [3, 4]}\nquantize: [{method: nf4}]\n", "none; [nf4 3b g64]; nf4 4b g64");
}

#define TEXTS "model: m\ncalibration: {text: t, samples: 8, length: 16}\n"

static void keys_of_texts(void **state) {
    (void)state;
    /* What reads no calibration is not multiplied, and has the first of each. */
    expect_cells(
        TEXTS "axes: {calibration.text: [a, b], calibration.samples: [2, 4]}\nquantize: [{method: rtn}, "
              "{method: gptq}]\n",
        "none; rtn 4b row; gptq 4b row on a samples=2; gptq 4b row on a samples=4; gptq 4b row on b samples=2; "
        "gptq 4b row on b samples=4");
    assert_int_equal(sweep.merged, 3);
    assert_string_equal(sweep.cell[1].calibration.text, "a");
    assert_int_equal(sweep.cell[1].calibration.samples, 2);
    assert_string_equal(sweep.cell[5].calibration.text, "b");
    assert_int_equal(sweep.cell[5].calibration.samples, 4);
    assert_int_equal(sweep.cell[5].calibration.length, 16);
    /* Other ways of writing them: a map in axes, lists where the section has one value. */
    expect_cells(TEXTS "axes: {calibration: {samples: [2, 4, 0x4]}}\nquantize: [{method: gptq}]\n",
                 "none; gptq 4b row samples=2; gptq 4b row samples=4");
    expect_cells(
        "model: m\ncalibration: {text: [a, dir/b.txt], propagate: [original, quantized]}\nseed: [1, 2]\n"
        "quantize: [{method: gptq}, {method: qat, bits: 3}]\n",
        "none; gptq 4b row on a propagate=original; gptq 4b row on a propagate=quantized; gptq 4b row on b.txt "
        "propagate=original; gptq 4b row on b.txt propagate=quantized; qat 3b row s1 on a; qat 3b row s1 on "
        "b.txt; "
        "qat 3b row s2 on a; qat 3b row s2 on b.txt");
    /* Two of one file name are told apart by a number. */
    expect_cells("model: m\ncalibration: {text: [x/t.txt, y/t.txt]}\nquantize: [{method: gptq, label: mine}, {method: "
                 "gptq, bits: 3}]\n",
                 "none; mine on t.txt; gptq 4b row on t.txt #2; gptq 3b row on t.txt; gptq 3b row on t.txt #2");
    /* The axis alone may name the texts. */
    expect_cells("model: m\naxes: {calibration.text: [a, b]}\nquantize: [{method: gptq}]\n",
                 "none; gptq 4b row on a; gptq 4b row on b");
    assert_int_equal(sweep.cell[1].calibration.samples, 128);
    /* Training has a text of its own here, so the calibration's is nothing to it. */
    expect_cells(TEXTS "training: {text: [x, z], bos: never}\naxes: {calibration.text: [a, b]}\nquantize: [{method: "
                       "gptq}, {method: qat}]\n",
                 "none; gptq 4b row on a; gptq 4b row on b; qat 4b row trained on x; qat 4b row trained on z");
    assert_int_equal(sweep.cell[4].training.bos, config.training.bos);
}

static void random_windows(void **state) {
    (void)state;
    expect_cells(TEXTS "axes: {calibration.recipe: [sequential, random], calibration.seed: [-1, 7], seed: [0, 1]}\n"
                       "quantize: [{method: gptq}]\n",
                 "none; gptq 4b row recipe=sequential; gptq 4b row recipe=random seed=-1 s0; gptq 4b row recipe=random "
                 "seed=-1 s1; gptq 4b row recipe=random seed=7");
    expect_refused(
        TEXTS "axes: {calibration.seed: [1, 2]}\nquantize: [{method: gptq}]\n",
        "c.yaml:3: axes.calibration.seed has no effect: windows of recipe: sequential are not drawn at random");
    /* what reads the text says why, not what reads none */
    expect_refused(TEXTS "axes: {calibration.seed: [1, 2]}\nquantize: [{method: rtn}, {method: gptq}, {method: hqq}]\n",
                   "axes.calibration.seed has no effect: windows of recipe: sequential are not drawn at random");
    expect_refused(TEXTS "axes: {calibration.samples: [1, 2]}\nquantize: [{method: rtn}]\n",
                   "axes.calibration.samples has no effect: no method here reads the calibration text");
    expect_refused(TEXTS "training: {text: [1, 2]}\nquantize: [{method: gptq}]\n",
                   "c.yaml:3: axes.training.text has no effect: no method here trains");
    expect_refused("model: m\naxes: {calibration.samples: [1, 2]}\nquantize: [{method: gptq}]\n",
                   "quantize[0]: method gptq needs a calibration text");
}

/* An entry may say otherwise, as of any option. */
static void entries(void **state) {
    (void)state;
    expect_cells(
        TEXTS "axes: {calibration.samples: [2, 4]}\nquantize: [{method: gptq, calibration: {samples: [8, 3], "
              "text: u}}, {method: gptq, bits: 3, calibration.length: 32}]\n",
        "none; gptq 4b row samples=8 on u; gptq 4b row samples=3 on u; gptq 3b row samples=2 length=32; gptq 3b "
        "row samples=4 length=32");
    assert_int_equal(sweep.cell[3].calibration.length, 32);
    /* What one entry leaves out and another writes is the same cell. */
    expect_cells(TEXTS "quantize: [{method: gptq}, {method: gptq, calibration: {samples: 8}}]\n", "none; gptq 4b row");
    expect_refused(TEXTS
                   "axes: {calibration.samples: [2, 4]}\nquantize:\n  - {method: gptq, calibration: {samples: 8}}\n",
                   "axes.calibration.samples has no effect: every entry sets calibration.samples itself (c.yaml:5)");
    expect_refused(TEXTS "quantize: [{method: rtn, calibration: {samples: [2, 4]}}]\n",
                   "quantize[0].calibration.samples has no effect: no method here reads the calibration text");
    expect_refused(TEXTS "quantize: [{method: gptq, calibration: {sample: 2}}]\n",
                   "c.yaml:3: unknown key 'sample' in quantize[0].calibration: did you mean 'samples'?");
    expect_refused(TEXTS "quantize: [{method: gptq, calibration: 3}]\n",
                   "c.yaml:3: calibration in quantize[0]: must be a map of keys, not one value");
    expect_refused(TEXTS "quantize: [{method: gptq, calibration: {samples: 2}, calibration.samples: 3}]\n",
                   "c.yaml:3: calibration.samples in quantize[0]: is given already (c.yaml:3)");
    expect_refused(TEXTS "quantize: [{method: rtn, calibration: {propagate: original}}]\n",
                   "propagate in quantize[0].calibration: method rtn needs no statistics");
}

static void models(void **state) {
    (void)state;
    assert_ok(expand("axes: {model: [m, k, m]}\nquantize: [{method: rtn}]\n"));
    assert_int_equal(config.models, 2);
    assert_string_equal(config.model[1], "k");
    expect_cells("axes: {model: [m, k], bits: [3]}\nquantize: [{method: rtn}]\n", "none; rtn 3b row");
    expect_refused("model: m\naxes:\n  model: [k]\n", "c.yaml:3: axes.model: 'model' is given already (c.yaml:1)");
    expect_refused("quantize: [{method: rtn}]\n", "'model' is missing");
}

/* Products of evaluations: plans of their own, too, and no cell's option. */
static void computes(void **state) {
    (void)state;
    expect_cells(TEXTS
                 "axes: {compute: [bf16, float32, bf16], bits: [3]}\neval: {text: t}\nquantize: [{method: rtn}]\n",
                 "none; rtn 3b row");
    assert_int_equal(config.computes, 2);
    assert_true(config.compute[0] == LB_COMPUTE_BF16 && config.compute[1] == LB_COMPUTE_F32);
    expect_cells(TEXTS "compute: [bf16]\nquantize: [{method: rtn}]\n", "none; rtn 4b row");
    assert_true(config.computes == 1 && config.compute[0] == LB_COMPUTE_BF16);
    expect_cells(TEXTS "quantize: [{method: rtn}]\n", "none; rtn 4b row");
    assert_true(config.computes == 1 && config.compute[0] == LB_COMPUTE_F32);
    expect_refused(TEXTS "compute: bf16\naxes:\n  compute: [float32]\n",
                   "c.yaml:5: axes.compute: 'compute' is given already (c.yaml:3)");
    expect_refused(TEXTS "compute: [bf16, float32]\nquantize: [{method: rtn}]\n",
                   "c.yaml:3: axes.compute has no effect: there is no evaluation");
    expect_refused(TEXTS "eval: []\naxes: {compute: [bf16, float32]}\n", "axes.compute has no effect");
}

/* Methods make an entry each of every entry that names none, or of nothing. */
static void methods(void **state) {
    (void)state;
    expect_cells(TEXTS "axes: {method: [rtn, GPTQ, gptq], bits: [2, 3]}\n",
                 "none; rtn 2b row; rtn 3b row; gptq 2b row; gptq 3b row");
    expect_cells(TEXTS "axes: {method: [rtn, gptq]}\nquantize: []\n", "none; rtn 4b row; gptq 4b row");
    expect_cells(TEXTS "axes: {method: [rtn, gptq]}\nquantize:\n  - {group: [32, 64]}\n  - {method: nf4, bits: 4}\n"
                       "  - {bits: 3, label: mine}\n",
                 "none; rtn 4b g32; rtn 4b g64; gptq 4b g32; gptq 4b g64; nf4 4b g64; mine rtn; mine gptq");
    assert_true(config.entries == 5 && config.entry[4].index == 4 && config.entry[4].place == 2);
    expect_cells(TEXTS "quantize: [{method: [rtn, gptq], bits: [2, 3]}, {stages: [{method: wanda}, {method: rtn}]}]\n",
                 "none; rtn 2b row; rtn 3b row; gptq 2b row; gptq 3b row; wanda 50% + rtn 4b row");
    /* The same cells as entries that name them, and options that one of the methods lacks are said with its name. */
    expect_refused(TEXTS "axes: {method: [rtn, gptq]}\nquantize:\n  - {act_order: true}\n",
                   "c.yaml:5: unknown key 'act_order' in quantize[0] with method rtn: see lowbit methods rtn");
    expect_refused(TEXTS "axes: {method: [rtn, none]}\nquantize:\n  - {bits: 3}\n",
                   "unknown key 'bits' in quantize[0] with method none");
    expect_refused(TEXTS "axes: {method: [rtn, gptq]}\nquantize:\n  - {stages: [{method: rtn}]}\n",
                   "c.yaml:3: axes.method has no effect: every entry sets method itself (c.yaml:5)");
    expect_refused(TEXTS "quantize:\n  - {method: [rtn, gptq], stages: [{method: rtn}]}\n", "has a method and stages");
    expect_refused(TEXTS "quantize:\n  - {stages: [{method: [rtn, gptq]}]}\n",
                   "c.yaml:4: method: must be a name, not a list: stages are entries");
    /* What one of them has alone is an axis of that one, as ever. */
    expect_cells(TEXTS "axes: {method: [rtn, gptq], percdamp: [0.01, 0.1]}\n",
                 "none; rtn 4b row; gptq 4b row percdamp=0.01; gptq 4b row percdamp=0.1");
}

/* Rules, each value a list of them; an entry's own have the last word. */
static void rules(void **state) {
    (void)state;
#define DOWN "[{match: \"*.down\", bits: 8}]"
    expect_cells(TEXTS "axes: {rules: [" DOWN ", []], bits: [2, 3]}\nquantize: [{method: rtn}, {method: gptq}]\n",
                 "none; rtn 2b row *.down bits=8; rtn 3b row *.down bits=8; rtn 2b row; rtn 3b row; "
                 "gptq 2b row *.down bits=8; gptq 3b row *.down bits=8; gptq 2b row; gptq 3b row");
    assert_true(config.entries == 4 && config.entry[3].place == 1 && config.entry[3].n_rules == 0);
    expect_cells(TEXTS "rules: [[{match: head, skip: true}], " DOWN "]\nquantize:\n  - {method: rtn}\n"
                       "  - {method: rtn, rules: [{match: \"0.*\", bits: 6}]}\n",
                 "none; rtn 4b row head skip; rtn 4b row *.down bits=8; rtn 4b row 0.* bits=6");
    expect_cells(TEXTS "axes: {method: [rtn, gptq], rules: [" DOWN ", [], [{match: \"*.up\", act_order: true}]]}\n",
                 "none; rtn 4b row *.down bits=8; rtn 4b row; gptq 4b row *.down bits=8; gptq 4b row; gptq 4b row *.up "
                 "act_order=true");
    assert_int_equal(sweep.merged, 1); /* rtn has no act_order */
    expect_cells(TEXTS "quantize: [{method: rtn, label: mine, embedding: {method: rtn}, rules: [" DOWN ", []]}]\n",
                 "none; mine *.down bits=8; mine");
    /* The config's rules stay, and come first. */
    expect_cells(TEXTS "rules: [{match: \"*\", bits: 6}]\naxes: {rules: [[], " DOWN "]}\nquantize: [{method: rtn}]\n",
                 "none; rtn 4b row; rtn 4b row *.down bits=8");
    expect_refused(TEXTS "axes: {rules: [[]]}\nquantize:\n  - {method: rtn, rules: " DOWN "}\n",
                   "c.yaml:3: axes.rules has no effect: every entry sets rules itself (c.yaml:5)");
    expect_refused(TEXTS "axes: {rules: [[]]}\n", "c.yaml:3: axis 'rules': quantize has no method that it could reach");
    expect_refused(TEXTS "axes: {bits: [2]}\n", "c.yaml:3: axis 'bits': quantize has no method that it could reach");
    expect_refused(TEXTS "axes: {bits: [2], methods: [rtn]}\n",
                   "c.yaml:3: axis 'methods': no method of this config has that option: did you mean 'method'?");
    expect_refused(TEXTS "axes: {rules: [[]]}\nquantize: [{method: none}]\n", "it could reach");
    expect_refused(TEXTS "rules: [[]]\naxes: {rules: [[]]}\n",
                   "c.yaml:4: axes.rules: 'rules' is given already (c.yaml:3)");
    expect_refused(TEXTS "axes: {rules: [[{match: \"*.down\", bits: [4, 8]}]]}\nquantize: [{method: rtn}]\n",
                   "bits: must be one value, not a list: rules are an axis as a whole");
    expect_refused(TEXTS "quantize: [{method: rtn, rules: [[], {match: head, bits: 8}]}]\n",
                   "quantize[0].rules[0]: must be a map with match");
}

static void many_entries(void **state) {
    (void)state;
    lb_str s = {0};
    lb_str_add(&s, TEXTS "axes: {rules: [");
    for (int i = 0; i < 1000; i++) lb_str_add(&s, "%s[{match: head, bits: %d}]", i ? ", " : "", i % 8 + 1);
    lb_str_add(&s, "]}\nquantize: [");
    for (int i = 0; i < 101; i++) lb_str_add(&s, "%s{method: rtn, group: %d}", i ? ", " : "", i + 8);
    lb_str_add(&s, "]\n");
    assert_ok(lb_str_check(&s));
    expect_refused(s.s, "entries or more, with methods and rules of axes: a sweep has at most 100000");
    lb_str_free(&s);
    expect_memory_errors(
        "axes: {method: [rtn, nf4], rules: [[{match: head, skip: true}], []]}\nquantize: [{label: x}]\n");
}

/* Keys that are no axis say why, and what there is instead; names that are nearly right say which. */
static void not_axes(void **state) {
    (void)state;
    static const char *const message[][2] = {
        {"samples: [2, 4]", "c.yaml:3: axis 'samples': no method of this config has that option: did you mean "
                            "'calibration.samples'?"},
        {"text: [a, b]", "did you mean 'calibration.text'?"},
        {"calibration.sample: [2]", "did you mean 'calibration.samples'?"},
        {"modle: [a]", "did you mean 'model'?"},
        {"calibration: [a, b]", "did you mean 'calibration.text'?"},
        {"threads: [1, 2]", "c.yaml:3: axis 'threads': no result depends on it"},
        {"keep_layers: [true]", "no result depends on it"},
        {"eval.text: [a, b]", "every cell has all evaluations, which are a list"},
        {"eval: [a, b]", "every cell has all evaluations, which are a list"},
        {"compute: [float32, f16]", "c.yaml:3: compute = f16: must be float32 or bf16 (config)"},
        {"compute: []", "compute: the list is empty"},
        {"compute: {a: [bf16]}", "compute: must be a value or a list of values"},
        {"computes: [bf16]", "did you mean 'compute'?"},
        {"method: [rtn, gptq]", "c.yaml:3: axes.method has no effect: every entry sets method itself (c.yaml:4)"},
        {"method: [rtn, gtpq]", "c.yaml:3: unknown method 'gtpq'"},
        {"method: {a: [rtn]}", "c.yaml:3: method: must be a value or a list of values"},
        {"rules: [1]", "c.yaml:3: axes.rules: must be a list of lists of rules"},
        {"rules: [{match: head, skip: true}]", "axes.rules: must be a list of lists of rules"},
        {"rules: [[{match: head, sikp: true}]]", "c.yaml:3: unknown key 'sikp' in axes.rules[0][0]"},
        {"embedding: [{method: rtn}]", "it is the config's or an entry's"},
        {"stages: [1]", "stages are entries"},
        {"name: [a]", "it is the whole experiment's"},
        {"calibration.samples: [2, 0]", "c.yaml:3: samples = 0: must be at least 1 (calibration)"},
        {"calibration.recipe: [first]", "recipe = first: must be"},
        {"calibration.samples: []", "calibration.samples: the list is empty"},
        {"calibration.samples: [2], calibration: {samples: [4]}", "axis 'calibration.samples' is given already"},
    };
    for (size_t i = 0; i < sizeof message / sizeof message[0]; i++) {
        const char *text = lb_arena_printf(arena, TEXTS "axes: {%s}\nquantize: [{method: gptq}]\n", message[i][0]);
        assert_non_null(text);
        expect_refused(text, message[i][1]);
    }
    expect_refused("model: m\naxes: {calibration.text: [a]}\n",
                   "c.yaml:2: axis 'calibration.text': quantize has no method that it could reach");
}

/* Of a text that is looked at while training: no other cell has any of it. */
static void validation(void **state) {
    (void)state;
#define QAT "quantize: [{method: rtn}, {method: qat}]\n"
    expect_cells("model: m\ntraining: {text: x, validation: v}\naxes: {training.every: [5, 10, 0xA], "
                 "training.validation_windows: [2, 0]}\n" QAT,
                 "none; rtn 4b row; qat 4b row every=5 validation_windows=2; qat 4b row every=5 validation_windows=0; "
                 "qat 4b row every=10 validation_windows=2; qat 4b row every=10 validation_windows=0");
    assert_true(sweep.cell[5].training.every == 10 && sweep.cell[5].training.validation_windows == 0);
    assert_string_equal(sweep.cell[5].training.validation, "v");
    expect_cells("model: m\ntraining: {text: x, validation: [dir/v.txt, w]}\n" QAT,
                 "none; rtn 4b row; qat 4b row validated on v.txt; qat 4b row validated on w");
    /* How to validate is nothing to a cell without. */
    expect_cells("model: m\ntraining: {text: x, validation: [\"\", w], every: [5, 10]}\n" QAT,
                 "none; rtn 4b row; qat 4b row not validated; qat 4b row validated on w every=5; qat 4b row validated "
                 "on w every=10");
    /* The axis alone may name the text; an entry may. */
    expect_cells("model: m\ncalibration: {text: t}\naxes: {training: {validation: [v, w], every: [7]}}\n" QAT,
                 "none; rtn 4b row; qat 4b row validated on v every=7; qat 4b row validated on w every=7");
    expect_cells("model: m\ntraining: {text: x, every: 5}\nquantize: [{method: qat, training: {validation: v}}, "
                 "{method: finetune}]\n",
                 "none; qat 4b row validated on v; finetune");
    assert_string_equal(sweep.cell[1].training.validation, "v");
    assert_int_equal(sweep.cell[1].training.every, 5);
    assert_string_equal(sweep.cell[2].training.validation, "");
    expect_refused("model: m\ntraining: {text: x, validation: [v, w]}\nquantize: [{method: rtn}]\n",
                   "c.yaml:2: axes.training.validation has no effect: no method here trains");
    expect_refused("model: m\ntraining: {text: x}\naxes: {training.every: [5, 10]}\n" QAT,
                   "c.yaml:3: training.every has no effect: there is no text to validate on: add validation: TEXT");
    expect_refused("model: m\ntraining: {text: x, validation_windows: 5}\n" QAT,
                   "c.yaml:2: training.validation_windows has no effect: there is no text to validate on: add "
                   "validation: TEXT");
    expect_refused("model: m\ntraining: {text: x}\nquantize:\n  - {method: qat, training: {every: 5}}\n"
                   "  - {method: qat, bits: 3, training: {validation: v}}\n",
                   "c.yaml:4: training.every has no effect");
    expect_refused("model: m\ntraining: {text: x, validation: v}\naxes: {every: [5, 10]}\n" QAT,
                   "axis 'every': no method of this config has that option: did you mean 'training.every'?");
#undef QAT
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_texts),
        cmocka_unit_test(validation),
        cmocka_unit_test(random_windows),
        cmocka_unit_test(entries),
        cmocka_unit_test(models),
        cmocka_unit_test(computes),
        cmocka_unit_test(methods),
        cmocka_unit_test(rules),
        cmocka_unit_test(many_entries),
        cmocka_unit_test(not_axes),
        cmocka_unit_test(overridden),
        cmocka_unit_test(nothing_depends_on_it),
        cmocka_unit_test(refused_everywhere),
    };
    return cmocka_run_group_tests(tests, expand_setup, expand_teardown);
}
