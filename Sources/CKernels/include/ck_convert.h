// Conversions among the floating-point types: rounded once, to nearest even, the same bits and counts at every level.
#pragma once
#include "ck_level.h"
#include <stddef.h>
#include <stdint.h>

/// The block types of ggml that stand for floats: name, constant, elements and bytes of a block.
#define CK_BLOCK_TYPES(each) \
    each(q4_0, Q4_0, 32, 18) each(q4_1, Q4_1, 32, 20) each(q5_0, Q5_0, 32, 22) each(q5_1, Q5_1, 32, 24) \
    each(q8_0, Q8_0, 32, 34) \
    each(q2_K, Q2_K, 256, 84) each(q3_K, Q3_K, 256, 110) each(q4_K, Q4_K, 256, 144) each(q5_K, Q5_K, 256, 176) \
    each(q6_K, Q6_K, 256, 210) \
    each(iq1_s, IQ1_S, 256, 50) each(iq1_m, IQ1_M, 256, 56) each(iq2_xxs, IQ2_XXS, 256, 66) \
    each(iq2_xs, IQ2_XS, 256, 74) each(iq2_s, IQ2_S, 256, 82) each(iq3_xxs, IQ3_XXS, 256, 98) \
    each(iq3_s, IQ3_S, 256, 110) each(iq4_nl, IQ4_NL, 32, 18) each(iq4_xs, IQ4_XS, 256, 136) \
    each(tq1_0, TQ1_0, 256, 54) each(tq2_0, TQ2_0, 256, 66) each(mxfp4, MXFP4, 32, 17) each(nvfp4, NVFP4, 64, 36)

#define CK_CONSTANT(name, constant, elements, bytes) CK_##constant,

/// The floating-point types, in falling width, then the block types. What their bits mean: formats/element-types.md and
/// formats/gguf.md.
typedef enum {
    CK_F64, CK_F32, CK_BF16, CK_F16,
    CK_F8_E4M3, CK_F8_E5M2, CK_F8_E4M3FNUZ, CK_F8_E5M2FNUZ, CK_F8_E8M0,
    CK_F6_E2M3, CK_F6_E3M2, CK_F4,
    CK_BLOCK_TYPES(CK_CONSTANT)
} ck_float;

#undef CK_CONSTANT

enum { CK_FLOAT_COUNT = CK_NVFP4 + 1 };

/// The fewest elements that fill whole bytes, and their bytes.
typedef struct { size_t elements, bytes; } ck_unit;

/// What happened to values that the destination cannot hold. Kernels add to it.
typedef struct {
    /// Finite values, and infinities where the destination has none, that became infinity, NaN or its largest value.
    uint64_t overflowed;
    /// Values other than zero that became zero.
    uint64_t underflowed;
} ck_tally;

/// Converts `count` elements that begin on a whole byte (of block types, whole blocks). Neither pointer needs to be aligned; they must not overlap.
typedef void ck_convert_kernel(void *restrict out, const void *restrict in, size_t count, ck_tally *tally);

/// The kernels of one level. Every plain type but f64 is exact in f32, and a block's values are f32 by definition, so two
/// tables make all the pairs.
typedef struct {
    /// To f32: rounded from f64, exact from every other plain type; blocks with the operations of their definition. The
    /// entry of f32 copies.
    ck_convert_kernel *widen[CK_FLOAT_COUNT];
    /// From f32, rounded; NULL for f8_e8m0, f6, f4 and most blocks, to which nothing is narrowed. The entry of f32 copies.
    ck_convert_kernel *narrow[CK_FLOAT_COUNT];
    /// From f64 to f32 by rounding to odd, so that rounding the result once more equals rounding the source once.
    ck_convert_kernel *f64_to_f32_odd;
} ck_convert;

/// The kernels of a level that this machine has.
const ck_convert *ck_convert_at(ck_level level);

ck_unit ck_float_unit(ck_float type);

/// Whether elements of `from` can be converted to `to`: every pair but those that have no narrowing.
int ck_convert_exists(ck_float from, ck_float to);

/// Converts `count` elements of any pair that exists. The same type on both sides is copied bit for bit.
void ck_convert_elements(
    const ck_convert *kernels, ck_float from, ck_float to,
    void *restrict out, const void *restrict in, size_t count, ck_tally *tally);
