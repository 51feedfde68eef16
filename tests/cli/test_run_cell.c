/* A cell's result as a config: the same cell comes of it, in a folder of its own, and nothing is written elsewhere. */
#include <stdio.h>
#include <string.h>

#include "result/store.h"
#include "support/run_cli.h"
#include "support/support.h"
#include "support/synthetic_results.h"
#include "support/transcript.h"

static void expect(const char *command, const char *out) {
    shell_result r = shell_run(command);
    if (r.code || strcmp(r.out, out) != 0) fail_msg("%s: %d\n%s\nnot\n%s\n%s", command, r.code, r.out, out, r.err);
    shell_free(&r);
}

/* By the key at the end of its file's name, which is the hash of all that it depends on; bits and perplexity agree. */
static void same_cell(void **state) {
    (void)state;
    transcript_workshop();
    expect("printf 'model: m\ncalibration: {text: calibration.txt, samples: 4, length: 32}\neval: {text: eval.txt, "
           "protocol: W2-32, windows: 4}\nquantize:\n  - {method: gptq, bits: 3, group: 16}\n  - {stages: [{method: "
           "smoothquant}, {method: rtn, bits: 3}], rules: [{match: \"*.down\", bits: 8}], label: mine}\n' > c.yaml; "
           "lowbit run c.yaml > /dev/null 2>&1; cksum < results/c/sweep.json > before; ls results/c/*.h5 | wc -l",
           "3\n");
    expect("for f in results/c/*.h5; do lowbit run $f > /dev/null 2>&1 || echo failed $f; done; cksum < "
           "results/c/sweep.json | cmp - before; ls -d results/*/ | wc -l",
           "4\n");
    expect("for f in results/c/*.h5; do k=${f##*-}; d=results/c-${f##*/}; ls ${d%.h5}/*$k | wc -l; done", "1\n1\n1\n");
    expect("lowbit report results/c --no-write --format csv --columns label,ppl | sort > a; for d in results/c-*; do "
           "lowbit "
           "report $d --no-write --format csv --columns label,ppl; done | sort -u > b; cmp a b && wc -l < a",
           "4\n");
    /* From another folder, whose own texts are not found by the words of the config. */
    expect("f=$(ls $PWD/results/c/gptq*.h5); lowbit check $f -o results=else | grep -c there || true", "0\n");
    expect("grep -c \"lowbit run 'results/c/gptq\" results/c/report/report.md", "1\n");
}

/* Of a config in a file that may come from anybody: no folder, no export. */
static void places_are_not_taken(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    snprintf(dir, sizeof dir, "%s/results/x", transcript_workshop());
    lb_results *r = synthetic_results_new(SYNTHETIC_SINGLE, dir);
    r->record[1].config = "name: ../../out\nresults: /nowhere/else\nexport: f32\nkeep_layers: true\nmodel: m\n"
                          "quantize:\n  - method: rtn\n    bits: 3\n";
    expect("mkdir -p results/x", "");
    assert_ok(lb_store_write(dir, &r->record[1]));
    expect(
        "lowbit run results/x/*.h5 > log 2>&1; ls -d /nowhere ../out* 2> /dev/null; ls results; ls results/x-* | sed "
        "'s/-[0-9a-f]*.h5/.h5/'",
        "x\nx-rtn-bits4-group64-02\ncells.csv\nnone.h5\nreport\nrtn-3b-row.h5\nsweep.json\n");
    synthetic_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_cell),
        cmocka_unit_test(places_are_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
