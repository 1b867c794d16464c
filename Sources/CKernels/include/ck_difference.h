// What a declared storage may have done to weights, and how far two rows of logits are apart, in float64.
//
// One text for every dispatch level, compiled without its instructions: the same bits everywhere. These loops read each
// weight once, or follow functions (ck_math.h) that take most of the time.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// How one side stores the elements of a row.
typedef struct {
    /// A plain floating-point type: its significant bits, the leading one counted, and the exponent of its least normal
    /// number. 0 bits: no such type.
    int significant_bits, least_exponent;
    /// Quantized: element j was rounded to steps of scales[(j + offset) / group * scale_stride]. NULL: it is not.
    const float *scales;
    /// Zero points beside the scales, in steps, whole or not; NULL where all are zero.
    const float *zeros;
    size_t scale_stride, group;
    /// Elements of a group that lie before the first one.
    size_t offset;
    /// Half a unit in the last place of the type in which steps are multiplied, relative to the value.
    double unit;
    /// Half a unit in the last place of the type to which a step was rounded after the integers were chosen; 0 where it
    /// was rounded before.
    double step_unit;
    /// The integers, NULL where they are not known; from the limit on, up and down, an element may have been clipped.
    const int8_t *codes;
    int code_limit;  ///< the greatest integer; the least is one further down
} ck_storage;

/// What elements of a row are found to be beyond their storage.
typedef struct {
    uint64_t count;
    /// The greatest distance in units of what is allowed; infinity where nothing is.
    double worst;
    /// The first such element.
    uint64_t first;
} ck_beyond;

/// Counts elements that lie farther apart than both storages' rounding of a common value explains: half a step of each.
///
/// An element that is clipped, and whose other side lies beyond it, is not counted.
ck_beyond ck_beyond_rounding(const double *reference, const double *test, size_t count,
                             const ck_storage *reference_storage, const ck_storage *test_storage);

/// Rounds every element to what the storage holds, to nearest even: to the type's significant bits (its range is not
/// looked at), or to the nearest step that an integer can have. float64 and unknown storages keep what they are given.
void ck_round_to_storage_f32(float *values, size_t count, const ck_storage *storage);
void ck_round_to_storage_f64(double *values, size_t count, const ck_storage *storage);

/// Adds to every element what rounding to the storage takes from the other side's: `other` less its rounded value.
void ck_add_rounding_error_f32(float *values, const double *other, size_t count, const ck_storage *storage);
void ck_add_rounding_error_f64(double *values, const double *other, size_t count, const ck_storage *storage);

/// out[j, i] = in[i, j], for in [rows, columns].
void ck_transpose_f64(const double *in, size_t rows, size_t columns, double *out);

/// A row of logits against another.
typedef struct {
    /// Sum of p log(p / q), natural logarithm: never negative, exactly 0 for equal rows.
    double kl;
    size_t reference_top, test_top;
    /// Log-probability of the reference's first choice less that of its second; infinity for one class.
    double margin;
} ck_logits_row;

/// Compares two rows, given as log-probabilities and their exponentials.
///
/// Each class adds p (d + exp(-d) - 1) with d = log p - log q, which is p d - p + q, and sums to the same because both
/// rows sum to one; no term is negative. Where d is small it is summed as a series, so that nothing cancels.
void ck_compare_logits(const double *log_p, const double *log_q, const double *p, const double *q, size_t count,
                       ck_logits_row *out);
