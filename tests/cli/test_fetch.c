/* tools/fetch without a network: a stand-in for lowbit sources, files found by hash, downloads from file:// addresses
 * that are resumed, and hashes that are wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/str.h"
#include "support/io_probe.h"
#include "support/run_cli.h"
#include "support/support.h"

static char script[LB_TEST_PATH];
static const char *dir;

static void make_path(const char *name, char out[LB_TEST_PATH]) {
    assert_true(snprintf(out, LB_TEST_PATH, "%s/%s", dir, name) < LB_TEST_PATH);
}

static void put(const char *name, const char *text) {
    char path[LB_TEST_PATH];
    make_path(name, path);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
}

static bool same(const char *name, const char *text) {
    char path[LB_TEST_PATH];
    make_path(name, path);
    if (!lb_fs_exists(path)) return false;
    size_t n = 0;
    uint8_t *bytes = slurp(path, &n);
    bool yes = n == strlen(text) && memcmp(bytes, text, n) == 0;
    free(bytes);
    return yes;
}

static void sha(const char *text, char hex[LB_HASH_HEX]) { assert_ok(lb_hash_bytes(text, strlen(text), hex)); }

/* The stand-in prints these rows for `sources --tsv`. */
static void sources(const char *rows) {
    char path[LB_TEST_PATH];
    put("rows.tsv", rows);
    make_path("lowbit", path);
    lb_str s = {0};
    lb_str_add(&s, "#!/bin/sh\nexec cat %s/rows.tsv\n", dir);
    put("lowbit", s.s);
    lb_str_free(&s);
    assert_int_equal(chmod(path, 0755), 0);
}

/* Output of both streams in *text (free). */
static int fetch(const char *names, const char *where, char **text) {
    char command[4 * LB_TEST_PATH]; /* programs in `bin`, where a test put some, come before the system's */
    snprintf(command, sizeof command,
             "PATH=%s/bin:$PATH LOWBIT=%s/lowbit LOWBIT_CACHE=%s/cache LOWBIT_SOURCES_LIST=%s/sources.yaml "
             "LOWBIT_SOURCES=%s %s %s 2>&1",
             dir, dir, dir, dir, where, script, names);
    *text = calloc(1, 65536);
    assert_non_null(*text);
    int code = cli_shell(command, *text, 65536);
    assert_true(strlen(*text) < 65535);
    return code;
}

static void expect(const char *names, const char *where, int code, const char *says) {
    char *text = NULL;
    int got = fetch(names, where, &text);
    if (got != code || !strstr(text, says)) {
        print_error("exit %d, expected %d with '%s':\n%s\n", got, code, says, text);
        fail();
    }
    free(text);
}

static int setup(void **state) {
    (void)state;
    lb_test_fixture("tools/fetch", script);
    dir = lb_test_tmpdir();
    return 0;
}

/* name kind file sha256 bytes url pip archive_sha256 member member_sha256 then brings */
static const char *row(const char *name, const char *sha256, const char *url, const char *member_sha256,
                       const char *then, const char *brings) {
    static char text[4][2 * LB_TEST_PATH];
    static int next;
    char *r = text[next++ % 4];
    snprintf(r, 2 * LB_TEST_PATH, "%s\ttext\t%s.txt\t%s\t1\t%s\t-\t-\t-\t%s\t%s\t%s\n", name, name, sha256, url,
             member_sha256, then, brings);
    return r;
}

static void found_by_hash(void **state) {
    (void)state;
    char a[LB_HASH_HEX], b[LB_HASH_HEX], path[LB_TEST_PATH], rows[5 * LB_TEST_PATH];
    sha("text a\n", a);
    sha("text b\n", b);
    make_path("have", path);
    assert_ok(lb_fs_mkdirs(path));
    put("have/under another name", "text a\n");
    put("have/b", "text b\n");
    snprintf(rows, sizeof rows, "%s%s", row("one", a, "-", "-", "nothing", "two"),
             row("two", b, "-", "-", "nothing", "-"));
    sources(rows);
    expect("one", path, 0, "two: installed");
    assert_true(same("cache/one.txt", "text a\n") && same("cache/two.txt", "text b\n"));
    expect("two one", "", 0, "one: already in");
    /* A list of hashes is a hint only: what it names is hashed again. */
    char list[512];
    snprintf(list, sizeof list, "%s  ./b\n%s  gone\n", a, b);
    put("have/SHA256SUMS", list);
    make_path("cache/one.txt", rows);
    assert_int_equal(unlink(rows), 0);
    expect("one", path, 0, "under another name");
    /* A damaged copy in the cache is replaced. */
    put("cache/one.txt", "text a, damaged");
    expect("one", path, 0, "has another SHA-256");
    assert_true(same("cache/one.txt", "text a\n"));
    expect("three", path, 1, "no such source; there are: one two");
}

static void rows_are_joined(void **state) {
    (void)state;
    static const char raw[] = " \n = Title = \n \n Body .\n";
    static const char joined[] = "\n\n = Title = \n\n\n\n\n Body .\n";
    char r[LB_HASH_HEX], j[LB_HASH_HEX], path[LB_TEST_PATH];
    sha(raw, r);
    sha(joined, j);
    make_path("raw", path);
    assert_ok(lb_fs_mkdirs(path));
    put("raw/wiki", raw);
    sources(row("wiki", j, "-", r, "join-rows", "-"));
    expect("wiki", path, 0, "made from");
    assert_true(same("cache/wiki.txt", joined));
}

static void downloads(void **state) {
    (void)state;
    if (system("command -v curl >/dev/null 2>&1") != 0) skip();
    static const char whole[] = "0123456789 the whole text\n";
    char h[LB_HASH_HEX], url[LB_TEST_PATH], part[128];
    sha(whole, h);
    put("remote", whole);
    assert_true(snprintf(url, sizeof url, "file://%s/remote", dir) < (int)sizeof url);
    sources(row("far", h, url, "-", "nothing", "-"));
    /* An earlier call was cut after ten bytes. */
    snprintf(part, sizeof part, "cache/.part.%s", h);
    char cache[LB_TEST_PATH];
    make_path("cache", cache);
    assert_ok(lb_fs_mkdirs(cache));
    put(part, "0123456789");
    expect("far", "", 0, "far: installed");
    assert_true(same("cache/far.txt", whole));
    /* The wrong contents are never installed, and the next call starts anew. */
    char wrong[LB_HASH_HEX];
    sha("something else", wrong);
    sources(row("bad", wrong, url, "-", "nothing", "-"));
    expect("bad", "", 1, "not installed");
    char path[LB_TEST_PATH];
    make_path("cache/bad.txt", path);
    assert_false(lb_fs_exists(path));
    snprintf(part, sizeof part, "cache/.part.%s", wrong);
    make_path(part, path);
    assert_false(lb_fs_exists(path));
    sources(row("nowhere", wrong, "-", "-", "nothing", "-"));
    expect("nowhere", "", 1, "has no address to download from");
    expect("", "", 2, "usage: tools/fetch [--record] NAME");
}

/* A folder: its files one by one; what is there already stays, and one that fails stops no other. */
static void folders(void **state) {
    (void)state;
    if (system("command -v curl >/dev/null 2>&1") != 0) skip();
    char a[LB_HASH_HEX], b[LB_HASH_HEX], rows[5 * LB_TEST_PATH];
    sha("the config\n", a);
    sha("the weights\n", b);
    put("remote-a", "the config\n");
    put("remote-b", "the wights\n");
    snprintf(rows, sizeof rows,
             "m\tmodel\tm/b\t%s\t1\tfile://%s/remote-b\t-\t-\t-\t-\tnothing\t-\n"
             "m\tmodel\tm/a\t%s\t1\tfile://%s/remote-a\t-\t-\t-\t-\tnothing\t-\n",
             b, dir, a, dir);
    sources(rows);
    expect("m", "", 1, "not installed");
    assert_true(same("cache/m/a", "the config\n"));
    assert_false(same("cache/m/b", "the wights\n"));
    put("remote-a", "another config\n");
    put("remote-b", "the weights\n");
    expect("m", "", 0, "m: already in");
    assert_true(same("cache/m/a", "the config\n") && same("cache/m/b", "the weights\n"));
}

/* A connection that breaks is taken up again from where it broke. The stand-in for curl brings ten bytes a call. */
static void cut_downloads(void **state) {
    (void)state;
    static const char whole[] = "0123456789 the whole text\n";
    char h[LB_HASH_HEX], path[LB_TEST_PATH];
    lb_str curl = {0};
    sha(whole, h);
    put("remote", whole);
    make_path("bin", path);
    assert_ok(lb_fs_mkdirs(path));
    lb_str_add(&curl,
               "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" != -o ] || to=$2; shift; done\n"
               "have=0; [ ! -f \"$to\" ] || have=$(wc -c <\"$to\")\necho \"$have\" >>%s/calls\n"
               "tail -c +$((have + 1)) %s/remote | head -c 10 >>\"$to\"\n"
               "[ $(wc -c <\"$to\") -ge %zu ] || exit 18\n",
               dir, dir, strlen(whole));
    assert_ok(lb_str_check(&curl));
    put("bin/curl", curl.s);
    lb_str_free(&curl);
    make_path("bin/curl", path);
    assert_int_equal(chmod(path, 0755), 0);
    sources(row("far", h, "http://localhost/far", "-", "nothing", "-"));
    expect("far", "", 0, "far: installed");
    assert_true(same("cache/far.txt", whole));
    assert_true(same("calls", "0\n10\n20\n"));
    /* Without an end it is given up, what came is kept, and the message says what to do. */
    put("bin/curl", "#!/bin/sh\nexit 28\n");
    assert_int_equal(chmod(path, 0755), 0);
    sources(row("slow", h, "http://localhost/slow", "-", "nothing", "-"));
    expect("slow", "", 1, "(curl 28): cut or stalled; fetch it again to go on from there");
    put("bin/curl", "#!/bin/sh\nexit 6\n");
    assert_int_equal(chmod(path, 0755), 0);
    expect("slow", "", 1, "(curl 6): no way to its host from here");
    expect("slow", "", 1, "LOWBIT_SOURCES may name a folder that holds slow.txt under any name (SHA-256 ");
}

/* Nobody has looked at these yet: what comes is taken, found by its name, and --record writes down what it was. */
static void unknown_hashes(void **state) {
    (void)state;
    char a[LB_HASH_HEX], b[LB_HASH_HEX], t[LB_HASH_HEX], m[LB_HASH_HEX], path[LB_TEST_PATH], lines[512], rows[4096];
    sha("the config\n", a);
    sha("the weights, longer\n", b);
    sha("the text\n", t);
    snprintf(lines, sizeof lines, "config.json %s\nw.safetensors %s\n", a, b);
    sha(lines, m);
    make_path("have/m", path);
    assert_ok(lb_fs_mkdirs(path));
    put("have/m/config.json", "the config\n");
    put("have/m/w.safetensors", "the weights, longer\n");
    put("have/t.txt", "the text\n");
    make_path("have", path);
    snprintf(rows, sizeof rows,
             "m\tmodel\tm/config.json\tunknown\t-\t-\t-\t-\t-\t-\tnothing\t-\task first\t-\n"
             "m\tmodel\tm/w.safetensors\tunknown\t-\t-\t-\t-\t-\t-\tnothing\t-\task first\t-\n%s",
             row("t", "unknown", "-", "-", "nothing", "-"));
    sources(rows);
    static const char list[] = "# a list\nt2:\n  file: t.txt\n  sha256: unknown\n"
                               "m:\n  file: m # a folder\n  sha256: unknown\n  files:\n"
                               "    - {file: config.json, sha256: unknown, url: u}\n"
                               "    - file: w.safetensors\n      sha256: unknown\n      url: u\n"
                               "t:\n  file: t.txt\n  sha256: unknown\n  licence: none\n";
    put("sources.yaml", list);
    expect("m", "", 1, "m: ask first\nm: m/w.safetensors is not here, and is not downloaded");
    expect("t", path, 0, "t: SHA-256 of t.txt not known yet: ");
    expect("t", path, 0, "t: already in ");
    assert_true(same("sources.yaml", list) && same("cache/t.txt", "the text\n"));
    expect("--record m t", path, 0, "t: wrote SHA-256 ");
    snprintf(rows, sizeof rows,
             "# a list\nt2:\n  file: t.txt\n  sha256: unknown\n"
             "m:\n  file: m # a folder\n  sha256: %s\n  bytes: 31\n  files:\n"
             "    - {file: config.json, sha256: %s, bytes: 11, url: u}\n"
             "    - file: w.safetensors\n      sha256: %s\n      bytes: 20\n      url: u\n"
             "t:\n  file: t.txt\n  sha256: %s\n  bytes: 9\n  licence: none\n",
             m, a, b, t);
    assert_true(same("sources.yaml", rows));
    /* What is known is never written over. */
    put("cache/t.txt", "another text\n");
    expect("--record t", "", 1, "could not be written");
    assert_true(same("sources.yaml", rows));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(found_by_hash, setup), cmocka_unit_test_setup(rows_are_joined, setup),
        cmocka_unit_test_setup(downloads, setup),     cmocka_unit_test_setup(folders, setup),
        cmocka_unit_test_setup(cut_downloads, setup), cmocka_unit_test_setup(unknown_hashes, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
