// Quantized weights: choosing integers and scales, packing, unpacking, dequantizing, one row at a time.
// Every level gives the same bits.
#pragma once
#include "ck_level.h"
#include <stddef.h>
#include <stdint.h>

/// The type in which scales are stored, and to which a dequantized product is rounded.
typedef enum { CK_SCALE_F32 = 0, CK_SCALE_BF16 = 1, CK_SCALE_F16 = 2 } ck_scale_type;

/// Clipping points tried for a group; also the lanes of the search.
#define CK_CLIP_CANDIDATES 32

typedef struct {
    int bits;                  ///< 2 to 8
    int is_symmetric;          ///< without zero points
    size_t group;              ///< elements that share a scale
    ck_scale_type scale_type;
    float clip_step;           ///< candidate i clips at 1 - i * clip_step of the range; 0 clips nowhere
} ck_quantize_scheme;

/// Sums over elements, continued by every call, group by group in float64.
typedef struct {
    double signal;             ///< sum of the squared weights
    double noise;              ///< sum of the squared errors
    double maximum;            ///< largest absolute error
    int64_t saturated;         ///< elements whose nearest integer lies outside the range
    int64_t floored;           ///< non-zero groups whose scale was raised to the smallest normal number
} ck_quantize_tally;

typedef enum { CK_QUANTIZED = 0, CK_NOT_FINITE = 1, CK_SCALE_OVERFLOW = 2 } ck_quantize_status;

typedef struct {
    /// Integers, scales (already of the stored type's precision) and zero points of `count` weights: whole groups.
    /// Of the clipping points tried, the one with the least squared error is taken, the widest among equals.
    /// On failure, `*failed` is the first element that is not finite, or the first of the group that has no scale.
    /// `zeros` may be NULL where the scheme is symmetric.
    ck_quantize_status (*quantize_row)(const float *weights, size_t count, const ck_quantize_scheme *scheme,
                                       int8_t *codes, float *scales, int8_t *zeros, ck_quantize_tally *tally,
                                       size_t *failed);

    /// Packs signed codes densely, first in the lowest bits, each with 2^(bits-1) added; fills the last 32-bit word
    /// with zero bits.
    void (*pack_row)(const int8_t *codes, size_t count, int bits, uint8_t *packed);

    /// The reverse.
    void (*unpack_row)(const uint8_t *packed, size_t count, int bits, int8_t *codes);

    /// (code - zero) * scale for groups of `group`, the product rounded to the scale's type. `zeros` may be NULL.
    void (*dequantize_row)(const int8_t *codes, size_t count, size_t group, const float *scales, const int8_t *zeros,
                           ck_scale_type type, float *values);

    /// [rows, columns] at `from` (rows `from_stride` elements apart) to [columns, rows] at `to`.
    void (*transpose)(const float *from, size_t from_stride, size_t rows, size_t columns, float *to, size_t to_stride);
} ck_quantize;

/// The kernels of a level that this machine can run.
const ck_quantize *ck_quantize_at(ck_level level);

/// Stored scales as float32, exactly.
void ck_scales_widen(const void *stored, size_t count, ck_scale_type type, float *scales);

/// float32 scales that already have the type's precision, as stored.
void ck_scales_narrow(const float *scales, size_t count, ck_scale_type type, void *stored);

/// A float32 number rounded to the type's precision, to nearest even.
float ck_scale_round(float value, ck_scale_type type);

/// The smallest positive normal number of the type.
float ck_scale_smallest(ck_scale_type type);

/// Zero points [rows, groups] packed along the rows into [ceil(rows * bits / 32), groups] words.
void ck_zeros_pack(const int8_t *zeros, size_t rows, size_t groups, int bits, uint32_t *words);

/// Zero points of the rows `first ..< first + rows`; `words` begins at word row first * bits / 32.
void ck_zeros_unpack(const uint32_t *words, size_t first, size_t rows, size_t groups, int bits, int8_t *zeros);

/// Whether every scale of groups of `count` weights is a finite normal number of its type without clipping
/// (all-zero groups aside).
int ck_scales_fit(const float *weights, size_t count, const ck_quantize_scheme *scheme);

/// NaN becomes 0, an infinity the group's largest finite magnitude. Returns how many elements changed.
size_t ck_replace_not_finite(float *weights, size_t count, size_t group);
