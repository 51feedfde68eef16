#include "support/transcript.h"

#include <fcntl.h>
#include <math.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/str.h"
#include "model/model.h"
#include "support/run_cli.h"
#include "support/support.h"

static char root[LB_TEST_PATH], work[LB_TEST_PATH];

static void work_path(const char *name, char path[LB_TEST_PATH]) {
    if (snprintf(path, LB_TEST_PATH, "%s/%s", work, name) >= LB_TEST_PATH) fail_msg("%s: path too long", name);
}

static void write_work(const char *name, const char *text, size_t n) {
    char path[LB_TEST_PATH];
    work_path(name, path);
    assert_ok(lb_fs_write_atomic(path, text, n));
}

/* The first `bytes` of a built-in text, to the end of a line. */
static void write_head(const char *from, size_t bytes, const char *name) {
    char path[LB_TEST_PATH], *text;
    size_t n;
    lb_test_fixture(from, path);
    assert_ok(lb_fs_read(path, &text, &n));
    assert_true(n > bytes);
    while (bytes > 0 && text[bytes - 1] != '\n') bytes--;
    write_work(name, text, bytes);
    lb_free(text);
}

static void scale(lb_cmat W, float by) {
    for (int64_t i = 0; i < W.rows * W.cols; i++) ((float *)(uintptr_t)W.d)[i] *= by;
}

static void make_model(const char *name, int layers, int dim) {
    char text_path[LB_TEST_PATH], path[LB_TEST_PATH], *text;
    size_t n;
    lb_tokenizer *t;
    lb_model *m;
    work_path("calibration.txt", text_path);
    work_path(name, path);
    assert_ok(lb_fs_read(text_path, &text, &n));
    assert_ok(lb_tokenizer_train(text, n, 300, &t));
    lb_free(text);
    lb_arch arch = {.layers = layers,
                    .dim = dim,
                    .hidden = dim * 3 / 2,
                    .heads = 4,
                    .kv_heads = 2,
                    .head_dim = dim / 4,
                    .vocab = lb_tokenizer_vocab(t),
                    .context = 64,
                    .rope_base = 10000,
                    .norm_eps = 1e-5,
                    .rope = LB_ROPE_HALVES,
                    .tied = true};
    assert_ok(lb_model_new(&arch, t, 1, &m));
    /* Weights of a size at which every layer changes the output. */
    for (int32_t i = 0; i < m->net->sites; i++)
        if (i != m->net->head) scale(m->weights.site[i].W, 8); /* which is the embedding */
    assert_ok(lb_model_export(m, &m->weights, LB_BF16, path, NULL));
    lb_model_close(m);
}

static const char sources[] =
    "far-model:\n  {kind: model, file: far.gguf, bytes: 1048576, licence: MIT, note: a note,\n"
    "   sha256: 0000000000000000000000000000000000000000000000000000000000000001}\n"
    "far-text:\n  {kind: text, file: far.txt, bytes: 2048, licence: CC0-1.0,\n"
    "   sha256: 0000000000000000000000000000000000000000000000000000000000000002}\n";

static void set_environment(void) {
    cli_quick_figures();
    static const char *const unset[] = {"LOWBIT_QUIET", "LOWBIT_TRACE", "LOWBIT_SOURCES", "MANPAGER"};
    const char *build = getenv("BUILD");
    lb_str path = {0};
    if (!build || !*build) build = "build/release";
    lb_str_add(&path, "%s%s%s:%s", build[0] == '/' ? "" : root, build[0] == '/' ? "" : "/", build, getenv("PATH"));
    assert_ok(lb_str_check(&path));
    setenv("PATH", path.s, 1);
    lb_str_free(&path);
    setenv("LOWBIT_KERNELS", "plain", 1);
    setenv("OPENBLAS_CORETYPE", "Prescott", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    path = (lb_str){0};
    lb_str_add(&path, "%s/tests/oracle/fixtures", root);
    assert_ok(lb_str_check(&path));
    setenv("FIXTURES", path.s, 1);
    lb_str_free(&path);
    for (size_t i = 0; i < sizeof unset / sizeof unset[0]; i++) unsetenv(unset[i]);
}

const char *transcript_workshop(void) {
    char path[LB_TEST_PATH];
    if (!root[0]) {
        lb_test_fixture("tests/support", root);
        *strstr(root, "/tests/support") = 0;
        set_environment();
    }
    snprintf(work, sizeof work, "%s", lb_test_tmpdir());
    write_head("data/builtin/calibration.txt", 20000, "calibration.txt");
    write_head("data/builtin/eval.txt", 8000, "eval.txt");
    make_model("m", 2, 32);
    work_path("configs", path);
    assert_ok(lb_fs_mkdirs(path));
    write_work("configs/sources.yaml", sources, sizeof sources - 1);
    return work;
}

/* ---- commands ---- */

static void into_file(int fd, const char *name) {
    char path[LB_TEST_PATH + 8];
    snprintf(path, sizeof path, "%s.%s", work, name);
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (to < 0 || dup2(to, fd) < 0) _exit(126);
    close(to);
}

static char *from_file(const char *name) {
    char path[LB_TEST_PATH + 8], *text;
    size_t n;
    snprintf(path, sizeof path, "%s.%s", work, name);
    assert_ok(lb_fs_read(path, &text, &n));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(strlen(text), n);
    return text;
}

static pid_t start(const char *command) {
    fflush(stdout);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) return pid;
    int null = open("/dev/null", O_RDONLY);
    if (chdir(work) != 0 || null < 0 || dup2(null, STDIN_FILENO) < 0) _exit(126);
    into_file(STDOUT_FILENO, "out");
    into_file(STDERR_FILENO, "err");
    execlp("timeout", "timeout", "-k", "5", "120", "sh", "-c", command, (char *)NULL);
    _exit(126);
}

static shell_result finish(pid_t pid) {
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    shell_result r = {.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)};
    r.out = from_file("out");
    r.err = from_file("err");
    return r;
}

shell_result shell_run(const char *command) { return finish(start(command)); }

void shell_free(shell_result *r) {
    lb_free(r->out);
    lb_free(r->err);
    *r = (shell_result){0};
}

/* ---- what a run cannot repeat ---- */

static void replace_text(lb_str *s, const char *what, const char *by) {
    lb_str out = {0};
    const char *p = s->s, *hit;
    while ((hit = strstr(p, what))) {
        lb_str_add_bytes(&out, p, (size_t)(hit - p));
        lb_str_add(&out, "%s", by);
        p = hit + strlen(what);
    }
    lb_str_add(&out, "%s", p);
    assert_ok(lb_str_check(&out));
    lb_str_free(s);
    *s = out;
}

/* Every match of group 1 in a line becomes the word. */
static void replace_pattern(lb_str *s, const char *pattern, const char *by) {
    regex_t re;
    regmatch_t m[2];
    lb_str out = {0};
    const char *p = s->s;
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NEWLINE), 0);
    while (*p && regexec(&re, p, 2, m, p == s->s || p[-1] == '\n' ? 0 : REG_NOTBOL) == 0) {
        assert_true(m[1].rm_eo > m[1].rm_so);
        lb_str_add_bytes(&out, p, (size_t)m[1].rm_so);
        lb_str_add(&out, "%s", by);
        p += m[1].rm_eo;
    }
    lb_str_add(&out, "%s", p);
    regfree(&re);
    assert_ok(lb_str_check(&out));
    lb_str_free(s);
    *s = out;
}

#define DURATION "[0-9]+ ms|[0-9.]+ s|[0-9]+ min [0-9]+ s"

static void normalise(const char *text, lb_str *out) {
    lb_str_add(out, "%s", text);
    assert_ok(lb_str_check(out));
    if (!out->len) return;
    replace_text(out, work, "WORK");
    replace_text(out, root, "ROOT");
    replace_pattern(out, "( +(" DURATION "))($|[ ,;)])", " TIME");
    /* The time is a table's last column or the last but one: its width, and so the rule's, depends on what it holds. */
    replace_pattern(out, "( +time)(  flags)?$", " time");
    replace_pattern(out, "  (-+(  -+)?)$", "-");
    replace_pattern(out, "( +–)$", " –");
    replace_pattern(out, "-([0-9a-f]{8})(\\.h5|\\.model|\\.partial|\\.journal)", "KEY");
    replace_pattern(out, "SHA-256 ([0-9a-f]{64}), the index says [0-9a-f]{64}", "HASH");
    replace_pattern(out, "HASH, the index says ([0-9a-f]{64})", "HASH");
    replace_pattern(out, " ([0-9]+ tokens/s)", "SPEED");
    replace_pattern(out, "memory +([0-9.]+ [KMG]iB) at most", "BYTES");
    replace_pattern(out, "\\(([0-9]+ GFLOP/s) measured", "SPEED");
}

/* ---- comparing ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

typedef struct number {
    double value, place; /* place: of the last digit */
    size_t length;
    bool decimals; /* two or more */
} number;

static number read_number(const char *s) {
    number x = {0};
    char *end;
    size_t i = strspn(s, "0123456789"), places = 0;
    if (s[i] == '.') places = strspn(s + i + 1, "0123456789");
    x.value = strtod(s, &end);
    x.length = (size_t)(end - s);
    size_t mantissa = i + (places ? 1 + places : 0);
    int exponent = x.length > mantissa ? atoi(s + mantissa + 1) : 0;
    x.place = pow(10, (double)exponent - (double)places);
    x.decimals = places >= 2;
    return x;
}

static bool same_line(const char *want, const char *got) {
    const char *start = want;
    while (*want && *got) {
        if (is_digit(*want) && is_digit(*got) && (want == start || !is_digit(want[-1]))) {
            number a = read_number(want), b = read_number(got);
            bool equal = a.length == b.length && strncmp(want, got, a.length) == 0;
            if (!equal && !(a.decimals && b.decimals && fabs(a.value - b.value) <= 1.01 * a.place)) return false;
            want += a.length, got += b.length;
        } else if (*want++ != *got++) {
            return false;
        }
    }
    return *want == *got;
}

static void add_lines(lb_str *out, const char *mark, const char *text) {
    lb_str s = {0};
    normalise(text, &s);
    for (const char *p = s.len ? s.s : ""; *p;) {
        size_t n = strcspn(p, "\n");
        lb_str_add(out, "%s%s%.*s%s\n", mark, n ? " " : "", (int)n, p, p[n] ? "" : " (no end of line)");
        p += n + (p[n] == '\n');
    }
    lb_str_free(&s);
}

static void replay(const char *command, lb_str *out) {
    shell_result r = shell_run(command);
    add_lines(out, "|", r.out);
    add_lines(out, "!", r.err);
    if (r.code) lb_str_add(out, "= %d\n", r.code);
    shell_free(&r);
}

static void compare(const char *name, char *want, char *got) {
    int line = 1;
    char *w_rest, *g_rest, *w = want, *g = got;
    char command[512] = "";
    for (; *w || *g; w = w_rest, g = g_rest, line++) {
        w_rest = w + strcspn(w, "\n"), g_rest = g + strcspn(g, "\n");
        if (*w_rest) *w_rest++ = 0;
        if (*g_rest) *g_rest++ = 0;
        if (*w == '$') snprintf(command, sizeof command, "%s", w);
        if (!same_line(w, g))
            fail_msg("tests/cli/expected/%s.txt:%d: after %s\nexpected %s\ngot      %s\n(LOWBIT_UPDATE=1 accepts it)",
                     name, line, command, w, g);
    }
}

void transcript_replay(const char *name) {
    char path[LB_TEST_PATH + 256], *want;
    lb_str got = {0};
    size_t n;
    snprintf(path, sizeof path, "%s/tests/cli/expected/%s.txt", root, name);
    assert_ok(lb_fs_read(path, &want, &n));
    for (const char *p = want; *p;) {
        size_t len = strcspn(p, "\n");
        bool told = *p == '|' || *p == '!' || *p == '=';
        if (!told) lb_str_add(&got, "%.*s\n", (int)len, p);
        if (*p == '$') {
            char *command = strndup(p + 1, len - 1);
            assert_non_null(command);
            replay(command, &got);
            free(command);
        }
        p += len + (p[len] == '\n');
    }
    assert_ok(lb_str_check(&got));
    if (getenv("LOWBIT_UPDATE"))
        assert_ok(lb_fs_write_atomic(path, got.s, got.len));
    else
        compare(name, want, got.s);
    lb_free(want);
    lb_str_free(&got);
}
