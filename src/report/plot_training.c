/* Loss curves of what was trained: qat, and its control finetune. */
#include <math.h>
#include <string.h>

#include "report/plot.h"

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

static const double *values(const lb_curve *c, bool kl) { return kl ? c->kl : c->next_token; }

/* Whether the curve has anything of this loss: a pure KL run has no next-token loss of its own, and the other way
 * round. */
static bool has(const lb_curve *c, bool kl) {
    const double *y = values(c, kl);
    for (int64_t i = 0; y && i < c->n; i++)
        if (isfinite(y[i]) && y[i] != 0) return true;
    return false;
}

static lb_status fill(const lb_report_view *v, lb_plot *p, bool kl, int64_t over) {
    lb_span y = LB_SPAN_EMPTY, x = LB_SPAN_EMPTY;
    int style = 1;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_record *c = v->row[i].cell[0];
        if (!has(&c->curve, kl)) continue;
        int block = lb_plot_block(p, v->row[i].short_name);
        trailing_mean(p, &c->curve, values(&c->curve, kl), over, &y);
        lb_span_add(&x, (double)c->curve.step[0]);
        lb_span_add(&x, (double)c->curve.step[c->curve.n - 1]);
        lb_plot_style_row(p, style, &v->row[i]);
        long long every = c->curve.n > 12 ? (long long)c->curve.n / 12 : 1;
        lb_str_add(&p->draw, "%s data index %d using 1:2 with linespoints ls %d pi %lld title ",
                   style > 1 ? ", \\\n       " : "    plot", block, style, every);
        lb_plot_quote(&p->draw, v->row[i].short_name);
        style++;
    }
    lb_str_add(&p->draw, "\n");
    if (lb_span_empty(&y) || lb_span_empty(&x)) {
        p->blocks = 0; /* nothing finite */
        return LB_OK;
    }
    lb_plot_linear_axis(p, "y", y.low, y.high, 0.05);
    lb_plot_linear_axis(p, "x", x.low, x.high, 0);
    return LB_OK;
}

static lb_status one(const lb_report_view *v, lb_plotter *w, bool kl) {
    size_t width = 0;
    int entries = 0;
    int64_t longest = 0;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_record *c = v->row[i].cell[0];
        if (!has(&c->curve, kl)) continue;
        entries++;
        size_t n = lb_text_width(v->row[i].short_name);
        if (n > width) width = n;
        if (c->curve.n > longest) longest = c->curve.n;
    }
    if (!entries) return LB_OK;
    int64_t over = smoothing(longest);
    int height = 90 + 20 * entries;
    lb_plot p;
    LB_TRY(lb_plot_begin(&p, v->arena, kl ? "training-kl" : "training-loss", 600 + lb_plot_legend_width(width),
                         height < 420 ? 420 : height));
    p.title = lb_arena_printf(v->arena, "%s: training, %s", v->r->model_name,
                              kl ? "KL to the unquantized model" : "next-token loss");
    const char *mean = over > 1 ? lb_arena_printf(v->arena, ", mean over %lld steps", (long long)over) : "";
    p.caption = mean ? lb_arena_printf(v->arena, "%s: %s while training%s%s.", v->r->model_name,
                                       kl ? "KL to the unquantized model" : "next-token loss", mean,
                                       v->seeds ? ", the first seed of each row" : "")
                     : NULL;
    lb_status st = p.title && p.caption ? LB_OK : LB_E_NOMEM;
    p.open_markers = true;
    p.legend = true;
    lb_str_add(&p.setup, "set title title\n");
    lb_str_add(
        &p.setup,
        "set xlabel 'step'\nset ylabel '%s in nats per token%s'\n"
        "set grid lc rgb '#c8c8c8' lw 0.8 dt solid\nset border 3\nset tics nomirror\nset datafile missing 'NaN'\n",
        kl ? "KL" : "loss", mean ? mean : "");
    if (st == LB_OK) st = fill(v, &p, kl, over);
    if (st == LB_OK && p.blocks) st = lb_plot_finish(w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_training(const lb_report_view *v, lb_plotter *w) {
    LB_TRY(one(v, w, false));
    return one(v, w, true);
}
