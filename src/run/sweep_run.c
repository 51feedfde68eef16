#include "run/sweep_run.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "result/figures.h"
#include "run/stock.h"

typedef struct sweeper {
    const lb_plans *plans;
    lb_plan *p; /* at hand */
    const lb_sweep_options *o;
    lb_log *log;
    lb_runner runner;
    lb_record *all;      /* (cells) of all plans */
    bool *all_known;     /* (cells) this record is final */
    const char *models;  /* their labels */
    size_t n, first;     /* cells of all plans; of the plans before this one */
    lb_record *record;   /* (cells) of this plan, within `all` */
    bool *known;         /* (cells) within all_known */
    lb_fs_folder folder; /* of the export under way */
    lb_sweep_result *out;
    int lock;
} sweeper;

/* The plan at hand. */
static void turn_to(sweeper *x, size_t plan) {
    x->p = &x->plans->at[plan];
    x->first = 0;
    for (size_t i = 0; i < plan; i++) x->first += x->plans->at[i].sweep.n;
    x->record = x->all + x->first;
    x->known = x->all_known + x->first;
}

static lb_status take_lock(sweeper *x) {
    char *path = lb_fs_join(x->p->dir, ".lock");
    if (!path) return LB_E_NOMEM;
    lb_status st = LB_OK;
    x->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (x->lock < 0 && errno == ELOOP)
        st = lb_fail(LB_E_IO, "%s: is a symbolic link, expected a file", path);
    else if (x->lock < 0)
        st = lb_fail(LB_E_IO, "%s: cannot open: %s", path, strerror(errno));
    else if (flock(x->lock, LOCK_EX | LOCK_NB) != 0)
        st = errno == EWOULDBLOCK ? lb_fail(LB_E_IO,
                                            "%s is in use by another run: wait for it, or give this one another "
                                            "name or results folder",
                                            x->p->dir)
                                  : lb_fail(LB_E_IO, "%s: cannot lock: %s", path, strerror(errno));
    lb_free(path);
    return st;
}

/* NAME.tmp.PID: what a killed run was writing: the index, results, sealed files, and of folders exports. */
static bool is_leftover(const char *name, bool folder) {
    static const char *const files[] = {"sweep.json", "cells.csv", "expected.csv", ".h5",
                                        ".bin",       ".block",    ".model",       NULL};
    static const char *const folders[] = {".model", NULL};
    size_t n;
    return lb_fs_tmp_pid(name, "", folder ? folders : files, &n) != NULL;
}

/* With the lock held nobody else is writing, so they can go. Best effort: they are in nobody's way. */
static void drop_leftovers(const char *dir) {
    char **names = NULL, *here = lb_fs_join(dir, "."); /* the results folder itself may be a link */
    size_t n = 0;
    if (here) lb_fs_remove_ours(here, is_leftover);
    if (here && lb_fs_list(here, ".partial", &names, &n) == LB_OK) {
        for (size_t i = 0; i < n; i++) {
            char *path = lb_fs_join(dir, names[i]);
            if (path && lb_fs_is_link(path)) (void)unlink(path);
            if (path) lb_fs_remove_ours(path, is_leftover);
            lb_free(path);
        }
        lb_fs_list_free(names, n);
    }
    lb_free(here);
}

/* The folder goes if nothing else is in it. As a link it leads to a place that somebody chose: what is there stays. */
static void drop_cache(const sweeper *x) {
    if (lb_fs_is_link(x->p->cache)) {
        lb_info(x->log, "%s is a link: what is behind it stays, keep_cache: false or not", x->p->cache);
        return;
    }
    lb_fs_remove_ours(x->p->cache, lb_runner_caches);
    (void)rmdir(x->p->cache);
}

/* What is there already, what was refused, and the rest as waiting. */
static lb_status sort_cells(sweeper *x, const lb_finished *f) {
    for (size_t i = 0; i < x->p->sweep.n; i++) {
        const lb_cell *c = &x->p->sweep.cell[i];
        lb_record *r = &x->record[i];
        bool stale = (f[i] == LB_FINISHED_YES && strcmp(r->key, c->key) != 0) || f[i] == LB_FINISHED_STALE;
        if (stale) {
            const char *code = lb_pairs_get(&r->provenance, "code");
            lb_warn(x->log, "%s: result from another code version or kernel (%s): %s", c->label, code ? code : "?",
                    x->o->keep_stale ? "kept" : "running again (--keep-stale keeps such results)");
        }
        if (f[i] == LB_FINISHED_DAMAGED) lb_warn(x->log, "%s is damaged and runs again: %s", c->label, r->message);
        if (f[i] == LB_FINISHED_NOT_EXPORTED)
            lb_info(x->log, "%s is finished but not exported: running it again", c->label);
        if (f[i] == LB_FINISHED_NOT_KEPT)
            lb_info(x->log, "%s is finished but its layers were not kept: running it again", c->label);
        x->known[i] = c->refused || f[i] == LB_FINISHED_YES;
        x->out->refused += c->refused;
        if (f[i] != LB_FINISHED_YES) {
            LB_TRY(lb_cell_bare_record(x->p->arena, c, c->refused ? LB_CELL_REFUSED : LB_CELL_PENDING,
                                       c->refused ? c->reason : "", r));
            continue;
        }
        /* Another sweep may have called the same cell by another name. */
        r->label = c->label;
        r->varied = c->varied;
        r->model = c->model;
        r->model_note = c->model_note;
        x->out->kept++;
        /* Killed after its result was there, or failed in a run before that one. */
        lb_journal_remove(x->p->dir, c->stem);
        lb_partial_remove(x->p->dir, c->stem);
    }
    return LB_OK;
}

static lb_status take_stock(sweeper *x) {
    lb_finished *f = LB_NEW(x->p->arena, lb_finished, x->n);
    if (!f) return LB_E_NOMEM;
    for (size_t k = 0; k < x->plans->n; k++) {
        turn_to(x, k);
        if (!x->o->again) LB_TRY(lb_stock_look(x->p, x->o->keep_stale, x->p->arena, f + x->first, x->record));
        LB_TRY(sort_cells(x, f + x->first));
    }
    return LB_OK;
}

/* "tiny", or "tiny, small". */
static lb_status models_text(const sweeper *x, const char **out) {
    const lb_plan *p = x->plans->at;
    *out = p->model_label;
    for (size_t k = 1; k < x->plans->n && *out; k++)
        if (x->plans->at[k].model_index != x->plans->at[k - 1].model_index)
            *out = lb_arena_printf(p->arena, "%s, %s", *out, x->plans->at[k].model_label);
    return *out ? LB_OK : LB_E_NOMEM;
}

/* The index of all cells in the order of the sweep, those that are not known as pending: whatever ends the run, the
 * folder says what is not there. */
static lb_status write_index(sweeper *x) {
    return lb_store_write_index(x->p->dir, x->p->config->name, x->models,
                                x->p->config->models > 1 ? "" : x->p->model_note, x->all, (int64_t)x->n);
}

static lb_status export_cell(void *user, const lb_cell *c, const lb_weights *w, lb_log *log) {
    (void)c;
    sweeper *x = user;
    return lb_model_write(x->p->model, w, lb_export_types[x->p->config->export - LB_EXPORT_F32], &x->folder, log);
}

/* The cell's folder is begun before the work, so that what is in its way is known then. An earlier export goes: it is
 * of a result that does not count. */
static lb_status begin_export(sweeper *x, const lb_cell *c) {
    lb_str name = {0};
    lb_str_add(&name, "%s/%s.model", x->p->dir, c->stem);
    lb_status st = lb_str_check(&name);
    if (st == LB_OK) {
        lb_fs_remove_ours(name.s, lb_model_export_file);
        st = lb_fs_folder_begin(name.s, &x->folder);
    }
    lb_str_free(&name);
    return st;
}

/* The cell, its model, its result, in this order: without the result the cell is not finished. */
static lb_status make_cell(sweeper *x, const lb_cell *c, lb_record *r) {
    bool exports = x->p->config->export != LB_EXPORT_NONE;
    if (exports) LB_TRY(begin_export(x, c));
    lb_status st = lb_cell_run(&x->runner, c, exports ? export_cell : NULL, x, r);
    if (st == LB_OK && exports) st = lb_fs_folder_commit(&x->folder);
    if (st == LB_OK && exports) lb_info(x->log, "exported to %s/%s.model", x->p->dir, c->stem);
    lb_fs_folder_abort(&x->folder);
    if (st == LB_OK) st = lb_store_write(x->p->dir, r);
    lb_bundle_close(r->bundle);
    r->bundle = NULL;
    return st;
}

/* "gptq 3b g64: PPL 51.56 ± 2.10, 3.38 bits a weight, 2 min 05 s" */
static void announce(sweeper *x, size_t i) {
    const lb_record *r = &x->record[i];
    char took[32];
    lb_format_duration(r->seconds, took);
    lb_str s = {0};
    for (int64_t e = 0; e < r->evals; e++) {
        const lb_eval *v = &r->eval[e].eval;
        double value = v->task.items ? 100 * v->task.acc : v->ppl,
               se = v->task.items ? 100 * v->task.acc_se : v->ppl_se;
        lb_str_add(&s, v->task.items ? "%saccuracy %.2f" : "%sPPL %.4f", e ? "; " : "", value);
        if (!isnan(se)) lb_str_add(&s, v->task.items ? " +- %.2f" : " +- %.4f", se);
        if (v->task.items) lb_str_add(&s, " %%");
    }
    if (r->size.quantized.weights > 0)
        lb_str_add(&s, "%s%.3f bits a weight", r->evals ? ", " : "", lb_size_bits(&r->size.quantized));
    lb_info(x->log, "[%zu/%zu] %s: %s, %s", x->first + i + 1, x->n, r->label, s.s ? s.s : "", took);
    lb_str_free(&s);
}

/* A killed run could not say it. */
static lb_status tell_what_is_lost(sweeper *x, const lb_cell *c) {
    lb_trained t;
    char took[32];
    LB_TRY(lb_journal_interrupted(x->p->dir, c->stem, &t));
    if (!c->trains || t.step == 0) return LB_OK;
    lb_format_duration(t.seconds, took);
    lb_info(x->log,
            "%s: an interrupted training of this cell (%lld of %lld steps, %s) cannot be resumed: it starts at step 1",
            c->label, (long long)t.step, (long long)t.steps, took);
    return LB_OK;
}

/* The blocks of a cell that is done, which one of a plan to come would make again only to evaluate them in other
 * products: they are that one's now, and nobody else's. Best effort: it makes them itself otherwise. */
static void pass_on(const sweeper *x, const lb_cell *c) {
    size_t at = x->first + x->p->sweep.n;
    lb_str from = {0}, to = {0};
    for (const lb_plan *p = x->p + 1; p < x->plans->at + x->plans->n && !to.len; at += p++->sweep.n)
        for (size_t i = 0; i < p->sweep.n && !to.len; i++)
            if (!x->all_known[at + i] && strcmp(p->sweep.cell[i].layers_key, c->layers_key) == 0)
                lb_str_add(&to, "%s/%s.partial", p->dir, p->sweep.cell[i].stem);
    lb_str_add(&from, "%s/%s.partial", x->p->dir, c->stem);
    if (to.len && !to.failed && !from.failed) (void)rename(from.s, to.s);
    lb_str_free(&from);
    lb_str_free(&to);
}

/* Runs a cell and puts it on disk. A failure becomes the cell's record; only interruption stops the sweep. */
static lb_status run_cell(sweeper *x, size_t i) {
    const lb_cell *c = &x->p->sweep.cell[i];
    lb_info(x->log, "[%zu/%zu] %s", x->first + i + 1, x->n, c->label);
    LB_TRY(tell_what_is_lost(x, c));
    lb_journal_remove(x->p->dir, c->stem);
    lb_status st = make_cell(x, c, &x->record[i]);
    if (st == LB_E_INTERRUPTED) return st;
    if (st != LB_OK) LB_TRY(lb_starved_check()); /* the program's failure, not the cell's */
    if (st == LB_OK) {
        lb_journal_remove(x->p->dir, c->stem);
        pass_on(x, c);
        lb_partial_remove(x->p->dir, c->stem);
        x->out->done++;
        announce(x, i);
    } else {
        const char *why = lb_arena_strdup(x->p->arena, lb_error());
        if (!why) return LB_E_NOMEM;
        lb_warn(x->log, "%s failed: %s", c->label, why);
        /* Best effort: the failure is in the index too, and the disk may be what failed. */
        if (lb_journal_note(x->p->dir, c->stem, "failed", why) != LB_OK) lb_error_clear();
        LB_TRY(lb_cell_bare_record(x->p->arena, c, LB_CELL_FAILED, why, &x->record[i]));
        x->out->failed++;
        x->out->failures =
            lb_arena_printf(x->p->arena, "%s%s%s", x->out->failures, x->out->failures[0] ? ", " : "", c->label);
        if (!x->out->failures) return LB_E_NOMEM;
    }
    x->known[i] = true;
    return write_index(x);
}

/* The cells of the plan at hand that are not known yet. */
static lb_status run_cells(sweeper *x) {
    for (size_t i = 0; i < x->p->sweep.n; i++) {
        if (!x->known[i]) LB_TRY(run_cell(x, i));
        if (i == 0 && x->record[0].state == LB_CELL_DONE) x->runner.baseline = &x->record[0];
    }
    return LB_OK;
}

/* Of several plans, each has its model open only while its cells run. */
static lb_status run_plan(sweeper *x, size_t plan) {
    bool several = x->plans->n > 1, wanted = false;
    turn_to(x, plan);
    for (size_t i = 0; i < x->p->sweep.n; i++) wanted = wanted || !x->known[i];
    if (!wanted) return LB_OK;
    if (several) LB_TRY(lb_plan_reopen(x->p, x->p->config->weights == LB_WEIGHTS_STREAM ? LB_STREAM : LB_WEIGHTS));
    x->runner = (lb_runner){.plan = x->p, .keep = x->p->arena, .log = x->log, .dir = x->p->dir, .cache = x->p->cache};
    lb_status st = run_cells(x);
    lb_runner_close(&x->runner);
    if (several) lb_plan_close(x->p);
    return st;
}

static lb_status sweep(sweeper *x) {
    x->p = x->plans->at;
    for (size_t k = 0; k < x->plans->n; k++) x->n += x->plans->at[k].sweep.n;
    x->all = LB_NEW(x->p->arena, lb_record, x->n);
    x->all_known = LB_NEW(x->p->arena, bool, x->n);
    if (!x->all || !x->all_known) return LB_E_NOMEM;
    LB_TRY(models_text(x, &x->models));
    LB_TRY(lb_fs_mkdirs(x->p->dir));
    LB_TRY(take_lock(x));
    drop_leftovers(x->p->dir);
    lb_fs_remove_ours(x->p->cache, is_leftover);
    LB_TRY(take_stock(x));
    if (x->out->kept > 0)
        lb_info(x->log, "%lld of %zu cells are finished already and kept", (long long)x->out->kept, x->n);
    LB_TRY(write_index(x));
    for (size_t k = 0; k < x->plans->n; k++) LB_TRY(run_plan(x, k));
    if (!x->p->config->keep_cache) drop_cache(x);
    return LB_OK;
}

lb_status lb_sweep_run(const lb_plans *plans, const lb_sweep_options *o, lb_log *log, lb_sweep_result *out) {
    *out = (lb_sweep_result){.failures = ""};
    sweeper x = {.plans = plans, .o = o, .log = log, .out = out, .lock = -1};
    lb_status st = sweep(&x);
    if (x.lock >= 0) close(x.lock);
    return st;
}
