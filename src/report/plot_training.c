/* Loss curves of what was trained (qat, and its control finetune), and of a text that it was not trained on. */
#include <math.h>
#include <string.h>

#include "report/plot.h"

typedef enum figure { LOSS, KL, VALIDATION } figure;

/* Means over so many steps: a single batch says little. 1: the losses as they are. */
static int64_t smoothing(int64_t n) { return n < 40 ? 1 : n / 40; }

static void trailing_mean(lb_plot *p, const lb_curve *c, const double *y, int64_t over, lb_span *span) {
    double sum = 0;
    int64_t n = 0;
    lb_str_add(&p->dat, "# step mean_loss loss learning_rate gradient_norm\n");
    for (int64_t i = 0; i < c->n; i++) {
        /* A loss that is not finite breaks the line and starts the mean afresh. */
        if (!isfinite(y[i]))
            sum = 0, n = 0;
        else
            sum += y[i], n++;
        if (n > over) sum -= y[i - over], n--;
        double mean = n ? sum / (double)n : NAN;
        if (n == over) lb_span_add(span, mean);
        lb_num m = lb_num_exact(n == over ? mean : NAN), raw = lb_num_exact(y[i]);
        lb_str_add(&p->dat, "%lld %s %s %.9g %.9g\n", (long long)c->step[i], m.s[0] ? m.s : "NaN",
                   raw.s[0] ? raw.s : "NaN", c->lr[i], c->grad_norm[i]);
    }
}

static void validations(lb_plot *p, const lb_curve *c, lb_span *span) {
    lb_str_add(&p->dat, "# step validation_loss\n");
    for (int64_t i = 0; i < c->validations; i++) {
        lb_num loss = lb_num_exact(c->validation_loss[i]);
        lb_span_add(span, c->validation_loss[i]);
        lb_str_add(&p->dat, "%lld %s\n", (long long)c->validation_step[i], loss.s[0] ? loss.s : "NaN");
    }
}

static const double *values(const lb_curve *c, figure what) { return what == KL ? c->kl : c->next_token; }

/* Whether the curve has anything of this loss: a pure KL run has no next-token loss of its own, and the other way
 * round. */
static bool has(const lb_curve *c, figure what) {
    const double *y = values(c, what);
    for (int64_t i = 0; what == VALIDATION && i < c->validations; i++)
        if (isfinite(c->validation_loss[i])) return true;
    for (int64_t i = 0; what != VALIDATION && y && i < c->n; i++)
        if (isfinite(y[i]) && y[i] != 0) return true;
    return false;
}

/* A line of the row, in the look of its place; points: of the curve. */
static void line(lb_plot *p, int block, int style, int64_t points, const char *title) {
    long long every = points > 12 ? (long long)points / 12 : 1;
    lb_str_add(&p->draw, "%s data index %d using 1:2 with linespoints ls %d pi %lld",
               style > 1 ? ", \\\n       " : "    plot", block, style, every);
    lb_plot_legend_entry(p, title);
}

/* The training beside its validation: in the same look, thin and without markers. */
static lb_status beside(const lb_report_view *v, lb_plot *p, const lb_report_row *row, int style, int64_t over,
                        lb_span *y) {
    const lb_curve *c = &row->cell[0]->curve;
    const char *name = lb_arena_printf(v->arena, "%s, training", row->short_name);
    if (!name) return LB_E_NOMEM;
    if (!has(c, LOSS)) return LB_OK;
    lb_str_add(&p->draw, ", \\\n        data index %d using 1:2 with lines ls %d lw 0.8 notitle",
               lb_plot_block(p, name), style);
    trailing_mean(p, c, values(c, LOSS), over, y);
    return LB_OK;
}

static lb_status fill(const lb_report_view *v, const lb_plotter *w, lb_plot *p, figure what, int64_t over) {
    lb_span y = LB_SPAN_EMPTY, x = LB_SPAN_EMPTY;
    int style = 1;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_curve *c = &v->row[i].cell[0]->curve;
        if (!has(c, what) || v->row[i].twin) continue;
        int64_t points = what == VALIDATION ? c->validations : c->n;
        const int64_t *step = what == VALIDATION ? c->validation_step : c->step;
        int block = lb_plot_block(p, v->row[i].short_name);
        if (what == VALIDATION)
            validations(p, c, &y);
        else
            trailing_mean(p, c, values(c, what), over, &y);
        lb_span_add(&x, (double)step[0]);
        lb_span_add(&x, (double)step[points - 1]);
        lb_plot_style_row(p, style, &v->row[i], false);
        line(p, block, style, points, v->row[i].short_name);
        if (what == VALIDATION) LB_TRY(beside(v, p, &v->row[i], style, over, &y));
        style++;
    }
    if (what == VALIDATION) {
        lb_str_add(&p->draw, ", \\\n        1/0 with linespoints pt 6 ps 1.2 lw 2 dt solid lc rgb '#555555'");
        lb_plot_legend_entry(p, "validation");
        lb_str_add(&p->draw, ", \\\n        1/0 with lines lw 0.8 dt solid lc rgb '#555555'");
        lb_plot_legend_entry(p, "training");
    }
    lb_str_add(&p->draw, "\n");
    if (lb_span_empty(&y) || lb_span_empty(&x)) {
        p->blocks = 0; /* nothing finite */
        return LB_OK;
    }
    lb_plot_axis_of(w, p, "y", "loss", false, y);
    lb_plot_range_axis(w, p, "x", false, x);
    return LB_OK;
}

/* Title, caption and the name of the axis. */
static lb_status words(const lb_report_view *v, lb_plot *p, figure what, int64_t over) {
    static const char *const loss[] = {"next-token loss", "KL to the unquantized model"};
    const char *model = v->r->model_name, *first = v->seeds ? ", the first seed of each row" : "";
    const char *mean = over > 1 ? lb_arena_printf(v->arena, ", mean over %lld steps", (long long)over) : "";
    if (!mean) return LB_E_NOMEM;
    if (what == VALIDATION) {
        p->title = lb_arena_printf(v->arena, "%s: next-token loss of a held-out text while training", model);
        p->caption = lb_arena_printf(v->arena,
                                     "%s: next-token loss of a text that was not trained on, at the weights as they "
                                     "are quantized then (markers), and of the batches that were (thin lines%s)%s.",
                                     model, mean, first);
        mean = "";
    } else {
        p->title = lb_arena_printf(v->arena, "%s: training, %s", model, loss[what]);
        p->caption = lb_arena_printf(v->arena, "%s: %s while training%s%s.", model, loss[what], mean, first);
    }
    lb_str_add(
        &p->setup,
        "set title title\nset xlabel 'step'\nset ylabel '%s in nats%s'\n"
        "set grid lc rgb '#c8c8c8' lw 0.8 dt solid\nset border 3\nset tics nomirror\nset datafile missing 'NaN'\n",
        what == KL ? "KL" : "loss", mean);
    return p->title && p->caption ? LB_OK : LB_E_NOMEM;
}

static lb_status one(const lb_report_view *v, lb_plotter *w, figure what) {
    static const char *const name[] = {"training-loss", "training-kl", "training-validation"};
    size_t width = what == VALIDATION ? strlen("validation") : 0;
    int entries = 0, kinds = what == VALIDATION ? 2 : 0;
    int64_t longest = 0;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_record *c = v->row[i].cell[0];
        if (!has(&c->curve, what) || v->row[i].twin) continue;
        entries++;
        size_t n = lb_text_width(v->row[i].short_name);
        if (n > width) width = n;
        if (c->curve.n > longest) longest = c->curve.n;
    }
    if (!entries) return LB_OK;
    int64_t over = smoothing(longest);
    int height = 90 + 20 * (entries + kinds);
    lb_plot p;
    LB_TRY(lb_plot_begin(&p, v->arena, name[what], 600 + lb_plot_legend_width(width), height < 420 ? 420 : height));
    p.open_markers = true;
    p.legend = true;
    lb_status st = words(v, &p, what, over);
    if (st == LB_OK) st = fill(v, w, &p, what, over);
    if (st == LB_OK && p.blocks) st = lb_plot_finish(w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_training(const lb_report_view *v, lb_plotter *w) {
    LB_TRY(one(v, w, LOSS));
    LB_TRY(one(v, w, KL));
    return one(v, w, VALIDATION);
}
