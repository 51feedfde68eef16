/* Reading. The header of each file is JSON: {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...,
 * "__metadata__": {text: text}}, and the data it describes must fill the rest of the file without holes or overlaps. */
#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "io/json.h"

#define MAX_HEADER 100000000 /* bytes: the reference implementation's limit */
#define META       "__metadata__"
#define INDEX      "model.safetensors.index.json"
#define SINGLE     "model.safetensors"

typedef struct pair {
    const char *key, *value;
} pair;

typedef struct entry {
    lb_tensor t;
    size_t file; /* index into map */
} entry;

struct lb_safetensors {
    lb_arena *arena;
    lb_map *map; /* (maps): one a file */
    size_t maps;
    entry *tensor; /* (tensors), sorted by name */
    int64_t tensors;
    pair *meta; /* (metas), file order */
    int64_t metas;
    const char *index; /* path of the index; NULL: a single file */
};

static const struct {
    const char *name;
    int type; /* lb_dtype, or -1: of the format, but not read here */
} dtypes[] = {{"F32", LB_F32}, {"F16", LB_F16},   {"BF16", LB_BF16}, {"F64", LB_F64}, {"I64", LB_I64}, {"I32", LB_I32},
              {"U8", LB_U8},   {"BOOL", LB_BOOL}, {"I8", -1},        {"I16", -1},     {"U16", -1},     {"U32", -1},
              {"U64", -1},     {"F8_E4M3", -1},   {"F8_E5M2", -1},   {"F8_E8M0", -1}, {"C64", -1}};

static lb_status read_dtype(const char *file, const char *name, const json_t *o, lb_dtype *out) {
    const char *text = json_string_value(json_object_get(o, "dtype"));
    if (!text) return lb_fail(LB_E_FORMAT, "%s: tensor %s: no dtype", file, name);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(text, dtypes[i].name)) continue;
        if (dtypes[i].type < 0)
            return lb_fail(LB_E_UNSUPPORTED,
                           "%s: tensor %s: dtype %s is not supported: F32, F16, BF16, F64, I64, I32, U8 and BOOL are",
                           file, name, text);
        *out = (lb_dtype)dtypes[i].type;
        return LB_OK;
    }
    return lb_fail(LB_E_FORMAT, "%s: tensor %s: unknown dtype '%.40s'", file, name, text);
}

static lb_status read_shape(const char *file, const json_t *o, lb_tensor *t) {
    const json_t *shape = json_object_get(o, "shape");
    if (!json_is_array(shape)) return lb_fail(LB_E_FORMAT, "%s: tensor %s: no shape", file, t->name);
    if (json_array_size(shape) > 4)
        return lb_fail(LB_E_UNSUPPORTED, "%s: tensor %s: %zu dimensions: at most 4 are supported", file, t->name,
                       json_array_size(shape));
    t->ndim = (int)json_array_size(shape);
    for (int i = 0; i < t->ndim; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        if (!json_is_integer(d))
            return lb_fail(LB_E_FORMAT, "%s: tensor %s: dimension %d is not an integer", file, t->name, i);
        t->shape[i] = json_integer_value(d);
    }
    return lb_tensor_measure(t, file);
}

/* data: where the data section begins; room: its bytes. */
static lb_status read_offsets(const char *file, const json_t *o, const uint8_t *data, size_t room, lb_tensor *t) {
    const json_t *pos = json_object_get(o, "data_offsets");
    const json_t *b = json_array_get(pos, 0), *e = json_array_get(pos, 1);
    if (json_array_size(pos) != 2 || !json_is_integer(b) || !json_is_integer(e))
        return lb_fail(LB_E_FORMAT, "%s: tensor %s: data_offsets must be two integers", file, t->name);
    int64_t begin = json_integer_value(b), end = json_integer_value(e);
    if (begin < 0 || end < begin || (uint64_t)end > room)
        return lb_fail(LB_E_FORMAT,
                       "%s: tensor %s: data_offsets [%lld, %lld]: the file is truncated or corrupt, it "
                       "holds %zu bytes of data",
                       file, t->name, (long long)begin, (long long)end, room);
    if ((uint64_t)(end - begin) != t->bytes) {
        char shape[96];
        lb_tensor_shape_text(t, shape);
        return lb_fail(LB_E_FORMAT, "%s: tensor %s: data_offsets [%lld, %lld] are %lld bytes, %s %s takes %zu", file,
                       t->name, (long long)begin, (long long)end, (long long)(end - begin), lb_dtype_name(t->type),
                       shape, t->bytes);
    }
    t->data = data + begin;
    return LB_OK;
}

/* NUL was refused with the header, but other control characters would spoil messages and tables. */
static lb_status copy_name(lb_arena *a, const char *file, const char *name, const char **out) {
    bool plain = *name != 0;
    for (const char *c = name; *c; c++) plain &= (uint8_t)*c >= 0x20 && *c != 0x7f;
    if (!plain) return lb_fail(LB_E_FORMAT, "%s: a tensor's name is empty or has control characters", file);
    *out = lb_arena_strdup(a, name);
    return *out ? LB_OK : LB_E_NOMEM;
}

static lb_status read_metadata(lb_safetensors *s, const char *file, json_t *o) {
    const char *key;
    json_t *v;
    if (!json_is_object(o)) return lb_fail(LB_E_FORMAT, "%s: " META " is not an object", file);
    size_t old = (size_t)s->metas;
    pair *more = lb_realloc(s->meta, old, old + json_object_size(o), sizeof *more);
    if (!more) return LB_E_NOMEM;
    s->meta = more;
    json_object_foreach(o, key, v) {
        if (!json_is_string(v)) return lb_fail(LB_E_FORMAT, "%s: " META ": '%s' is not a string", file, key);
        pair p = {lb_arena_strdup(s->arena, key), NULL};
        if (p.key) p.value = lb_arena_strdup(s->arena, json_string_value(v));
        if (!p.value) return LB_E_NOMEM;
        s->meta[s->metas++] = p;
    }
    return LB_OK;
}

static int by_data(const void *a, const void *b) {
    const lb_tensor *x = &((const entry *)a)->t, *y = &((const entry *)b)->t;
    if (x->data != y->data) return (const uint8_t *)x->data < (const uint8_t *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const entry *)a)->t.name, ((const entry *)b)->t.name);
}

/* The n tensors of one file, in the order of their data, follow one another from its start to its end. */
static lb_status check_cover(entry *e, int64_t n, const char *file, const uint8_t *data, size_t room) {
    const uint8_t *at = data;
    qsort(e, (size_t)n, sizeof *e, by_data);
    for (int64_t i = 0; i < n; i++) {
        const lb_tensor *t = &e[i].t;
        const uint8_t *begin = t->data;
        if (begin < at) return lb_fail(LB_E_FORMAT, "%s: tensors %s and %s overlap", file, e[i - 1].t.name, t->name);
        if (begin > at)
            return lb_fail(LB_E_FORMAT, "%s: %zu bytes before tensor %s belong to no tensor", file,
                           (size_t)(begin - at), t->name);
        at = begin + t->bytes;
    }
    if (at != data + room)
        return lb_fail(LB_E_FORMAT, "%s: the last %zu bytes belong to no tensor", file, (size_t)(data + room - at));
    return LB_OK;
}

/* The entries of one parsed header. */
static lb_status read_entries(lb_safetensors *s, json_t *header, const char *file, const uint8_t *data, size_t room) {
    const char *name;
    json_t *o;
    size_t old = (size_t)s->tensors;
    if (!json_is_object(header)) return lb_fail(LB_E_FORMAT, "%s: the header is not a JSON object", file);
    entry *more = lb_realloc(s->tensor, old, old + json_object_size(header), sizeof *more);
    if (!more) return LB_E_NOMEM;
    s->tensor = more;
    json_object_foreach(header, name, o) {
        if (!strcmp(name, META)) {
            LB_TRY(read_metadata(s, file, o));
            continue;
        }
        lb_tensor t = {0};
        LB_TRY(copy_name(s->arena, file, name, &t.name));
        LB_TRY(read_dtype(file, name, o, &t.type));
        LB_TRY(read_shape(file, o, &t));
        LB_TRY(read_offsets(file, o, data, room, &t));
        s->tensor[s->tensors++] = (entry){t, s->maps - 1};
    }
    return check_cover(s->tensor + old, s->tensors - (int64_t)old, file, data, room);
}

/* Maps one file as the next shard (room for it was made) and adds its tensors. */
static lb_status add_file(lb_safetensors *s, const char *path) {
    lb_map *m = &s->map[s->maps];
    uint64_t len = 0;
    json_t *header = NULL;
    LB_TRY(lb_map_open(path, m));
    s->maps++;
    if (m->size < sizeof len)
        return lb_fail(LB_E_FORMAT, "%s: %zu bytes: too short for a safetensors file", path, m->size);
    memcpy(&len, m->data, sizeof len);
    if (len > MAX_HEADER || len > m->size - sizeof len)
        return lb_fail(LB_E_FORMAT, "%s: a header of %llu bytes in a file of %zu: truncated, or not a safetensors file",
                       path, (unsigned long long)len, m->size);
    const uint8_t *data = m->data + sizeof len + len;
    LB_TRY(lb_json_parse(path, (const char *)m->data + sizeof len, (size_t)len, &header));
    lb_status st = lb_json_strict(path, header);
    if (st == LB_OK) st = read_entries(s, header, m->path, data, m->size - sizeof len - (size_t)len);
    json_decref(header);
    return st;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Sorted, each once. A shard lies beside its index: with a path in it, an index could have any file read. */
static lb_status shard_names(lb_arena *a, const char *index, json_t *weights, const char ***names, size_t *n) {
    const char *key;
    json_t *v;
    *names = LB_NEW(a, const char *, json_object_size(weights) + 1);
    if (!*names) return LB_E_NOMEM;
    *n = 0;
    json_object_foreach(weights, key, v) {
        const char *file = json_string_value(v);
        if (!file || !*file || strchr(file, '/'))
            return lb_fail(LB_E_FORMAT, "%s: weight_map: the file of tensor %s must be a plain file name", index, key);
        (*names)[(*n)++] = file;
    }
    qsort(*names, *n, sizeof **names, by_text);
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++)
        if (kept == 0 || strcmp((*names)[i], (*names)[kept - 1])) (*names)[kept++] = (*names)[i];
    *n = kept;
    return LB_OK;
}

static lb_status sort_tensors(lb_safetensors *s) {
    qsort(s->tensor, (size_t)s->tensors, sizeof *s->tensor, by_name);
    for (int64_t i = 1; i < s->tensors; i++)
        if (!by_name(&s->tensor[i - 1], &s->tensor[i]))
            return lb_fail(LB_E_FORMAT, "%s: tensor %s is also in %s", s->map[s->tensor[i].file].path,
                           s->tensor[i].t.name, s->map[s->tensor[i - 1].file].path);
    return LB_OK;
}

/* Every tensor lies in the file that the index says, and none is missing from either. */
static lb_status check_index(const lb_safetensors *s, const char *index, json_t *weights, const char *const *names) {
    const char *key;
    json_t *v;
    for (int64_t i = 0; i < s->tensors; i++) {
        const entry *e = &s->tensor[i];
        const char *said = json_string_value(json_object_get(weights, e->t.name));
        if (!said)
            return lb_fail(LB_E_FORMAT, "%s: tensor %s has no entry in %s", s->map[e->file].path, e->t.name, index);
        if (strcmp(said, names[e->file]))
            return lb_fail(LB_E_FORMAT, "%s: holds tensor %s, which %s places in %s", s->map[e->file].path, e->t.name,
                           index, said);
    }
    json_object_foreach(weights, key, v) {
        if (!lb_safetensors_find(s, key))
            return lb_fail(LB_E_FORMAT, "%s: weight_map: tensor %s is not in %s", index, key, json_string_value(v));
    }
    return LB_OK;
}

/* With the index parsed: weights is its weight_map, dir the folder it lies in. */
static lb_status add_shards(lb_safetensors *s, const char *index, const char *dir, json_t *weights) {
    const char **names = NULL;
    size_t n = 0;
    if (json_object_size(weights) == 0) return lb_fail(LB_E_FORMAT, "%s: no weight_map, or an empty one", index);
    LB_TRY(shard_names(s->arena, index, weights, &names, &n));
    s->map = LB_NEW(s->arena, lb_map, n);
    if (!s->map) return LB_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        char *path = lb_fs_join(dir, names[i]);
        if (!path) return LB_E_NOMEM;
        lb_status st = add_file(s, path);
        lb_free(path);
        if (st != LB_OK) return lb_fail_in(st, "%s", index);
    }
    LB_TRY(sort_tensors(s));
    return check_index(s, index, weights, names);
}

static lb_status open_index(lb_safetensors *s, const char *path) {
    json_t *root = NULL;
    if (!(s->index = lb_arena_strdup(s->arena, path))) return LB_E_NOMEM;
    LB_TRY(lb_json_read(path, &root));
    char *dir = lb_fs_dirname(path);
    lb_status st = dir ? lb_json_strict(path, json_object_get(root, "weight_map")) : LB_E_NOMEM;
    if (st == LB_OK) st = add_shards(s, path, dir, json_object_get(root, "weight_map"));
    lb_free(dir);
    json_decref(root);
    return st;
}

static lb_status open_file(lb_safetensors *s, const char *path) {
    s->map = LB_NEW(s->arena, lb_map, 1);
    if (!s->map) return LB_E_NOMEM;
    LB_TRY(add_file(s, path));
    return sort_tensors(s);
}

/* In a shell's single quotes. */
static void add_quoted(lb_str *out, const char *path) {
    lb_str_add(out, "'");
    for (; *path; path++) lb_str_add(out, *path == '\'' ? "'\\''" : "%c", *path);
    lb_str_add(out, "'");
}

/* PyTorch's own files, with what makes safetensors of them; LB_OK where there are none. */
static lb_status pickled_weights(const char *dir) {
    static const char pickle[] = "pytorch_model", parts[] = "pytorch_model.bin.index.json";
    static const char convert[] =
        "python3 -c \"import glob, sys, torch; from safetensors.torch import save_file; d = sys.argv[1]; "
        "files = sorted(glob.glob(glob.escape(d) + '/pytorch_model*.bin')); "
        "save_file({k: v.clone().contiguous() for f in files for k, v in "
        "torch.load(f, map_location='cpu', weights_only=True).items()}, d + '/" SINGLE "', {'format': 'pt'})\" ";
    char **name = NULL, *index = lb_fs_join(dir, parts);
    size_t n = 0, k = 0;
    lb_str command = {0};
    lb_status st = index ? lb_fs_list(dir, ".bin", &name, &n) : LB_E_NOMEM;
    while (k < n && strncmp(name[k], pickle, sizeof pickle - 1) != 0) k++;
    lb_str_add(&command, "%s", convert);
    add_quoted(&command, dir);
    if (st == LB_OK) st = lb_str_check(&command);
    if (st == LB_OK && k < n)
        st = lb_fail(LB_E_IO,
                     "%s: holds neither " SINGLE " nor " INDEX "; %s is not read, because it is a program that "
                     "opening it would run. PyTorch makes the first of it: %s",
                     dir, name[k], command.s);
    else if (st == LB_OK && lb_fs_there(index))
        st = lb_fail(LB_E_IO, "%s: holds neither " SINGLE " nor " INDEX ", and the files that %s names are not there",
                     dir, parts);
    lb_fs_list_free(name, n);
    lb_str_free(&command);
    lb_free(index);
    return st;
}

/* Naming a file of weights in another format, if there is one. */
static lb_status no_weights(const char *dir) {
    LB_TRY(pickled_weights(dir));
    static const char *const other[] = {".bin", ".pth", ".pt", ".gguf", ".safetensors"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        char **name = NULL;
        size_t n = 0;
        LB_TRY(lb_fs_list(dir, other[i], &name, &n));
        lb_status st =
            n ? lb_fail(LB_E_IO, "%s: holds neither " SINGLE " nor " INDEX "; %s is not read", dir, name[0]) : LB_OK;
        lb_fs_list_free(name, n);
        LB_TRY(st);
    }
    return lb_fail(LB_E_IO, "%s: holds neither " SINGLE " nor " INDEX, dir);
}

static lb_status open_folder(lb_safetensors *s, const char *dir) {
    char *single = lb_fs_join(dir, SINGLE), *index = lb_fs_join(dir, INDEX);
    lb_status st;
    if (!single || !index)
        st = LB_E_NOMEM;
    else if (lb_fs_there(single))
        st = open_file(s, single);
    else if (lb_fs_there(index))
        st = open_index(s, index);
    else
        st = no_weights(dir);
    lb_free(single);
    lb_free(index);
    return st;
}

lb_status lb_safetensors_open(const char *path, lb_safetensors **out) {
    *out = NULL;
    lb_safetensors *s = lb_alloc(1, sizeof *s);
    if (!s) return LB_E_NOMEM;
    lb_status st = lb_arena_new(64 << 10, &s->arena);
    if (st == LB_OK) {
        if (lb_fs_is_dir(path))
            st = open_folder(s, path);
        else
            st = lb_str_ends(path, ".json") ? open_index(s, path) : open_file(s, path);
    }
    if (st != LB_OK) {
        lb_safetensors_close(s);
        return st;
    }
    *out = s;
    return LB_OK;
}

void lb_safetensors_close(lb_safetensors *s) {
    if (!s) return;
    for (size_t i = 0; i < s->maps; i++) lb_map_close(&s->map[i]);
    lb_free(s->tensor);
    lb_free(s->meta);
    lb_arena_free(s->arena);
    lb_free(s);
}

const char *lb_safetensors_file(const lb_safetensors *s, size_t i) { return i < s->maps ? s->map[i].path : NULL; }
const char *lb_safetensors_index(const lb_safetensors *s) { return s->index; }

int64_t lb_safetensors_count(const lb_safetensors *s) { return s->tensors; }

const lb_tensor *lb_safetensors_tensor(const lb_safetensors *s, int64_t i) {
    return i >= 0 && i < s->tensors ? &s->tensor[i].t : NULL;
}

static int name_vs_entry(const void *name, const void *e) { return strcmp(name, ((const entry *)e)->t.name); }

const lb_tensor *lb_safetensors_find(const lb_safetensors *s, const char *name) {
    const entry *e = s->tensors ? bsearch(name, s->tensor, (size_t)s->tensors, sizeof *e, name_vs_entry) : NULL;
    return e ? &e->t : NULL;
}

const char *lb_safetensors_metadata(const lb_safetensors *s, const char *key) {
    for (int64_t i = 0; i < s->metas; i++)
        if (!strcmp(s->meta[i].key, key)) return s->meta[i].value;
    return NULL;
}
