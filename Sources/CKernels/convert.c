#include "ck_convert.h"
#include "block_grids.h"
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
    CK_STAGED = 1024,     // float32 values between two steps at a time, whole units: they stay in the first cache
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

ck_unit ck_float_unit(ck_float type) {
#define CK_UNIT(name, constant, elements, bytes) {elements, bytes},
    static const ck_unit units[CK_FLOAT_COUNT] = {
        {1, 8}, {1, 4}, {1, 2}, {1, 2}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {4, 3}, {4, 3}, {2, 1},
        CK_BLOCK_TYPES(CK_UNIT)
    };
#undef CK_UNIT
    return units[type];
}

int ck_convert_exists(ck_float from, ck_float to) {
    return from == to || kernels_scalar.narrow[to] != NULL;
}

/// Two steps through a small buffer of float32 values.
static void convert_in_steps(
    ck_convert_kernel *first, ck_unit source, ck_convert_kernel *second, ck_unit destination,
    void *restrict out, const void *restrict in, size_t count, ck_tally *tally
) {
    float stage[CK_STAGED];
    for (size_t start = 0; start < count; start += CK_STAGED) {
        size_t piece = count - start < CK_STAGED ? count - start : CK_STAGED;
        first(stage, (const char *)in + start / source.elements * source.bytes, piece, tally);
        second((char *)out + start / destination.elements * destination.bytes, stage, piece, tally);
    }
}

void ck_convert_elements(
    const ck_convert *kernels, ck_float from, ck_float to,
    void *restrict out, const void *restrict in, size_t count, ck_tally *tally
) {
    if (from == to) {
        ck_unit unit = ck_float_unit(from);
        size_t rest = (count % unit.elements * unit.bytes + unit.elements - 1) / unit.elements;
        __builtin_memcpy(out, in, count / unit.elements * unit.bytes + rest);
    } else if (to == CK_F32) {
        kernels->widen[from](out, in, count, tally);
    } else if (from == CK_F32) {
        kernels->narrow[to](out, in, count, tally);
    } else {
        ck_convert_kernel *first = from == CK_F64 ? kernels->f64_to_f32_odd : kernels->widen[from];
        convert_in_steps(
            first, ck_float_unit(from), kernels->narrow[to], ck_float_unit(to), out, in, count, tally);
    }
}
