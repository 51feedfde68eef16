#include "support/small_tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "io/gguf.h"
#include "support/support.h"

/* A complete small tokenizer: bytes are not all there, so that texts can have characters without a token. */
const char small_json[] =
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":0,\"content\":\"<u>\",\"single_word\":false,\"lstrip\":false,"
    "\"rstrip\":false,\"normalized\":false,\"special\":true}],\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["
    "{\"type\":\"NFC\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"z+\"},\"content\":\"a\"}]},\"pre_tokenizer\":"
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[\\\\s!]+\"},\"behavior\":"
    "\"Isolated\",\"invert\":false},{\"type\":\"Digits\",\"individual_digits\":true},{\"type\":\"ByteLevel\","
    "\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}]},\"post_processor\":{\"type\":"
    "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<u>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\","
    "\"type_id\":0}}],\"pair\":[],\"special_tokens\":{\"<u>\":{\"id\":\"<u>\",\"ids\":[0],\"tokens\":[\"<u>\"]}}},"
    "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},"
    "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"
    "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{\"<u>\":"
    "0,"
    "\"a\":1,\"b\":2,\"ab\":3,\"aba\":4,\"\\u0120\":5,\"!\":6,\"1\":7},\"merges\":[\"a b\",[\"ab\",\"a\"]]}}";

const char *json_dir(void) {
    static char dir[LB_TEST_PATH];
    if (!*dir) snprintf(dir, sizeof dir, "%s", lb_test_tmpdir());
    return dir;
}

void write_in(const char *dir, const char *name, const char *text) {
    char *path = lb_fs_join(dir, name);
    (void)remove(path);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    lb_free(path);
}

/* small_json with `from` replaced by `to`. */
lb_status load_edited(const char *from, const char *to, lb_tokenizer **t) {
    static char text[2 * sizeof small_json];
    const char *hit = strstr(small_json, from);
    assert_non_null(hit);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(hit - small_json), small_json, to, hit + strlen(from));
    write_in(json_dir(), "tokenizer.json", text);
    return lb_tokenizer_from_dir(json_dir(), t);
}

lb_status load_without_post(lb_tokenizer **t) {
    static char from[sizeof small_json];
    const char *start = strstr(small_json, "\"post_processor\":"), *end = strstr(small_json, "\"decoder\":");
    assert_true(start && end && start < end);
    snprintf(from, sizeof from, "%.*s", (int)(end - start), start);
    return load_edited(from, "\"post_processor\":null,", t);
}

lb_tokenizer *scores_tokenizer(void) {
    char path[LB_TEST_PATH];
    lb_gguf *g;
    lb_tokenizer *t;
    lb_test_fixture("tests/oracle/fixtures/tokenizer/scores.gguf", path);
    assert_ok(lb_gguf_open(path, &g));
    assert_ok(lb_tokenizer_from_gguf(g, &t));
    lb_gguf_close(g);
    return t;
}
