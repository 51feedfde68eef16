/* A compressed linear layer, a composition of parts, each of them optional but the first:
 *   y = q(T x) W^T,  W = mask (codes in a number format, in an order of columns) + B A
 * T a linear change of the input that W undoes, and q an activation quantizer. Each part is counted in the size, packed
 * and read back; W is made of them in one place. eval/ installs and measures it with the same lines for every method.
 */
#ifndef LB_QUANT_LAYER_H
#define LB_QUANT_LAYER_H

#include "base/team.h"
#include "math/actquant.h"
#include "math/mat.h"
#include "quant/diagnostics.h"
#include "quant/storage.h"
#include "quant/transform.h"

/* What happened that a table must show. */
enum {
    LB_FLAG_DEAD_COLUMNS = 1u << 0,       /* inputs that never fired in calibration */
    LB_FLAG_DAMP_RAISED = 1u << 1,        /* the damping asked for was not enough and an option allowed more */
    LB_FLAG_FALLBACK_RTN = 1u << 2,       /* an option allowed round-to-nearest after a failure */
    LB_FLAG_RAGGED_GROUP = 1u << 3,       /* the last group is shorter */
    LB_FLAG_NOT_MINIMIZED = 1u << 4,      /* trained: the layer error is not what was minimized */
    LB_FLAG_BF16 = 1u << 5,               /* of a cell: evaluated with products in bfloat16 */
    LB_FLAG_FEW_TOKENS = 1u << 6,         /* solved with a factor of H of fewer than ten tokens a column */
    LB_FLAG_RANK_DEFICIENT = 1u << 7,     /* solved with a factor of H of fewer tokens than columns */
    LB_FLAG_STARVED = 1u << 8,            /* an expert that too few tokens were routed to */
    LB_FLAG_CARRIED = 1u << 9,            /* few tokens carry H; readers see it in the row, no result has the bit */
    LB_FLAGS_OF_LAYERS = LB_FLAG_BF16 - 1 /* those that a method may set */
};
/* One of them (flags.c): its name in files, its letter in tables, and what the letter means. */
typedef struct lb_flag {
    const char *name;
    char letter;
    const char *meaning;
} lb_flag;
const lb_flag *lb_flag_of(int bit); /* NULL past the last */
/* "dead-columns,ragged-group" appended; nothing for 0. */
void lb_flags_text(uint32_t flags, lb_str *out);
enum { LB_FLAG_LETTERS = 34 };
/* "DR", in the order of the bits; "?" for what there is no row for. */
void lb_flags_letters(uint32_t flags, char out[LB_FLAG_LETTERS]);

/* What its storage keeps of a layer must be all there is to it: it is packed, and measured from the bytes. So an array
 * is NULL where the storage has no place for it, and every value is one that the bytes hold (lb_layer_check). */
typedef struct lb_layer {
    lb_storage storage;
    int64_t rows, cols;
    uint8_t *codes; /* (rows, cols) one code a byte, below 2^bits, original column order; NULL for floats */
    float *scale;   /* (scales) of the blocks: (rows, groups), per tensor (1), or a run's blocks. Finite, and values of
                       the scale_type (lb_scale_round); double_quant: what lb_double_quant_expand makes of the parts
                       below */
    float *zero; /* like scale, where the format has zeros; int: whole numbers in [0, 2^bits - 1]; affine: floats of the
                   scale_type; NULL: lb_storage_zero */
    int32_t *order;   /* (cols) or NULL: position p in grouping order is column order[p], each column once; groups are
                         runs of positions */
    uint8_t *dq_code; /* double_quant: (blocks) */
    float *dq_scale;  /* double_quant: (ceil(blocks / 256)), finite */
    float dq_mean;
    float *dense;   /* floats: (rows, cols); finite as their bytes hold them, and values of the type of a format that
                       rounds */
    uint8_t *mask;  /* (rows, lb_mask_row_bytes) or NULL: bit c % 8 of byte c / 8 is 1 where column c is kept, in each
                       run as many as the storage says; there code or float is 0 where it is not */
    float *A, *B;   /* (rank, cols), (rows, rank) or NULL: finite, values of the rank_type */
    lb_transform T; /* as the storage says; scale: values of the t_scale_type; sign: no bit beyond the last column */
    float act_scale, act_zero; /* of a static range of inputs, as lb_actquant has them; 0 where none is stored */
    uint32_t flags;
    lb_told told; /* diagnostics of the method that made it, by their places in its table */
} lb_layer;

/* What it does to its input. */
lb_actquant lb_layer_act(const lb_layer *c);
/* Allocates the arrays that `s` needs, zeroed, from the arena. */
LB_NODISCARD lb_status lb_layer_new(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, bool order,
                                    lb_layer *out);
/* T of another layer, whose arrays it shares, or none. */
void lb_layer_take_transform(lb_layer *c, const lb_layer *from);
/* W (rows, cols) float32, by the format's decode: of int and affine scale * (code - zero), in this order. It is for
 * inputs T x. */
LB_NODISCARD lb_status lb_layer_dequantize(const lb_layer *c, lb_mat W);
/* The same in row panels over a team. */
LB_NODISCARD lb_status lb_layer_dequantize_team(const lb_layer *c, lb_mat W, lb_team *team);
/* Rows [row, row + W.rows) of it, from their codes (W.rows, cols), one a byte. Not for floats. */
void lb_layer_dequantize_rows(const lb_layer *c, const uint8_t *codes, int64_t row, lb_mat W);
LB_NODISCARD lb_status lb_layer_size(const lb_layer *c, lb_size *out);
/* Is it what its storage can hold, value for value? LB_E_ARG, or LB_E_NUMERIC for what is not finite, naming part,
 * index, value and what was expected. */
LB_NODISCARD lb_status lb_layer_check(const lb_layer *c, lb_team *team);
/* The packed bytes of the codes (docs: rows padded to 32 bits), and back: a size that is claimed can be written. */
LB_NODISCARD lb_status lb_pack_codes(const uint8_t *codes, int64_t rows, int64_t cols, int bits, uint8_t *out,
                                     int64_t out_bytes);
LB_NODISCARD lb_status lb_unpack_codes(const uint8_t *in, int64_t in_bytes, int64_t rows, int64_t cols, int bits,
                                       uint8_t *codes);
int64_t lb_packed_row_bytes(int64_t cols, int bits);
/* The whole layer as bytes, lb_layer_size's total: the parts of its format in their order, little-endian. Refused
 * as by lb_layer_check where bytes would hold another layer. */
LB_NODISCARD lb_status lb_layer_pack(const lb_layer *c, lb_team *team, uint8_t *out, int64_t bytes);
/* And back, to a layer that dequantizes to the same bits; flags and diagnostics are not in the bytes.
 * LB_E_FORMAT: an order that is none. */
LB_NODISCARD lb_status lb_layer_unpack(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, lb_team *team,
                                       const uint8_t *in, int64_t bytes, lb_layer *out);

/* A layer kept as it is stored, whose rows become float32 on demand: what stays of a layer when weights are streamed.
 * From the bytes of lb_layer_pack, which are copied as far as they are needed. */
typedef struct lb_packed lb_packed;
LB_NODISCARD lb_status lb_packed_new(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, const uint8_t *bytes,
                                     int64_t n, lb_packed **out);
const lb_transform *lb_packed_transform(const lb_packed *packed); /* whose arrays live as long */
lb_actquant lb_packed_act(const lb_packed *packed);               /* lb_layer_act's */
/* Rows [row, row + rows) into out (rows, cols); `packed` is an lb_packed. Same numbers as lb_layer_dequantize. */
LB_NODISCARD lb_status lb_packed_read(const void *packed, int64_t row, int64_t rows, float *out);

/* Pieces of these, within quant/. The same layer without codes or dense numbers: grids and order alone. */
LB_NODISCARD lb_status lb_layer_new_grids(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, bool order,
                                          lb_layer *out);
LB_NODISCARD lb_status lb_layer_unpack_grids(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols,
                                             lb_team *team, const uint8_t *in, int64_t bytes, lb_layer *out);
/* n codes of `bits` bits from a stream that starts at a full byte. */
void lb_unpack_stream(const uint8_t *in, int64_t n, int bits, uint8_t *code);
void lb_unpack_floats(const uint8_t *in, float *v, int64_t n, lb_scale_type t);
/* What comes after decoding rows [row, row + W.rows): zeros where nothing is kept, and the pair's product. */
void lb_layer_finish_rows(const lb_layer *c, int64_t row, lb_mat W);
int64_t lb_mask_row_bytes(int64_t cols);
static inline bool lb_mask_keeps(const uint8_t *row, int64_t col) { return row[col / 8] >> col % 8 & 1; }
/* Of weights [k, k + n), counted row-major over the matrix: those that are kept, brought together into x, and back to
 * their places, 0 between them. Returns how many. mask NULL: all are. */
int64_t lb_mask_gather(const uint8_t *mask, int64_t cols, int64_t k, const float *w, int64_t n, float *x);
void lb_mask_scatter(const uint8_t *mask, int64_t cols, int64_t k, const uint8_t *code, int64_t n, uint8_t *out);
/* Does it hold each of [0, cols) once? `code`: of the error. */
LB_NODISCARD lb_status lb_order_check(const int32_t *order, int64_t cols, lb_status code);
/* Does each run keep as many as the storage says, and nothing beyond the last column? */
LB_NODISCARD lb_status lb_mask_check(const lb_layer *c, lb_status code);

#endif
