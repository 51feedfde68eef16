/* Between the parts of the loader: what a model file says of its architecture, before any tensor is looked at. */
#ifndef LB_MODEL_MODEL_FILE_H
#define LB_MODEL_MODEL_FILE_H

#include "base/hash.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/arch.h"
#include "model/model.h"

/* The GGUF tensor that holds factors of the rotary frequencies, (head_dim / 2), F32. */
#define LB_ROPE_FACTORS "rope_freqs.weight"
/* From a GGUF header. A key of the architecture's own that is not known, or a value that the forward pass cannot
 * honour, is LB_E_UNSUPPORTED naming it. */
LB_NODISCARD lb_status lb_arch_from_gguf(const lb_gguf *g, lb_arch *out, const lb_family **family);
/* From dir/config.json; the same rules. */
LB_NODISCARD lb_status lb_arch_from_config(const char *path, lb_arch *out, const lb_family **family);

/* Folders (model_folder.c). find: the folder itself, or the snapshot of a hub cache: the one that refs/main names, or
 * the only one. check: it has a config.json, or LB_E_IO naming what was looked for and what is there. no_tokenizer: why
 * there is no tokenizer.json, as far as the folder shows. hash: the SHA-256 of the list of hashes of the files that are
 * read. */
LB_NODISCARD lb_status lb_folder_find(lb_arena *a, const char *dir, const char **out);
LB_NODISCARD lb_status lb_folder_check(const char *dir);
LB_NODISCARD lb_status lb_folder_no_tokenizer(lb_arena *a, const char *dir, const char **why);
LB_NODISCARD lb_status lb_folder_hash(const char *dir, const lb_safetensors *weights, char hex[LB_HASH_HEX]);

/* The row of the family's map that a tensor of the net is read by. */
const lb_tensor_map *lb_slot_map(const lb_family *f, const lb_net *n, int32_t slot);

#endif
