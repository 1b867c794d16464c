// Floating-point kernels: products, attention, norms, activations and statistics, in float32 and float64.
//
// THE PROMISE: the same bits at every dispatch level, on every machine, for any split into threads, tiles and
// batches. It rests on the orders below, which are arithmetic version 1: whoever changes a bit of any result
// raises CK_ARITHMETIC_VERSION.
//
// Product. c[i, j] is summed over k in blocks of CK_PRODUCT_BLOCK. The partial sum of a block begins at +0 and
//   takes one fused multiply-add a k, k ascending. c[i, j] is the first block's partial, then the partials of the
//   other blocks are added to it in sequence. Without any k it is +0. Lanes, tiles, threads and rows divide outputs
//   only, so one row has the bits that it has among many.
// Row reduction. Element i belongs to virtual lane i mod CK_LANES. A lane begins at +0 and takes its elements in
//   ascending order, a last incomplete group being filled up with +0 (a maximum: with minus infinity). The sixteen
//   lanes are joined by halves: lane i with lane i + 8, then i + 4, i + 2, i + 1.
// Attention. Keys go in blocks of CK_KEY_BLOCK counted from `key_begin`. See ck_attention_f32.
// Functions. exp, tanh, erf, log, sin, cos are polynomials in fused multiply-adds (scripts/minimax.py), never libm.
// Not a number. Every NaN that is written is the one quiet, positive NaN without payload.
// The rounding mode is to nearest, and subnormal numbers are kept: callers leave the floating-point environment be.
//
// No kernel allocates or starts threads. Sizes are elements. Every matrix is row-major with a row stride in elements.
// `out` may be `in` itself, but no other overlap is allowed.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "ck_level.h"

enum {
    CK_ARITHMETIC_VERSION = 1,
    CK_PRODUCT_BLOCK = 256,
    CK_KEY_BLOCK = 64,
    CK_LANES = 16,
};

/// One head, some query rows: `out[r] = softmax over j of (capped(scale * (q[r] . k[j])) + bias[r, j]) times v[j]`, where
/// capped(s) = cap * tanh(s / cap), or s where there is no cap. A sink is a score more that takes its share of the softmax
/// and brings no value.
///
/// Row r sees the keys j of `begin[r] ..< end[r]` whose mask byte is not 0. Keys it does not see contribute nothing,
/// whatever their k, v and bias hold. Its bits depend on the keys that it sees and on `key_begin`, on nothing else.
///
/// A block of keys, in order: each score is a product (in its order) times `scale`, capped, then plus the bias; m' is the
/// greatest of m and the block's scores; p[j] = exp(s[j] - m'); the p are summed as a row reduction whose lane is
/// (j - key_begin) mod 16; the partial sum of v begins at +0 and takes one fused multiply-add a key, ascending. Then,
/// with c = exp(m - m'), l = fma(l, c, sum) and acc = fma(acc, c, partial); the first block with a key that the row
/// sees sets them instead. At the end out = acc / l; with a sink s and m' the greater of m and s, out = acc * exp(m - m') /
/// fma(l, exp(m - m'), exp(s - m')). While every score is minus infinity, 0 stands for m' in the
/// exponents. A row that sees no key is set to +0.
typedef struct {
    const float *q;         ///< [rows, width]
    size_t q_stride;
    const float *k;         ///< [keys, width]
    size_t k_stride;
    const float *v;         ///< [keys, value_width]
    size_t v_stride;
    float *out;             ///< [rows, value_width]
    size_t out_stride;
    size_t rows, width, value_width;
    float scale;
    size_t key_begin;       ///< where blocks are counted from: the sequence's first key that is not masked
    const size_t *begin;    ///< [rows], each at least key_begin; NULL: key_begin
    const size_t *end;      ///< [rows]
    const uint8_t *mask;    ///< [keys], 0 for a key that nobody sees; NULL: all are seen
    const float *bias;      ///< [rows, keys], NULL: none
    ptrdiff_t bias_stride;  ///< 0 where all rows have one; below 0 where each begins one element before the last
    float cap;              ///< 0: none
    const float *sink;      ///< one number, NULL: none
    size_t repeated;        ///< keys left out of k and v, whole blocks of the first ones, which are all as the first
                            ///< block of k and v; 0: none. key_begin is 0 then
} ck_attention_f32;

/// The same in float64.
typedef struct {
    const double *q;
    size_t q_stride;
    const double *k;
    size_t k_stride;
    const double *v;
    size_t v_stride;
    double *out;
    size_t out_stride;
    size_t rows, width, value_width;
    double scale;
    size_t key_begin;
    const size_t *begin;
    const size_t *end;
    const uint8_t *mask;
    const double *bias;
    ptrdiff_t bias_stride;
    double cap;
    const double *sink;
    size_t repeated;
} ck_attention_f64;

/// How far a test vector is from its reference. All arithmetic is float64 over the sixteen virtual lanes.
///
/// Pairs of which either side is not finite are counted and left out of every sum and maximum.
typedef struct {
    double sum_ref2;              ///< sum of reference squared
    double sum_test2;             ///< sum of test squared
    double sum_dot;               ///< sum of reference times test
    double sum_diff2;             ///< sum of (test - reference) squared
    double max_abs_diff;
    double max_abs_ref;
    uint64_t index_of_max;        ///< the first element where max_abs_diff occurs; 0 if nothing differs
    uint64_t count;
    uint64_t count_nonfinite_ref;
    uint64_t count_nonfinite_test;
    uint64_t count_unmatched;     ///< pairs that are not both finite, nor both NaN, nor equal infinities
    uint64_t count_equal_bits;
} ck_comparison;

/// Adds the figures of a part that starts at element `begin` of the whole. Sums depend on the order of the parts.
void ck_comparison_add(ck_comparison *total, const ck_comparison *part, uint64_t begin);

typedef void ck_unary_f32(const float *in, float *out, size_t count);
typedef void ck_unary_f64(const double *in, double *out, size_t count);

/// The kernels of one dispatch level.
typedef struct {
    /// Columns of one packed panel.
    size_t panel_width_f32, panel_width_f64;

    /// Elements of a packed [k, n] matrix: ceil(n / panel width) panels of k times panel width.
    size_t (*packed_count_f32)(size_t k, size_t n);
    size_t (*packed_count_f64)(size_t k, size_t n);

    /// Packs the panels `panel_begin ..< panel_end` of the matrix whose element (i, j) is w[i * k_stride + j * n_stride].
    ///
    /// `packed` is where panel_begin goes: the whole buffer plus panel_begin * k * panel width, or a buffer for
    /// these panels alone. Columns from n on are +0.
    void (*pack_f32)(const float *w, size_t k_stride, size_t n_stride, size_t k, size_t n,
                     size_t panel_begin, size_t panel_end, float *packed);
    void (*pack_f64)(const float *w, size_t k_stride, size_t n_stride, size_t k, size_t n,
                     size_t panel_begin, size_t panel_end, double *packed);
    void (*pack_f64_from_f64)(const double *w, size_t k_stride, size_t n_stride, size_t k, size_t n,
                              size_t panel_begin, size_t panel_end, double *packed);

    /// c[m, n] = a[m, k] times the packed matrix, for the columns of the panels `panel_begin ..< panel_end`.
    ///
    /// `packed` is where panel_begin lies; `a` and `c` are the whole matrices. `c` overlaps nothing.
    void (*product_f32)(const float *a, size_t a_stride, const float *packed, float *c, size_t c_stride,
                        size_t m, size_t k, size_t n, size_t panel_begin, size_t panel_end);
    void (*product_f64)(const double *a, size_t a_stride, const double *packed, double *c, size_t c_stride,
                        size_t m, size_t k, size_t n, size_t panel_begin, size_t panel_end);

    /// Packs and multiplies, as many panels at a time as `scratch` holds of CK_PRODUCT_BLOCK times panel width elements
    /// (at least one): for weights that are used once.
    ///
    /// About 2 MB of scratch keep what was packed in the cache.
    void (*product_unpacked_f32)(const float *a, size_t a_stride, const float *w, size_t k_stride, size_t n_stride,
                                 float *c, size_t c_stride, size_t m, size_t k, size_t n,
                                 size_t panel_begin, size_t panel_end, float *scratch, size_t scratch_count);
    void (*product_unpacked_f64)(const double *a, size_t a_stride, const float *w, size_t k_stride, size_t n_stride,
                                 double *c, size_t c_stride, size_t m, size_t k, size_t n,
                                 size_t panel_begin, size_t panel_end, double *scratch, size_t scratch_count);

    /// Attention of one head; `scratch` has attention_scratch_count(width) elements.
    size_t (*attention_scratch_count_f32)(size_t width);
    size_t (*attention_scratch_count_f64)(size_t width);
    void (*attention_f32)(const ck_attention_f32 *head, float *scratch);
    void (*attention_f64)(const ck_attention_f64 *head, double *scratch);

    /// y = (x - mean) / sqrt(variance + epsilon), then fma(y, weight, bias); a missing weight or bias is left out.
    ///
    /// The mean first, then the mean of the squared differences from it. 1 / sqrt(...) multiplies the differences.
    void (*layer_norm_f32)(const float *in, const float *weight, const float *bias, double epsilon,
                           float *out, size_t rows, size_t columns);
    void (*layer_norm_f64)(const double *in, const float *weight, const float *bias, double epsilon,
                           double *out, size_t rows, size_t columns);

    /// y = x * (1 / sqrt(mean of x squared + epsilon)), then times weight where there is one.
    void (*rms_norm_f32)(const float *in, const float *weight, double epsilon, float *out, size_t rows, size_t columns);
    void (*rms_norm_f64)(const double *in, const float *weight, double epsilon, double *out, size_t rows, size_t columns);

    /// exp(x - max) / sum, and (x - max) - log(sum).
    void (*softmax_rows_f32)(const float *in, float *out, size_t rows, size_t columns);
    void (*softmax_rows_f64)(const double *in, double *out, size_t rows, size_t columns);
    void (*log_softmax_rows_f32)(const float *in, float *out, size_t rows, size_t columns);
    void (*log_softmax_rows_f64)(const double *in, double *out, size_t rows, size_t columns);

    /// x * sigmoid(2 u) with u = sqrt(2 / pi) * (x + 0.044715 x^3), which is 0.5 x (1 + tanh(u)) without its
    /// cancellation; x * Phi(x); x * sigmoid(1.702 x).
    ck_unary_f32 *gelu_tanh_f32, *gelu_erf_f32, *gelu_quick_f32;
    ck_unary_f64 *gelu_tanh_f64, *gelu_erf_f64, *gelu_quick_f64;
    ck_unary_f32 *relu_f32, *silu_f32, *sigmoid_f32;
    ck_unary_f64 *relu_f64, *silu_f64, *sigmoid_f64;
    ck_unary_f32 *exp_f32, *tanh_f32, *erf_f32;
    ck_unary_f64 *exp_f64, *tanh_f64, *erf_f64;
    /// log of anything; sine and cosine of at most 2^23 in magnitude (for tables of positions).
    ck_unary_f64 *log_f64, *sine_f64, *cosine_f64;

    /// out = a + b, out = a * b, x = x + bias (one row of float32 for every row), x = x * factor.
    void (*add_f32)(const float *a, const float *b, float *out, size_t count);
    void (*add_f64)(const double *a, const double *b, double *out, size_t count);
    void (*multiply_f32)(const float *a, const float *b, float *out, size_t count);
    void (*multiply_f64)(const double *a, const double *b, double *out, size_t count);
    void (*add_row_f32)(float *x, const float *bias, size_t rows, size_t columns);
    void (*add_row_f64)(double *x, const float *bias, size_t rows, size_t columns);

    /// Turns pairs of elements by angles: (a, b) becomes (a cos - b sin, b cos + a sin), each product rounded by itself.
    /// A pair are elements m and m + pairs, or 2m and 2m + 1 where they are neighbours.
    void (*rotate_f32)(float *x, const float *cosines, const float *sines, size_t pairs, int are_neighbours);
    void (*rotate_f64)(double *x, const double *cosines, const double *sines, size_t pairs, int are_neighbours);
    void (*scale_f32)(float *x, float factor, size_t count);
    void (*scale_f64)(double *x, double factor, size_t count);
    /// Numbers below `low` become that, and those above `high` that; not a number stays so.
    void (*clamp_f32)(float *x, float low, float high, size_t count);
    void (*clamp_f64)(double *x, double low, double high, size_t count);

    /// Between the types; the last rounds to float32 and keeps the value in float64.
    void (*widen_f32_f64)(const float *in, double *out, size_t count);
    void (*narrow_f64_f32)(const double *in, float *out, size_t count);
    void (*round_f64_to_f32_in_place)(double *x, size_t count);

    void (*compare_f32)(const float *reference, const float *test, size_t count, ck_comparison *out);
    void (*compare_f64)(const double *reference, const double *test, size_t count, ck_comparison *out);
} ck_math;

/// The kernels of a level, or NULL where this machine cannot run it.
const ck_math *ck_math_at(ck_level level);
