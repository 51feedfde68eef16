#include "base/kind.h"

#include <stdint.h>
#include <string.h>

#define MAGIC(bytes, name)                                                                                             \
    { bytes, sizeof(bytes) - 1, name }

/* Longer ones first: UTF-32's little-endian mark begins with UTF-16's. */
static const struct {
    const char *bytes;
    size_t n;
    const char *name;
} magic[] = {
    MAGIC("\xff\xfe\0\0", "UTF-32 text, little-endian"),
    MAGIC("\0\0\xfe\xff", "UTF-32 text, big-endian"),
    MAGIC("\xff\xfe", "UTF-16 text, little-endian"),
    MAGIC("\xfe\xff", "UTF-16 text, big-endian"),
    MAGIC("\x1f\x8b", "gzip data"),
    MAGIC("PK\3\4", "a zip archive"),
    MAGIC("PK\5\6", "an empty zip archive"),
    MAGIC("\x28\xb5\x2f\xfd", "zstd data"),
    MAGIC("\xfd\x37zXZ\0", "xz data"),
    MAGIC("7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    MAGIC("\x89HDF\r\n\x1a\n", "an HDF5 file"),
    MAGIC("ARROW1\0\0", "an Arrow file"),
    MAGIC("%PDF-", "a PDF file"),
};

/* "BZh", a digit, and the first digits of pi: three letters alone may begin a text. */
static int is_bzip2(const char *s, size_t n) { return n >= 10 && !memcmp(s, "BZh", 3) && !memcmp(s + 4, "1AY&SY", 6); }

static int is_parquet(const char *s, size_t n) {
    return n >= 12 && !memcmp(s, "PAR1", 4) && !memcmp(s + n - 4, "PAR1", 4);
}

/* Without a mark: of the first bytes all that end (or begin) a character of UTF-32 are NUL and nearly all beside them,
 * or nearly every odd or every even one, as in UTF-16 where most letters are Latin. */
static const char *wide(const char *s, size_t n) {
    size_t pairs = (n < 4096 ? n : 4096) / 4 * 2, zero[2] = {0}, fourth[4] = {0};
    for (size_t i = 0; i < 2 * pairs; i++) {
        zero[i % 2] += s[i] == 0;
        fourth[i % 4] += s[i] == 0;
    }
    if (pairs < 8) return NULL;
    if (fourth[3] * 2 == pairs && fourth[2] * 20 > pairs * 7 && fourth[0] * 20 < pairs)
        return "UTF-32 text, little-endian";
    if (fourth[0] * 2 == pairs && fourth[1] * 20 > pairs * 7 && fourth[3] * 20 < pairs)
        return "UTF-32 text, big-endian";
    if (zero[1] * 10 > pairs * 7 && zero[0] * 10 < pairs) return "UTF-16 text, little-endian";
    if (zero[0] * 10 > pairs * 7 && zero[1] * 10 < pairs) return "UTF-16 text, big-endian";
    return NULL;
}

const char *lb_kind_of(const void *data, size_t n) {
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
        if (n >= magic[i].n && !memcmp(data, magic[i].bytes, magic[i].n)) return magic[i].name;
    if (is_bzip2(data, n)) return "bzip2 data";
    if (is_parquet(data, n)) return "a Parquet file";
    return wide(data, n);
}

const char *lb_kind_advice(const char *kind) {
    static const char *const advice[][2] = {
        {"UTF-", "iconv converts it"},
        {"zstd data", "zstd -d unpacks it"},
        {"a Parquet file", "python3 -c 'import pandas; pandas.read_parquet(\"F\").to_json(\"F.jsonl\", "
                           "orient=\"records\", lines=True)' makes JSON lines of a file F"},
    };
    for (size_t i = 0; i < sizeof advice / sizeof *advice; i++)
        if (!strncmp(kind, advice[i][0], strlen(advice[i][0]))) return advice[i][1];
    return "unpack it";
}

size_t lb_utf8_mark(const void *data, size_t n) { return n >= 3 && !memcmp(data, "\xef\xbb\xbf", 3) ? 3 : 0; }
