/* Texts of rows in configs: the same tokens as a file of the joined text gives the same numbers, under another name;
 * what a config says of rows and cannot be meant. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/sweep_kit.h"

#define MODEL "model: tiny\nthreads: 2\n"

/* n sentences of the calibration text: as lines with white space around them, as JSON lines (packed, too), joined. */
static void put_texts(void) {
    char command[LB_TEST_PATH];
    snprintf(command, sizeof command,
             "cd '%s' && head -n 60 cal.txt | sed 's/\\. /.\\n/g' | sed 's/^ *//; s/ *$//; s/[\"\\\\]/./g' | tr -d "
             "'\\r' | grep . >plain && "
             "sed 's/.*/  & \t/' plain >lines.txt && sed 's/.*/{\"n\": 1, \"s\": \"&\"}/' plain >rows.jsonl && "
             "gzip -nc rows.jsonl >rows.json.gz && awk 'NR > 1 { printf \"\\n\\n\" } { printf \"%%s\", $0 }' plain "
             ">joined.txt && awk 'NR > 1 { printf \" \" } { printf \"%%s\", $0 }' plain >spaced.txt && "
             "head -n 60 plain | awk 'NR > 1 { printf \"\\n\\n\" } { printf \"%%s\", $0 }' >first.txt",
             home);
    assert_int_equal(system(command), 0);
}

/* A text as a file of the joined text, and the same by its rows. */
static const char *const pair[][2] = {
    {"text: joined.txt", "text: lines.txt, rows: lines"},
    {"text: joined.txt", "text: rows.jsonl, field: s"},
    {"text: joined.txt", "text: rows.json.gz, field: s"},
    {"text: spaced.txt", "text: rows.jsonl, field: s, join: \" \""},
    {"text: first.txt", "text: lines.txt, rows: lines, first: 60"},
};
enum { PAIRS = sizeof pair / sizeof pair[0] };

/* Every text as an evaluation, and as what a cell is calibrated with. */
static void rows_are_their_text(void **state) {
    (void)state;
    lb_str s = {0};
    put_texts();
    lb_str_add(&s, "name: rows\n" MODEL "calibration: {text: joined.txt, samples: 4, length: 64}\neval:\n");
    for (int i = 0; i < 2 * PAIRS; i++)
        lb_str_add(&s, "  - {protocol: W2-64, windows: 3, kl: false, name: e%d, %s}\n", i, pair[i / 2][i % 2]);
    lb_str_add(&s, "quantize:\n");
    for (int i = 0; i < 2 * PAIRS; i++)
        lb_str_add(&s, "  - {method: gptq, bits: 3, group: 16, label: c%d, calibration: {%s}}\n", i,
                   pair[i / 2][i % 2]);
    assert_ok(lb_str_check(&s));
    put_file("rows.yaml", s.s);
    lb_str_free(&s);
    cli_result r = RAN(0, "run", "rows.yaml", "--no-report");
    cli_free(&r);
    lb_results *x = results("results/rows");
    const lb_record *cell[2 * PAIRS] = {0};
    for (int64_t i = 0; i < x->n; i++)
        for (int k = 0; k < 2 * PAIRS; k++) {
            char label[8];
            snprintf(label, sizeof label, "c%d", k);
            if (strcmp(x->record[i].label, label) == 0) cell[k] = &x->record[i];
        }
    for (int k = 0; k < PAIRS; k++) {
        const lb_record *c = cell[2 * k] ? cell[2 * k] : cell[0], *d = cell[2 * k + 1]; /* equal cells run once */
        if (!c || !d) fail_msg("no cell of pair %d", k);
        assert_string_not_equal(c->stem, d->stem);
        for (int64_t l = 0; l < c->layers; l++)
            assert_memory_equal(&c->layer[l].original, &d->layer[l].original, sizeof d->layer[l].original);
        for (int i = 0; i < PAIRS; i++) {
            double as_file = c->eval[2 * i].eval.mean_nll;
            assert_int_equal(c->eval[2 * i].eval.windows, 3);
            assert_true(as_file > 0 && as_file == c->eval[2 * i + 1].eval.mean_nll &&
                        as_file == d->eval[2 * i].eval.mean_nll);
        }
    }
    /* three texts that differ */
    assert_true(cell[0]->eval[0].eval.mean_nll != cell[0]->eval[6].eval.mean_nll);
    assert_true(cell[0]->eval[0].eval.mean_nll != cell[6]->eval[0].eval.mean_nll);
    lb_results_free(x);
}

/* What the list of sources says of a text's rows holds where the config says nothing, and is in the result. */
static void sources_say_how(void **state) {
    (void)state;
    char command[LB_TEST_PATH];
    snprintf(command, sizeof command,
             "cd '%s' && mkdir -p configs data/cache && cp lines.txt rows.jsonl data/cache && for n in lines.txt "
             "rows.jsonl; do printf '%%s:\n  kind: text\n  file: %%s\n  sha256: unknown\n  licence: none\n' "
             "named-$n $n; [ $n = lines.txt ] && echo '  rows: lines' || printf '  rows: json\n  field: s\n  join: "
             "\" \"\n'; done >configs/sources.yaml",
             home);
    assert_int_equal(system(command), 0);
    put_file("named.yaml",
             "name: named\n" MODEL "calibration: {text: named-rows.jsonl, samples: 4, length: 64}\neval:\n"
             "  - {text: named-lines.txt, protocol: W2-64, windows: 3}\n"
             "  - {text: joined.txt, protocol: W2-64, windows: 3}\n"
             "  - {text: named-rows.jsonl, protocol: W2-64, windows: 3}\n"
             "  - {text: spaced.txt, protocol: W2-64, windows: 3}\n"
             "  - {text: named-rows.jsonl, name: own, join: \"\\n\\n\", protocol: W2-64, windows: 3}\n"
             "quantize:\n  - {method: gptq, bits: 3, group: 16}\n");
    cli_result r = RAN(0, "run", "named.yaml", "--no-report");
    assert_non_null(strstr(r.err, "named-lines.txt: SHA-256 not known yet: "));
    cli_free(&r);
    lb_results *x = results("results/named");
    const lb_eval_row *e = x->record[1].eval;
    assert_true(e[0].eval.mean_nll == e[1].eval.mean_nll && e[2].eval.mean_nll == e[3].eval.mean_nll);
    assert_true(e[4].eval.mean_nll == e[0].eval.mean_nll && e[2].eval.mean_nll != e[0].eval.mean_nll);
    assert_non_null(strstr(x->record[1].config, "rows: lines"));
    lb_results_free(x);
}

/* Flags say the same as keys of a config. */
static void flags_of_quantize(void **state) {
    (void)state;
    char command[2 * LB_TEST_PATH], out[256];
#define GPTQ "quantize", "tiny", "--method", "gptq", "--bits", "3", "--group", "16", "--samples", "4", "--length", "64"
#define EVAL "--protocol", "W2-64", "--windows", "3"
    cli_result one = RAN(0, GPTQ, "--calibration", "spaced.txt", "--eval", "joined.txt", EVAL, "--out", "as-file");
    cli_result rows = RAN(0, GPTQ, "--calibration", "rows.json.gz", "--field", "s", "--join", " ", "--eval",
                          "lines.txt", "--eval-rows", "lines", EVAL, "--out", "as-rows");
    const char *ppl = strstr(one.out, "perplexity on joined.txt"), *same = strstr(rows.out, "perplexity on lines.txt");
    assert_true(ppl && same);
    assert_string_equal(ppl + strlen("perplexity on joined.txt"), same + strlen("perplexity on lines.txt"));
    snprintf(command, sizeof command, "cd '%s' && cmp as-file/model.safetensors as-rows/model.safetensors", home);
    assert_int_equal(cli_shell(command, out, sizeof out), 0);
    cli_free(&one), cli_free(&rows);
    SAYS(1, "--field: there is no text that it could be of", "quantize", "tiny", "--method", "rtn", "--bits", "3",
         "--field", "s", "--out", "none");
    SAYS(1, "--eval-first: there is no text that it could be of", GPTQ, "--calibration", "spaced.txt", "--eval-first",
         "3", "--out", "none");
    SAYS(1, "--calibration: join has no effect: text spaced.txt is read as one", GPTQ, "--calibration", "spaced.txt",
         "--join", "-", "--out", "none");
}

/* How rows are read tells cells apart, may be an axis, and comes back from a result. */
static void cells_know_their_rows(void **state) {
    (void)state;
    put_file("axis.yaml", "name: axis\n" MODEL
                          "calibration: {text: rows.jsonl, field: s, samples: 2, length: 64, join: [\" \", \"\\n\"]}\n"
                          "eval: {text: rows.jsonl, field: s, protocol: W2-64, windows: 2}\nquantize:\n  - {method: "
                          "gptq, bits: 3, group: 16}\n"
                          "  - {method: finetune, steps: 2, batch: 1, length: 32, warmup: 1}\n");
    cli_result r = RAN(0, "run", "axis.yaml", "--no-report");
    cli_free(&r);
    lb_results *x = results("results/axis");
    assert_int_equal(x->n, 5); /* training reads the calibration text: it depends on its rows */
    int found = 0;
    for (int64_t i = 0; i < x->n; i++)
        found += strcmp(x->record[i].label, "gptq 3b g16 join=\"\\n\"") == 0 ||
                 strcmp(x->record[i].label, "gptq 3b g16 join=\" \"") == 0;
    assert_int_equal(found, 2);
    for (int64_t i = 0; i < x->n; i++) { /* by the config that the result holds it is the same cell */
        char file[LB_TEST_PATH], same[LB_TEST_PATH];
        const char *stem = x->record[i].stem;
        if (strncmp(x->record[i].label, "finetune", 8) != 0 || found++ > 2) continue;
        snprintf(file, sizeof file, "results/axis/%s.h5", stem);
        snprintf(same, sizeof same, "ls '%s'/results/axis-*/*-%s.h5 >/dev/null", home, stem + strlen(stem) - 8);
        cli_result again = RAN(0, "run", file, "--no-report");
        cli_free(&again);
        assert_int_equal(system(same), 0);
    }
    assert_int_equal(found, 4);
    lb_results_free(x);
}

static const lb_record *labelled(const lb_results *x, const char *label) {
    for (int64_t i = 0; i < x->n; i++)
        if (strcmp(x->record[i].label, label) == 0) return &x->record[i];
    fail_msg("no cell %s", label);
    return NULL;
}

static void provenance_is(const lb_record *c, const char *key, const char *value) {
    const char *is = lb_pairs_get(&c->provenance, key);
    assert_string_equal(is ? is : "none", value ? value : "none");
}

/* Rows that are drawn: by seed, in other numbers of sequences, while training takes them joined. */
static void recipes_draw_rows(void **state) {
    (void)state;
    put_file("draws.yaml",
             "name: draws\n" MODEL
             "calibration: {text: rows.jsonl, field: s, samples: 6, length: 16, recipe: documents_longer}\n"
             "eval: {text: joined.txt, protocol: W2-64, windows: 2}\nquantize:\n"
             "  - {method: gptq, bits: 3, group: 16, seed: [0, 1]}\n"
             "  - {method: gptq, bits: 3, group: 16, label: blocks, calibration: {recipe: blocks, seed: 42}}\n"
             "  - {method: gptq, bits: 3, group: 16, label: cut, calibration: {recipe: truncated, seed: 42}}\n"
             "  - {method: autoround, bits: 3, iters: 3, batch: 4, label: learned, calibration: {recipe: truncated}}\n"
             "  - {method: finetune, steps: 2, batch: 1, length: 32, warmup: 1}\n");
    cli_result r = RAN(0, "check", "draws.yaml");
    cli_has(r.out, "calibration  rows.jsonl: 6 x 16 of ");
    cli_has(r.out, " rows, documents_longer, bos");
    cli_has(r.out, " x 16 made of 6 of ");
    cli_has(r.out, "calibration  rows.jsonl: 6 x at most 16 (");
    cli_has(r.out, " rows, truncated, bos");
    cli_free(&r);
    r = RAN(0, "run", "draws.yaml", "--no-report");
    cli_free(&r);
    lb_results *x = results("results/draws");
    const lb_record *one = labelled(x, "gptq 3b g16 s0"), *two = labelled(x, "gptq 3b g16 s1"),
                    *b = labelled(x, "blocks");
    assert_true(one->eval[0].eval.mean_nll != two->eval[0].eval.mean_nll);
    provenance_is(one, "calibration_recipe", "documents_longer");
    provenance_is(one, "calibration_rows", "json, field s");
    provenance_is(one, "calibration_seed", "0");
    provenance_is(one, "calibration_sequences", NULL);
    provenance_is(b, "calibration_seed", "42");
    const lb_record *cut = labelled(x, "cut");
    provenance_is(cut, "calibration_sequences", NULL);
    provenance_is(b, "calibration_tokens", NULL);
    int64_t sequences = 0, tokens = 0;
    assert_ok(lb_parse_i64(lb_pairs_get(&cut->provenance, "calibration_tokens"), &tokens));
    assert_true(tokens > 6 && tokens < 6 * 16);
    assert_true(labelled(x, "learned")->layers > 0);
    assert_ok(lb_parse_i64(lb_pairs_get(&b->provenance, "calibration_sequences"), &sequences));
    assert_true(sequences > 0 && sequences < 6);
    for (int64_t i = 0; i < x->n; i++)
        if (strncmp(x->record[i].label, "finetune", 8) == 0)
            provenance_is(&x->record[i], "training_rows", "json, field s, joined by \"\\n\\n\"");
    lb_results_free(x);
}

/* A text of rows is trained on, and validated on one that is none; and the other way round. */
static void validation_is_another_file(void **state) {
    (void)state;
    static const char *const said[][2] = {
        {"text: lines.txt, rows: lines, validation: joined.txt", NULL},
        {"text: joined.txt, validation: v.jsonl", "json, field text, joined by \"\\n\\n\""}};
    char command[LB_TEST_PATH];
    snprintf(command, sizeof command, "cd '%s' && sed 's/\"s\":/\"text\":/' rows.jsonl >v.jsonl", home);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < 2; i++) {
        const char *text = lb_arena_printf(
            arena,
            "name: v%d\n" MODEL "calibration: {text: joined.txt, samples: 2, length: 64}\ntraining: {%s}\neval: {text: "
            "joined.txt, protocol: W2-64, windows: 2}\nquantize: [{method: finetune, steps: 2, batch: 1, length: 32, "
            "warmup: 1}]\n",
            i, said[i][0]);
        char dir[32];
        snprintf(dir, sizeof dir, "results/v%d", i);
        assert_non_null(text);
        put_file("v.yaml", text);
        cli_result r = RAN(0, "run", "v.yaml", "--no-report");
        cli_free(&r);
        lb_results *x = results(dir);
        for (int64_t k = 0; k < x->n; k++)
            if (strcmp(x->record[k].method, "finetune") == 0)
                provenance_is(&x->record[k], "validation_rows", said[i][1]);
        lb_results_free(x);
    }
}

/* A seed at which the reference program stops is refused, with its cells alone. */
static void seeds_that_stop(void **state) {
    (void)state;
    put_file("stops.jsonl", "{\"text\": \"It was a cloudy morning. Tom was in the garden.\"}\n{\"text\": \"zqx\"}\n");
    put_file("stops.yaml", MODEL "calibration: {text: stops.jsonl, samples: 1, length: 3, recipe: documents}\n"
                                 "eval: {text: joined.txt, protocol: W2-64}\n"
                                 "quantize: [{method: gptq, bits: 3}]\naxes: {seed: [0, 1, 2]}\n");
    /* Python: random.seed(s); random.randint(0, 1) is 1, 0, 0 */
    cli_result r = RAN(0, "check", "stops.yaml");
    cli_has(r.out, "3 cells, 1 refused");
    cli_has(r.out, "stops.jsonl:2: the row has just 3 tokens, where the reference program stops");
    cli_free(&r);
    SAYS(1, "stops.jsonl:2: the row has just 3 tokens", "check", "stops.yaml", "-o", "calibration.seed=0", "-o",
         "axes={}");
}

/* A config with this calibration is refused with this reason. */
static void refused(const char *calibration, const char *more, const char *why) {
    const char *text = lb_arena_printf(
        arena,
        MODEL "calibration: {samples: 2, length: 64, %s}\neval: {text: joined.txt, protocol: "
              "W2-64}\nquantize:\n  - {method: finetune, steps: 2, batch: 1, length: 32, warmup: 1%s}\n",
        calibration, more);
    assert_non_null(text);
    put_file("b.yaml", text);
    SAYS(1, why, "check", "b.yaml");
}

/* A config that has the baseline alone looks at its calibration text as cells would. */
static void without_cells(void **state) {
    (void)state;
    put_file("none.yaml",
             MODEL "calibration: {text: rows.jsonl, field: s, samples: 2, length: 16, recipe: documents_longer}\n"
                   "eval: {text: joined.txt, protocol: W2-64}\n");
    SAYS(0, "calibration  rows.jsonl: 2 x 16 of ", "check", "none.yaml");
    SAYS(0, " rows, documents_longer, bos", "check", "none.yaml");
    SAYS(0, "calibration  joined.txt + spaced.txt: 2 x 16 of ", "check", "none.yaml", "-o",
         "calibration={text: joined.txt + spaced.txt, samples: 2, length: 16}");
}

static void what_cannot_be_meant(void **state) {
    (void)state;
    refused("text: joined.txt, join: \" \"", "", "b.yaml:3: join has no effect: text joined.txt is read as one");
    refused("text: joined.txt, first: 3", "", "./joined.txt: first says something of rows");
    refused("text: rows.jsonl", "", "rows.jsonl:1: no key 'text': its keys are n, s");
    refused("text: rows.jsonl, rows: table", "", "rows = table: must be auto, file, lines or json");
    refused("text: rows.jsonl, field: s, recipe: documents, join: \" \"", "",
            "b.yaml:3: calibration.join has no effect");
    refused("text: joined.txt, recipe: blocks", "", "recipe: blocks draws rows, but the whole file is one text");
    refused("text: rows.jsonl, field: s, recipe: documents", "", "of 2000 rows drawn 0 have at least 64 tokens");
    refused("text: rows.jsonl, field: s", ", training: {field: s}", "calibration says all: add training.text");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_their_text),        cmocka_unit_test(sources_say_how),
        cmocka_unit_test(flags_of_quantize),          cmocka_unit_test(cells_know_their_rows),
        cmocka_unit_test(recipes_draw_rows),          cmocka_unit_test(seeds_that_stop),
        cmocka_unit_test(validation_is_another_file), cmocka_unit_test(without_cells),
        cmocka_unit_test(what_cannot_be_meant)};
    return cmocka_run_group_tests(tests, make_model, clean);
}
