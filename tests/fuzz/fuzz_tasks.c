/* An item of a task: the object as every form reads it, the text as LAMBADA's variants do. */
#include <stdlib.h>
#include <string.h>

#include "eval/tasks_forms.h"
#include "io/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(lb_status st) {
    if (st != LB_OK && st != LB_E_FORMAT) abort();
}

/* What is made of an item is text, and its right choice one of them. */
static void look(const lb_task_item *x) {
    if (x->right < 0 || x->right >= x->choices) abort();
    for (int64_t i = 0; i < x->choices; i++) {
        const lb_task_choice *c = &x->choice[i];
        size_t after = lb_task_space_after(c->context, strlen(c->context));
        if (c->continuation[0] != ' ' || after > strlen(c->context)) abort();
        if (c->chars > (int64_t)strlen(c->continuation)) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lb_arena *a;
    json_t *o = NULL;
    if (size > 100000 || lb_arena_new(0, &a) != LB_OK) return 0;
    lb_status st = lb_json_parse("item", (const char *)data, size, &o);
    expect(st);
    for (int form = 0; st == LB_OK && lb_question_names[form]; form++) {
        lb_task_item item;
        lb_status read = lb_task_question(a, "item:1", (lb_question)form, o, &item);
        expect(read);
        if (read == LB_OK) look(&item);
    }
    json_decref(o);
    char *text = malloc(size + 1);
    if (text) {
        memcpy(text, data, size);
        text[size] = 0;
        for (int variant = 0; lb_lambada_names[variant]; variant++) {
            lb_task_item item;
            lb_status read = lb_task_lambada(a, "item:1", (lb_lambada)variant, text, &item);
            expect(read);
            if (read == LB_OK) look(&item);
        }
        free(text);
    }
    lb_arena_free(a);
    return 0;
}
