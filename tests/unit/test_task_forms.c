/* Items as texts: each form written out, and what no item is. With models and the harness that they follow they are in
 * oracle/test_tasks. */
#include "support/support.h"

#include <string.h>

#include "eval/tasks_forms.h"
#include "io/json.h"

typedef struct item {
    lb_arena *arena;
    json_t *o;
    lb_task_item is;
} item;

static lb_status read_item(item *x, lb_question form, const char *text) {
    assert_ok(lb_arena_new(0, &x->arena));
    assert_ok(lb_json_parse("items", text, strlen(text), &x->o));
    return lb_task_question(x->arena, "items:7", form, x->o, &x->is);
}

static void drop(item *x) {
    json_decref(x->o);
    lb_arena_free(x->arena);
}

static void choice_is(const item *x, int64_t i, const char *context, const char *continuation, int64_t chars) {
    assert_true(i < x->is.choices);
    assert_string_equal(x->is.choice[i].context, context);
    assert_string_equal(x->is.choice[i].continuation, continuation);
    assert_int_equal(x->is.choice[i].chars, chars);
}

/* Python's strip, replace, re.sub(r"\[.*?\]", "") and capitalize. */
static void hellaswag(void **state) {
    item x;
    (void)state;
    assert_ok(
        read_item(&x, LB_QUESTION_HELLASWAG,
                  "{\"activity_label\": \" Mending\", \"ctx_a\": \"[header] A kettle [title] Look.  [step]   Wait.\","
                  "\"ctx_b\": \"\xc3\x89T\xc3\x89 \xce\x9f\xce\x94\xce\x9f\xce\xa3 \xce\xa3\", \"label\": \"2\","
                  "\"endings\": [\"[a]b]  c\", \" x [title] y \", \"[no\\nend] z\", \"\xe2\x80\x83q\xe2\x80\x83\"]}"));
    assert_int_equal(x.is.choices, 4);
    assert_int_equal(x.is.right, 2);
    const char *context =
        "Mending: A kettle. Look.   Wait. \xc3\x89t\xc3\xa9 \xce\xbf\xce\xb4\xce\xbf\xcf\x82 \xcf\x83";
    choice_is(&x, 0, context, " b] c", 4);
    choice_is(&x, 1, context, " x. y", 4);
    choice_is(&x, 2, context, " [no\nend] z", 10);
    choice_is(&x, 3, context, " q", 1);
    assert_false(x.is.apart);
    drop(&x);
}

static void simple_forms(void **state) {
    item x;
    (void)state;
    assert_ok(read_item(&x, LB_QUESTION_PIQA,
                        "{\"goal\": \"dry \", \"sol1\": \"na\xc3\xafve\", \"sol2\": \"\", \"label\": 1}"));
    assert_int_equal(x.is.right, 1);
    choice_is(&x, 0, "Question: dry \nAnswer:", " na\xc3\xafve", 5);
    choice_is(&x, 1, "Question: dry \nAnswer:", " ", 0);
    drop(&x);
    assert_ok(read_item(&x, LB_QUESTION_BOOLQ, "{\"passage\": \"P.\", \"question\": \"is it\", \"label\": 0}"));
    choice_is(&x, 0, "P.\nQuestion: is it?\nAnswer:", " no", 0);
    choice_is(&x, 1, "P.\nQuestion: is it?\nAnswer:", " yes", 0);
    drop(&x);
    assert_ok(read_item(&x, LB_QUESTION_WINOGRANDE,
                        "{\"sentence\": \"A _ b _ c. \", \"option1\": \"x\", \"option2\": \"y \", \"answer\": \"2\"}"));
    assert_int_equal(x.is.right, 1);
    choice_is(&x, 0, "A x", " b _ c.", 0);
    choice_is(&x, 1, "A y ", " b _ c.", 0);
    drop(&x);
}

static void labelled_choices(void **state) {
    item x;
    (void)state;
    assert_ok(read_item(&x, LB_QUESTION_ARC,
                        "{\"question\": \"q?\", \"answerKey\": \"3\","
                        "\"choices\": {\"text\": [\"a\", \"bb\", \"ccc\"], \"label\": [\"1\", \"2\", \"3\"]}}"));
    assert_int_equal(x.is.choices, 3);
    assert_int_equal(x.is.right, 2);
    choice_is(&x, 1, "Question: q?\nAnswer:", " bb", 2);
    drop(&x);
    assert_ok(read_item(&x, LB_QUESTION_OPENBOOKQA,
                        "{\"question_stem\": \" s\", \"answerKey\": \" B\","
                        "\"choices\": {\"text\": [\"a\", \"bb\"], \"label\": [\"A\", \"B\"]}}"));
    assert_int_equal(x.is.right, 1);
    choice_is(&x, 0, " s", " a", 1);
    drop(&x);
}

static void what_no_item_is(void **state) {
    static const struct {
        lb_question form;
        const char *text, *says;
    } wrong[] = {
        {LB_QUESTION_PIQA, "{\"sol1\": \"a\", \"sol2\": \"b\", \"label\": 0}", "items:7: no key 'goal'"},
        {LB_QUESTION_PIQA, "{\"goal\": 1, \"sol1\": \"a\", \"sol2\": \"b\", \"label\": 0}", "goal"},
        {LB_QUESTION_PIQA, "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": 2}",
         "items:7: label is 2: must be a number in [0, 1]"},
        {LB_QUESTION_PIQA, "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": \"x\"}", "must be a number"},
        {LB_QUESTION_PIQA, "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}", "label is missing"},
        {LB_QUESTION_PIQA, "{\"goal\": \"g\", \"sol1\": \"a\\u0000b\", \"sol2\": \"b\", \"label\": 0}", "a NUL"},
        {LB_QUESTION_PIQA, "{\"goal\": \"g\", \"sol1\": \"\\ud800\", \"sol2\": \"b\", \"label\": 0}", "surrogate"},
        {LB_QUESTION_PIQA, "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": 1e400}", "must be a number"},
        {LB_QUESTION_ARC, "{\"question\": \"q\", \"answerKey\": \"A\", \"choices\": []}",
         "an object with text and label"},
        {LB_QUESTION_ARC,
         "{\"question\": \"q\", \"answerKey\": \"A\", \"choices\": {\"text\": [\"a\"], \"label\": [\"A\"]}}",
         "a list of 2 to 100 texts"},
        {LB_QUESTION_ARC,
         "{\"question\": \"q\", \"answerKey\": \"A\", \"choices\": {\"text\": [\"a\", 2], \"label\": [\"A\", \"B\"]}}",
         "a list of texts"},
        {LB_QUESTION_ARC,
         "{\"question\": \"q\", \"answerKey\": \"A\", \"choices\": {\"text\": [\"a\", \"b\", \"c\"], \"label\": "
         "[\"A\", \"B\"]}}",
         "3 texts and 2 labels"},
        {LB_QUESTION_ARC,
         "{\"question\": \"q\", \"answerKey\": \"C\", \"choices\": {\"text\": [\"a\", \"b\"], \"label\": [\"A\", "
         "\"B\"]}}",
         "answerKey is 'C': must be one of the choices' labels"},
        {LB_QUESTION_WINOGRANDE,
         "{\"sentence\": \"no gap\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"1\"}", "has no '_'"},
        {LB_QUESTION_WINOGRANDE, "{\"sentence\": \"a _\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"0\"}",
         "must be a number in [1, 2]"},
        {LB_QUESTION_BOOLQ, "{\"passage\": \"p\", \"question\": \"q\", \"label\": true}", "must be a number in [0, 1]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        item x;
        assert_status(LB_E_FORMAT, read_item(&x, wrong[i].form, wrong[i].text));
        assert_error_has(wrong[i].says);
        drop(&x);
    }
}

static void passage_is(lb_lambada variant, const char *text, const char *context, const char *word, bool apart) {
    item x = {0};
    assert_ok(lb_arena_new(0, &x.arena));
    assert_ok(lb_task_lambada(x.arena, "t:1", variant, text, &x.is));
    assert_int_equal(x.is.choices, 1);
    choice_is(&x, 0, context, word, 0);
    assert_int_equal(x.is.apart, apart);
    drop(&x);
}

static void lambada(void **state) {
    (void)state;
    passage_is(LB_LAMBADA_OPENAI, "He saw the  dog", "He saw the ", " dog", false);
    passage_is(LB_LAMBADA_OPENAI, "word", "", " word", false);
    passage_is(LB_LAMBADA_STANDARD, "`` so , '' he said", "`` so , '' he", " said", false);
    passage_is(LB_LAMBADA_DETOKENIZED, "`` so , '' he said", "\n\" so , \" he", " said", false);
    /* The last word stays as the text has it. */
    passage_is(LB_LAMBADA_NORMALIZED, " \xe2\x80\x9cWait,\xe2\x80\x9d he said ``so''", "\n\"Wait,\" he said", " ``so''",
               true);
    static const struct {
        lb_lambada variant;
        const char *text;
    } none[] = {{LB_LAMBADA_OPENAI, "ends in a space "}, {LB_LAMBADA_OPENAI, ""},       {LB_LAMBADA_NORMALIZED, "word"},
                {LB_LAMBADA_NORMALIZED, "two words "},   {LB_LAMBADA_NORMALIZED, " x"}, {LB_LAMBADA_DETOKENIZED, "x"}};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        lb_arena *a;
        lb_task_item out;
        assert_ok(lb_arena_new(0, &a));
        assert_status(LB_E_FORMAT, lb_task_lambada(a, "t:1", none[i].variant, none[i].text, &out));
        assert_error_has("t:1: a passage must end in a word");
        lb_arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellaswag),       cmocka_unit_test(simple_forms), cmocka_unit_test(labelled_choices),
        cmocka_unit_test(what_no_item_is), cmocka_unit_test(lambada),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
