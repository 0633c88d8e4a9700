// What waman's compiled kernels offer: plain C, read through ctypes by waman/quantization/kernels.py.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

// A matrix (outputs, inputs) in panels of 16 outputs; kernels.py packs it and says how the bytes lie.
enum { WAMAN_INT4 = 0, WAMAN_INT8 = 1, WAMAN_BF16 = 2, WAMAN_F32 = 3 };
enum { WAMAN_SCALES_F16 = 0, WAMAN_SCALES_BF16 = 1, WAMAN_SCALES_F32 = 2 };

typedef struct {
    const uint8_t* panels;
    const float* bias;  // (outputs,), or none
    int64_t panel_bytes;
    int32_t kind;
    int32_t outputs, inputs;  // inputs: a multiple of 32, the missing ones 0
    int32_t group;            // inputs that share a scale
    int32_t scales;           // the scales' type
    int32_t has_zeros;
} waman_matrix;

// Rows of a matrix product that a sequence's adapter changes: y += up (down x).
typedef struct {
    const float* down;  // (rank, inputs)
    const float* up;    // (outputs, rank), the scaling in it
    int32_t rank;  // at most WAMAN_MAX_RANK; 0: nothing is changed
} waman_change;

enum { WAMAN_MAX_RANK = 1024 };

enum { WAMAN_QKV = 0, WAMAN_OUTPUT = 1, WAMAN_UP = 2, WAMAN_DOWN = 3, WAMAN_PARTS = 4 };

typedef struct {
    waman_matrix parts[WAMAN_PARTS];
    const float *attention_norm, *attention_norm_bias;
    const float *feed_forward_norm, *feed_forward_norm_bias;  // none where the block has one norm
} waman_layer;

enum { WAMAN_RMS = 0, WAMAN_LAYER_NORM = 1 };
enum { WAMAN_SEQUENTIAL = 0, WAMAN_PARALLEL_ONE_NORM = 1, WAMAN_PARALLEL_TWO_NORMS = 2 };
enum { WAMAN_SWIGLU = 0, WAMAN_GEGLU_TANH, WAMAN_GEGLU, WAMAN_GELU_TANH, WAMAN_GELU, WAMAN_RELU, WAMAN_SQUARED_RELU };

typedef struct {
    const waman_layer* layers;
    const float *norm, *norm_bias;
    const float *cos, *sin;  // (positions, head_dim), the first half of sin negative; none where nothing is rotated
    const float* slopes;     // (num_heads,), or none
    waman_matrix head;
    float epsilon;
    int32_t num_layers, model_dim, num_heads, num_kv_heads, head_dim, hidden_dim;
    int32_t norm_kind, block_kind, activation;
    int32_t window;  // positions back that a query sees, its own included; 0: all
    // keys and values: (layers, pages, kv heads), each a block of cache_block_bytes
    uint8_t* cache;
    int64_t num_pages;
    int32_t cache_bits;  // 16 or 8
} waman_model;

typedef struct {
    int32_t num_tokens;   // that come behind the cached ones
    int32_t num_cached;
    const int32_t* pages;
    const waman_change* changes;  // (layers, WAMAN_PARTS) and the head's, or none
} waman_row;

typedef struct waman_team waman_team;

waman_team* waman_open(int32_t threads);
void waman_close(waman_team*);

// x: (rows, x_stride), the inputs before they were rounded up to 32; y: (rows, outputs). 0, or 1 where memory is short.
int32_t waman_multiply(waman_team*, const waman_matrix*, const float* x, int64_t x_stride, int32_t rows, float* y);

// Tokens of a page, and bytes that a page takes for one head of one layer.
int32_t waman_page_tokens(void);
int64_t waman_block_bytes(int32_t head_dim, int32_t cache_bits);

// One pass. x: (sum of num_tokens, model_dim), embedded tokens, changed in place; wanted: places among them;
// logits: (num_wanted, outputs of the head). Returns 0, or 1 where memory is short.
int32_t waman_pass(
    waman_team*, const waman_model*, const waman_row* rows, int32_t num_rows, float* x, const int32_t* wanted,
    int32_t num_wanted, float* logits);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
