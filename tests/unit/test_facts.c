/* Facts: the columns of cells.csv, their values by name, bits of mixed cells, and the table of docs/report.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "io/csv.h"
#include "report/facts.h"
#include "support/expected_output.h"
#include "support/support.h"
#include "support/synthetic_results.h"

/* Columns of files that are out there: names and order. New ones come behind them. */
static const char columns[] =
    "experiment,model,cell,label,state,message,method,bits,group,storage,propagate,true_sequential,seed,"
    "bits_per_weight,quantized_weights,quantized_bytes,model_bytes_rest_stored,model_bytes_rest_fp16,"
    "original_bytes_fp16,ratio_fp16,evaluation,protocol,bos,text_sha256,text_tokens,compute,windows,"
    "windows_all,tokens_scored,mean_nll,ppl,ppl_se,delta_ln_ppl,delta_low,delta_high,kl_mean,kl_median,kl_p99,"
    "top1,weight_rel_mse,output_rel_mse_original,output_vs_rtn_original,output_rel_mse_own,output_vs_rtn_own,"
    "errors_minimized,flags,seconds,peak_bytes,warnings,key,";
static const char newer[] =
    "folder,bits_text,rules,embedding,head,router,calibration,calibration_sha256,calibration_recipe,"
    "calibration_samples,calibration_length,calibration_seed,calibration_bos,original_errors,starved_experts,"
    "expert_tokens,training,training_sha256,training_bos,validation,validation_sha256,validation_windows,model_sha256,"
    "revision,kernels,calibration_rows,calibration_sequences,speculative,accept,speedup,token_weight,token_clip,"
    "output_rel_mse_equal,output_vs_rtn_equal,"
    "text_rows,"
    "variant,items,acc,acc_se,acc_norm,acc_norm_se,delta_acc,delta_acc_norm,mcnemar_worse,mcnemar_better,"
    "mcnemar_p,mcnemar_p_norm,"
    "prefill_tokens_per_second,decode_tokens_per_second,calibration_tokens,model_file_bytes,";

static lb_results *sweep;
static lb_arena *arena;

static int start(void **state) {
    (void)state;
    sweep = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic/");
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    synthetic_results_free(sweep);
    lb_arena_free(arena);
    return 0;
}

static void old_columns_stay(void **state) {
    (void)state;
    static const char options[] = "option.bits,option.group,option.act_order\n";
    lb_str csv = {0}, want = {0};
    lb_str_add(&want, "%s%s%s", columns, newer, options);
    assert_ok(lb_report_cells_csv(sweep, &csv));
    assert_int_equal(strncmp(csv.s, want.s, want.len), 0);
    lb_str_free(&csv);
    lb_str_free(&want);
}

static lb_record *cell(const char *label) {
    for (int64_t i = 0; i < sweep->n; i++)
        if (strcmp(sweep->record[i].label, label) == 0) return &sweep->record[i];
    fail_msg("no cell %s", label);
    return NULL;
}

static lb_fact_value value(const lb_record *c, const char *name) {
    lb_fact_value v;
    assert_ok(lb_fact_of(arena, sweep, c, c->evals ? c->eval : NULL, name, &v));
    assert_true(v.known == (v.text[0] != 0));
    return v;
}

static void expect(const lb_record *c, const char *name, const char *want) {
    assert_string_equal(value(c, name).text, want);
}

static void values_by_name(void **state) {
    (void)state;
    const lb_record *c = cell("gptq 3b g64"), *refused = cell("nf4 3b g64");
    expect(c, "method", "gptq");
    expect(c, "ppl", "51.5625");
    expect(c, "delta", "0.875");
    expect(c, "option.act_order", "true");
    expect(c, "act_order", "true");
    expect(c, "calibration", "wiki");
    expect(c, "calibration_recipe", "sequential");
    expect(c, "folder", "synthetic");
    expect(c, "group", "64");
    assert_true(value(c, "group").number == 64 && isnan(value(c, "method").number));
    assert_true(value(c, "kl").number == c->eval->eval.kl_mean);
    assert_true(value(c, "mib").number == (double)c->size.total_as_fp16 / 1048576);
    assert_true(value(c, "b/w").number == value(c, "bits_per_weight").number);
    assert_true(value(c, "time").number == 12.5);
    expect(refused, "state", "refused");
    expect(refused, "bits", "3");
    expect(refused, "ppl", "");
    expect(refused, "storage", "");
    expect(sweep->record, "delta", "");
    expect(sweep->record, "bits_text", "");
    assert_true(isnan(value(refused, "ppl").number));
}

static void unknown_names(void **state) {
    (void)state;
    lb_fact_value v;
    assert_status(LB_E_ARG, lb_fact_of(arena, sweep, sweep->record, NULL, "metod", &v));
    assert_error_has("did you mean 'method'?");
    assert_status(LB_E_ARG, lb_fact_of(arena, sweep, sweep->record, NULL, "act_ordr", &v));
    assert_error_has("did you mean 'act_order'?");
    assert_status(LB_E_ARG, lb_fact_of(arena, sweep, sweep->record, NULL, "option.percdamp", &v));
    assert_null(lb_fact_find("act_order"));
}

static void mixed_bits(void **state) {
    (void)state;
    char text[32];
    lb_record *c = cell("rtn 3b g64");
    assert_string_equal(lb_report_bits_text(c, text), "3");
    assert_false(lb_report_mixed(c));
    lb_layer_row *down = &c->layer[6], *last = &c->layer[c->layers - 1];
    assert_true(down->quantized && !last->quantized);
    last->bits = 16; /* not quantized: no bits of the cell's */
    assert_false(lb_report_mixed(c));
    down->bits = 8;
    assert_true(lb_report_mixed(c));
    assert_string_equal(lb_report_bits_text(c, text), "3\xe2\x80\x93"
                                                      "8");
    expect(c, "bits", "3");
    expect(c, "bits_text", text);
    down->bits = 2;
    assert_string_equal(lb_report_bits_text(c, text), "2\xe2\x80\x93"
                                                      "3");
}

/* What the resolved config alone says. */
static void ends_and_rules(void **state) {
    (void)state;
    static const char config[] = "model: m\nquantize:\n  - method: gptq\n    bits: 3\n    quantize_embedding: true\n"
                                 "    quantize_head: true\n    quantize_router: false\n"
                                 "    embedding:\n      method: rtn\n      bits: 8\n      group: \"2:4\"\n"
                                 "    rules:\n      - match: \"*.down\"\n        bits: 8\n";
    lb_record c = *cell("gptq 3b g64");
    expect(&c, "embedding", "none");
    expect(&c, "rules", "");
    c.config = config;
    expect(&c, "embedding", "rtn bits=8 group=\"2:4\"");
    expect(&c, "head", "as cell");
    expect(&c, "router", "none");
    expect(&c, "rules", "match: \"*.down\", bits: 8");
    expect(&c, "expert_tokens", "");
    c.config = "model: m\nexpert_tokens: 9\ncalibration:\n  starved_experts: rtn\n  expert_tokens: 12\n";
    expect(&c, "expert_tokens", "12");
    expect(&c, "starved_experts", "rtn");
    expect(&c, "original_errors", "");
    expect(&c, "token_weight", "none");
    c.config = "model: m\nquantize:\n  - method: gptq\n    token_weight: clip\n    token_clip: 2.5\n";
    expect(&c, "token_weight", "clip");
    expect(&c, "token_clip", "2.5");
    c.propagate = "";
    c.config = "model: m\nquantize:\n  - method: rtn\n";
    expect(&c, "token_weight", "");
    c.config = config;
    lb_layer_row end = {.block = -1, .type = "head"};
    c.layer = &end, c.layers = 1; /* a rule left it out */
    expect(&c, "head", "none");
    c.config = "";
    expect(&c, "embedding", "");
}

/* The table of docs/report.md. LOWBIT_UPDATE=1 writes it instead of comparing. */
static void page_is_current(void **state) {
    (void)state;
    lb_str table = {0};
    lb_facts_markdown(&table);
    assert_ok(lb_str_check(&table));
    expect_part("docs/report.md", "<!-- The table", "<!-- end of the table", table.s);
    lb_str_free(&table);
}

/* The columns as the Python package knows them. LOWBIT_UPDATE=1 writes them instead of comparing. */
static void python_columns_are_current(void **state) {
    (void)state;
    static const char *const kind[] = {"text", "number", "count", "bool"};
    lb_str want = {0};
    lb_str_add(&want, "column,kind,unit,meaning\n");
    for (const lb_fact *f = lb_facts; f->name; f++) {
        lb_str_add(&want, "%s,%s,%s,", f->name, kind[f->kind], f->unit);
        lb_csv_field(&want, f->meaning, true);
    }
    assert_ok(lb_str_check(&want));
    expect_part("python/lowbit/columns.csv", NULL, NULL, want.s);
    lb_str_free(&want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(old_columns_stay, start, stop),
        cmocka_unit_test_setup_teardown(values_by_name, start, stop),
        cmocka_unit_test_setup_teardown(unknown_names, start, stop),
        cmocka_unit_test_setup_teardown(mixed_bits, start, stop),
        cmocka_unit_test_setup_teardown(ends_and_rules, start, stop),
        cmocka_unit_test(page_is_current),
        cmocka_unit_test(python_columns_are_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
