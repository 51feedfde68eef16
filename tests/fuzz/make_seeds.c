/* Writes tests/fuzz/seeds/: small inputs of each kind that the fuzz targets read. Run from the repository's root by
 * `make fuzz-seeds`, when a format has changed; they are committed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "io/h5_flat.h"
#include "io/sealed.h"
#include "result/store.h"
#include "support/synthetic_results.h"

static void must(lb_status st) {
    if (st == LB_OK) return;
    fprintf(stderr, "make_seeds: %s\n", lb_error());
    exit(1);
}

static void put(const char *target, const char *name, const void *data, size_t n) {
    char dir[256], path[512];
    snprintf(dir, sizeof dir, "tests/fuzz/seeds/%s", target);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    must(lb_fs_mkdirs(dir));
    must(lb_fs_write_atomic(path, data, n));
}

static void put_text(const char *target, const char *name, const char *text) { put(target, name, text, strlen(text)); }

static void model_configs(void) {
    put_text("model_config", "plain.json",
             "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":64,"
             "\"intermediate_size\":176,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,"
             "\"vocab_size\":512,\"max_position_embeddings\":256,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,"
             "\"tie_word_embeddings\":true,\"hidden_act\":\"silu\",\"bos_token_id\":0}");
    put_text("model_config", "scaled.json",
             "{\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":176,\"num_hidden_layers\":2,"
             "\"num_attention_heads\":4,\"head_dim\":16,\"vocab_size\":512,\"max_position_embeddings\":131072,"
             "\"rms_norm_eps\":1e-6,\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":5e5,\"factor\":8.0,"
             "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192},"
             "\"attention_bias\":false,\"mlp_bias\":false,\"quantization_config\":null}");
}

static void lists(void) {
    put_text("expected", "list",
             "emethod,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source,place,trust\n"
             "none,,wikitext-2,W2-2048,20,ppl,20.97,1e-4,relative,counted,,\n"
             "gptq,bits=3;seed=1,wikitext-2,W2-2048,,ppl,1.3e3,0.06,relative,P (s),T3,primary\n"
             "AWQ,setting=50%;model=m,wikitext-2,W2-2048,,ppl,nan,0,absolute,P (s),T3,suspect\n");
    put_text("expected", "papers",
             "ppublished,source,billions,w2_mixed\nA,a,0.125,W2-2048\n\x01method,bits,group,quantize,note\n"
             "fp,*,-,{method: none},\nG,4,*,\"[{method: hadamard}, {method: gptq, bits: $bits, group: $group}]\",n\n"
             "X,*,*,,not here\n\x01paper,source,table,trust,dataset,protocol,model,method,bits,group,value\n"
             "P,s,T3,primary,wikitext2,W2-mixed,A,fp,16,-,27.65\nP,s,T3,user,wikitext2,W2-2048,A,G,4,row,1.3e3\n"
             "P,s,T3,suspect,c4,INT8-C4,A,X,50%,-,nan\n");
}

static void configs(void) {
    put_text("config", "sweep.yaml",
             "name: demo\nmodel: m\nseed: 1\ncalibration: {text: t, recipe: random, samples: 8, length: 64}\n"
             "eval: {name: w, text: e, protocol: W2-256, windows: 4}\naxes: {bits: [2, 3], seed: [0, 1]}\n"
             "quantize:\n  - {method: rtn, group: [row, 64]}\n  - {method: gptq, act_order: true}\n");
    put_text("config", "texts.yaml",
             "calibration: {text: [t, u], recipe: [sequential, random]}\ntraining: {text: t, every: 5}\n"
             "axes: {model: [m, k], calibration: {samples: [2, 4]}, calibration.seed: [3, -1], training.text: [a, b], "
             "training.validation: [v, w]}\n"
             "quantize:\n  - {method: gptq, calibration: {length: 32}}\n  - {method: qat, training: {bos: never}}\n");
    put_text("config", "rules.yaml",
             "model: m\nexport: f16\nkeep_cache: false\ntraining: {text: t}\neval: [{text: e, protocol: LCPP-512}]\n"
             "rules: [{match: \"*.down\", bits: 4}, {match: head, skip: true}]\nquantize_head: true\n"
             "quantize:\n  - {method: nf4, bits: 4, group: 64}\n  - {method: qat, bits: 3, steps: 3, rules: [{match: "
             "\"0.*\", bits: 4}]}\n");
}

static void patterns(void) {
    static const char *const pattern[] = {
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
        "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "\\d{1,3}(?=(?:\\d{3})*\\b)",
        "[\\p{Han}&&[^a-z]]+|[[:alpha:]]\\x{41}\\u00e9\\h",
        "(?<n>a)(?>b+)\\k<n>|(?~c)|\\R|\\X|^$|\\A\\z\\G",
        "(?m-x:a.b)++|(?<=a)b|(?<!c)d|(?=e)",
    };
    for (size_t i = 0; i < sizeof pattern / sizeof pattern[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "%zu.txt", i);
        put_text("regex", name, pattern[i]);
    }
}

static void rows(void) {
    put_text("rows", "lines", "\x02 no it was \n\n a <unk> \r\nend");
    put_text("rows", "json", "\x03{\"text\": \"a\\u0000\\ud800 b\"}\n\n{\"n\": 1, \"text\": \"\"}\n");
    put_text("rows", "chat",
             "\x2b{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", "
             "\"content\": \"Yes\"}]}\n");
    put_text("rows", "alpaca",
             "\x0b{\"instruction\": \"Add.\", \"input\": \"1 2\", \"output\": \"3\"}\n{\"instruction\": "
             "\"Say.\", \"input\": null, \"output\": \"So\"}");
    /* printf '{"text": "a b"}\n{"text": "c"}\n' | gzip -9n */
    static const char packed[] = "\x03\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x49\xad\x28\x51\xb2\x52\x50"
                                 "\x4a\x54\x48\x52\xaa\xe5\xaa\x86\xf3\x93\x81\x3c\x00\xf7\x81\xc1\x02\x1e\x00\x00\x00";
    put("rows", "packed", packed, sizeof packed - 1);
}

/* As few rows as show every part. */
static void shorten(lb_record *r) {
    if (r->layers > 2) r->layers = 2;
    if (r->evals > 1) r->evals = 1;
    for (int64_t i = 0; i < r->evals; i++)
        if (r->eval[i].eval.windows > 3) r->eval[i].eval.windows = 3;
    if (r->curve.n > 3) r->curve.n = 3;
    if (r->provenance.n > 3) r->provenance.n = 3;
}

static void results(void) {
    static const char dir[] = "/tmp/lowbit-seeds";
    static const char *const name[] = {"baseline.flat", "cell.flat", "trained.flat"};
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, dir);
    size_t made = 0;
    must(lb_fs_mkdirs(dir));
    for (int64_t i = 0; i < r->n; i++) {
        lb_record *c = &r->record[i];
        bool wanted = made == 0 || (made == 1 && c->layers) || (made == 2 && c->curve.n);
        if (c->state != LB_CELL_DONE || !wanted) continue;
        shorten(c);
        must(lb_store_write(dir, c));
        char *path = lb_arena_printf(r->arena, "%s/%s.h5", dir, c->stem);
        lb_str flat = {0};
        lb_h5_walk(path, &flat);
        put("results", name[made++], flat.s, flat.len);
        lb_str_free(&flat);
        unlink(path);
        if (made == 3) break;
    }
    for (int64_t i = 0; i < r->n; i++) { /* an index needs no files for cells that were not run */
        r->record[i].state = i % 2 ? LB_CELL_FAILED : LB_CELL_REFUSED;
        r->record[i].message = "why";
    }
    must(lb_store_write_index(dir, "demo", "m", "note", r->record, 3));
    char *text = NULL;
    must(lb_fs_read("/tmp/lowbit-seeds/sweep.json", &text, NULL));
    put_text("index", "sweep.json", text);
    lb_free(text);
    for (int64_t i = 0; i < 3; i++) r->record[i].model = i < 2 ? "m" : "n";
    must(lb_store_write_index(dir, "demo", "m, n", "", r->record, 3));
    must(lb_fs_read("/tmp/lowbit-seeds/sweep.json", &text, NULL));
    put_text("index", "models.json", text);
    lb_free(text);
    for (int64_t i = 0; i < 3; i++) r->record[i].state = i == 1 ? LB_CELL_FAILED : LB_CELL_PENDING;
    must(lb_store_write_index(dir, "demo", "m, n", "", r->record, 3));
    must(lb_fs_read("/tmp/lowbit-seeds/sweep.json", &text, NULL));
    put_text("index", "pending.json", text);
    lb_free(text);
    unlink("/tmp/lowbit-seeds/sweep.json");
    rmdir(dir);
    synthetic_results_free(r);
}

static void sealed(void) {
    static const char path[] = "/tmp/lowbit-seeds.bin";
    const double real[] = {1, 2, 3, 4, 5};
    const int64_t whole[] = {7, 8};
    lb_sealed *s = NULL;
    int64_t section;
    char *bytes = NULL;
    size_t n;
    must(lb_sealed_create(path, "seed", "key", &s));
    must(lb_sealed_add(s, "first", LB_SEALED_F64, 5, 2, &section));
    must(lb_sealed_put(s, section, 0, 5, NULL, real));
    must(lb_sealed_put_all(s, "second", LB_SEALED_I64, 2, NULL, whole));
    must(lb_sealed_commit(s));
    lb_sealed_close(s);
    must(lb_fs_read(path, &bytes, &n));
    put("sealed", "two.bin", bytes, n);
    lb_free(bytes);
    unlink(path);
}

int main(void) {
    sealed();
    model_configs();
    configs();
    lists();
    patterns();
    rows();
    results();
    return 0;
}
