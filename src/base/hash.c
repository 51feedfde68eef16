#include "base/hash.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

/* It says the same of memory that it did not get. */
static lb_status crypto_failed(void) {
    LB_TRY(lb_starved_check());
    return lb_fail(LB_E_UNSUPPORTED, "libcrypto refuses to compute SHA-256");
}

static lb_status begin(EVP_MD_CTX **ctx) {
    *ctx = EVP_MD_CTX_new();
    if (!*ctx) return lb_fail(LB_E_NOMEM, "out of memory: a SHA-256 state");
    if (EVP_DigestInit_ex(*ctx, EVP_sha256(), NULL) == 1) return LB_OK;
    EVP_MD_CTX_free(*ctx);
    *ctx = NULL;
    return crypto_failed();
}

/* Ends and frees. */
static lb_status end_digest(EVP_MD_CTX *ctx, uint8_t digest[LB_HASH_BYTES]) {
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    int ok = EVP_DigestFinal_ex(ctx, md, &n);
    EVP_MD_CTX_free(ctx);
    if (ok != 1 || n != LB_HASH_BYTES) return crypto_failed();
    memcpy(digest, md, LB_HASH_BYTES);
    return LB_OK;
}

static lb_status end(EVP_MD_CTX *ctx, char hex[LB_HASH_HEX]) {
    uint8_t md[LB_HASH_BYTES];
    LB_TRY(end_digest(ctx, md));
    for (unsigned i = 0; i < LB_HASH_BYTES; i++) {
        hex[2 * i] = "0123456789abcdef"[md[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[md[i] & 15];
    }
    hex[2 * LB_HASH_BYTES] = 0;
    return LB_OK;
}

lb_status lb_hash_digest(const void *data, size_t n, uint8_t digest[LB_HASH_BYTES]) {
    EVP_MD_CTX *ctx;
    LB_TRY(begin(&ctx));
    if (EVP_DigestUpdate(ctx, data, n) == 1) return end_digest(ctx, digest);
    EVP_MD_CTX_free(ctx);
    return crypto_failed();
}

lb_status lb_hash_bytes(const void *data, size_t n, char hex[LB_HASH_HEX]) {
    EVP_MD_CTX *ctx;
    LB_TRY(begin(&ctx));
    if (EVP_DigestUpdate(ctx, data, n) == 1) return end(ctx, hex);
    EVP_MD_CTX_free(ctx);
    return crypto_failed();
}

/* Bytes [from, to) of the file, or to its end where that comes first. */
static lb_status feed(EVP_MD_CTX *ctx, int fd, const char *path, size_t from, size_t to) {
    enum { PART = 1 << 18 };
    unsigned char *buf = lb_alloc(PART, 1);
    if (!buf) return LB_E_NOMEM;
    lb_status s = LB_OK;
    while (s == LB_OK && from < to) {
        ssize_t n = pread(fd, buf, to - from < PART ? to - from : PART, (off_t)from);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            s = lb_fail(LB_E_IO, "%s: cannot read: %s", path, strerror(errno));
        else if (n == 0)
            break;
        else if (EVP_DigestUpdate(ctx, buf, (size_t)n) != 1)
            s = crypto_failed();
        else
            s = lb_interrupt_check();
        if (n > 0) from += (size_t)n;
    }
    lb_free(buf);
    return s;
}

lb_status lb_hash_file_without(const char *path, size_t start, size_t skip, size_t skip_n, char hex[LB_HASH_HEX]) {
    EVP_MD_CTX *ctx;
    int fd;
    size_t size;
    LB_TRY(lb_fs_open(path, &fd, &size));
    lb_status s = begin(&ctx);
    if (s == LB_OK) {
        if (skip_n > 0) s = feed(ctx, fd, path, start, skip);
        if (s == LB_OK) s = feed(ctx, fd, path, skip_n > 0 ? skip + skip_n : start, SSIZE_MAX);
        if (s == LB_OK)
            s = end(ctx, hex);
        else
            EVP_MD_CTX_free(ctx);
    }
    close(fd);
    return s;
}

lb_status lb_hash_file(const char *path, char hex[LB_HASH_HEX]) { return lb_hash_file_without(path, 0, 0, 0, hex); }

bool lb_hash_is_hex(const char *s) { return strspn(s, "0123456789abcdef") == LB_HASH_HEX - 1 && !s[LB_HASH_HEX - 1]; }
