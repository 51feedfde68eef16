/* Processor seconds to tokenize a text on one thread, the median of some repeats, and the number of tokens.
 *   tokenize MODEL TEXT REPEATS
 * MODEL may be a folder with no more than a tokenizer. */
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
    lb_tokenizer *t;
    lb_model *m = NULL;
    char *text, *config = must_have(lb_fs_join(argv[1], "config.json"));
    size_t len;
    int64_t repeats = number_arg(argv[3], 1), n = 0;
    if (lb_fs_is_dir(argv[1]) && !lb_fs_exists(config)) {
        must(lb_tokenizer_from_dir(argv[1], &t));
    } else {
        must(lb_model_open(argv[1], LB_HEADER, NULL, &m));
        if (!m->tokenizer) must(lb_fail(LB_E_UNSUPPORTED, "%s: has no tokenizer", argv[1]));
        t = m->tokenizer;
    }
    must(lb_fs_read(argv[2], &text, &len));
    double *seconds = must_have(lb_alloc((size_t)repeats, sizeof *seconds));
    for (int64_t i = 0; i < repeats; i++) {
        int32_t *ids;
        double start = lb_clock_cpu_s();
        must(lb_tokenizer_encode(t, text, len, false, &ids, &n));
        seconds[i] = lb_clock_cpu_s() - start;
        lb_free(ids);
    }
    lb_sort_f64(seconds, repeats);
    printf("%.6f %lld\n", lb_percentile(seconds, repeats, 0.5), (long long)n);
    lb_free(seconds);
    lb_free(text);
    if (!m) lb_tokenizer_free(t);
    lb_model_close(m);
    lb_free(config);
    return 0;
}
