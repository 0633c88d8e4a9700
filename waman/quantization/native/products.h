// Rows times the panels of a matrix. Every number of a result is summed in one order, whatever stands beside its row.
#pragma once

#include <algorithm>

#include "lanes.h"
#include "waman.h"

namespace waman {

constexpr int kGroup = 32;  // inputs of a row that share a scale
constexpr int kTile = 8;    // rows that a panel is read for at once
constexpr int kChunk = 4;   // groups of a panel whose scales and zeros lie together before their weights
// Bytes ahead of the weights that are asked for while they are read for several rows: the processor by itself looks no
// further than the instructions it holds, which are then few lines of weights. Measured: 1.4 times as fast with 8 rows.
constexpr int kAhead = 3072;

// What is added to the integers of weights, so that their bytes need no sign; their products start below 0 by as much.
template <int kind>
constexpr int kOffsetBits = kind == WAMAN_INT4 ? 3 : 7;

// Rows in the form that a kind of matrix multiplies: bytes with a scale for each 32, bfloat16, or as they are. The rows
// of a tile lie side by side in each group, so that a tile is one stream: eight would keep the weights' from being
// fetched ahead. Measured: 1.6 times as fast with 8 rows in 8 bits.
struct Prepared {
    int8_t* bytes;
    float* scales;
    int32_t* starts;  // of the products with 32 bytes: minus the offset times their sum
    uint16_t* halves;
    const float* plain;
    int64_t width;  // of a row: a multiple of 32
    int64_t rows;

    // Rows of the tile that a row is in.
    int64_t height(int64_t row) const { return std::min<int64_t>(kTile, rows - row / kTile * kTile); }
    // Groups that lie before that group of that row.
    int64_t place(int64_t row, int64_t group) const {
        return row / kTile * kTile * (width / kGroup) + group * height(row) + row % kTile;
    }
};

// Fills in [first, last) of a row of `inputs` numbers; both are multiples of 32, what lies beyond the inputs is 0.
static void prepare(int kind, const Prepared& to, int64_t row, const float* x, int inputs, int first, int last) {
    for (int start = first; start < last; start += kGroup) {
        float padded[kGroup];
        const float* from = x + start;
        if (start + kGroup > inputs) {
            std::memset(padded, 0, sizeof padded);
            for (int i = start; i < inputs; i++) padded[i - start] = x[i];
            from = padded;
        }
        const Floats low = load(from), high = load(from + kLanes);
        const int64_t group = to.place(row, start / kGroup);
        if (kind == WAMAN_BF16) {
            to_bf16(to.halves + group * kGroup, low);
            to_bf16(to.halves + group * kGroup + kLanes, high);
            continue;
        }
        const float most = largest(larger(absolute(low), absolute(high)));
        const float inverse = most > 0 ? 127.0f / most : 0.0f;
        const Integers first_half = nearest(low * inverse), second_half = nearest(high * inverse);
        to_bytes(to.bytes + group * kGroup, first_half);
        to_bytes(to.bytes + group * kGroup + kLanes, second_half);
        to.scales[group] = most / 127.0f;
        const int offset_bits = kind == WAMAN_INT4 ? kOffsetBits<WAMAN_INT4> : kOffsetBits<WAMAN_INT8>;
        to.starts[group] = -sum(first_half + second_half) * (1 << offset_bits);
    }
}

WAMAN_INLINE void ask_for(const void* from) { _mm_prefetch(static_cast<const char*>(from), _MM_HINT_T0); }

WAMAN_INLINE Floats read_scales(int type, const uint8_t* from) {
    if (type == WAMAN_SCALES_F16) return from_f16(reinterpret_cast<const uint16_t*>(from));
    if (type == WAMAN_SCALES_BF16) return from_bf16(reinterpret_cast<const uint16_t*>(from));
    return load(reinterpret_cast<const float*>(from));
}

// A panel in chunks of four groups (the last may have fewer): room for four times 16 scales, for as many zeros where
// there are any, and the groups' weights; each begins at a cache line. Loops over rows are unrolled by order: else the
// compiler keeps the sums in memory.
template <int kind, bool has_zeros, int rows>
static void multiply_integers(const waman_matrix& matrix, const uint8_t* at, const Prepared& x, int64_t row, Floats* to) {
    constexpr int bits = kind == WAMAN_INT4 ? 4 : 8;
    constexpr int step = bits == 4 ? 8 : 4;  // inputs in 64 bytes
    const int scale_bytes = kLanes * (matrix.scales == WAMAN_SCALES_F32 ? 4 : 2);
    const int64_t height = x.height(row);
    const int8_t* bytes = x.bytes + x.place(row, 0) * kGroup;
    const float* scales = x.scales + x.place(row, 0);
    const int32_t* starts = x.starts + x.place(row, 0);
    const uint8_t* groups = at;
    Floats found[rows] = {};
    for (int start = 0, number = 0; start < matrix.inputs; start += matrix.group, number = (number + 1) % kChunk) {
        if (number == 0) {
            groups = at;
            at += kChunk * (scale_bytes + (has_zeros ? kLanes : 0));
        }
        const Floats weight_scales = read_scales(matrix.scales, groups + number * scale_bytes);
        Integers zeros = {};
        if (has_zeros)
            zeros = read_bytes(reinterpret_cast<const int8_t*>(groups + kChunk * scale_bytes + number * kLanes));
        for (int k = 0; k < matrix.group; k += kGroup) {
            Integers products[rows];
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                products[r] = all(starts[r]);
                if (has_zeros) products[r] += zeros * (starts[r] >> kOffsetBits<kind>);
            }
            for (int i = 0; i < kGroup; i += step, at += 64) {
                if constexpr (rows >= 4) ask_for(at + kAhead);
                const Quads quads = load_quads(at);
                if constexpr (bits == 4) {
                    Quads low, high;
                    split(quads, low, high);
#pragma GCC unroll 8
                    for (int r = 0; r < rows; r++) {
                        products[r] = dot<bits>(products[r], low, bytes + r * kGroup + i);
                        products[r] = dot<bits>(products[r], high, bytes + r * kGroup + i + 4);
                    }
                } else {
#pragma GCC unroll 8
                    for (int r = 0; r < rows; r++) products[r] = dot<bits>(products[r], quads, bytes + r * kGroup + i);
                }
            }
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) found[r] += to_floats(products[r]) * (weight_scales * scales[r]);
            bytes += height * kGroup;
            scales += height;
            starts += height;
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) to[r] = found[r];
}

// Two sums for each output: one alone would wait for its own last product.
template <int rows>
static void multiply_bf16(const waman_matrix& matrix, const uint8_t* at, const Prepared& x, int64_t row, Floats* to) {
    const uint16_t* weights = reinterpret_cast<const uint16_t*>(at);
    const uint16_t* halves = x.halves + x.place(row, 0) * kGroup;
    const int64_t height = x.height(row);
    Floats even[rows] = {}, odd[rows] = {};
    for (int k = 0; k < matrix.inputs; k += kGroup, halves += height * kGroup) {
        for (int i = 0; i < kGroup; i += 4, weights += 4 * kLanes) {
            if constexpr (rows >= kTile) ask_for(weights + kAhead / 2), ask_for(weights + kAhead / 2 + 2 * kLanes);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                even[r] = dot_bf16(even[r], weights, halves + r * kGroup + i);
                odd[r] = dot_bf16(odd[r], weights + 2 * kLanes, halves + r * kGroup + i + 2);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) to[r] = even[r] + odd[r];
}

template <int rows>
static void multiply_f32(const waman_matrix& matrix, const uint8_t* at, const Prepared& x, int64_t row, Floats* to) {
    const float* weights = reinterpret_cast<const float*>(at);
    const float* plain = x.plain + row * x.width;
    Floats found[rows] = {};
    for (int k = 0; k < matrix.inputs; k++, weights += kLanes)
        for (int r = 0; r < rows; r++) found[r] += load(weights) * plain[r * x.width + k];
    for (int r = 0; r < rows; r++) to[r] = found[r];
}

template <int rows>
static void multiply_panel(const waman_matrix& matrix, int panel, const Prepared& x, int64_t row, Floats* to) {
    const uint8_t* at = matrix.panels + panel * matrix.panel_bytes;
    switch (matrix.kind) {
        case WAMAN_INT4:
            if (matrix.has_zeros) return multiply_integers<WAMAN_INT4, true, rows>(matrix, at, x, row, to);
            return multiply_integers<WAMAN_INT4, false, rows>(matrix, at, x, row, to);
        case WAMAN_INT8:
            if (matrix.has_zeros) return multiply_integers<WAMAN_INT8, true, rows>(matrix, at, x, row, to);
            return multiply_integers<WAMAN_INT8, false, rows>(matrix, at, x, row, to);
        case WAMAN_BF16: return multiply_bf16<rows>(matrix, at, x, row, to);
        default: return multiply_f32<rows>(matrix, at, x, row, to);
    }
}

// Writes 16 results of each row, or adds them to what stands there.
template <int rows>
static void write_panel(const waman_matrix& matrix, int panel, const Floats* found, float* y, int64_t stride, bool add) {
    const int first = panel * kLanes, count = std::min(kLanes, matrix.outputs - first);
    for (int r = 0; r < rows; r++) {
        float* to = y + r * stride + first;
        float before[kLanes] = {}, bias[kLanes] = {}, now[kLanes];
        if (count == kLanes) {
            Floats value = found[r];
            if (matrix.bias) value += load(matrix.bias + first);
            store(to, add ? load(to) + value : value);
            continue;
        }
        if (matrix.bias) std::memcpy(bias, matrix.bias + first, count * sizeof(float));
        if (add) std::memcpy(before, to, count * sizeof(float));
        store(now, load(before) + (found[r] + load(bias)));
        std::memcpy(to, now, count * sizeof(float));
    }
}

template <int rows>
static void multiply_rows(
    const waman_matrix& matrix, int panel, const Prepared& x, int64_t row, float* y, int64_t stride, bool add) {
    Floats found[rows];
    multiply_panel<rows>(matrix, panel, x, row, found);
    write_panel<rows>(matrix, panel, found, y + row * stride, stride, add);
}

// Rows [first, last) times the panels [panel, panel_end).
static void multiply_block(
    const waman_matrix& matrix, int panel, int panel_end, const Prepared& x, int first, int last, float* y,
    int64_t stride, bool add) {
    for (; panel < panel_end; panel++) {
        int row = first;
        for (; row + kTile <= last; row += kTile) multiply_rows<kTile>(matrix, panel, x, row, y, stride, add);
        if (last - row >= 4) multiply_rows<4>(matrix, panel, x, row, y, stride, add), row += 4;
        if (last - row >= 2) multiply_rows<2>(matrix, panel, x, row, y, stride, add), row += 2;
        if (last - row >= 1) multiply_rows<1>(matrix, panel, x, row, y, stride, add);
    }
}

}  // namespace waman
