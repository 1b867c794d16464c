#include "ck_quantize.h"
#include <math.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF

typedef float f32x16 __attribute__((ext_vector_type(16)));
typedef double f64x16 __attribute__((ext_vector_type(16)));
typedef float f32x8 __attribute__((ext_vector_type(8)));
typedef int8_t i8x16 __attribute__((ext_vector_type(16)));
typedef int8_t i8x32 __attribute__((ext_vector_type(32)));
typedef uint8_t u8x16 __attribute__((ext_vector_type(16)));
typedef uint8_t u8x32 __attribute__((ext_vector_type(32)));

#define EVEN_16 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD_16 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define INTERLEAVE_16                                                                                           \
    0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, \
        15, 31

/// Added and taken away again, it rounds |x| < 2^22 to an integer, ties to even.
#define ROUND_EVEN 12582912.0f

typedef struct {
    float scale[CK_CLIP_CANDIDATES];
    float inverse[CK_CLIP_CANDIDATES];
    float zero[CK_CLIP_CANDIDATES];
} candidates;

#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

INLINE float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

INLINE float round_even(float x) { return (x + ROUND_EVEN) - ROUND_EVEN; }

INLINE float round_bf16(float x) {
    const uint32_t bits = bits_of(x);
    const uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000;
    return float_of((bits & 0x7FFFFFFF) > 0x7F800000 ? bits | 0x400000 : rounded);
}

/// A normal result keeps 10 bits of fraction; below 2^-14 the steps are 2^-24, above 65519 lies infinity.
INLINE float round_f16(float x) {
    const uint32_t bits = bits_of(x), sign = bits & 0x80000000, size = bits & 0x7FFFFFFF;
    const uint32_t normal = (size + 0xFFF + ((size >> 13) & 1)) & 0xFFFFE000;
    const uint32_t small = bits_of((float_of(size) + 0.75f) - 0.75f);
    uint32_t result = size < 0x38800000 ? small : normal;
    result = result >= 0x47800000 ? 0x7F800000 : result;
    result = size > 0x7F800000 ? size | 0x400000 : result;
    return float_of(sign | result);
}

/// Up to 8 codes into `bytes` bytes.
INLINE void pack_some(const int8_t *codes, size_t count, int bits, uint8_t *packed, size_t bytes) {
    const uint64_t mask = ((uint64_t)1 << bits) - 1;
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++)
        all |= ((uint64_t)(codes[i] + (1 << (bits - 1))) & mask) << (i * (size_t)bits);
    for (size_t i = 0; i < bytes; i++) packed[i] = (uint8_t)(all >> (8 * i));
}

/// Up to 8 codes out of `bytes` bytes.
INLINE void unpack_some(const uint8_t *packed, size_t bytes, size_t count, int bits, int8_t *codes) {
    const uint64_t mask = ((uint64_t)1 << bits) - 1;
    uint64_t all = 0;
    for (size_t i = 0; i < bytes; i++) all |= (uint64_t)packed[i] << (8 * i);
    for (size_t i = 0; i < count; i++)
        codes[i] = (int8_t)((int)((all >> (i * (size_t)bits)) & mask) - (1 << (bits - 1)));
}

#define CK_BODY "quantize_body.h"
#include "each_level.h"

const ck_quantize *ck_quantize_at(ck_level level) {
    switch (level) {
#if defined(__x86_64__)
    case CK_AVX2: return &table_avx2;
    case CK_AVX512: return &table_avx512;
#endif
    default: return &table_scalar;  // NEON too: it is part of every 64-bit ARM processor
    }
}

// What follows works on scales and zero points, of which there are few, and is the same at every level.

static float widen_f16(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, size = half & 0x7FFF;
    // The fraction's place in a float32, the exponent moved by multiplying: subnormal numbers come out right.
    if (size >= 0x7C00) return float_of(sign | 0x7F800000 | (size & 0x3FF) << 13);
    const float magnitude = float_of(size << 13) * 0x1p112f;
    return float_of(sign | bits_of(magnitude));
}

void ck_scales_widen(const void *stored, size_t count, ck_scale_type type, float *scales) {
    const uint16_t *halves = stored;
    switch (type) {
    case CK_SCALE_F32: memcpy(scales, stored, count * sizeof *scales); break;
    case CK_SCALE_BF16:
        for (size_t i = 0; i < count; i++) scales[i] = float_of((uint32_t)halves[i] << 16);
        break;
    case CK_SCALE_F16:
        for (size_t i = 0; i < count; i++) scales[i] = widen_f16(halves[i]);
        break;
    }
}

void ck_scales_narrow(const float *scales, size_t count, ck_scale_type type, void *stored) {
    uint16_t *halves = stored;
    switch (type) {
    case CK_SCALE_F32: memcpy(stored, scales, count * sizeof *scales); break;
    case CK_SCALE_BF16:
        for (size_t i = 0; i < count; i++) halves[i] = (uint16_t)(bits_of(scales[i]) >> 16);
        break;
    case CK_SCALE_F16:
        // Normal numbers of the type: only the exponent's bias differs.
        for (size_t i = 0; i < count; i++) {
            const uint32_t bits = bits_of(scales[i]);
            halves[i] = (uint16_t)((bits >> 16 & 0x8000) | (((bits & 0x7FFFFFFF) - 0x38000000) >> 13));
        }
        break;
    }
}

float ck_scale_round(float value, ck_scale_type type) {
    switch (type) {
    case CK_SCALE_BF16: return round_bf16(value);
    case CK_SCALE_F16: return round_f16(value);
    default: return value;
    }
}

float ck_scale_smallest(ck_scale_type type) { return type == CK_SCALE_F16 ? 0x1p-14f : 0x1p-126f; }

void ck_zeros_pack(const int8_t *zeros, size_t rows, size_t groups, int bits, uint32_t *words) {
    memset(words, 0, (rows * (size_t)bits + 31) / 32 * groups * sizeof *words);
    for (size_t r = 0; r < rows; r++) {
        const size_t word = r * (size_t)bits / 32, shift = r * (size_t)bits % 32;
        for (size_t g = 0; g < groups; g++) {
            const uint64_t code = (uint64_t)(zeros[r * groups + g] + (1 << (bits - 1))) << shift;
            words[word * groups + g] |= (uint32_t)code;
            if (shift + (size_t)bits > 32) words[(word + 1) * groups + g] |= (uint32_t)(code >> 32);
        }
    }
}

void ck_zeros_unpack(const uint32_t *words, size_t first, size_t rows, size_t groups, int bits, int8_t *zeros) {
    const size_t base = first * (size_t)bits / 32;
    const uint32_t mask = (1u << bits) - 1;
    for (size_t r = 0; r < rows; r++) {
        const size_t word = (first + r) * (size_t)bits / 32 - base, shift = (first + r) * (size_t)bits % 32;
        for (size_t g = 0; g < groups; g++) {
            uint64_t code = words[word * groups + g];
            if (shift + (size_t)bits > 32) code |= (uint64_t)words[(word + 1) * groups + g] << 32;
            zeros[r * groups + g] = (int8_t)((int)(code >> shift & mask) - (1 << (bits - 1)));
        }
    }
}

int ck_scales_fit(const float *weights, size_t count, const ck_quantize_scheme *scheme) {
    for (size_t start = 0; start < count; start += scheme->group) {
        candidates c;
        float low, high;
        extent_scalar(weights + start, scheme->group, &low, &high);
        if (low == 0 && high == 0) continue;
        make_candidates_scalar(scheme, low, high, &c);
        const float floor = ck_scale_smallest(scheme->scale_type);
        if (!(c.scale[0] > floor && c.scale[0] < INFINITY)) return 0;
    }
    return 1;
}

size_t ck_replace_not_finite(float *weights, size_t count, size_t group) {
    size_t replaced = 0;
    for (size_t start = 0; start < count; start += group) {
        float largest = 0;
        for (size_t i = start; i < start + group; i++)
            if (fabsf(weights[i]) < INFINITY && fabsf(weights[i]) > largest) largest = fabsf(weights[i]);
        for (size_t i = start; i < start + group; i++) {
            if (fabsf(weights[i]) < INFINITY) continue;
            weights[i] = isnan(weights[i]) ? 0 : copysignf(largest, weights[i]);
            replaced++;
        }
    }
    return replaced;
}
