// A whole pass of a decoder over rows of tokens. All threads run through it together and share the parts of each step.
#pragma once

#include <vector>

#include "attention.h"
#include "products.h"
#include "team.h"

namespace waman {

constexpr int kRowBlock = 64;      // rows that go through a run of panels before the next ones do
constexpr int kPiece = 1024;       // numbers of a row that are prepared or activated as one part

// Memory of a pass, cut into pieces that begin at cache lines.
class Room {
public:
    template <class T>
    T* take(int64_t count) {
        const int64_t bytes = (count * int64_t(sizeof(T)) + 63) / 64 * 64;
        T* found = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
        used_ += bytes;
        return found;
    }
    // Asks for as much as was taken from a room without memory, and begins anew.
    bool settle(std::vector<uint8_t>& memory) {
        if (int64_t(memory.size()) < used_ + 64) {
            try {
                memory.resize(used_ + 64);
            } catch (const std::bad_alloc&) {
                return false;
            }
        }
        base_ = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
        used_ = 0;
        return true;
    }

private:
    uint8_t* base_ = nullptr;
    int64_t used_ = 0;
};

static Prepared take_prepared(Room& room, int64_t rows, int64_t inputs) {
    const int64_t width = (inputs + kGroup - 1) / kGroup * kGroup;
    Prepared x{};
    x.width = width;
    x.rows = rows;
    x.bytes = room.take<int8_t>(rows * width);
    x.scales = room.take<float>(rows * width / kGroup);
    x.starts = room.take<int32_t>(rows * width / kGroup);
    x.halves = room.take<uint16_t>(rows * width);
    return x;
}

// y (rows, outputs) = x times the matrix, or y += it. `plain` are the same rows before they were prepared.
static void multiply(
    waman_team& team, const waman_matrix& matrix, Prepared x, const float* plain, int64_t plain_stride, int rows,
    float* y, int64_t stride, bool add) {
    if (matrix.kind == WAMAN_F32) {
        x.plain = plain;
        x.width = plain_stride;
    }
    const int panels = (matrix.outputs + kLanes - 1) / kLanes;
    const int row_blocks = (rows + kRowBlock - 1) / kRowBlock;
    const int run = std::max(1, std::min(8, panels * row_blocks / (4 * team.size)));
    const int runs = (panels + run - 1) / run;
    team.share(runs * row_blocks, [&](int number) {
        const int first = number / runs * kRowBlock, panel = number % runs * run;
        multiply_block(
            matrix, panel, std::min(panel + run, panels), x, first, std::min(first + kRowBlock, rows), y, stride, add);
    });
}

static Floats activate(int activation, Floats x) {
    switch (activation) {
        case WAMAN_SWIGLU: return x * sigmoid(x);
        case WAMAN_GEGLU_TANH:
        case WAMAN_GELU_TANH: return x * sigmoid(1.5957691216f * (x + 0.044715f * x * x * x));  // 2 sqrt(2 / pi)
        case WAMAN_GEGLU:
        case WAMAN_GELU: {
            for (int lane = 0; lane < kLanes; lane++) x[lane] = 0.5f * x[lane] * (1 + std::erf(x[lane] * 0.70710678f));
            return x;
        }
        case WAMAN_RELU: return larger(x, Floats{});
        default: x = larger(x, Floats{}); return x * x;
    }
}

class Pass {
public:
    Pass(waman_team& team, const waman_model& model, const waman_row* rows, int num_rows, float* x,
         const int32_t* wanted, int num_wanted, float* logits)
        : team_(team), model_(model), rows_(rows), num_rows_(num_rows), x_(x), wanted_(wanted),
          num_wanted_(num_wanted), logits_(logits), shape_(model.head_dim, model.cache_bits) {
        for (int row = 0; row < num_rows; row++)
            for (int token = 0; token < rows[row].num_tokens; token++) tokens_.push_back({row, token});
        for (int row = 0; row < num_rows; row++) any_changes_ |= rows[row].changes != nullptr;
        heads_per_kv_ = model.num_heads / model.num_kv_heads;
        tile_heads_ = std::min(heads_per_kv_, kMaxQueries);
        tile_tokens_ = std::max(1, kMaxQueries / heads_per_kv_);
        for (int row = 0; row < num_rows; row++)
            for (int token = 0; token < rows[row].num_tokens; token += tile_tokens_) tiles_.push_back({row, token});
        for (int row = 0; row < num_rows; row++)
            for (int token = 0; token < rows[row].num_tokens;) {
                const int left = kPageTokens - (rows[row].num_cached + token) % kPageTokens;
                const int end = std::min(rows[row].num_tokens, token + left);
                stretches_.push_back({row, token, end});
                token = end;
            }
        first_of_row_.push_back(0);
        for (int row = 0; row < num_rows; row++) first_of_row_.push_back(first_of_row_[row] + rows[row].num_tokens);
    }

    bool run(std::vector<uint8_t>& memory) {
        Room room;
        lay_out(room);
        if (!room.settle(memory)) return false;
        lay_out(room);
        team_.run([this] {
            for (int layer = 0; layer < model_.num_layers; layer++) read_layer(layer);
            read_head();
        });
        return true;
    }

private:
    struct Token {
        int row, place;
    };
    // New tokens of a row that lie in one page.
    struct Stretch {
        int row, first, end;
    };

    void lay_out(Room& room) {
        const int64_t rows = tokens_.size();
        qkv_width_ = (model_.num_heads + 2 * model_.num_kv_heads) * model_.head_dim;
        attended_width_ = model_.num_heads * model_.head_dim;
        up_width_ = model_.activation <= WAMAN_GEGLU ? 2 * model_.hidden_dim : model_.hidden_dim;
        normed_ = room.take<float>(rows * model_.model_dim + kLanes);
        normed_too_ = room.take<float>(rows * model_.model_dim + kLanes);
        qkv_ = room.take<float>(rows * qkv_width_ + kLanes);
        attended_ = room.take<float>(rows * attended_width_ + kLanes);
        up_ = room.take<float>(rows * up_width_ + kLanes);
        hidden_ = room.take<float>(rows * model_.hidden_dim + kLanes);
        changed_ = room.take<float>(any_changes_ ? rows * kMaxRank : 0);
        from_normed_ = take_prepared(room, rows, model_.model_dim);
        from_attended_ = take_prepared(room, rows, attended_width_);
        from_hidden_ = take_prepared(room, rows, model_.hidden_dim);
    }

    void read_layer(int number) {
        const waman_layer& layer = model_.layers[number];
        const int rows = tokens_.size(), dim = model_.model_dim;
        const waman_matrix &qkv = layer.parts[WAMAN_QKV], &output = layer.parts[WAMAN_OUTPUT];
        const waman_matrix &up = layer.parts[WAMAN_UP], &down = layer.parts[WAMAN_DOWN];
        normalise(layer.attention_norm, layer.attention_norm_bias, qkv.kind, normed_);
        if (model_.block_kind == WAMAN_PARALLEL_TWO_NORMS)  // before attention changes x
            normalise_only(layer.feed_forward_norm, layer.feed_forward_norm_bias, normed_too_);
        multiply(team_, qkv, from_normed_, normed_, dim, rows, qkv_, qkv_width_, false);
        change(number, WAMAN_QKV, normed_, dim, qkv_, qkv_width_);
        turn_and_keep(number);
        attend(number);
        prepare_all(output.kind, from_attended_, attended_, attended_width_);
        multiply(team_, output, from_attended_, attended_, attended_width_, rows, x_, dim, true);
        change(number, WAMAN_OUTPUT, attended_, attended_width_, x_, dim);
        float* normed = normed_;
        if (model_.block_kind == WAMAN_SEQUENTIAL) {
            normalise(layer.feed_forward_norm, layer.feed_forward_norm_bias, up.kind, normed_);
        } else {
            if (model_.block_kind == WAMAN_PARALLEL_TWO_NORMS) normed = normed_too_;
            if (model_.block_kind == WAMAN_PARALLEL_TWO_NORMS || up.kind != qkv.kind)
                prepare_all(up.kind, from_normed_, normed, dim);
        }
        multiply(team_, up, from_normed_, normed, dim, rows, up_, up_width_, false);
        change(number, WAMAN_UP, normed, dim, up_, up_width_);
        activate_all(down.kind);
        multiply(team_, down, from_hidden_, hidden_, model_.hidden_dim, rows, x_, dim, true);
        change(number, WAMAN_DOWN, hidden_, model_.hidden_dim, x_, dim);
    }

    // Only the rows that are wanted go through the head.
    void read_head() {
        const int dim = model_.model_dim;
        team_.share(num_wanted_, [&](int number) {
            float* to = normed_ + int64_t(number) * dim;
            normalise_row(x_ + int64_t(wanted_[number]) * dim, model_.norm, model_.norm_bias, to);
            prepare_row(model_.head.kind, from_normed_, number, to, dim);
        });
        multiply(team_, model_.head, from_normed_, normed_, dim, num_wanted_, logits_, model_.head.outputs, false);
        change_head();
    }

    void prepare_row(int kind, const Prepared& to, int64_t row, const float* x, int inputs) {
        if (kind != WAMAN_F32) prepare(kind, to, row, x, inputs, 0, int(to.width));
    }

    void prepare_all(int kind, const Prepared& to, const float* x, int64_t stride) {
        if (kind == WAMAN_F32) return;
        const int pieces = int((to.width + kPiece - 1) / kPiece);
        team_.share(int(tokens_.size()) * pieces, [&](int number) {
            const int row = number / pieces, first = number % pieces * kPiece;
            prepare(kind, to, row, x + row * stride, int(stride), first, std::min<int>(first + kPiece, to.width));
        });
    }

    void normalise(const float* weight, const float* bias, int kind, float* to) {
        const int dim = model_.model_dim;
        team_.share(int(tokens_.size()), [&](int row) {
            normalise_row(x_ + int64_t(row) * dim, weight, bias, to + int64_t(row) * dim);
            prepare_row(kind, from_normed_, row, to + int64_t(row) * dim, dim);
        });
    }

    void normalise_only(const float* weight, const float* bias, float* to) {
        const int dim = model_.model_dim;
        team_.share(int(tokens_.size()), [&](int row) {
            normalise_row(x_ + int64_t(row) * dim, weight, bias, to + int64_t(row) * dim);
        });
    }

    void normalise_row(const float* x, const float* weight, const float* bias, float* to) {
        const int dim = model_.model_dim, whole = dim / kLanes * kLanes;
        float mean = 0;
        if (model_.norm_kind == WAMAN_LAYER_NORM) {
            Floats total = {};
            for (int i = 0; i < whole; i += kLanes) total += load(x + i);
            mean = sum(total);
            for (int i = whole; i < dim; i++) mean += x[i];
            mean /= dim;
        }
        Floats squares = {};
        for (int i = 0; i < whole; i += kLanes) {
            const Floats apart = load(x + i) - mean;
            squares += apart * apart;
        }
        float total = sum(squares);
        for (int i = whole; i < dim; i++) total += (x[i] - mean) * (x[i] - mean);
        const float factor = 1.0f / std::sqrt(total / dim + model_.epsilon);
        for (int i = 0; i < whole; i += kLanes) {
            const Floats found = (load(x + i) - mean) * factor * load(weight + i);
            store(to + i, bias ? found + load(bias + i) : found);
        }
        for (int i = whole; i < dim; i++) {
            to[i] = (x[i] - mean) * factor * weight[i];
            if (bias) to[i] += bias[i];
        }
    }

    uint8_t* block(int layer, int page, int kv_head) const {
        const int64_t number = (int64_t(layer) * model_.num_pages + page) * model_.num_kv_heads + kv_head;
        return model_.cache + number * shape_.bytes();
    }

    // Turns queries and keys by their places and puts keys and values into the pages: a page of a head at a time, whose
    // block then stays in the nearest cache.
    void turn_and_keep(int layer) {
        const int kv_heads = model_.num_kv_heads;
        team_.share(int(stretches_.size()) * kv_heads, [&](int number) {
            const Stretch& stretch = stretches_[number / kv_heads];
            const waman_row& row = rows_[stretch.row];
            const int head = number % kv_heads, dim = model_.head_dim;
            for (int token = stretch.first; token < stretch.end; token++) {
                const int place = row.num_cached + token;
                float* heads = qkv_ + int64_t(first_of_row_[stretch.row] + token) * qkv_width_;
                float* key = heads + (model_.num_heads + head) * dim;
                if (model_.cos) {
                    const float *cos = model_.cos + int64_t(place) * dim, *sin = model_.sin + int64_t(place) * dim;
                    for (int q = head * heads_per_kv_; q < (head + 1) * heads_per_kv_; q++)
                        turn(heads + q * dim, dim / 2, cos, sin);
                    turn(key, dim / 2, cos, sin);
                }
                uint8_t* to = block(layer, row.pages[place / kPageTokens], head);
                keep(shape_, to, place % kPageTokens, key, key + kv_heads * dim);
            }
        });
    }

    // Pairs of the two halves of a head.
    static void turn(float* low, int half, const float* cos, const float* sin) {
        float* high = low + half;
        int i = 0;
        for (; i + kLanes <= half; i += kLanes) {
            const Floats a = load(low + i), b = load(high + i);
            store(low + i, a * load(cos + i) + b * load(sin + i));
            store(high + i, b * load(cos + half + i) + a * load(sin + half + i));
        }
        for (; i < half; i++) {
            const float a = low[i], b = high[i];
            low[i] = a * cos[i] + b * sin[i];
            high[i] = b * cos[half + i] + a * sin[half + i];
        }
    }

    void attend(int layer) {
        const int parts = (heads_per_kv_ + tile_heads_ - 1) / tile_heads_;
        const int each = model_.num_kv_heads * parts;
        const int count = int(tiles_.size()) * each;
        team_.share(count, [&](int number) {
            number = count - 1 - number;  // late tokens read most: they come first
            const int rest = number % each;
            attend_tile(layer, tiles_[number / each], rest / parts, rest % parts * tile_heads_);
        });
    }

    void attend_tile(int layer, Token tile, int kv_head, int first_head) {
        const waman_row& row = rows_[tile.row];
        const int tokens = std::min(tile_tokens_, row.num_tokens - tile.place);
        const int heads = std::min(tile_heads_, heads_per_kv_ - first_head), count = tokens * heads;
        const int dim = model_.head_dim, last = row.num_cached + tile.place + tokens - 1;
        const float* queries[kMaxQueries];
        int places[kMaxQueries], head_of[kMaxQueries];
        Gathered so_far[kMaxQueries];
        float scores[kMaxQueries * kPageTokens];
        static thread_local std::vector<float> room;
        const int64_t open_size = int64_t(dim + shape_.value_dim) * kPageTokens;
        room.resize(open_size + int64_t(kMaxQueries) * shape_.value_dim);
        float* outs = room.data() + open_size;
        for (int q = 0; q < count; q++) {
            const int token = tile.place + q / heads;
            head_of[q] = kv_head * heads_per_kv_ + first_head + q % heads;
            places[q] = row.num_cached + token;
            queries[q] = qkv_ + int64_t(first_of_row_[tile.row] + token) * qkv_width_ + head_of[q] * dim;
        }
        const float factor = 1.0f / std::sqrt(float(dim));
        const int begin = model_.window ? std::max(0, places[0] + 1 - model_.window) / kPageTokens : 0;
        for (int page = begin; page <= last / kPageTokens; page++) {
            const int start = page * kPageTokens;
            if (page < last / kPageTokens) ask_for_block(block(layer, row.pages[page + 1], kv_head));
            const Opened opened =
                open_block(shape_, block(layer, row.pages[page], kv_head), count > 1 ? room.data() : nullptr);
            int q = 0;
            for (; q + 4 <= count; q += 4) score<4>(opened, queries + q, factor, scores + q * kPageTokens);
            for (; q < count; q++) score<1>(opened, queries + q, factor, scores + q * kPageTokens);
            for (q = 0; q < count; q++) {
                const int end = std::min(kPageTokens, places[q] + 1 - start);
                const int first = model_.window ? std::max(0, places[q] + 1 - model_.window - start) : 0;
                if (first >= end) continue;
                const float slope = model_.slopes ? model_.slopes[head_of[q]] : 0;
                gather(opened, scores + q * kPageTokens, first, end, slope, places[q] - start, so_far[q],
                       outs + int64_t(q) * shape_.value_dim);
            }
        }
        for (int q = 0; q < count; q++) {
            const float* out = outs + int64_t(q) * shape_.value_dim;
            const int64_t token = first_of_row_[tile.row] + tile.place + q / heads;
            float* to = attended_ + token * attended_width_ + head_of[q] * dim;
            for (int d = 0; d < dim; d++) to[d] = out[d] / so_far[q].total;
        }
    }

    // The next page lies somewhere else: only we know where.
    void ask_for_block(const uint8_t* from) const {
        for (int64_t at = 0; at < shape_.bytes(); at += 64)
            _mm_prefetch(reinterpret_cast<const char*>(from + at), _MM_HINT_T1);
    }

    void activate_all(int kind) {
        const int width = model_.hidden_dim, pieces = (width + kPiece - 1) / kPiece;
        const bool gated = model_.activation <= WAMAN_GEGLU;
        team_.share(int(tokens_.size()) * pieces, [&](int number) {
            const int64_t row = number / pieces;
            const int first = number % pieces * kPiece, end = std::min(first + kPiece, width);
            const float* from = up_ + row * up_width_;
            float* to = hidden_ + row * width;
            for (int i = first; i < end; i += kLanes) {  // the room has sixteen numbers to spare behind the last row
                float found[kLanes];
                const Floats active = activate(model_.activation, load(from + i));
                store(found, gated ? active * load(from + width + i) : active);
                std::memcpy(to + i, found, std::min(kLanes, end - i) * sizeof(float));
            }
            if (kind != WAMAN_F32) {
                const int64_t stop = end == width ? from_hidden_.width : end;
                prepare(kind, from_hidden_, row, to, width, first, int(stop));
            }
        });
    }

    // y += up (down x) for the rows whose adapter changes this matrix.
    void change(int layer, int part, const float* x, int64_t x_stride, float* y, int64_t stride) {
        if (!any_changes_) return;
        const int outputs = model_.layers[layer].parts[part].outputs;
        team_.share(int(tokens_.size()), [&](int number) {
            const waman_row& row = rows_[tokens_[number].row];
            if (row.changes)
                change_row(row.changes[layer * WAMAN_PARTS + part], x + number * x_stride, int(x_stride), number,
                           y + number * stride, outputs);
        });
    }

    void change_head() {
        if (!any_changes_) return;
        const int dim = model_.model_dim, outputs = model_.head.outputs;
        team_.share(num_wanted_, [&](int number) {
            const waman_row& row = rows_[tokens_[wanted_[number]].row];
            if (row.changes)
                change_row(row.changes[model_.num_layers * WAMAN_PARTS], normed_ + int64_t(number) * dim, dim, number,
                           logits_ + int64_t(number) * outputs, outputs);
        });
    }

    void change_row(const waman_change& change, const float* x, int inputs, int64_t number, float* y, int outputs) {
        if (!change.rank) return;
        float* middle = changed_ + number * kMaxRank;
        for (int i = 0; i < change.rank; i++) middle[i] = inner(x, change.down + int64_t(i) * inputs, inputs);
        for (int o = 0; o < outputs; o++) y[o] += inner(middle, change.up + int64_t(o) * change.rank, change.rank);
    }

    static float inner(const float* a, const float* b, int count) {
        Floats total = {};
        int i = 0;
        for (; i + kLanes <= count; i += kLanes) total += load(a + i) * load(b + i);
        float found = sum(total);
        for (; i < count; i++) found += a[i] * b[i];
        return found;
    }

    static constexpr int kMaxRank = WAMAN_MAX_RANK;

    waman_team& team_;
    const waman_model& model_;
    const waman_row* rows_;
    int num_rows_;
    float* x_;
    const int32_t* wanted_;
    int num_wanted_;
    float* logits_;
    BlockShape shape_;
    std::vector<Token> tokens_, tiles_;
    std::vector<Stretch> stretches_;
    std::vector<int> first_of_row_;
    bool any_changes_ = false;
    int heads_per_kv_, tile_heads_, tile_tokens_;
    int64_t qkv_width_, attended_width_, up_width_;
    float *normed_, *normed_too_, *qkv_, *attended_, *up_, *hidden_, *changed_;
    Prepared from_normed_, from_attended_, from_hidden_;
};

// y (rows, outputs) = x times the matrix; false where memory is short.
static bool multiply_alone(
    waman_team& team, std::vector<uint8_t>& memory, const waman_matrix& matrix, const float* x, int64_t x_stride,
    int rows, float* y) {
    Room room;
    take_prepared(room, rows, matrix.inputs);
    if (!room.settle(memory)) return false;
    const Prepared prepared = take_prepared(room, rows, matrix.inputs);
    team.run([&] {
        if (matrix.kind != WAMAN_F32)
            team.share(rows, [&](int row) {
                prepare(matrix.kind, prepared, row, x + row * x_stride, int(x_stride), 0, int(prepared.width));
            });
        multiply(team, matrix, prepared, x, x_stride, rows, y, matrix.outputs, false);
    });
    return true;
}

}  // namespace waman
