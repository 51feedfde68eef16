/* What a cell's file says about time and memory: "statistics 1.23", "quantize 4.56", ... in seconds, then "peak BYTES",
 * "option NAME VALUE" for every option of the method, and of the first layer "mse NAME VALUE", its output MSE on the
 * inputs that it was solved on.
 *   record FILE.h5 */
#include "bench/kit.h"
#include "result/figures.h"
#include "result/store.h"

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: record FILE.h5\n");
        return 2;
    }
    lb_arena *a;
    lb_record r;
    must(lb_arena_new(0, &a));
    must(lb_store_read(argv[1], a, &r));
    for (int64_t i = 0; i < r.stages; i++) printf("%s %.6f\n", r.stage[i], r.stage_s[i]);
    printf("peak %lld\n", (long long)r.peak_bytes);
    for (int64_t i = 0; i < r.options.n; i++) printf("option %s %s\n", r.options.at[i].key, r.options.at[i].value);
    if (r.layers > 0) printf("mse %s %.9g\n", r.layer[0].name, lb_output_mse(&r.layer[0].own));
    lb_arena_free(a);
    return 0;
}
