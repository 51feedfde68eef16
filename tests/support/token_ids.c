#include "support/token_ids.h"

#include "support/support.h"

void expect_token_ids(const char *what, const char *hex, bool special, const int32_t *id, int64_t n,
                      const json_t *want) {
    bool same = (size_t)n == json_array_size(want);
    for (int64_t i = 0; same && i < n; i++) same = id[i] == json_integer_value(json_array_get(want, (size_t)i));
    if (same) return;
    print_error("%s: text %s (%s)\nours:", what, hex, special ? "special tokens parsed" : "as text");
    for (int64_t i = 0; i < n; i++) print_error(" %d", id[i]);
    print_error("\nwant:");
    for (size_t i = 0; i < json_array_size(want); i++)
        print_error(" %d", (int)json_integer_value(json_array_get(want, i)));
    fail_msg("ids differ");
}
