// Sixteen numbers at a time, written once for AVX2 and AVX-512: the compiler cuts them into registers.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define WAMAN_INLINE static inline __attribute__((always_inline))

namespace waman {

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Integers __attribute__((vector_size(64)));
constexpr int kLanes = 16;

WAMAN_INLINE Floats all(float x) { return Floats{} + x; }
WAMAN_INLINE Integers all(int32_t x) { return Integers{} + x; }

WAMAN_INLINE Floats load(const float* from) {
    Floats x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

WAMAN_INLINE void store(float* to, Floats x) { std::memcpy(to, &x, sizeof x); }

WAMAN_INLINE Floats as_floats(Integers bits) {
    Floats x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

WAMAN_INLINE Integers as_integers(Floats x) {
    Integers bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

WAMAN_INLINE Floats to_floats(Integers x) { return __builtin_convertvector(x, Floats); }

// To the nearest integer, ties to even; for |x| < 2^22.
WAMAN_INLINE Integers nearest(Floats x) {
    const float shift = 12582912.0f;  // 1.5 * 2^23: sums lose every bit behind the point
    return as_integers(x + shift) - as_integers(all(shift));
}

WAMAN_INLINE Floats larger(Floats a, Floats b) { return a > b ? a : b; }
WAMAN_INLINE Floats smaller(Floats a, Floats b) { return a < b ? a : b; }
WAMAN_INLINE Floats absolute(Floats x) { return as_floats(as_integers(x) & 0x7fffffff); }

// Sixteen become one: the upper half meets the lower, and so on, in one order on every level.
template <class Lanes, class Combine>
WAMAN_INLINE auto fold(Lanes x, Combine combine) {
    const auto of8 = combine(__builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7),
                             __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15));
    const auto of4 = combine(__builtin_shufflevector(of8, of8, 0, 1, 2, 3),
                             __builtin_shufflevector(of8, of8, 4, 5, 6, 7));
    const auto of2 = combine(of4, __builtin_shufflevector(of4, of4, 2, 3, 2, 3));
    return combine(of2, __builtin_shufflevector(of2, of2, 1, 1, 1, 1))[0];
}

WAMAN_INLINE float sum(Floats x) {
    return fold(x, [](auto a, auto b) { return a + b; });
}

WAMAN_INLINE int32_t sum(Integers x) {
    return fold(x, [](auto a, auto b) { return a + b; });
}

WAMAN_INLINE float largest(Floats x) {
    return fold(x, [](auto a, auto b) { return a > b ? a : b; });
}

// e^x to within 2 units in the last place; below -87 as at -87.
WAMAN_INLINE Floats exponential(Floats x) {
    x = smaller(larger(x, all(-87.0f)), all(88.0f));
    const Integers power = nearest(x * 1.44269504f);
    const Floats whole = to_floats(power);
    const Floats rest = x - whole * 0.693359375f - whole * -2.12194440e-4f;  // ln 2 in two parts
    Floats series = all(1.9875691500e-4f);
    series = series * rest + 1.3981999507e-3f;
    series = series * rest + 8.3334519073e-3f;
    series = series * rest + 4.1665795894e-2f;
    series = series * rest + 1.6666665459e-1f;
    series = series * rest + 5.0000001201e-1f;
    series = series * rest * rest + rest + 1.0f;
    return as_floats(as_integers(series) + (power << 23));
}

WAMAN_INLINE Floats sigmoid(Floats x) { return 1.0f / (1.0f + exponential(-x)); }

// Half-precision numbers and bytes

WAMAN_INLINE Floats from_bf16(const uint16_t* from) {
    typedef uint16_t Halves __attribute__((vector_size(32)));
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    return as_floats(__builtin_convertvector(halves, Integers) << 16);
}

// To the nearest, ties to even.
WAMAN_INLINE void to_bf16(uint16_t* to, Floats x) {
    typedef uint16_t Halves __attribute__((vector_size(32)));
    const Integers bits = as_integers(x);
    const Integers rounded = bits + 0x7fff + ((bits >> 16) & 1);
    const Halves halves = __builtin_convertvector((rounded >> 16) & 0xffff, Halves);
    std::memcpy(to, &halves, sizeof halves);
}

WAMAN_INLINE Floats from_f16(const uint16_t* from) {
    Floats x;
#if defined(__AVX512F__)
    const __m512 found = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    std::memcpy(&x, &found, sizeof x);
#else
    const __m256 low = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    const __m256 high = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 8)));
    std::memcpy(&x, &low, sizeof low);
    std::memcpy(reinterpret_cast<char*>(&x) + sizeof low, &high, sizeof high);
#endif
    return x;
}

// To the nearest; what is too large becomes the largest.
WAMAN_INLINE void to_f16(uint16_t* to, Floats x) {
    const float most = 65504.0f;
    x = smaller(larger(x, all(-most)), all(most));
    __m256 low, high;
    std::memcpy(&low, &x, sizeof low);
    std::memcpy(&high, reinterpret_cast<const char*>(&x) + sizeof low, sizeof high);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(low, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 8), _mm256_cvtps_ph(high, _MM_FROUND_TO_NEAREST_INT));
}

WAMAN_INLINE Integers read_bytes(const int8_t* from) {
    typedef int8_t Bytes __attribute__((vector_size(16)));
    Bytes bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, Integers);
}

WAMAN_INLINE Floats from_bytes(const int8_t* from) { return to_floats(read_bytes(from)); }

WAMAN_INLINE void to_bytes(int8_t* to, Integers x) {
    typedef int8_t Bytes __attribute__((vector_size(16)));
    const Bytes bytes = __builtin_convertvector(x, Bytes);
    std::memcpy(to, &bytes, sizeof bytes);
}

// Products of small numbers

// Sixty-four unsigned bytes: four for each lane.
struct Quads {
#if defined(__AVX512F__)
    __m512i bytes;
#else
    __m256i low, high;
#endif
};

WAMAN_INLINE Quads load_quads(const uint8_t* from) {
#if defined(__AVX512F__)
    return {_mm512_loadu_si512(from)};
#else
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32))};
#endif
}

// The lower and the upper half of each byte.
WAMAN_INLINE void split(Quads packed, Quads& low, Quads& high) {
#if defined(__AVX512F__)
    const __m512i mask = _mm512_set1_epi8(0x0f);
    low.bytes = _mm512_and_si512(packed.bytes, mask);
    high.bytes = _mm512_and_si512(_mm512_srli_epi16(packed.bytes, 4), mask);
#else
    const __m256i mask = _mm256_set1_epi8(0x0f);
    low = {_mm256_and_si256(packed.low, mask), _mm256_and_si256(packed.high, mask)};
    high = {_mm256_and_si256(_mm256_srli_epi16(packed.low, 4), mask),
            _mm256_and_si256(_mm256_srli_epi16(packed.high, 4), mask)};
#endif
}

#if !defined(__AVX512VNNI__)
WAMAN_INLINE __m256i pairs_of_pairs(__m256i weights, __m256i x) {
    return _mm256_madd_epi16(_mm256_maddubs_epi16(weights, x), _mm256_set1_epi16(1));
}

// maddubs saturates at 2^15, which bytes of 8 bits may pass and bytes of 7 bits do not: the highest bit goes by itself.
template <int bits>
WAMAN_INLINE __m256i dot_half(__m256i sums, __m256i weights, __m256i x) {
    if constexpr (bits == 4) return _mm256_add_epi32(sums, pairs_of_pairs(weights, x));
    const __m256i low = _mm256_and_si256(weights, _mm256_set1_epi8(0x7f));
    const __m256i top = _mm256_and_si256(_mm256_srli_epi16(weights, 7), _mm256_set1_epi8(1));
    const __m256i tops = _mm256_slli_epi32(pairs_of_pairs(top, x), 7);
    return _mm256_add_epi32(sums, _mm256_add_epi32(pairs_of_pairs(low, x), tops));
}
#endif

// sums + the products of each lane's four unsigned bytes (of so many bits) with the same four signed bytes of x.
template <int bits>
WAMAN_INLINE Integers dot(Integers sums, Quads weights, const int8_t* x) {
    int32_t four;
    std::memcpy(&four, x, sizeof four);
#if defined(__AVX512VNNI__)
    __m512i found;
    std::memcpy(&found, &sums, sizeof found);
    found = _mm512_dpbusd_epi32(found, weights.bytes, _mm512_set1_epi32(four));
    std::memcpy(&sums, &found, sizeof sums);
#else
    const __m256i x4 = _mm256_set1_epi32(four);
    __m256i low, high;
    std::memcpy(&low, &sums, sizeof low);
    std::memcpy(&high, reinterpret_cast<char*>(&sums) + sizeof low, sizeof high);
    low = dot_half<bits>(low, weights.low, x4);
    high = dot_half<bits>(high, weights.high, x4);
    std::memcpy(&sums, &low, sizeof low);
    std::memcpy(reinterpret_cast<char*>(&sums) + sizeof low, &high, sizeof high);
#endif
    return sums;
}

// sums + the products of each lane's two bfloat16 with the same two of x.
WAMAN_INLINE Floats dot_bf16(Floats sums, const uint16_t* weights, const uint16_t* x) {
    int32_t two;
    std::memcpy(&two, x, sizeof two);
#if defined(__AVX512BF16__)
    __m512 found;
    std::memcpy(&found, &sums, sizeof found);
    const __m512i pairs = _mm512_loadu_si512(weights);
    found = _mm512_dpbf16_ps(found, (__m512bh)pairs, (__m512bh)_mm512_set1_epi32(two));
    std::memcpy(&sums, &found, sizeof sums);
    return sums;
#else
    Integers pairs;
    std::memcpy(&pairs, weights, sizeof pairs);
    sums += as_floats(pairs << 16) * as_floats(all(two << 16));
    return sums + as_floats(pairs & all(int32_t(0xffff0000))) * as_floats(all(int32_t(two & 0xffff0000)));
#endif
}

}  // namespace waman
