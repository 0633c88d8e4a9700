// Keys and values in pages, and what a query reads of them: page by page from the first, so that neither its neighbours
// nor the pieces in which a text came change a bit of the result.
#pragma once

#include <cmath>
#include <limits>

#include "lanes.h"
#include "waman.h"

namespace waman {

constexpr int kPageTokens = 32;
constexpr int kMaxQueries = 16;  // that read a page together

// A block holds one head's keys and values of a page: keys (head_dim, 32), values (32, head_dim rounded up to 16), and
// in 8 bits a scale for each key and each value.
struct BlockShape {
    int head_dim, value_dim, bits;

    BlockShape(int head_dim, int bits) : head_dim(head_dim), value_dim((head_dim + 15) / 16 * 16), bits(bits) {}
    int64_t key_bytes() const { return int64_t(head_dim) * kPageTokens * bits / 8; }
    int64_t value_bytes() const { return int64_t(value_dim) * kPageTokens * bits / 8; }
    int64_t scale_bytes() const { return bits == 8 ? 2 * kPageTokens * int64_t(sizeof(float)) : 0; }
    int64_t bytes() const { return (key_bytes() + value_bytes() + scale_bytes() + 63) / 64 * 64; }
};

// Numbers rounded for a cache of so many bits, sixteen at a time: (dim rounded up to 16,), 0 behind the dim.
struct Rounded {
    static constexpr int kMaxDim = 1024;
    alignas(64) uint16_t halves[kMaxDim];
    alignas(64) int8_t bytes[kMaxDim];
    float scale;

    Rounded(const float* x, int dim, int bits) {
        Floats most = {};
        for (int d = 0; bits == 8 && d < dim; d += kLanes) most = larger(most, absolute(read(x, d, dim)));
        scale = largest(most) / 127.0f;
        const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
        for (int d = 0; d < dim; d += kLanes) {
            const Floats some = read(x, d, dim);
            if (bits == 16)
                to_f16(halves + d, some);
            else
                to_bytes(bytes + d, nearest(some * inverse));
        }
    }

private:
    static Floats read(const float* x, int d, int dim) {
        if (d + kLanes <= dim) return load(x + d);
        Floats some = {};
        std::memcpy(&some, x + d, (dim - d) * sizeof(float));
        return some;
    }
};

// Puts a token's key and value, (head_dim,) each, at its place in a page.
static void keep(const BlockShape& shape, uint8_t* block, int place, const float* key, const float* value) {
    const Rounded keys(key, shape.head_dim, shape.bits), values(value, shape.head_dim, shape.bits);
    uint8_t* to_values = block + shape.key_bytes() + int64_t(place) * shape.value_dim * shape.bits / 8;
    if (shape.bits == 16) {
        uint16_t* to_keys = reinterpret_cast<uint16_t*>(block);
        for (int d = 0; d < shape.head_dim; d++) to_keys[d * kPageTokens + place] = keys.halves[d];
        std::memcpy(to_values, values.halves, shape.value_dim * sizeof(uint16_t));
        return;
    }
    int8_t* to_keys = reinterpret_cast<int8_t*>(block);
    for (int d = 0; d < shape.head_dim; d++) to_keys[d * kPageTokens + place] = keys.bytes[d];
    std::memcpy(to_values, values.bytes, shape.value_dim);
    float* scales = reinterpret_cast<float*>(block + shape.key_bytes() + shape.value_bytes());
    scales[place] = keys.scale;
    scales[kPageTokens + place] = values.scale;
}

// A block as plain numbers; a query alone reads them from the block itself, which gives the same.
struct Opened {
    const uint8_t* block;
    const BlockShape* shape;
    const float* keys;    // (head_dim, 32), or none
    const float* values;  // (32, value_dim)

    Floats read(const float* plain, const uint8_t* kept, int64_t at) const {
        if (plain) return load(plain + at);
        if (shape->bits == 16) return from_f16(reinterpret_cast<const uint16_t*>(kept) + at);
        return from_bytes(reinterpret_cast<const int8_t*>(kept) + at);
    }
    Floats key(int d, int half) const { return read(keys, block, int64_t(d) * kPageTokens + half * kLanes); }
    Floats value(int token, int d) const {
        return read(values, block + shape->key_bytes(), int64_t(token) * shape->value_dim + d);
    }
    const float* scales() const {
        return reinterpret_cast<const float*>(block + shape->key_bytes() + shape->value_bytes());
    }
};

static Opened open_block(const BlockShape& shape, const uint8_t* block, float* room) {
    Opened opened{block, &shape, nullptr, nullptr};
    if (!room) return opened;
    float *keys = room, *values = room + shape.head_dim * kPageTokens;
    for (int d = 0; d < shape.head_dim; d++)
        for (int half = 0; half < 2; half++) store(keys + d * kPageTokens + half * kLanes, opened.key(d, half));
    for (int token = 0; token < kPageTokens; token++)
        for (int d = 0; d < shape.value_dim; d += kLanes)
            store(values + token * shape.value_dim + d, opened.value(token, d));
    opened.keys = keys;
    opened.values = values;
    return opened;
}

// What a query has gathered so far.
struct Gathered {
    float most = -std::numeric_limits<float>::infinity();
    float total = 0;
};

// Scores of `count` queries with the 32 keys of a page: (count, 32).
template <int count>
static void score(const Opened& page, const float* const* queries, float factor, float* scores) {
    Floats even[count][2] = {}, odd[count][2] = {};
    const int dim = page.shape->head_dim;
    for (int d = 0; d < dim; d += 2) {
        for (int half = 0; half < 2; half++) {
            const Floats keys = page.key(d, half);
            for (int q = 0; q < count; q++) even[q][half] += keys * queries[q][d];
        }
        if (d + 1 == dim) break;
        for (int half = 0; half < 2; half++) {
            const Floats keys = page.key(d + 1, half);
            for (int q = 0; q < count; q++) odd[q][half] += keys * queries[q][d + 1];
        }
    }
    for (int q = 0; q < count; q++)
        for (int half = 0; half < 2; half++) {
            Floats found = (even[q][half] + odd[q][half]) * factor;
            if (page.shape->bits == 8) found *= load(page.scales() + half * kLanes);
            store(scores + q * kPageTokens + half * kLanes, found);
        }
}

// out = out * shrink + the weighted values of the tokens [first, last), for 16 * count numbers of a value from d on.
template <int count>
static void add_values(
    const Opened& page, const float* weights, int first, int last, float shrink, bool fresh, int d, float* out) {
    Floats found[count];
    for (int i = 0; i < count; i++) found[i] = fresh ? Floats{} : load(out + i * kLanes) * shrink;
    for (int token = first; token < last; token++)
        for (int i = 0; i < count; i++) found[i] += page.value(token, d + i * kLanes) * weights[token];
    for (int i = 0; i < count; i++) store(out + i * kLanes, found[i]);
}

// Adds the page's tokens [first, last) to what a query gathered; scores (32,) become weights.
static void gather(
    const Opened& page, float* scores, int first, int last, float slope, int distance, Gathered& so_far, float* out) {
    const float nothing = -std::numeric_limits<float>::infinity();
    const Integers lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    Floats kept[2];
    for (int half = 0; half < 2; half++) {
        const Integers place = lanes + half * kLanes;
        Floats found = load(scores + half * kLanes);
        if (slope != 0) found -= slope * to_floats(distance - place);
        kept[half] = (place >= first) & (place < last) ? found : all(nothing);
    }
    const float most = std::max(so_far.most, largest(larger(kept[0], kept[1])));
    const float shrink = exponential(all(so_far.most - most))[0];
    Floats weights = {};
    for (int half = 0; half < 2; half++) {
        const Integers place = lanes + half * kLanes;
        const Floats powers = exponential(kept[half] - most);
        const Floats seen = (place >= first) & (place < last) ? powers : Floats{};
        weights += seen;
        store(scores + half * kLanes, page.shape->bits == 8 ? seen * load(page.scales() + kPageTokens + half * kLanes) : seen);
    }
    const bool fresh = so_far.total == 0;
    so_far.total = (fresh ? 0 : so_far.total * shrink) + sum(weights);
    so_far.most = most;
    int d = 0;
    for (; d + 4 * kLanes <= page.shape->value_dim; d += 4 * kLanes)
        add_values<4>(page, scores, first, last, shrink, fresh, d, out + d);
    for (; d < page.shape->value_dim; d += kLanes)
        add_values<1>(page, scores, first, last, shrink, fresh, d, out + d);
}

}  // namespace waman
