#include "ck_convert.h"
#include "loose_types.h"

#pragma STDC FP_CONTRACT OFF

/// How a type spends its extreme codes.
typedef enum {
    CK_IEEE,    // the highest exponent is infinity and NaN
    CK_FN,      // no infinity; NaN is all ones, with either sign
    CK_FNUZ,    // no infinity, no negative zero: its code is the one NaN
    CK_FINITE,  // numbers only
} ck_specials;

enum {
    CK_PIECE = 1 << 24,   // elements whose counts surely fit 32 bits
    CK_UNPACKED = 1024,   // codes spread over bytes at a time; a multiple of every unit
    CK_STAGED = 1024,     // float32 values between two steps at a time: they stay in the first cache
};

static inline __attribute__((always_inline)) uint32_t bits_of(float value) {
    uint32_t bits;
    __builtin_memcpy(&bits, &value, 4);
    return bits;
}

static inline __attribute__((always_inline)) float float_of(uint32_t bits) {
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
}

/// 2 to the power of a constant that is normal in float32.
static inline __attribute__((always_inline)) float power_of_two(int exponent) {
    return float_of((uint32_t)(127 + exponent) << 23);
}

#define CK_BODY "convert_kernels.h"
#include "each_level.h"

const ck_convert *ck_convert_at(ck_level level) {
    switch (level) {
#if defined(__x86_64__)
    case CK_AVX2: return &kernels_avx2;
    case CK_AVX512: return &kernels_avx512;
#endif
    default: return &kernels_scalar;  // NEON too: it is part of every 64-bit ARM processor
    }
}

int ck_float_bits(ck_float type) {
    static const uint8_t bits[CK_FLOAT_COUNT] = {64, 32, 16, 16, 8, 8, 8, 8, 8, 6, 6, 4};
    return bits[type];
}

int ck_convert_exists(ck_float from, ck_float to) {
    return from == to || kernels_scalar.narrow[to] != NULL;
}

/// Two steps through a small buffer of float32 values.
static void convert_in_steps(
    ck_convert_kernel *first, int source_bits, ck_convert_kernel *second, int destination_bits,
    void *restrict out, const void *restrict in, size_t count, ck_tally *tally
) {
    float stage[CK_STAGED];
    for (size_t start = 0; start < count; start += CK_STAGED) {
        size_t piece = count - start < CK_STAGED ? count - start : CK_STAGED;
        first(stage, (const char *)in + start / 8 * (size_t)source_bits, piece, tally);
        second((char *)out + start / 8 * (size_t)destination_bits, stage, piece, tally);
    }
}

void ck_convert_elements(
    const ck_convert *kernels, ck_float from, ck_float to,
    void *restrict out, const void *restrict in, size_t count, ck_tally *tally
) {
    if (from == to) {
        size_t bits = (size_t)ck_float_bits(from);
        __builtin_memcpy(out, in, count / 8 * bits + (count % 8 * bits + 7) / 8);
    } else if (to == CK_F32) {
        kernels->widen[from](out, in, count, tally);
    } else if (from == CK_F32) {
        kernels->narrow[to](out, in, count, tally);
    } else {
        ck_convert_kernel *first = from == CK_F64 ? kernels->f64_to_f32_odd : kernels->widen[from];
        convert_in_steps(
            first, ck_float_bits(from), kernels->narrow[to], ck_float_bits(to), out, in, count, tally);
    }
}
