/* Tables of a report: exact outputs in every format, numbers, escaping, CSV that reads back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "io/csv.h"
#include "report/parts.h"
#include "result/seeds.h"
#include "support/expected_output.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static const char *const extension[] = {"txt", "md", "csv", "tex", "html"};

static void main_tables(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    for (int f = LB_TABLE_TERMINAL; f <= LB_TABLE_HTML; f++) {
        lb_str s = {0};
        char name[64];
        assert_ok(lb_report_main_table(r, (lb_table_format)f, &s));
        snprintf(name, sizeof name, "report/main.%s", extension[f]);
        expect_output(name, s.s);
        lb_str_free(&s);
    }
    synthetic_results_free(r);
}

static void size_and_layer_tables(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    lb_str s = {0}, t = {0}, u = {0};
    assert_ok(lb_report_size_table(r, LB_TABLE_TERMINAL, &s));
    expect_output("report/sizes.txt", s.s);
    assert_ok(lb_report_layer_table(r, 7, NULL, LB_TABLE_TERMINAL, &t));
    expect_output("report/layers.txt", t.s);
    assert_ok(lb_report_layer_table(r, 19, NULL, LB_TABLE_LATEX, &u));
    expect_output("report/layers.tex", u.s);
    lb_str_free(&s);
    lb_str_free(&t);
    lb_str_free(&u);
    assert_status(LB_E_ARG, lb_report_layer_table(r, r->n, NULL, LB_TABLE_CSV, &s));
    assert_status(LB_E_ARG, lb_report_layer_table(r, 18, NULL, LB_TABLE_CSV, &s));
    assert_error_has("Cholesky");
    synthetic_results_free(r);
}

/* A column for bytes of T only where some cell has any. */
static void sizes_of_transforms(void **state) {
    (void)state;
    for (int with = 0; with < 2; with++) {
        lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
        lb_str text = {0}, csv = {0};
        for (int64_t i = 0; with && i < r->n; i++)
            if (r->record[i].size.quantized.weights) r->record[i].size.quantized.transform = 3 << 20;
        assert_ok(lb_report_size_table(r, LB_TABLE_TERMINAL, &text));
        assert_ok(lb_report_size_table(r, LB_TABLE_CSV, &csv));
        assert_true((strstr(text.s, "transform") != NULL) == with &&
                    (strstr(csv.s, ",transform_bytes,") != NULL) == with);
        assert_true((strstr(csv.s, ",3145728,") != NULL) == with);
        lb_str_free(&text);
        lb_str_free(&csv);
        synthetic_results_free(r);
    }
}

static void edges(void **state) {
    (void)state;
    static const struct {
        synthetic_kind kind;
        const char *name;
    } edge[] = {{SYNTHETIC_SINGLE, "report/single.txt"},
                {SYNTHETIC_CLOSE, "report/close.txt"},
                {SYNTHETIC_HUGE, "report/huge.txt"},
                {SYNTHETIC_ABSENT, "report/absent.txt"}};
    for (size_t i = 0; i < sizeof edge / sizeof edge[0]; i++) {
        lb_results *r = synthetic_results_new(edge[i].kind, "results/synthetic");
        lb_str s = {0};
        assert_ok(lb_report_main_table(r, LB_TABLE_TERMINAL, &s));
        expect_output(edge[i].name, s.s);
        lb_str_free(&s);
        synthetic_results_free(r);
    }
}

static void add_option(lb_results *r, lb_record *c, const char *key, const char *value) {
    lb_pair *at = LB_NEW(r->arena, lb_pair, c->options.n + 1);
    assert_non_null(at);
    if (c->options.n) memcpy(at, c->options.at, (size_t)c->options.n * sizeof *at);
    at[c->options.n++] = (lb_pair){key, value};
    c->options.at = at;
}

/* What quantized inputs cost is no layer's error: where there are some, it is said, with their bits as rows have them.
 */
static void quantized_inputs(void **state) {
    (void)state;
    static const struct {
        const char *bits[2], *said;
    } sweep[] = {{{NULL}, NULL}, {{"0"}, NULL}, {{"8"}, "inputs (a8) cost"}, {{"8", "5"}, "inputs (a5, a8) cost"}};
    for (size_t i = 0; i < sizeof sweep / sizeof sweep[0]; i++) {
        lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
        lb_arena *a;
        lb_report_view v;
        lb_str s = {0};
        for (int k = 0; k < 2; k++)
            if (sweep[i].bits[k]) add_option(r, &r->record[r->n - 1 - k], "act_bits", sweep[i].bits[k]);
        assert_ok(lb_arena_new(0, &a));
        assert_ok(lb_report_view_make(a, r, NULL, &v));
        assert_ok(lb_report_notes(&v, LB_TABLE_MARKDOWN, &s));
        assert_non_null(strstr(s.s, "same H."));
        assert_true(!sweep[i].said == !strstr(s.s, "errors of weights alone"));
        if (sweep[i].said) assert_non_null(strstr(s.s, sweep[i].said));
        lb_str_free(&s);
        lb_arena_free(a);
        synthetic_results_free(r);
    }
}

/* No line of a terminal table is wider than the terminal; nothing ends in a blank. */
static void widths(void **state) {
    (void)state;
    for (int k = SYNTHETIC_SWEEP; k <= SYNTHETIC_ABSENT; k++) {
        lb_results *r = synthetic_results_new((synthetic_kind)k, "results/synthetic");
        static const size_t columns[] = {LB_TERMINAL_WIDTH, 80, 70, 400};
        for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
            lb_str s = {0};
            lb_table_terminal_width(columns[i]);
            assert_ok(lb_report_main_table(r, LB_TABLE_TERMINAL, &s));
            assert_ok(lb_report_size_table(r, LB_TABLE_TERMINAL, &s));
            for (char *line = strtok(s.s, "\n"); line; line = strtok(NULL, "\n")) {
                bool title = strstr(line, "Sizes in MiB") || strstr(line, "perplexity on");
                if (lb_text_width(line) > columns[i] && !title) fail_msg("%zu columns: %s", lb_text_width(line), line);
                assert_true(line[strlen(line) - 1] != ' ');
            }
            lb_str_free(&s);
        }
        lb_table_terminal_width(LB_TERMINAL_WIDTH);
        synthetic_results_free(r);
    }
}

static void read_back(const char *text, lb_arena *a, lb_csv *out) {
    char path[LB_TEST_PATH];
    snprintf(path, sizeof path, "%s/t.csv", lb_test_tmpdir());
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    assert_ok(lb_csv_read(a, path, out));
}

static const char *at(const lb_csv *c, size_t row, const char *name) {
    int k = lb_csv_column(c, name);
    if (k < 0) fail_msg("no column %s", name);
    return c->row[row][k];
}

static double number_at(const lb_csv *c, size_t row, const char *name) {
    double v;
    assert_ok(lb_parse_f64(at(c, row, name), &v));
    return v;
}

/* Codes, scales, zeros and padding of the quantized layers, in bits, over their weights. */
static void bits_of_all_parts(const lb_csv *c, size_t row, const lb_record *x) {
    double bytes = 0, weights = 0;
    for (int64_t l = 0; l < x->layers; l++) {
        const lb_size *z = &x->layer[l].size;
        if (!x->layer[l].quantized) continue;
        bytes += (double)(z->codes + z->scales + z->zeros + z->padding);
        weights += (double)z->weights;
    }
    if (weights > 0)
        assert_true(number_at(c, row, "bits_per_weight") == 8 * bytes / weights);
    else
        assert_string_equal(at(c, row, "bits_per_weight"), "");
}

static void cells_read_back(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    lb_arena *a;
    lb_csv c;
    lb_str s = {0};
    size_t row = 0;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_report_cells_csv(r, &s));
    read_back(s.s, a, &c);
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *x = &r->record[i];
        for (int64_t e = 0; e < (x->evals ? x->evals : 1); e++, row++) {
            assert_string_equal(at(&c, row, "cell"), x->stem);
            assert_string_equal(at(&c, row, "message"), x->message);
            if (x->state != LB_CELL_DONE) {
                assert_string_equal(at(&c, row, "ppl"), "");
                assert_string_equal(at(&c, row, "quantized_bytes"), "");
                assert_string_equal(at(&c, row, "storage"), "");
                assert_true(number_at(&c, row, "bits") == x->bits); /* what was asked for is known */
                assert_string_equal(at(&c, row, "group"), lb_report_pair(&x->options, "group"));
                continue;
            }
            /* The text reads back to the very number. */
            assert_true(number_at(&c, row, "ppl") == x->eval[e].eval.ppl);
            assert_string_equal(at(&c, row, "protocol"), x->eval[e].eval.protocol.id);
            assert_true(number_at(&c, row, "model_bytes_rest_fp16") == (double)x->size.total_as_fp16);
            if (x->eval[e].has_paired)
                assert_true(number_at(&c, row, "delta_low") == x->eval[e].paired.low);
            else
                assert_string_equal(at(&c, row, "delta_low"), "");
            if (x->bits) assert_true(number_at(&c, row, "option.bits") == x->bits);
            assert_true(number_at(&c, row, "ratio_fp16") ==
                        (double)x->size.total_as_fp16 / (double)x->size.original_fp16);
            bits_of_all_parts(&c, row, x);
        }
    }
    assert_int_equal(row, c.rows);
    lb_str_free(&s);
    lb_arena_free(a);
    synthetic_results_free(r);
}

/* Each row of the comparison is the paired difference of the windows of that evaluation, of a row over seeds that over
 * these too; to itself and to what was not run there is none. */
static void comparison_is_paired(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    lb_arena *a;
    lb_report_view v;
    int64_t at = -1, rows = 0;
    lb_str s = {0};
    for (int64_t i = 0; i < r->n && at < 0; i++)
        if (strcmp(r->record[i].method, "rtn") == 0 && r->record[i].evals > 0) at = i;
    const lb_record *base = &r->record[at];
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_report_view_make(a, r, NULL, &v));
    assert_ok(lb_report_compare_table(r, base->label, NULL, LB_TABLE_CSV, &s));
    char *rest = s.s, *line = strsep(&rest, "\n");
    assert_string_equal(line, "evaluation,protocol,windows,cell,bits_per_weight,ppl,delta_ln_ppl,delta_low,delta_high,"
                              "seeds,p");
    for (int64_t e = 0; e < base->evals; e++)
        for (int64_t i = 0; i < v.rows; i++) {
            const lb_report_row *row = &v.row[i];
            const double *nll[8];
            int64_t n = 0;
            for (int64_t c = 0; c < row->cells; c++)
                for (int64_t k = 0; k < row->cell[c]->evals; k++)
                    if (lb_report_same_evaluation(&row->cell[c]->eval[k], &base->eval[e]))
                        nll[n++] = row->cell[c]->eval[k].eval.window_nll;
            lb_paired p;
            double sd;
            if (!n || row->cell[0] == base) continue;
            const lb_eval *y = &base->eval[e].eval;
            assert_ok(lb_seeds_difference(nll, n, y->window_nll, y->windows, &p, &sd));
            char want[256];
            snprintf(want, sizeof want, ",%s,%s,%s,%lld,", lb_num_exact(p.delta).s, lb_num_exact(p.low).s,
                     lb_num_exact(p.high).s, (long long)n);
            line = strsep(&rest, "\n");
            assert_non_null(line);
            assert_non_null(strstr(line, want));
            assert_non_null(strstr(line, row->label));
            rows++;
        }
    lb_arena_free(a);
    assert_true(rows > 10);
    assert_true(!rest || !*rest);
    lb_str_free(&s);
    for (int64_t i = 0; i < r->n; i++)
        if (r->record[i].state == LB_CELL_FAILED) at = i;
    assert_status(LB_E_ARG, lb_report_compare_table(r, r->record[at].label, NULL, LB_TABLE_TERMINAL, &s));
    assert_error_has("has no evaluation to compare with");
    synthetic_results_free(r);
}

static void layers_read_back(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    const lb_record *x = &r->record[7];
    lb_arena *a;
    lb_csv c;
    lb_str s = {0};
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_report_layer_table(r, 7, NULL, LB_TABLE_CSV, &s));
    read_back(s.s, a, &c);
    assert_int_equal(c.rows, x->layers); /* no sum among the layers */
    for (int64_t i = 0; i < x->layers; i++) {
        assert_string_equal(at(&c, (size_t)i, "layer"), x->layer[i].name);
        if (!x->layer[i].quantized) {
            assert_string_equal(at(&c, (size_t)i, "output_mse_own"), "");
            continue;
        }
        assert_true(number_at(&c, (size_t)i, "output_mse_own") ==
                    x->layer[i].own.output_err / (double)x->layer[i].rows);
        assert_true(number_at(&c, (size_t)i, "output_vs_rtn_own") ==
                    x->layer[i].own.output_err / x->layer[i].rtn_own.output_err);
    }
    lb_str_free(&s);
    lb_arena_free(a);
    synthetic_results_free(r);
}

static void seeds(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    lb_arena *a;
    lb_report_view v;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_report_view_make(a, r, NULL, &v));
    const lb_report_row *row = NULL;
    for (int64_t i = 0; i < v.rows && !row; i++)
        if (strcmp(v.row[i].short_name, "gptq 2b g64 act_order") == 0) row = &v.row[i];
    assert_non_null(row);
    assert_int_equal(row->cells, 3);
    lb_report_quality q;
    assert_ok(lb_report_quality_of(&v, row, &v.block[0], &q));
    /* 166.5, 167, 167.5; differences 2.125, 2.140625, 2.15625 times a window's factor */
    assert_true(fabs(q.ppl - (cbrt(166.5 * 167 * 167.5))) < 1e-11);
    assert_true(fabs(q.ppl_mean - (167)) < 1e-12);
    assert_true(fabs(q.ppl_sd - (0.5)) < 1e-12);
    assert_true(fabs(q.se - (q.ppl / 32)) < 1e-12);
    double mean = (log(166.5) + log(167) + log(167.5)) / 3;
    double low = log(166.5) - mean, middle = log(167) - mean, high = log(167.5) - mean;
    assert_true(fabs(q.sd - (sqrt((low * low + middle * middle + high * high) / 2))) < 1e-12);
    double factor = (7 * 1 + 7 * 1.125 + 6 * 1.25) / 20;
    assert_true(fabs(q.delta.delta - (2.140625 * factor)) < 1e-12);
    /* the seeds alone: t with two degrees of freedom */
    double t = 4.30265272974946 * 0.015625 * factor / sqrt(3);
    assert_true(q.delta.high - q.delta.delta > t && q.delta.delta - q.delta.low > t);
    double bar[2];
    lb_report_ppl_bar(&q, &bar[0], &bar[1]);
    assert_true(fabs(log(bar[1] / q.ppl) - (q.delta.high - q.delta.delta)) < 1e-12);
    assert_true(fabs(log(q.ppl / bar[0]) - (q.delta.delta - q.delta.low)) < 1e-12);
    assert_int_equal(v.blocks, 2);
    assert_true(v.row[0].baseline);
    lb_arena_free(a);
    synthetic_results_free(r);
}

/* An axis of the calibration's seed makes rows over seeds, unless one of the cells' seeds does. */
static void seeds_of_calibration(void **state) {
    (void)state;
    for (int crossed = 0; crossed < 2; crossed++) {
        lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
        lb_record *gptq[3];
        int n = 0;
        for (int64_t i = 0; i < r->n && n < 3; i++)
            if (strcmp(r->record[i].method, "gptq") == 0) gptq[n++] = &r->record[i];
        for (int i = 0; i < 3; i++) {
            static const char *const value[] = {"7", "8", "9"}, *const seed[] = {"0", "1", "0"};
            const lb_pair varied[] = {{"calibration.seed", value[i]}, {"seed", seed[i]}};
            lb_pair *own = LB_NEW(r->arena, lb_pair, 2);
            assert_non_null(own);
            memcpy(own, varied, sizeof varied);
            gptq[i]->varied = (lb_pairs){.at = own, .n = 1 + crossed};
            gptq[i]->seed = crossed && i == 1;
            gptq[i]->config = lb_arena_printf(r->arena, "calibration:\n  text: a\n  seed: %s\n", value[i]);
            gptq[i]->label = lb_arena_printf(r->arena, "gptq 2b g64 seed=%s%s", value[i], crossed ? " s0" : "");
        }
        lb_arena *a;
        lb_report_view v;
        assert_ok(lb_arena_new(0, &a));
        assert_ok(lb_report_view_make(a, r, NULL, &v));
        const lb_report_row *row = NULL;
        for (int64_t i = 0; i < v.rows; i++)
            if (v.row[i].cell[0] == gptq[0]) row = &v.row[i];
        assert_non_null(row);
        assert_int_equal(row->cells, crossed ? 1 : 3);
        assert_string_equal(row->label, crossed ? "gptq 2b g64 seed=7 s0" : "gptq 2b g64");
        if (!crossed) assert_string_equal(row->short_name, "gptq 2b g64");
        for (int i = 0; i < 3; i++) assert_int_equal(lb_report_seed_of(gptq[i]), crossed ? i == 1 : 7 + i);
        lb_arena_free(a);
        synthetic_results_free(r);
    }
}

/* Cells that differ in more than their seed, be it in what no option says, never become one row. */
static void only_seeds_are_averaged(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    lb_record *gptq[3];
    int n = 0;
    for (int64_t i = 0; i < r->n && n < 3; i++)
        if (strcmp(r->record[i].method, "gptq") == 0) gptq[n++] = &r->record[i];
    assert_int_equal(n, 3);
    gptq[0]->config = "seed: 0\nquantize:\n  - method: gptq\n    seed: 0\n";
    gptq[1]->config = "seed: 1\nquantize:\n  - method: gptq\n    seed: 1\n";
    gptq[2]->config = "seed: 2\nquantize:\n  - method: gptq\n    seed: 2\n    rules:\n      - match: head\n";
    gptq[0]->label = "gptq 2b g64 s0", gptq[2]->label = "gptq 2b g64 s2 #2";
    lb_arena *a;
    lb_report_view v;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_report_view_make(a, r, NULL, &v));
    const lb_report_row *two = NULL, *one = NULL;
    for (int64_t i = 0; i < v.rows; i++)
        if (v.row[i].cell[0] == gptq[0])
            two = &v.row[i];
        else if (v.row[i].cell[0] == gptq[2])
            one = &v.row[i];
    assert_non_null(two);
    assert_non_null(one);
    assert_int_equal(two->cells, 2);
    assert_int_equal(one->cells, 1);
    assert_string_equal(two->name, "gptq 2b g64"); /* of all its seeds */
    assert_string_equal(one->name, "gptq 2b g64 s2 #2");
    /* And what they differ in is said. */
    lb_str s = {0};
    assert_ok(lb_report_provenance(&v, LB_TABLE_TERMINAL, &s));
    assert_non_null(strstr(s.s, "; rules: match: head"));
    lb_str_free(&s);
    /* A file has them in a column, if any row has rules. */
    assert_ok(lb_report_main_tables(&v, LB_TABLE_CSV, &s));
    assert_non_null(strstr(s.s, ",method,bits,group,rules,bits_per_weight,"));
    assert_non_null(strstr(s.s, ",gptq 2b g64 s2 #2,2,64,match: head,"));
    assert_non_null(strstr(s.s, ",gptq 2b g64,2,64,,"));
    lb_str_free(&s);
    assert_ok(lb_report_sizes(&v, LB_TABLE_CSV, &s));
    assert_non_null(strstr(s.s, "method,bits,group,rules,weights,"));
    assert_non_null(strstr(s.s, "\ngptq 2b g64 s2 #2,2,64,match: head,"));
    lb_str_free(&s);
    gptq[0]->config = gptq[1]->config = "quantize:\n  - method: gptq\n    rules:\n      - match: 0.q\n        "
                                        "bits: 4\n      - match: head\n        skip: true\n";
    assert_ok(lb_report_notes(&v, LB_TABLE_MARKDOWN, &s));
    assert_non_null(strstr(s.s, "Rules of single layers (gptq 2b g64 s2 #2): match: head."));
    assert_non_null(strstr(s.s, "Rules of single layers (gptq 2b g64): match: 0.q, bits: 4; match: head, skip: true."));
    lb_str_free(&s);
    lb_arena_free(a);
    synthetic_results_free(r);
}

/* The same protocol over another number of windows, another text or BOS rule is another block. */
static void blocks_do_not_mix(void **state) {
    (void)state;
    for (int what = 0; what < 4; what++) {
        lb_results *r = synthetic_results_new(SYNTHETIC_SINGLE, "results/synthetic");
        lb_eval_row *e = &r->record[1].eval[0];
        if (what == 0) e->eval.windows = 19;
        if (what == 1) e->text_hash = "another";
        if (what == 2) e->bos = "never";
        if (what == 3) e->eval.protocol.id[3] = '4';
        lb_arena *a;
        lb_report_view v;
        assert_ok(lb_arena_new(0, &a));
        assert_ok(lb_report_view_make(a, r, NULL, &v));
        assert_int_equal(v.blocks, 3);
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < i; k++) assert_string_not_equal(v.block[i].id, v.block[k].id);
        lb_arena_free(a);
        synthetic_results_free(r);
    }
}

static void expect_text(lb_table_format f, const char *in, const char *want) {
    lb_str s = {0};
    lb_markup_text(&s, f, in);
    assert_ok(lb_str_check(&s));
    assert_string_equal(s.s, want);
    lb_str_free(&s);
}

/* Columns stay on the page beside a long name, and rows on it below each other. */
static void latex_fits_the_page(void **state) {
    (void)state;
    static const lb_table_column col[] = {{.head = "method", .name = "method", .key = true},
                                          {.head = "PPL", .name = "ppl", .right = true},
                                          {.head = "time", .name = "time", .right = true, .panel = 1}};
    static const struct {
        const char *name;
        int rows;
        bool wraps, breaks;
    } t[] = {{"gptq", 20, false, false},
             {"gptq", 40, false, true}, /* twice 40 rows below each other */
             {"gptq act_order static_groups true_sequential", 14, true, false},
             {"gptq act_order static_groups true_sequential", 20, true, true}};
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        lb_arena *a;
        lb_table *x;
        lb_str s = {0};
        assert_ok(lb_arena_new(0, &a));
        assert_ok(lb_table_new(a, "t", "Title", col, 3, &x));
        for (int r = 0; r < t[i].rows; r++) {
            lb_table_row(x);
            for (size_t c = 0; c < 3; c++) lb_table_set(x, c, c ? "1.5" : r ? t[i].name : "none", NULL);
        }
        assert_ok(lb_table_render(x, LB_TABLE_LATEX, &s));
        assert_int_equal(strstr(s.s, "{@{}p{36mm}r@{}}") != NULL, t[i].wraps);
        assert_int_equal(strstr(s.s, "\\raggedright gptq act\\_\\allowbreak{}order") != NULL, t[i].wraps);
        assert_int_equal(strstr(s.s, "longtable") != NULL, t[i].breaks);
        lb_str_free(&s);
        lb_arena_free(a);
    }
}

static void escaping(void **state) {
    (void)state;
    expect_text(LB_TABLE_LATEX, "a_b 50 % & #1 $x$ {y} ~^ \\ [z]",
                "a\\_\\allowbreak{}b 50 \\% \\& \\#1 \\$x\\$ \\{y\\} \\textasciitilde{}\\textasciicircum{} "
                "\\textbackslash{} {[}z{]}");
    expect_text(LB_TABLE_LATEX,
                "\xce\x94 \xc2\xb1 \xe2\x88\x92"
                "1 \xc3\x97",
                "$\\Delta$ $\\pm$ $-$1 $\\times$");
    /* What the fonts have stays, what would stop LaTeX becomes its number: e acute, CJK, Maltese h. */
    expect_text(LB_TABLE_LATEX, "\xc3\xa9 \xe6\xb5\x8b \xc4\xa7 \xf0\x9f\x98\x80",
                "\xc3\xa9 {[}U+6D4B{]} {[}U+0127{]} {[}U+1F600{]}");
    expect_text(LB_TABLE_HTML, "<b>\"&'", "&lt;b&gt;&quot;&amp;&#39;");
    expect_text(LB_TABLE_MARKDOWN,
                "a|b *c* <i> `d` \xe2\x88\x92"
                "1",
                "a\\|b \\*c\\* &lt;i> \\`d\\` -1");
    /* Line ends and escape sequences never get through; nor does what is not UTF-8. */
    expect_text(LB_TABLE_TERMINAL, "a\nb\x1b[31m\x7f", "a b [31m ");
    expect_text(LB_TABLE_HTML, "\xff\xc2\x9b\xc3", "???");
}

static void numbers(void **state) {
    (void)state;
    assert_string_equal(lb_num_exact(0.1).s, "0.1");
    assert_string_equal(lb_num_exact(170160).s, "170160");
    assert_string_equal(lb_num_exact(NAN).s, "");
    assert_string_equal(lb_num_exact(-INFINITY).s, "-inf");
    static const double hard[] = {1.0 / 3, 5e-324, 1.7976931348623157e308, 20.966885, -2.2250738585072014e-308};
    for (size_t i = 0; i < sizeof hard / sizeof hard[0]; i++)
        assert_true(strtod(lb_num_exact(hard[i]).s, NULL) == hard[i]);
    assert_string_equal(lb_num_fixed(-0.0001, 2).s, "0.00");
    assert_string_equal(lb_num_signed(-0.5, 1).s, "\xe2\x88\x92"
                                                  "0.5");
    assert_string_equal(lb_num_signed(0.5, 1).s, "+0.5");
    assert_string_equal(lb_num_signed(0.0, 1).s, "0.0");
    assert_string_equal(lb_num_sci(1.2345e-5, 3).s, "1.23e-05");
    assert_string_equal(lb_num_sci(0.012345, 3).s, "0.0123");
    assert_string_equal(lb_num_ppl(5.68).s, "5.6800");
    assert_string_equal(lb_num_ppl_se(20.966885, 0.65).s, "20.967 \xc2\xb1 0.650");
    assert_string_equal(lb_num_ppl_se(5.68, NAN).s, "5.6800");
    /* The interval is shown to two digits of its half width. */
    assert_string_equal(lb_num_interval(0.25, 0.15, 0.35).s, "+0.250 [+0.150, +0.350]");
    assert_string_equal(lb_num_interval(0.00025, 0.0002, 0.0003).s, "+0.000250 [+0.000200, +0.000300]");
    assert_string_equal(lb_num_interval(0.25, NAN, NAN).s, "+0.2500");
    assert_int_equal(lb_text_width("\xce\x94 ln \xc2\xb1"), 6);
    assert_string_equal(lb_num_mib(3 * 1024 * 1024).s, "3.000");
    assert_string_equal(lb_num_mib(512 * 1024).s, "0.5000");
    assert_string_equal(lb_num_percent(0.125, 1).s, "12.5 %");
}

/* What several cells share is left out of a row's name unless it was switched on; equal names fall back on labels. */
static void names(void **state) {
    (void)state;
    lb_pair varied[2][4] = {{{"bits", "4"}, {"group", "64"}, {"mse", "false"}, {"percdamp", "0.01"}},
                            {{"bits", "4"}, {"group", "64"}, {"mse", "true"}, {"percdamp", "0.01"}}};
    lb_record c[2] = {{.method = "gptq", .bits = 4, .group = 64, .label = "first", .varied = {varied[0], 4}},
                      {.method = "gptq", .bits = 4, .group = 64, .label = "second", .varied = {varied[1], 4}}};
    for (int i = 0; i < 2; i++) c[i].size.quantized.weights = 1;
    lb_results r = {.record = c, .n = 2, .name = "x", .model_name = "m", .model_note = ""};
    lb_arena *a;
    lb_report_view v;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_report_view_make(a, &r, NULL, &v));
    assert_string_equal(v.row[0].short_name, "gptq 4b g64 no_mse");
    assert_string_equal(v.row[1].short_name, "gptq 4b g64 mse");
    varied[1][2].value = "false"; /* now they differ in nothing that a name says */
    assert_ok(lb_report_view_make(a, &r, NULL, &v));
    assert_string_equal(v.row[0].short_name, "first");
    assert_string_equal(v.row[1].short_name, "second");
    lb_arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(main_tables),
        cmocka_unit_test(size_and_layer_tables),
        cmocka_unit_test(sizes_of_transforms),
        cmocka_unit_test(comparison_is_paired),
        cmocka_unit_test(edges),
        cmocka_unit_test(widths),
        cmocka_unit_test(quantized_inputs),
        cmocka_unit_test(cells_read_back),
        cmocka_unit_test(layers_read_back),
        cmocka_unit_test(seeds),
        cmocka_unit_test(seeds_of_calibration),
        cmocka_unit_test(only_seeds_are_averaged),
        cmocka_unit_test(escaping),
        cmocka_unit_test(latex_fits_the_page),
        cmocka_unit_test(numbers),
        cmocka_unit_test(names),
        cmocka_unit_test(blocks_do_not_mix),
    };
    return cmocka_run_group_tests_name("report tables", tests, NULL, NULL);
}
