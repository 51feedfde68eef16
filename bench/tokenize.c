/* Processor seconds to tokenize a text on one thread, the median of some repeats, and the number of tokens.
 *   tokenize MODEL TEXT REPEATS [apart]
 * MODEL may be a folder with no more than a tokenizer. apart: TEXT holds many texts, each ended by a NUL; each is a
 * call of its own. */
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "bench/kit.h"
#include "eval/perplexity.h"
#include "model/model.h"

static int64_t encode(const lb_tokenizer *t, const char *s, size_t len) {
    int32_t *ids;
    int64_t n;
    must(lb_tokenizer_encode(t, s, len, false, &ids, &n));
    lb_free(ids);
    return n;
}

static int64_t encode_apart(const lb_tokenizer *t, const char *s, size_t len) {
    int64_t n = 0;
    for (const char *end = s + len, *nul; s < end; s = nul + 1) {
        nul = memchr(s, 0, (size_t)(end - s));
        if (!nul) must(lb_fail(LB_E_FORMAT, "the last text is not ended by a NUL"));
        n += encode(t, s, (size_t)(nul - s));
    }
    return n;
}

int main(int argc, char **argv) {
    bool apart = argc == 5 && !strcmp(argv[4], "apart");
    if (argc != 4 && !apart) {
        fprintf(stderr, "usage: tokenize MODEL TEXT REPEATS [apart]\n");
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
        double start = lb_clock_cpu_s();
        n = apart ? encode_apart(t, text, len) : encode(t, text, len);
        seconds[i] = lb_clock_cpu_s() - start;
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
