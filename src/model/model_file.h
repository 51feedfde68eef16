/* Between the parts of the loader: what a model file says of its architecture, before any tensor is looked at. */
#ifndef LB_MODEL_MODEL_FILE_H
#define LB_MODEL_MODEL_FILE_H

#include "base/hash.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/arch.h"
#include "model/model.h"

/* Folders (model_folder.c). find: the folder itself, or the snapshot of a hub cache: the one that refs/main names, or
 * the only one. check: it has a config.json, or LB_E_IO naming what was looked for and what is there. has_tokenizer:
 * tokenizer.json, tokenizer.model, or vocab.json with merges.txt. no_tokenizer: why there is none, as far as the folder
 * shows. hash: the SHA-256 of the list of hashes of the files that are read. */
LB_NODISCARD lb_status lb_folder_find(lb_arena *a, const char *dir, const char **out);
LB_NODISCARD lb_status lb_folder_check(const char *dir);
LB_NODISCARD lb_status lb_folder_has_tokenizer(const char *dir, bool *there);
LB_NODISCARD lb_status lb_folder_no_tokenizer(lb_arena *a, const char *dir, const char **why);
LB_NODISCARD lb_status lb_folder_hash(const char *dir, const lb_safetensors *weights, char hex[LB_HASH_HEX]);

/* config.json (and what belongs to it) of a folder that is written. tied: the head is the embedding. */
LB_NODISCARD lb_status lb_export_config(const lb_model *m, bool tied, lb_dtype dtype, const char *dir);
/* The net that the folder is read as, from the config.json that was written there. LB_E_UNSUPPORTED names the step that
 * would compute something else than m's. */
LB_NODISCARD lb_status lb_export_net(lb_arena *a, const lb_model *m, const char *dir, const lb_net **out);
/* Row r of a site, and element r of its bias, are in such a folder row order[r] of ours; NULL: the same. */
LB_NODISCARD lb_status lb_export_order(lb_arena *a, const lb_net *from, const lb_net *to, int32_t site,
                                       const int64_t **order);
/* What elements of a norm's weight are larger there, because its program adds less. */
double lb_export_added(const lb_net *from, const lb_net *to, int32_t vector);

#endif
