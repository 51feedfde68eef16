/* Folders as people have them: links that lead nowhere, missing parts, hub caches, files that nobody reads. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "model/model_file.h"
#include "model/weights.h"
#include "support/folder.h"

static void put_file(const char *dir, const char *name, const char *text) {
    char path[LB_TEST_PATH];
    join_path(path, dir, name);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
}

static void put_link(const char *dir, const char *name, const char *target) {
    char path[LB_TEST_PATH];
    join_path(path, dir, name);
    (void)unlink(path);
    assert_int_equal(symlink(target, path), 0);
}

static void make_dir(char out[LB_TEST_PATH], const char *dir, const char *name) {
    join_path(out, dir, name);
    assert_ok(lb_fs_mkdirs(out));
}

static void hash_of(const char *dir, char out[65]) {
    lb_model *m;
    assert_ok(lb_model_open(dir, LB_HEADER, NULL, &m));
    memcpy(out, m->hash, 65);
    lb_model_close(m);
}

/* What is not read may change, come and go. */
static void identity_is_what_is_read(void **state) {
    (void)state;
    char first[65], now[65];
    folder f = folder_take("llama-tiny");
    folder_write(&f);
    hash_of(f.dir, first);
    put_file(f.dir, "README.md", "a note");
    put_file(f.dir, "generation_config.json", "{}");
    put_file(f.dir, "extra.safetensors", "not even weights");
    put_file(f.dir, "model.safetensors.index.json", "model.safetensors is there, so nobody reads this");
    put_file(f.dir, "tokenizer_config.json", "without tokenizer.json nobody reads this");
    put_link(f.dir, "other.safetensors", "../blobs/gone");
    hash_of(f.dir, now);
    assert_string_equal(now, first);
    put_file(f.dir, "tokenizer.json", "{\"kind\": \"unknown\"}"); /* this is read, if in vain */
    hash_of(f.dir, now);
    assert_string_not_equal(now, first);
    folder_drop(&f);
}

static void broken_links_are_named(void **state) {
    (void)state;
    lb_model *m;
    folder f = folder_take("llama-tiny");
    folder_write(&f);
    put_link(f.dir, "tokenizer.json", "../../blobs/abc");
    assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &m));
    assert_null(m->tokenizer);
    assert_status(LB_E_UNSUPPORTED, lb_model_need_tokenizer(m));
    assert_error_has("no tokenizer was read, so a text cannot become tokens: ");
    assert_error_has("tokenizer.json: a link to ../../blobs/abc, which is not there");
    lb_model_close(m);
    put_link(f.dir, "model.safetensors", "../../blobs/def");
    expect_no_model(f.dir, LB_E_IO, "model.safetensors: a link to ../../blobs/def, which is not there");
    put_link(f.dir, "config.json", "gone");
    expect_no_model(f.dir, LB_E_IO, "config.json: a link to gone, which is not there");
    put_link(f.dir, "config.json", "/dev/zero");
    expect_no_model(f.dir, LB_E_IO, "config.json: is a device, expected a file");
    folder_drop(&f);
    f = folder_take("llama-tiny");
    folder_write(&f);
    put_link(f.dir, "model.safetensors.index.json", "x");
    char path[LB_TEST_PATH];
    join_path(path, f.dir, "model.safetensors");
    assert_int_equal(unlink(path), 0);
    expect_no_model(f.dir, LB_E_IO, "model.safetensors.index.json: a link to x, which is not there");
    join_path(path, f.dir, "model.safetensors.index.json");
    assert_int_equal(unlink(path), 0);
    put_file(f.dir, "pytorch_model.bin", "x");
    expect_no_model(f.dir, LB_E_IO,
                    "holds neither model.safetensors nor model.safetensors.index.json; pytorch_model.bin is not");
    assert_error_has("PyTorch makes the first of it: python3 -c \"import glob, sys, torch; ");
    assert_non_null(strstr(lb_error(), f.dir));
    put_file(f.dir, "a.bin", "x"); /* another program's */
    put_file(f.dir, "pytorch_model.bin.index.json", "{}");
    expect_no_model(f.dir, LB_E_IO, "; pytorch_model.bin is not read");
    join_path(path, f.dir, "pytorch_model.bin");
    assert_int_equal(unlink(path), 0);
    expect_no_model(f.dir, LB_E_IO, "and the files that pytorch_model.bin.index.json names are not there");
    put_file(f.dir, "pytorch_model-00001-of-00002.bin", "x");
    expect_no_model(f.dir, LB_E_IO, "; pytorch_model-00001-of-00002.bin is not read");
    folder_drop(&f);
}

static void other_tokenizers_are_named(void **state) {
    (void)state;
    lb_model *m;
    folder f = folder_take("llama-tiny");
    folder_write(&f);
    put_file(f.dir, "qwen.tiktoken", "IQ== 0\n");
    assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &m));
    assert_string_equal(m->no_tokenizer,
                        "there is no tokenizer.json or tokenizer.model, only qwen.tiktoken, a vocabulary of tiktoken, "
                        "which is not read (save_pretrained of transformers' AutoTokenizer writes tokenizer.json)");
    lb_model_close(m);
    put_file(f.dir, "tokenizer.model", "IQ== 0\nIg== 1\n");
    assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &m));
    assert_null(m->tokenizer);
    assert_non_null(strstr(m->no_tokenizer, "is a vocabulary of tiktoken, not of SentencePiece: save_pretrained of"));
    lb_model_close(m);
    folder_drop(&f);
}

/* Without tokenizer.json, tokenizer.model and what lies beside it is read, and so counts. */
static void sentencepiece_is_read(void **state) {
    (void)state;
    char from[LB_TEST_PATH], to[LB_TEST_PATH], first[65], now[65], *bytes;
    size_t n;
    lb_model *m;
    folder f = folder_take("llama-tiny");
    folder_write(&f);
    hash_of(f.dir, first);
    lb_test_fixture("tests/oracle/fixtures/sentencepiece/bpe.model", from);
    assert_ok(lb_fs_read(from, &bytes, &n));
    join_path(to, f.dir, "tokenizer.model");
    assert_ok(lb_fs_write_atomic(to, bytes, n));
    lb_free(bytes);
    hash_of(f.dir, now);
    assert_string_not_equal(first, now);
    put_file(f.dir, "added_tokens.json", "{\"<pad>\": 420}");
    hash_of(f.dir, first);
    assert_string_not_equal(first, now);
    assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &m));
    assert_non_null(m->tokenizer);
    assert_int_equal(lb_tokenizer_vocab(m->tokenizer), 421);
    lb_model_close(m);
    folder_drop(&f);
}

/* DIR/models--org--x with snapshots/a holding the model. */
static void hub_caches(void **state) {
    (void)state;
    char root[LB_TEST_PATH], snapshots[LB_TEST_PATH], refs[LB_TEST_PATH], path[LB_TEST_PATH];
    lb_model *m;
    folder f = folder_take("llama-tiny");
    make_dir(root, f.dir, "models--org--x");
    make_dir(snapshots, root, "snapshots");
    expect_no_model(root, LB_E_IO, "a hub cache without refs/main; give one of its snapshots: nothing in");
    make_dir(f.dir, snapshots, "a");
    folder_write(&f);
    assert_ok(lb_model_open(root, LB_WEIGHTS, NULL, &m)); /* the only one */
    assert_string_equal(m->path, f.dir);
    assert_string_equal(m->name, "models--org--x");
    lb_model_close(m);
    make_dir(path, snapshots, "b");
    expect_no_model(root, LB_E_IO, "a hub cache without refs/main; give one of its snapshots: a, b in");
    make_dir(refs, root, "refs");
    put_file(refs, "main", "a\n");
    assert_ok(lb_model_open(root, LB_HEADER, NULL, &m));
    assert_string_equal(m->path, f.dir);
    lb_model_close(m);
    put_file(refs, "main", "b");
    expect_no_model(root, LB_E_IO, "snapshots/b: no config.json: a model is a GGUF file, or a folder with config.json");
    put_file(refs, "main", "c");
    expect_no_model(root, LB_E_IO, "refs/main names the snapshot c, which is not in snapshots (a, b)");
    put_file(refs, "main", "../../elsewhere");
    expect_no_model(root, LB_E_FORMAT, "refs/main: '../../elsewhere': expected the name of a snapshot");
    folder_drop(&f);
}

/* As the hub's client leaves a model of several files: a snapshot of links to blobs, weights in parts. */
static void hub_caches_of_links(void **state) {
    (void)state;
    static const char *const part[] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
    char root[LB_TEST_PATH], snapshots[LB_TEST_PATH], refs[LB_TEST_PATH], blobs[LB_TEST_PATH], path[LB_TEST_PATH];
    lb_model *m, *whole;
    lb_str map = {0};
    folder f = folder_take("llama-tiny");
    folder_write(&f);
    assert_ok(lb_model_open(f.dir, LB_WEIGHTS, NULL, &whole));
    make_dir(root, lb_test_tmpdir(), "models--org--x");
    make_dir(snapshots, root, "snapshots");
    make_dir(refs, root, "refs");
    make_dir(blobs, root, "blobs");
    make_dir(path, snapshots, "0123abcd");
    put_file(refs, "main", "0123abcd");
    put_file(blobs, "c0", f.config);
    put_link(path, "config.json", "../../blobs/c0");
    for (int k = 0; k < 2; k++) {
        char blob[8], to[LB_TEST_PATH], link[32];
        int64_t first = k * (f.n / 2), n = k ? f.n - first : f.n / 2;
        snprintf(blob, sizeof blob, "b%d", k);
        snprintf(link, sizeof link, "../../blobs/%s", blob);
        join_path(to, blobs, blob);
        assert_ok(lb_safetensors_write(to, LB_F32, f.t + first, n, NULL));
        put_link(path, part[k], link);
        for (int64_t i = first; i < first + n; i++)
            lb_str_add(&map, "%s\"%s\": \"%s\"", map.len ? ", " : "", f.t[i].name, part[k]);
    }
    lb_str index = {0};
    lb_str_add(&index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {%s}}", map.s);
    put_file(blobs, "i0", index.s);
    put_link(path, "model.safetensors.index.json", "../../blobs/i0");
    const char *given[] = {root, path};
    for (int k = 0; k < 2; k++) {
        assert_ok(lb_model_open(given[k], LB_WEIGHTS, NULL, &m));
        assert_string_equal(m->path, path);
        for (int32_t i = 0; i < m->net->slots; i++) {
            int64_t rows, cols;
            lb_slot_shape(m->net, i, &rows, &cols);
            assert_memory_equal(lb_slot_get(m->net, &m->weights, i), lb_slot_get(whole->net, &whole->weights, i),
                                (size_t)(rows * cols) * sizeof(float));
        }
        lb_model_close(m);
    }
    join_path(refs, blobs, "b1"); /* a download that was cut off */
    assert_int_equal(unlink(refs), 0);
    expect_no_model(root, LB_E_IO, "model-00002-of-00002.safetensors: a link to ../../blobs/b1, which is not there");
    lb_model_close(whole);
    lb_str_free(&map);
    lb_str_free(&index);
    folder_drop(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_is_what_is_read),
        cmocka_unit_test(broken_links_are_named),
        cmocka_unit_test(other_tokenizers_are_named),
        cmocka_unit_test(sentencepiece_is_read),
        cmocka_unit_test(hub_caches),
        cmocka_unit_test(hub_caches_of_links),
    };
    return cmocka_run_group_tests_name("model/folder", tests, NULL, NULL);
}
