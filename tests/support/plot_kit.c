#include "support/plot_kit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "support/support.h"

const char *plots_made(lb_results *r, lb_plot_list *list) {
    static char dir[LB_TEST_PATH];
    char *path = lb_strdup(getenv("PATH"));
    lb_report_view v;
    snprintf(dir, sizeof dir, "%s/plots", lb_test_tmpdir());
    setenv("PATH", "/nowhere", 1);
    assert_ok(lb_report_view_make(r->arena, r, NULL, &v));
    assert_ok(lb_plot_all(&v, dir, NULL, list));
    setenv("PATH", path, 1);
    lb_free(path);
    return dir;
}

char *plot_text(const char *dir, const char *stem, const char *ext) {
    char path[LB_TEST_PATH + 128], *text = NULL;
    size_t n;
    snprintf(path, sizeof path, "%s/%s%s%s", dir, stem, ext ? "." : "", ext ? ext : "");
    assert_ok(lb_fs_read(path, &text, &n));
    return text;
}
