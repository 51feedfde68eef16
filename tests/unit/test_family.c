/* Families: expressions, rules, keys, and tensors that are stacked, fused, turned, spelled otherwise or wrong. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "model/steps/reference.h"
#include "model/weights.h"
#include "support/folder.h"

/* ---- numbers ---- */

static const double by_block[] = {1, 0, 1};
static const lb_number some[] = {
    {.name = "heads", .all = 4}, {.name = "dim", .all = 24}, {.name = "moe", .block = by_block}};
static const lb_numbers numbers = {some, 3, 3};

static void expressions(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double value; /* in block 2 */
    } good[] = {
        {"7", 7},           {"1e-5", 1e-5},    {"heads*dim", 96},      {" ( heads + 2 * heads ) * 5 - 1 ", 59},
        {"dim/heads/2", 3}, {"dim % 7", 3},    {"1/sqrt(heads)", 0.5}, {"floor(dim*0.3)", 7},
        {"log(1)", 0},      {"block >= 2", 1}, {"block < 2", 0},       {"(block + 1) % 3 == 0", 1},
        {"heads <= 4", 1},  {"heads > 4", 0},  {"moe * 9", 9},
    };
    double v;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_ok(lb_expression(&numbers, good[i].text, 2, &v));
        if (!(fabs(v - good[i].value) < 1e-12)) fail_msg("%s: %g", good[i].text, v);
    }
    static const char *const bad[] = {
        "",     "heads heads", "(heads",    "heads)", "sqrt 4",
        "none", "1 +",         "heads = 4", "2..3",   "((((((((((((((((((1))))))))))))))))))"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_status(LB_E_FORMAT, lb_expression(&numbers, bad[i], 2, &v));
    assert_status(LB_E_FORMAT, lb_expression(&numbers, "none", 0, &v));
    assert_error_has("expression 'none': there is no number 'none' here; numbers: heads, dim, moe; activations: silu, "
                     "relu, gelu, gelu_tanh, sigmoid");
    assert_status(LB_E_FORMAT, lb_expression(&numbers, "1 + moe", -1, &v));
    assert_error_has("differs by block");
    int64_t n;
    assert_ok(lb_expression_count(&numbers, "dim/heads", -1, &n));
    assert_int_equal(n, 6);
    assert_status(LB_E_FORMAT, lb_expression_count(&numbers, "dim/7", -1, &n));
    assert_status(LB_E_FORMAT, lb_expression_count(&numbers, "0 - dim", -1, &n));
}

static void rules(void **state) {
    (void)state;
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    lb_numbering b = {.arena = a, .whose = "test", .blocks = 3};
    assert_ok(lb_numbering_set(&b, "dim", 24));
    assert_ok(
        lb_numbering_rules(&b, "half = dim/2; half ?= 1; other ?= half + 1; odd = block % 2; dim = 8; both = odd*dim"));
    const lb_numbers n = lb_numbering_view(&b);
    assert_int_equal(n.n, 5);
    double v;
    assert_ok(lb_number_get(&n, "half", -1, &v));
    assert_true(v == 12);
    assert_ok(lb_number_get(&n, "other", -1, &v));
    assert_true(v == 13);
    for (int64_t i = 0; i < 3; i++) {
        assert_ok(lb_number_get(&n, "both", i, &v));
        assert_true(v == (i == 1 ? 8 : 0));
    }
    assert_ok(lb_numbering_rules(&b, NULL));
    assert_status(LB_E_FORMAT, lb_numbering_rules(&b, "half 3"));
    assert_status(LB_E_FORMAT, lb_numbering_rules(&b, "one = 1;  act = silux; two = 2"));
    assert_error_has("test: rule of act: expression 'silux': there is no number 'silux' here; numbers: dim, half");
    lb_family f = *lb_family_named("gpt2");
    assert_status(LB_E_FORMAT, lb_family_rules(&f, "act = silux", &b));
    assert_error_has("the gpt2 family: test: rule of act: expression 'silux'");
    lb_arena_free(a);
}

/* ---- the table ---- */

/* A GGUF header of Gemma does not tell the scale of scores: that of the 27B is of dim / heads, others' of a head. */
static void scale_of_the_largest_gemmas(void **state) {
    (void)state;
    static const struct {
        const char *family;
        int64_t blocks;
        double scalar;
    } one[] = {{"gemma2", 46, 144}, {"gemma2", 42, 128}, {"gemma3", 62, 168}, {"gemma3", 48, 128}};
    static const char *const given[] = {"head_dim", "kv_heads", "hidden", "vocab", "tied", "width", "pattern"};
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++) {
        const lb_family *f = lb_family_named(one[i].family);
        lb_numbering b = {.whose = "f", .blocks = one[i].blocks};
        assert_ok(lb_arena_new(0, &b.arena));
        for (size_t k = 0; k < sizeof given / sizeof given[0]; k++) assert_ok(lb_numbering_set(&b, given[k], 128));
        assert_ok(lb_numbering_set(&b, "layers", (double)one[i].blocks));
        assert_ok(lb_numbering_set(&b, "heads", 32));
        assert_ok(lb_numbering_set(&b, "dim", strcmp(one[i].family, "gemma2") == 0 ? 4608 : 5376));
        assert_ok(lb_family_rules(f, f->gguf_numbers, &b));
        const lb_numbers n = lb_numbering_view(&b);
        double v;
        assert_ok(lb_number_get(&n, "scale", -1, &v));
        if (!(fabs(v * sqrt(one[i].scalar) - 1) < 1e-12)) fail_msg("%s: 1 / %g^2", one[i].family, 1 / v);
        lb_arena_free(b.arena);
    }
}

/* What a family says of itself holds together: every row is of a weight that its program names. */
static void rows_are_used(void **state) {
    (void)state;
    for (int i = 0; lb_family_table[i]; i++) {
        const lb_family *f = lb_family_table[i];
        lb_arena *a;
        lb_program p;
        assert_ptr_equal(lb_family_named(f->name), f);
        assert_ok(lb_arena_new(0, &a));
        assert_ok(lb_program_parse(a, f->name, &f->program, &p));
        for (const lb_tensor_row *r = f->tensor; r->ours; r++) {
            bool expert = strncmp(r->ours, "#.expert.@.", 11) == 0, block = r->ours[0] == '#', used = false;
            const char *role = r->ours + (expert ? 11 : block ? 2 : 0);
            assert_ptr_equal(lb_family_row(f, role, block, expert), r);
            const lb_steps *part[] = {expert ? &p.expert : block ? &p.block : &p.before, block ? &p.block : &p.after};
            for (int k = 0; k < 2; k++)
                for (int64_t s = 0; s < part[k]->n; s++)
                    for (int o = 0; o < LB_STEP_OPERANDS; o++)
                        used |= part[k]->at[s].operand[o] && strcmp(part[k]->at[s].operand[o], role) == 0;
            if (!used) fail_msg("%s: no step uses %s", f->name, r->ours);
        }
        lb_arena_free(a);
    }
    assert_null(lb_family_named("none"));
}

/* Numbers as the keys' defaults give them, in an order that expressions may use; what must be told is small. */
static void some_numbers(const lb_key *keys, lb_numbering *b) {
    static const double blocks[2] = {0, 0};
    double v;
    for (const lb_key *k = keys; k->name; k++) {
        const lb_numbers n = lb_numbering_view(b);
        bool list = k->kind == LB_KEY_SLIDES || k->kind == LB_KEY_BLOCKS || k->kind == LB_KEY_EACH;
        if (!k->number || (k->absent && !k->absent[0])) continue;
        v = strcmp(k->number, "dim") == 0 ? 64 : strcmp(k->number, "eps") == 0 ? 1e-5 : 2;
        if (k->absent && k->kind != LB_KEY_ACT && k->kind != LB_KEY_ACT_TANH && !list)
            lb_test_expect(LB_OK, lb_expression(&n, k->absent, -1, &v), k->name, __FILE__, __LINE__);
        if (strcmp(k->number, "layers") == 0) v = b->blocks = 2;
        assert_ok(list ? lb_numbering_set_blocks(b, k->number, blocks) : lb_numbering_set(b, k->number, v));
    }
}

/* What rules, rows and steps ask for is there: this needs no model of the family. */
static void check_numbers(const lb_family *f, const lb_key *keys, const char *rules) {
    static const char *const positions[] = {"rope_kind", "rope_base", "rope_part", "rope_factor"};
    lb_arena *a;
    lb_program p;
    assert_ok(lb_arena_new(0, &a));
    lb_numbering b = {.arena = a, .whose = f->name};
    some_numbers(keys, &b);
    for (size_t i = 0; f->rope && i < sizeof positions / sizeof positions[0]; i++)
        assert_ok(lb_numbering_set(&b, positions[i], 1));
    if (keys == f->gguf_keys) { /* found from the tensors */
        assert_ok(lb_numbering_set(&b, "vocab", 50));
        assert_ok(lb_numbering_set(&b, "tied", 0));
    }
    assert_ok(lb_family_rules(f, rules, &b));
    const lb_numbers n = lb_numbering_view(&b);
    static const char *const needed[] = {"layers", "dim", "vocab", "tied", "head_dim"};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!lb_number_find(&n, needed[i])) fail_msg("%s: no key and no rule makes %s", f->name, needed[i]);
    for (const lb_tensor_row *r = f->tensor; r->ours; r++) {
        const char *const text[] = {r->rows, r->cols, r->bias, r->when, r->owner, r->runs};
        double v;
        for (int k = 0; k < 6; k++)
            if (text[k]) lb_test_expect(LB_OK, lb_expression(&n, text[k], 1, &v), r->ours, __FILE__, __LINE__);
    }
    for (const lb_refusal *x = keys == f->hf_keys ? f->hf_refused : NULL; x && x->when; x++) {
        double v;
        lb_test_expect(LB_OK, lb_expression(&n, x->when, 1, &v), x->why, __FILE__, __LINE__);
    }
    assert_ok(lb_program_parse(a, f->name, &f->program, &p));
    const lb_steps *part[] = {&p.before, &p.block, &p.after, &p.expert};
    for (int k = 0; k < 4; k++)
        for (int64_t s = 0; s < part[k]->n; s++) {
            const lb_step *step = &part[k]->at[s];
            if (step->when && !lb_number_find(&n, step->when)) fail_msg("%s: no number %s", f->name, step->when);
            for (int i = 0; i < LB_STEP_ARGS; i++)
                if (step->arg[i].number && !lb_number_find(&n, step->arg[i].number))
                    fail_msg("%s: step '%s': no number %s", f->name, step->text, step->arg[i].number);
        }
    lb_arena_free(a);
}

static void numbers_are_there(void **state) {
    (void)state;
    for (int i = 0; lb_family_table[i]; i++) {
        const lb_family *f = lb_family_table[i];
        check_numbers(f, f->hf_keys, f->hf_numbers);
        if (f->gguf_arch) check_numbers(f, f->gguf_keys, f->gguf_numbers);
    }
}

/* ---- keys ---- */

static void keys_are_checked(void **state) {
    (void)state;
    static const struct {
        const char *model, *from, *to;
        lb_status status;
        const char *message;
    } change[] = {
        {"gemma2", "\"sliding_attention\"", "\"chunked_attention\"", LB_E_UNSUPPORTED,
         "layer_types[0] = 'chunked_attention': only"},
        {"gemma2", "\"sliding_attention\",", "", LB_E_FORMAT, "layer_types: 2 entries for 3 blocks"},
        {"gemma2", "\"use_bidirectional_attention\": null", "\"use_bidirectional_attention\": true", LB_E_UNSUPPORTED,
         "only causal models are supported"},
        {"gemma2", "\"gelu_pytorch_tanh\"", "\"quick_gelu\"", LB_E_UNSUPPORTED, "hidden_activation = quick_gelu"},
        {"gemma2", "\"sliding_window\": 7", "\"sliding_window\": -7", LB_E_FORMAT, "sliding_window = -7: must be in"},
        {"gemma2", "\"query_pre_attn_scalar\": 20", "\"query_pre_attn_scalar\": 0", LB_E_FORMAT,
         "scale = inf: must be finite"},
        {"qwen2_moe", "\"decoder_sparse_step\": 1", "\"decoder_sparse_step\": 0", LB_E_FORMAT,
         "decoder_sparse_step = 0: must be in"},
        {"qwen2_moe", "\"mlp_only_layers\": [", "\"mlp_only_layers\": [-1,", LB_E_FORMAT,
         "mlp_only_layers[0] = -1: must be"},
        {"qwen2_moe", "\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 5", LB_E_FORMAT,
         "num_experts_per_tok = 5 and num_experts = 4: the first must be at most the second"},
        {"mixtral", "\"num_local_experts\": 4", "\"num_local_experts\": 4, \"num_experts\": 3", LB_E_FORMAT,
         "num_local_experts = 4 and num_experts = 3: they say the same"},
        {"mixtral", "\"num_local_experts\": 4", "\"num_local_experts\": 3", LB_E_FORMAT,
         "experts.3.w1.weight: the config says num_local_experts = 3"},
        {"gpt2", "\"n_head\": 4", "\"n_head\": 5", LB_E_FORMAT,
         "n_embd = 24 and n_head = 5: the first must be a multiple of the second"},
        {"gpt2", "\"n_layer\": 2", "\"n_layer\": 1", LB_E_FORMAT, "the config says n_layer = 1"},
        {"mistral", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", LB_E_FORMAT,
         "num_attention_heads = 4 and num_key_value_heads = 3: the first must be a multiple of the second"},
        {"mistral", "\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": 2", LB_E_FORMAT,
         "rms_norm_eps = 2: must be in [0, 1)"},
        {"mistral", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": null", LB_E_FORMAT, /* as many as heads */
         "self_attn.k_proj.weight is (16, 24), the config says (32, 24)"},
        /* A null flag is false, also where a missing one is true. */
        {"gpt2", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": null", LB_E_FORMAT,
         "tensor lm_head.weight is missing"},
        {"gpt_neox", "\"attention_bias\": true", "\"attention_bias\": null", LB_E_FORMAT,
         "bias: the config says that there is none"},
        {"gemma2", "\"use_bidirectional_attention\": null", "\"use_bidirectional_attention\": false", LB_OK, NULL},
        {"gpt2", "\"gelu_new\"", "null", LB_E_FORMAT, "activation_function is null: must be the name of an activation"},
        {"gpt2", "\"layer_norm_epsilon\": 1e-05", "\"layer_norm_epsilon\": null", LB_E_FORMAT,
         "layer_norm_epsilon is null: must be a number"},
        {"gpt2", "\"add_cross_attention\": false", "\"add_cross_attention\": true", LB_E_UNSUPPORTED,
         "add_cross_attention is true"},
        {"gpt2", "\"n_layer\": 2", "\"n_layer\": null", LB_E_FORMAT, "n_layer is null: must be a whole number"},
        {"gpt2", "\"n_layer\": 2", "\"n_layer\": 2, \"num_layers\": 2", LB_E_UNSUPPORTED, "num_layers"},
        {"opt", "\"do_layer_norm_before\": true", "\"do_layer_norm_before\": 1", LB_E_FORMAT,
         "do_layer_norm_before: must be true or false"},
        {"opt", "\"ffn_dim\": 36", "\"ffn_dim\": 36, \"_gate\": 3", LB_OK, NULL},
        {"opt", "\"ffn_dim\": 36", "\"ffn_dim\": 36, \"gate\": 3", LB_E_UNSUPPORTED, "key gate = 3"},
        {"gpt_neox", "\"partial_rotary_factor\": 0.25", "\"partial_rotary_factor\": 1.5", LB_E_FORMAT,
         "must be in (0, 1]"},
        {"gpt_neox", "\"use_cache\": true", "\"rotary_pct\": 0.5", LB_E_FORMAT,
         "rotary_pct = 0.5 and rope_parameters.partial_rotary_factor = 0.25"},
        {"phi3", "\"longrope\"", "\"su\"", LB_OK, NULL},
        {"phi3", "\"longrope\"", "\"linear\"", LB_E_UNSUPPORTED,
         "type 'linear' is not supported: only 'default' and 'longrope' are"},
        {"phi3", "5.0\n", "5.0, 6.0\n", LB_E_FORMAT, "a factor for each of 4 pairs"},
        {"phi3", "1.1,", "-1.1,", LB_E_FORMAT, "short_factor[1]: must be a positive number"},
        {"bloom", "\"pretraining_tp\": 1,\n  \"slow_but_exact\": false",
         "\"pretraining_tp\": 2, \"slow_but_exact\": true", LB_E_UNSUPPORTED,
         "config.json: slow_but_exact with pretraining_tp > 1 leaves out biases"},
        {"falcon", "\"num_ln_in_parallel_attn\": null", "\"num_ln_in_parallel_attn\": 2", LB_E_UNSUPPORTED,
         "config.json: num_ln_in_parallel_attn = 2: only where new_decoder_architecture is true"},
        {"falcon", "\"num_ln_in_parallel_attn\": null", "\"num_ln_in_parallel_attn\": 3", LB_OK, NULL},
        {"cohere", "\"use_qk_norm\": false", "\"use_qk_norm\": true", LB_E_FORMAT,
         "tensor model.layers.0.self_attn.q_norm.weight is missing"},
        {"mistral", "\"head_dim\": 8", "\"head_dim\": 9", LB_E_FORMAT,
         "head_dim = 9: rotary positions need an even number"},
    };
    for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "families/%s/a", change[i].model);
        expect_edit(name, &(folder_edit){change[i].from, change[i].to, change[i].status, change[i].message});
    }
}

/* ---- tensors ---- */

/* The same numbers as the fixture's, in memory or brought there row by row. */
static void expect_same(const char *fixture, const char *dir) {
    char path[LB_TEST_PATH], name[64];
    lb_model *want, *got;
    lb_arena *a;
    snprintf(name, sizeof name, "tests/oracle/fixtures/%s", fixture);
    lb_test_fixture(name, path);
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &want));
    for (int parts = LB_WEIGHTS; parts <= LB_STREAM; parts++) {
        assert_ok(lb_model_open(dir, (lb_model_parts)parts, NULL, &got));
        assert_int_equal(got->n_tensors, want->n_tensors);
        for (int32_t i = 0; i < want->net->sites; i++) {
            lb_cmat W, own = want->weights.site[i].W;
            assert_ok(lb_matrix_get(&got->weights.site[i], a, NULL, &W));
            assert_true(W.rows == own.rows && W.cols == own.cols);
            assert_memory_equal(W.d, own.d, (size_t)(W.rows * W.cols) * sizeof(float));
        }
        for (int32_t i = 0; i < want->net->vectors; i++)
            assert_memory_equal(got->weights.vector[i], want->weights.vector[i],
                                (size_t)want->net->vector[i].n * sizeof(float));
        lb_model_close(got);
    }
    lb_model_close(want);
    lb_arena_free(a);
}

static void without_the_prefix(void **state) {
    (void)state;
    folder f = folder_take("families/gpt2/a");
    for (int64_t i = 0; i < f.n; i++)
        if (strncmp(f.t[i].name, "transformer.", 12) == 0) f.t[i].name += 12;
    static const float mask[1] = {0};
    f.t[f.n++] = (lb_tensor_out){"h.0.attn.bias", 1, {1}, mask, NULL, NULL};
    folder_write(&f);
    expect_same("families/gpt2/a", f.dir);
    f.t[0].name = "transformer.none.weight";
    folder_write(&f);
    expect_no_model(f.dir, LB_E_UNSUPPORTED, "transformer.none.weight: the gpt2 family has no such tensor");
    folder_drop(&f);
}

/* Files with a head of their own, whose config says null of tying: it is not tied, and the head is read. */
static void null_ties_nothing(void **state) {
    (void)state;
    folder f = folder_take("families/gpt2/a");
    const lb_tensor_out *embed = folder_tensor(&f, "transformer.wte.weight");
    int64_t n = embed->shape[0] * embed->shape[1];
    float *own = LB_NEW(f.arena, float, n);
    assert_non_null(own);
    for (int64_t i = 0; i < n; i++) own[i] = (float)(i % 13) / 8 - 0.75f;
    f.t[f.n] = *embed;
    f.t[f.n].name = "lm_head.weight";
    f.t[f.n++].data = own;
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT,
                    "lm_head.weight differs from the embedding, the config says they are tied (tie_word_embeddings)");
    folder_replace(&f, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": null");
    folder_write(&f);
    lb_model *m;
    assert_ok(lb_model_open(f.dir, LB_WEIGHTS, NULL, &m));
    assert_true(m->net->site[m->net->head].same_as < 0);
    assert_memory_equal(m->weights.site[m->net->head].W.d, own, (size_t)n * sizeof *own);
    lb_model_close(m);
    folder_drop(&f);
}

/* w1 and w3 of every expert as one tensor (experts, 2 hidden, dim), w2 as another. */
static void stack_experts(folder *f, int block) {
    enum { E = 4, H = 36, D = 24 };
    float *both = LB_NEW(f->arena, float, E * 2 * H * D), *down = LB_NEW(f->arena, float, E *H *D);
    char name[128];
    assert_true(both && down);
    for (int e = 0; e < E; e++)
        for (int w = 1; w <= 3; w++) {
            snprintf(name, sizeof name, "model.layers.%d.block_sparse_moe.experts.%d.w%d.weight", block, e, w);
            lb_tensor_out *t = folder_tensor(f, name);
            float *to = w == 2 ? down + e * H * D : both + (2 * e + (w == 3)) * H * D;
            memcpy(to, t->data, H * D * sizeof *to);
            *t = f->t[--f->n];
        }
    snprintf(name, sizeof name, "model.layers.%d.mlp.experts.gate_up_proj", block);
    f->t[f->n++] = (lb_tensor_out){lb_arena_strdup(f->arena, name), 3, {E, 2 * H, D}, both, NULL, NULL};
    snprintf(name, sizeof name, "model.layers.%d.mlp.experts.down_proj", block);
    f->t[f->n++] = (lb_tensor_out){lb_arena_strdup(f->arena, name), 3, {E, D, H}, down, NULL, NULL};
    snprintf(name, sizeof name, "model.layers.%d.block_sparse_moe.gate.weight", block);
    lb_tensor_out *router = folder_tensor(f, name);
    snprintf(name, sizeof name, "model.layers.%d.mlp.gate.weight", block);
    router->name = lb_arena_strdup(f->arena, name);
}

static void stacked_experts(void **state) {
    (void)state;
    folder f = folder_take("families/mixtral/a");
    stack_experts(&f, 0);
    stack_experts(&f, 1);
    folder_write(&f);
    expect_same("families/mixtral/a", f.dir);
    lb_tensor_out *t = folder_tensor(&f, "model.layers.1.mlp.experts.down_proj");
    ((float *)(uintptr_t)t->data)[(3 * 24 + 2) * 36 + 5] = NAN;
    folder_write(&f);
    expect_no_model(f.dir, LB_E_NUMERIC, "down_proj: NaN or infinite at row 74, column 5");
    t->shape[0] = 2;
    t->shape[1] = 48;
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "down_proj is (2, 48, 36), the config says (4, 24, 36)");
    folder_drop(&f);
}

static void wrong_tensors(void **state) {
    (void)state;
    folder f = folder_take("families/mixtral/a"); /* one expert in both spellings */
    static float two[4 * 24 * 36];
    f.t[f.n++] = (lb_tensor_out){"model.layers.0.mlp.experts.down_proj", 3, {4, 24, 36}, two, NULL, NULL};
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "two spellings of one weight");
    f.n--;
    folder_tensor(&f, "model.layers.1.block_sparse_moe.experts.3.w2.weight")->name =
        "model.layers.1.block_sparse_moe.experts.4.w2.weight";
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT,
                    "model.layers.1.block_sparse_moe.experts.4.w2.weight: the config says num_local_experts = 4");
    folder_drop(&f);

    f = folder_take("families/opt/a");
    folder_replace(&f, "\"enable_bias\": true", "\"enable_bias\": false");
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, ".bias: the config says that there is none");
    folder_drop(&f);

    f = folder_take("families/qwen2/a");
    *folder_tensor(&f, "model.layers.1.self_attn.k_proj.bias") = f.t[f.n - 1];
    f.n--;
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "tensor model.layers.1.self_attn.k_proj.bias is missing");
    folder_drop(&f);

    f = folder_take("families/gpt2/a");
    lb_tensor_out *t = folder_tensor(&f, "transformer.h.1.attn.c_attn.weight");
    ((float *)(uintptr_t)t->data)[5 * 72 + 40] = INFINITY;
    folder_write(&f);
    expect_no_model(f.dir, LB_E_NUMERIC, "c_attn.weight: NaN or infinite at row 5, column 40");
    t->shape[0] = 72;
    t->shape[1] = 24;
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "c_attn.weight is (72, 24), the config says (24, 72)");
    folder_drop(&f);
}

/* Pythia's masks are bytes or bools, which no weight may be. */
static void masks_of_bytes(void **state) {
    (void)state;
    static const struct {
        const char *tensor, *type;
        const char *message; /* NULL: it is read */
    } mask[] = {{"gpt_neox.layers.0.attention.bias", "\"U8\",\"shape\":[4]   ", NULL},
                {"gpt_neox.layers.1.attention.bias", "\"BOOL\",\"shape\":[4] ", NULL},
                {"gpt_neox.final_layer_norm.weight", "\"U8\",\"shape\":[40]   ",
                 "final_layer_norm.weight is U8: weights must be floating-point or quantized"}};
    for (size_t i = 0; i < sizeof mask / sizeof mask[0]; i++) {
        static const float zero[10];
        char path[LB_TEST_PATH], *bytes;
        size_t size;
        lb_model *m;
        folder f = folder_take("families/gpt_neox/a");
        lb_tensor_out *t = mask[i].message ? folder_tensor(&f, mask[i].tensor) : &f.t[f.n++];
        *t = (lb_tensor_out){.name = mask[i].tensor,
                             .ndim = 2,
                             .shape = {1, mask[i].message ? 10 : 1},
                             .data = zero}; /* as many bytes */
        folder_write(&f);
        join_path(path, f.dir, "model.safetensors");
        assert_ok(lb_fs_read(path, &bytes, &size));
        char *at = memmem(bytes, size, mask[i].tensor, strlen(mask[i].tensor));
        assert_non_null(at);
        at = memmem(at, (size_t)(bytes + size - at), "\"F32\",\"shape\":[1,1", 18);
        assert_non_null(at);
        memcpy(at, mask[i].type, strlen(mask[i].type));
        assert_ok(lb_fs_write_atomic(path, bytes, size));
        lb_free(bytes);
        if (mask[i].message) {
            expect_no_model(f.dir, LB_E_UNSUPPORTED, mask[i].message);
        } else {
            assert_ok(lb_model_open(f.dir, LB_WEIGHTS, NULL, &m));
            lb_model_close(m);
        }
        folder_drop(&f);
    }
}

/* docs/models.md has a row of every family and of no other, ending in its fixture; "GGUF" among what is supported, its
 * second column, where it reads GGUF files. */
static void the_page_lists_the_families(void **state) {
    (void)state;
    char path[LB_TEST_PATH], head[96], *page;
    int rows = 0, families = 0;
    lb_test_fixture("docs/models.md", path);
    assert_ok(lb_fs_read(path, &page, NULL));
    char *table = strstr(page, "\n| family | supported |"), *end = table ? strstr(table, "\n\n") : NULL;
    assert_non_null(end);
    end[1] = 0;
    for (const char *at = table + 1; (at = strchr(at, '\n')); at++) rows++;
    for (; lb_family_table[families]; families++) {
        const lb_family *f = lb_family_table[families];
        snprintf(head, sizeof head, "\n| %s | ", f->name);
        const char *row = strstr(table, head), *refused = row ? strstr(row + strlen(head), " | ") : NULL;
        if (!refused) fail_msg("docs/models.md has no row of %s", f->name);
        const char *gguf = strstr(row, "GGUF");
        if ((gguf && gguf < refused) != (f->gguf_arch != NULL))
            fail_msg("docs/models.md says otherwise of %s and GGUF", f->name);
        snprintf(head, sizeof head, " | %s |\n", f->name);
        const char *fixture = strstr(refused, head);
        assert_true(fixture && fixture + strlen(head) == strchr(refused, '\n') + 1);
    }
    assert_int_equal(rows, families + 2);
    lb_free(page);
}

/* docs/models.md shows a family's file as it is. */
static void the_worked_example_is_the_file(void **state) {
    (void)state;
    char path[LB_TEST_PATH], *page, *file;
    lb_test_fixture("docs/models.md", path);
    assert_ok(lb_fs_read(path, &page, NULL));
    lb_test_fixture("src/model/families/phi.c", path);
    assert_ok(lb_fs_read(path, &file, NULL));
    char *start = strstr(page, "```c\n/* Phi"), *end = start ? strstr(start, "\n```\n") : NULL;
    assert_non_null(end);
    end[1] = 0;
    assert_string_equal(start + 5, file);
    lb_free(page);
    lb_free(file);
}

/* ---- GGUF headers ---- */

/* The file of a model whose key has another value: n bytes of 0. */
static void patched(const char *model, const char *key, size_t n, char path[LB_TEST_PATH]) {
    char name[LB_TEST_PATH], from[LB_TEST_PATH];
    char *bytes;
    size_t size;
    snprintf(name, sizeof name, "tests/oracle/fixtures/families/%s.gguf", model);
    lb_test_fixture(name, from);
    assert_ok(lb_fs_read(from, &bytes, &size));
    char *at = memmem(bytes, size, key, strlen(key));
    assert_non_null(at);
    memset(at + strlen(key) + 4, 0, n); /* behind the type */
    snprintf(path, LB_TEST_PATH, "%s/model.gguf", lb_test_tmpdir());
    assert_ok(lb_fs_write_atomic(path, bytes, size));
    lb_free(bytes);
}

static void expect_no_file(const char *model, const char *key, size_t n, lb_status status, const char *message) {
    char path[LB_TEST_PATH];
    patched(model, key, n, path);
    expect_no_model(path, status, message);
}

/* Of Granite's multipliers 0 is none; of OLMo's bounds too. */
static void zeros_of_a_header(void **state) {
    (void)state;
    static const struct {
        const char *model, *key, *number;
        double value;
    } zero[] = {{"granite/a", "granite.embedding_scale", "embedding_scale", 1.0},
                {"granite/a", "granite.residual_scale", "residual_scale", 1.0},
                {"granite/a", "granite.attention.scale", "scale", 0.40824829046386302},
                {"olmo/a", "olmo.attention.clamp_kqv", "clips", 0.0}};
    for (size_t i = 0; i < sizeof zero / sizeof zero[0]; i++) {
        char path[LB_TEST_PATH];
        lb_model *m;
        double v;
        patched(zero[i].model, zero[i].key, 4, path);
        assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
        assert_ok(lb_number_get(m->net->numbers, zero[i].number, 0, &v));
        if (!(fabs(v - zero[i].value) < 1e-15)) fail_msg("%s of 0: %s = %.17g", zero[i].key, zero[i].number, v);
        lb_model_close(m);
    }
    expect_no_file("granite/a", "granite.logit_scale", 4, LB_E_FORMAT, "inverse_logits_scaling = inf: must be finite");
    expect_no_file("granite/a", "granite.rope.scaling.finetuned", 1, LB_E_UNSUPPORTED,
                   "granite.rope.scaling.finetuned is false: models without positions are not supported");
    expect_no_file("granitemoeshared/a", "granitemoe.expert_shared_feed_forward_length", 4, LB_E_UNSUPPORTED,
                   "shexp.weight: the granitemoe family has no such tensor");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions),
        cmocka_unit_test(rules),
        cmocka_unit_test(scale_of_the_largest_gemmas),
        cmocka_unit_test(rows_are_used),
        cmocka_unit_test(numbers_are_there),
        cmocka_unit_test(keys_are_checked),
        cmocka_unit_test(without_the_prefix),
        cmocka_unit_test(null_ties_nothing),
        cmocka_unit_test(stacked_experts),
        cmocka_unit_test(wrong_tensors),
        cmocka_unit_test(zeros_of_a_header),
        cmocka_unit_test(masks_of_bytes),
        cmocka_unit_test(the_page_lists_the_families),
        cmocka_unit_test(the_worked_example_is_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
