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

static float byte_scale(const float* x, int count) {
    float most = 0;
    for (int i = 0; i < count; i++) most = std::max(most, std::fabs(x[i]));
    return most / 127.0f;
}

static int8_t to_byte(float x, float scale) { return scale > 0 ? int8_t(std::nearbyint(x / scale)) : int8_t(0); }

static uint16_t half_of(float x) {
    const float most = 65504.0f;
    return _cvtss_sh(std::min(std::max(x, -most), most), _MM_FROUND_TO_NEAREST_INT);
}

// Puts a token's key and value, (head_dim,) each, at its place in a page.
static void keep(const BlockShape& shape, uint8_t* block, int place, const float* key, const float* value) {
    uint8_t* values = block + shape.key_bytes();
    if (shape.bits == 16) {
        uint16_t* to_keys = reinterpret_cast<uint16_t*>(block);
        uint16_t* to_values = reinterpret_cast<uint16_t*>(values) + place * shape.value_dim;
        for (int d = 0; d < shape.head_dim; d++) to_keys[d * kPageTokens + place] = half_of(key[d]);
        for (int d = 0; d < shape.value_dim; d++) to_values[d] = d < shape.head_dim ? half_of(value[d]) : 0;
        return;
    }
    float* scales = reinterpret_cast<float*>(values + shape.value_bytes());
    int8_t* to_keys = reinterpret_cast<int8_t*>(block);
    int8_t* to_values = reinterpret_cast<int8_t*>(values) + place * shape.value_dim;
    const float key_scale = byte_scale(key, shape.head_dim), value_scale = byte_scale(value, shape.head_dim);
    for (int d = 0; d < shape.head_dim; d++) to_keys[d * kPageTokens + place] = to_byte(key[d], key_scale);
    for (int d = 0; d < shape.value_dim; d++) to_values[d] = d < shape.head_dim ? to_byte(value[d], value_scale) : 0;
    scales[place] = key_scale;
    scales[kPageTokens + place] = value_scale;
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
