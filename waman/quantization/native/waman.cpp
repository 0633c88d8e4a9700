// The functions of waman.h, for the instructions that the compiler was given.
#include "waman.h"

#include "pass.h"

namespace {

struct Workers : waman_team {
    using waman_team::waman_team;
    std::mutex callers;           // who waits for the threads and the memory
    std::vector<uint8_t> memory;  // of a pass; kept for the next
};

Workers& workers(waman_team* team) { return *static_cast<Workers*>(team); }

}  // namespace

extern "C" {

waman_team* waman_open(int32_t threads) { return new Workers(threads); }

void waman_close(waman_team* team) { delete static_cast<Workers*>(team); }

int32_t waman_multiply(
    waman_team* team, const waman_matrix* matrix, const float* x, int64_t x_stride, int32_t rows, float* y) {
    const std::lock_guard<std::mutex> alone(workers(team).callers);
    return waman::multiply_alone(*team, workers(team).memory, *matrix, x, x_stride, rows, y) ? 0 : 1;
}

int32_t waman_page_tokens(void) { return waman::kPageTokens; }

int64_t waman_block_bytes(int32_t head_dim, int32_t cache_bits) {
    return waman::BlockShape(head_dim, cache_bits).bytes();
}

int32_t waman_pass(
    waman_team* team, const waman_model* model, const waman_row* rows, int32_t num_rows, float* x,
    const int32_t* wanted, int32_t num_wanted, float* logits) {
    const std::lock_guard<std::mutex> alone(workers(team).callers);
    waman::Pass pass(*team, *model, rows, num_rows, x, wanted, num_wanted, logits);
    return pass.run(workers(team).memory) ? 0 : 1;
}

}  // extern "C"
