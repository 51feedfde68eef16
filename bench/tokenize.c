/* Processor seconds to tokenize a text on one thread, the median of some repeats, and the number of tokens.
 *   tokenize MODEL TEXT REPEATS */
#include "base/clock.h"
#include "base/fs.h"
#include "bench/kit.h"
#include "eval/perplexity.h"
#include "model/model.h"

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: tokenize MODEL TEXT REPEATS\n");
        return 2;
    }
    lb_model *m;
    char *text;
    size_t len;
    int64_t repeats = number_arg(argv[3], 1), n = 0;
    must(lb_model_open(argv[1], LB_HEADER, NULL, &m));
    if (!m->tokenizer) must(lb_fail(LB_E_UNSUPPORTED, "%s: has no tokenizer", argv[1]));
    must(lb_fs_read(argv[2], &text, &len));
    double *seconds = must_have(lb_alloc((size_t)repeats, sizeof *seconds));
    for (int64_t i = 0; i < repeats; i++) {
        int32_t *ids;
        double start = lb_clock_cpu_s();
        must(lb_tokenizer_encode(m->tokenizer, text, len, false, &ids, &n));
        seconds[i] = lb_clock_cpu_s() - start;
        lb_free(ids);
    }
    lb_sort_f64(seconds, repeats);
    printf("%.6f %lld\n", lb_percentile(seconds, repeats, 0.5), (long long)n);
    lb_free(seconds);
    lb_free(text);
    lb_model_close(m);
    return 0;
}
