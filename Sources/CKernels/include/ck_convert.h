// Conversions among the floating-point types: rounded once, to nearest even, the same bits and counts at every level.
#pragma once
#include "ck_level.h"
#include <stddef.h>
#include <stdint.h>

/// The floating-point types, in falling width. What their bits mean: formats/element-types.md.
typedef enum {
    CK_F64, CK_F32, CK_BF16, CK_F16,
    CK_F8_E4M3, CK_F8_E5M2, CK_F8_E4M3FNUZ, CK_F8_E5M2FNUZ, CK_F8_E8M0,
    CK_F6_E2M3, CK_F6_E3M2, CK_F4
} ck_float;

enum { CK_FLOAT_COUNT = CK_F4 + 1 };

/// What happened to values that the destination cannot hold. Kernels add to it.
typedef struct {
    /// Finite values, and infinities where the destination has none, that became infinity, NaN or its largest value.
    uint64_t overflowed;
    /// Values other than zero that became zero.
    uint64_t underflowed;
} ck_tally;

/// Converts `count` elements that begin on a whole byte. Neither pointer needs to be aligned; they must not overlap.
typedef void ck_convert_kernel(void *restrict out, const void *restrict in, size_t count, ck_tally *tally);

/// The kernels of one level. Every type but f64 is exact in f32, so two tables make all the pairs.
typedef struct {
    /// To f32: rounded from f64, exact from every other type. The entry of f32 copies.
    ck_convert_kernel *widen[CK_FLOAT_COUNT];
    /// From f32, rounded; NULL for f8_e8m0, f6 and f4, to which nothing is narrowed. The entry of f32 copies.
    ck_convert_kernel *narrow[CK_FLOAT_COUNT];
    /// From f64 to f32 by rounding to odd, so that rounding the result once more equals rounding the source once.
    ck_convert_kernel *f64_to_f32_odd;
} ck_convert;

/// The kernels of a level that this machine has.
const ck_convert *ck_convert_at(ck_level level);

/// Bits of one element.
int ck_float_bits(ck_float type);

/// Whether elements of `from` can be converted to `to`: every pair but those that narrow to f8_e8m0, f6 or f4.
int ck_convert_exists(ck_float from, ck_float to);

/// Converts `count` elements of any pair that exists. The same type on both sides is copied bit for bit.
void ck_convert_elements(
    const ck_convert *kernels, ck_float from, ck_float to,
    void *restrict out, const void *restrict in, size_t count, ck_tally *tally);
