// The body of the conversion kernels. convert.c includes it once for every dispatch level, with LEVEL set; it has no
// include guard for that reason.
//
// A format with an exponent field and subnormals is described by the bits of its mantissa and its exponent's bias;
// the few things in which formats differ (infinity, NaN, negative zero) are the two small enums of convert.c. The
// descriptions are compile-time constants in each kernel below, so that every loop is free of branches and the
// compiler turns it into vector instructions.

/// The float32 bits of a code with `mantissa` bits of mantissa; the sign is the bit above the magnitude's `width`.
static inline __attribute__((always_inline)) uint32_t CK_NAME(widened)(
    uint32_t code, int width, int mantissa, int bias, ck_specials specials
) {
    uint32_t sign = code >> width << 31;
    uint32_t magnitude = code & ((1u << width) - 1);
    uint32_t normal = (magnitude << (23 - mantissa)) + ((uint32_t)(127 - bias) << 23);
    uint32_t subnormal = bits_of((float)(int32_t)magnitude * power_of_two(1 - bias - mantissa));
    uint32_t bits = magnitude >> mantissa ? normal : subnormal;
    uint32_t infinity = ((1u << (width - mantissa)) - 1) << mantissa;
    uint32_t payload = 0x7fc00000u | magnitude << (23 - mantissa);
    switch (specials) {
    case CK_IEEE: bits = magnitude < infinity ? bits : magnitude == infinity ? 0x7f800000u : payload; break;
    case CK_FN: bits = magnitude == (1u << width) - 1 ? 0x7fc00000u : bits; break;
    case CK_FNUZ: bits = code == 1u << width ? 0x7fc00000u : bits; break;
    case CK_FINITE: break;
    }
    return sign | bits;
}

/// What rounding made of one float32, and whether that left the type's range on either side (0 or 1).
typedef struct { uint32_t code, overflowed, underflowed; } CK_NAME(rounded);

/// float32 bits rounded to nearest even, to a type with `mantissa` bits of mantissa and magnitudes of `width` bits.
static inline __attribute__((always_inline)) CK_NAME(rounded) CK_NAME(narrowed)(
    uint32_t bits, int width, int mantissa, int bias, ck_specials specials
) {
    uint32_t sign = bits >> 31 << width;
    uint32_t magnitude = bits & 0x7fffffffu;
    int dropped = 23 - mantissa;
    // Normal results: rebias, add just under half of the last place kept (half if that place is odd), cut.
    uint32_t odd = magnitude >> dropped & 1;
    uint32_t normal =
        (magnitude - ((uint32_t)(127 - bias) << 23) + ((1u << (dropped - 1)) - 1) + odd) >> dropped;
    // Subnormal results: a sum whose last place is the destination's smallest number is rounded by the adder.
    float anchor = power_of_two(1 - bias - mantissa + 23);
    uint32_t subnormal = bits_of(float_of(magnitude) + anchor) - bits_of(anchor);
    uint32_t code = magnitude < (uint32_t)(127 - bias + 1) << 23 ? subnormal : normal;

    uint32_t is_nan = magnitude > 0x7f800000u;
    uint32_t infinity = ((1u << (width - mantissa)) - 1) << mantissa;
    uint32_t largest = specials == CK_IEEE ? infinity - 1 : specials == CK_FN ? (1u << width) - 2 : (1u << width) - 1;
    uint32_t is_above = code > largest;
    CK_NAME(rounded) result;
    result.underflowed = (code == 0) & (magnitude != 0);
    // An infinity is no overflow where the destination has infinity too.
    uint32_t limit = specials == CK_IEEE ? 0x7f7fffffu : 0x7f800000u;
    result.overflowed = is_above & (magnitude <= limit);
    switch (specials) {
    case CK_IEEE:
        code = is_above ? infinity : code;
        code = is_nan ? infinity | 1u << (mantissa - 1) | (magnitude & 0x7fffffu) >> dropped : code;
        result.code = sign | code;
        break;
    case CK_FN:
        code = is_above ? largest : code;
        code = is_nan ? largest + 1 : code;
        result.code = sign | code;
        break;
    default:  // CK_FNUZ: one NaN, in the place of negative zero
        code = code == 0 ? 0 : sign | code;
        result.code = is_above | is_nan ? 1u << width : code;
        break;
    }
    return result;
}

/// bfloat16 is the upper half of a float32: rounding is one addition, for subnormals also.
static inline __attribute__((always_inline)) CK_NAME(rounded) CK_NAME(narrowed_bf16)(uint32_t bits) {
    uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t code = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
    CK_NAME(rounded) result;
    result.code = magnitude > 0x7f800000u ? bits >> 16 | 0x40u : code;
    // Finite magnitudes from halfway above the largest bfloat16 on; and magnitudes up to half of the smallest.
    result.overflowed = magnitude - 0x7f7f8000u < 0x8000u;
    result.underflowed = magnitude - 1 < 0x8000u;
    return result;
}

static inline __attribute__((always_inline)) uint32_t CK_NAME(widened_bf16)(uint32_t code) {
    uint32_t bits = code << 16;
    return (bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : bits;
}

/// A power of two: 0 is the subnormal 2^-127, 255 is NaN.
static inline __attribute__((always_inline)) uint32_t CK_NAME(widened_e8m0)(uint32_t code) {
    uint32_t bits = code == 0 ? 0x400000u : code << 23;
    return code == 255 ? 0x7fc00000u : bits;
}

#define CK_WIDEN(type, code, expression) \
    static void CK_NAME(type##_f32)(void *restrict out, const void *restrict in, size_t count, ck_tally *tally) { \
        (void)tally; \
        const code *restrict codes = in; \
        loose_u32 *restrict bits = out; \
        for (size_t i = 0; i < count; i++) bits[i] = expression; \
    }

// Counts run in 32 bits, as wide as the elements, over pieces too short to overflow them.
#define CK_NARROW(type, code_type, expression) \
    static void CK_NAME(f32_##type)(void *restrict out, const void *restrict in, size_t count, ck_tally *tally) { \
        for (size_t start = 0; start < count; start += CK_PIECE) { \
            size_t end = count - start < CK_PIECE ? count : start + CK_PIECE; \
            const loose_u32 *restrict bits = in; \
            code_type *restrict codes = out; \
            uint32_t overflowed = 0, underflowed = 0; \
            for (size_t i = start; i < end; i++) { \
                CK_NAME(rounded) result = expression; \
                codes[i] = (code_type)result.code; \
                overflowed += result.overflowed; \
                underflowed += result.underflowed; \
            } \
            tally->overflowed += overflowed; \
            tally->underflowed += underflowed; \
        } \
    }

CK_WIDEN(bf16, loose_u16, CK_NAME(widened_bf16)(codes[i]))
CK_WIDEN(f16, loose_u16, CK_NAME(widened)(codes[i], 15, 10, 15, CK_IEEE))
CK_WIDEN(f8_e4m3, uint8_t, CK_NAME(widened)(codes[i], 7, 3, 7, CK_FN))
CK_WIDEN(f8_e5m2, uint8_t, CK_NAME(widened)(codes[i], 7, 2, 15, CK_IEEE))
CK_WIDEN(f8_e4m3fnuz, uint8_t, CK_NAME(widened)(codes[i], 7, 3, 8, CK_FNUZ))
CK_WIDEN(f8_e5m2fnuz, uint8_t, CK_NAME(widened)(codes[i], 7, 2, 16, CK_FNUZ))
CK_WIDEN(f8_e8m0, uint8_t, CK_NAME(widened_e8m0)(codes[i]))
CK_WIDEN(byte_f6_e2m3, uint8_t, CK_NAME(widened)(codes[i], 5, 3, 1, CK_FINITE))
CK_WIDEN(byte_f6_e3m2, uint8_t, CK_NAME(widened)(codes[i], 5, 2, 3, CK_FINITE))
CK_WIDEN(byte_f4, uint8_t, CK_NAME(widened)(codes[i], 3, 1, 1, CK_FINITE))

CK_NARROW(bf16, loose_u16, CK_NAME(narrowed_bf16)(bits[i]))
CK_NARROW(f16, loose_u16, CK_NAME(narrowed)(bits[i], 15, 10, 15, CK_IEEE))
CK_NARROW(f8_e4m3, uint8_t, CK_NAME(narrowed)(bits[i], 7, 3, 7, CK_FN))
CK_NARROW(f8_e5m2, uint8_t, CK_NAME(narrowed)(bits[i], 7, 2, 15, CK_IEEE))
CK_NARROW(f8_e4m3fnuz, uint8_t, CK_NAME(narrowed)(bits[i], 7, 3, 8, CK_FNUZ))
CK_NARROW(f8_e5m2fnuz, uint8_t, CK_NAME(narrowed)(bits[i], 7, 2, 16, CK_FNUZ))

/// Packed elements: the codes are spread over bytes, a piece at a time, and widened from there.
#define CK_WIDEN_PACKED(type, unpack, piece_bytes) \
    static void CK_NAME(type##_f32)(void *restrict out, const void *restrict in, size_t count, ck_tally *tally) { \
        const uint8_t *packed = in; \
        loose_u32 *bits = out; \
        uint8_t codes[CK_UNPACKED]; \
        while (count > 0) { \
            size_t piece = count < CK_UNPACKED ? count : CK_UNPACKED; \
            unpack(codes, packed, piece); \
            CK_NAME(byte_##type##_f32)(bits, codes, piece, tally); \
            packed += piece_bytes; \
            bits += piece; \
            count -= piece; \
        } \
    }

/// Two elements a byte, the first in the low half.
static void CK_NAME(unpack_4)(uint8_t *restrict codes, const uint8_t *restrict packed, size_t count) {
    for (size_t i = 0; i < count / 2; i++) {
        codes[2 * i] = packed[i] & 15;
        codes[2 * i + 1] = packed[i] >> 4;
    }
    if (count % 2) codes[count - 1] = packed[count / 2] & 15;
}

/// Four elements in three bytes; element i begins at bit 6i of the bytes read as one little-endian number.
static void CK_NAME(unpack_6)(uint8_t *restrict codes, const uint8_t *restrict packed, size_t count) {
    size_t whole = count / 4;
    for (size_t i = 0; i < whole; i++) {
        uint32_t unit = packed[3 * i] | (uint32_t)packed[3 * i + 1] << 8 | (uint32_t)packed[3 * i + 2] << 16;
        for (int k = 0; k < 4; k++) codes[4 * i + k] = unit >> 6 * k & 63;
    }
    for (size_t i = 4 * whole; i < count; i++) {
        size_t bit = 6 * i, byte = bit / 8;
        uint32_t pair = packed[byte] | (bit % 8 > 2 ? (uint32_t)packed[byte + 1] << 8 : 0);
        codes[i] = pair >> bit % 8 & 63;
    }
}

CK_WIDEN_PACKED(f6_e2m3, CK_NAME(unpack_6), CK_UNPACKED / 4 * 3)
CK_WIDEN_PACKED(f6_e3m2, CK_NAME(unpack_6), CK_UNPACKED / 4 * 3)
CK_WIDEN_PACKED(f4, CK_NAME(unpack_4), CK_UNPACKED / 2)

/// Exact; the conversion instruction sets the quiet bit of NaN.
static void CK_NAME(f32_f64)(void *restrict out, const void *restrict in, size_t count, ck_tally *tally) {
    (void)tally;
    const loose_f32 *restrict values = in;
    loose_f64 *restrict wide = out;
    for (size_t i = 0; i < count; i++) wide[i] = (double)values[i];
}

/// The limits are the ties above the largest and below the smallest float32, both of which round away from it.
static void CK_NAME(f64_f32)(void *restrict out, const void *restrict in, size_t count, ck_tally *tally) {
    const loose_f64 *restrict wide = in;
    loose_f32 *restrict values = out;
    uint64_t overflowed = 0, underflowed = 0;
    for (size_t i = 0; i < count; i++) {
        double magnitude = __builtin_fabs(wide[i]);
        values[i] = (float)wide[i];
        overflowed += (magnitude >= 0x1.ffffffp127) & (magnitude < __builtin_inf());
        underflowed += (magnitude <= 0x1p-150) & (magnitude > 0);
    }
    tally->overflowed += overflowed;
    tally->underflowed += underflowed;
}

/// Rounding to odd: of the two neighbours of an inexact value, the one whose last bit is set. Never zero nor infinity.
static void CK_NAME(f64_f32_odd)(void *restrict out, const void *restrict in, size_t count, ck_tally *tally) {
    (void)tally;
    const loose_f64 *restrict wide = in;
    loose_u32 *restrict bits = out;
    for (size_t i = 0; i < count; i++) {
        double value = __builtin_fabs(wide[i]);
        float nearest = (float)wide[i];
        double back = (double)__builtin_fabsf(nearest);
        uint32_t pattern = bits_of(nearest);
        uint32_t even = ~pattern & 1;
        uint32_t up = back < value ? even : 0, down = back > value ? even : 0;
        bits[i] = pattern + up - down;
    }
}

static void CK_NAME(f32_f32)(void *restrict out, const void *restrict in, size_t count, ck_tally *tally) {
    (void)tally;
    __builtin_memcpy(out, in, count * 4);
}

#include "blocks_kernels.h"

#define CK_WIDEN_ENTRY(name, constant, elements, bytes) [CK_##constant] = CK_NAME(name##_f32),

static const ck_convert CK_NAME(kernels) = {
    .widen = {
        [CK_F64] = CK_NAME(f64_f32), [CK_F32] = CK_NAME(f32_f32), [CK_BF16] = CK_NAME(bf16_f32),
        [CK_F16] = CK_NAME(f16_f32), [CK_F8_E4M3] = CK_NAME(f8_e4m3_f32), [CK_F8_E5M2] = CK_NAME(f8_e5m2_f32),
        [CK_F8_E4M3FNUZ] = CK_NAME(f8_e4m3fnuz_f32), [CK_F8_E5M2FNUZ] = CK_NAME(f8_e5m2fnuz_f32),
        [CK_F8_E8M0] = CK_NAME(f8_e8m0_f32), [CK_F6_E2M3] = CK_NAME(f6_e2m3_f32),
        [CK_F6_E3M2] = CK_NAME(f6_e3m2_f32), [CK_F4] = CK_NAME(f4_f32),
        CK_BLOCK_TYPES(CK_WIDEN_ENTRY)
    },
    .narrow = {
        [CK_F64] = CK_NAME(f32_f64), [CK_F32] = CK_NAME(f32_f32), [CK_BF16] = CK_NAME(f32_bf16),
        [CK_F16] = CK_NAME(f32_f16), [CK_F8_E4M3] = CK_NAME(f32_f8_e4m3), [CK_F8_E5M2] = CK_NAME(f32_f8_e5m2),
        [CK_F8_E4M3FNUZ] = CK_NAME(f32_f8_e4m3fnuz), [CK_F8_E5M2FNUZ] = CK_NAME(f32_f8_e5m2fnuz),
        [CK_Q4_0] = CK_NAME(f32_q4_0), [CK_Q4_1] = CK_NAME(f32_q4_1), [CK_Q5_0] = CK_NAME(f32_q5_0),
        [CK_Q5_1] = CK_NAME(f32_q5_1), [CK_Q8_0] = CK_NAME(f32_q8_0),
    },
    .f64_to_f32_odd = CK_NAME(f64_f32_odd),
};

#undef CK_WIDEN_ENTRY
#undef CK_WIDEN
#undef CK_WIDEN_PACKED
#undef CK_NARROW
