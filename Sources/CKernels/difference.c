#include "ck_difference.h"
#include "ck_math.h"
#include <string.h>
#pragma STDC FP_CONTRACT OFF

// MARK: Rounding

static double magnitude(double x) { return x < 0 ? -x : x; }

/// Half a unit in the last place of a type with so many significant bits, at a value.
static double half_unit(double value, int bits, int least_exponent) {
    uint64_t pattern;
    memcpy(&pattern, &value, sizeof pattern);
    int exponent = (int)(pattern >> 52 & 0x7FF) - 1023;
    if (exponent < least_exponent) exponent = least_exponent;
    exponent -= bits;
    if (exponent < -1022) exponent = -1022;
    const uint64_t result = (uint64_t)(exponent + 1023) << 52;
    double half;
    memcpy(&half, &result, sizeof half);
    return half;
}

/// Where the step of an element stands among the scales.
static size_t step_of(const ck_storage *storage, size_t j) {
    return (j + storage->offset) / storage->group * storage->scale_stride;
}

/// The farthest that rounding carries an element. The step itself is known to the rounding of its arithmetic only.
static double radius(const ck_storage *storage, size_t j, double value) {
    if (storage->significant_bits > 0)
        return half_unit(value, storage->significant_bits, storage->least_exponent);
    if (!storage->scales) return 0;
    const size_t place = step_of(storage, j);
    const double step = magnitude(storage->scales[place]);
    // A step that was rounded afterwards moves an integer's value by as much of it, and the least value, which was rounded
    // too, is no greater than this.
    const double least = storage->zeros ? (magnitude(storage->zeros[place]) + storage->code_limit + 1) * step : 0;
    return 0.5 * step * (1 + 0x1p-10) + 2 * storage->unit * magnitude(value)
        + 2 * storage->step_unit * (magnitude(value) + least);
}

static int is_clipped(const ck_storage *storage, size_t j, double overshoot) {
    if (!storage->codes) return 0;
    const int code = storage->codes[j];
    if (storage->scales[step_of(storage, j)] < 0) overshoot = -overshoot;
    return (code >= storage->code_limit && overshoot > 0) || (code <= -storage->code_limit && overshoot < 0);
}

ck_beyond ck_beyond_rounding(const double *reference, const double *test, size_t count,
                             const ck_storage *reference_storage, const ck_storage *test_storage) {
    ck_beyond result = {0, 0, 0};
    for (size_t j = 0; j < count; j++) {
        const double r = reference[j], t = test[j];
        if (r == t || (r != r && t != t)) continue;
        const double larger = magnitude(r) > magnitude(t) ? r : t;
        const double allowed = radius(reference_storage, j, larger) + radius(test_storage, j, larger);
        const double distance = magnitude(t - r);
        if (distance <= allowed) continue;
        if (is_clipped(test_storage, j, r - t) || is_clipped(reference_storage, j, t - r)) continue;
        const double ratio = distance < __builtin_inf() && allowed > 0 ? distance / allowed : __builtin_inf();
        if (result.count == 0) result.first = j;
        if (ratio > result.worst) result.worst = ratio;
        result.count++;
    }
    return result;
}

/// To nearest even; of less than 2^51 in magnitude.
static double nearest(double x) {
    const double shift = 0x1.8p52;
    return (x + shift) - shift;
}

static double to_bits(double value, int bits, int least_exponent) {
    if (!(magnitude(value) < __builtin_inf())) return value;
    const double unit = 2 * half_unit(value, bits, least_exponent);
    return nearest(value / unit) * unit;
}

static double rounded(const ck_storage *storage, size_t j, double value) {
    if (storage->significant_bits >= 51) return value;
    if (storage->significant_bits > 0) return to_bits(value, storage->significant_bits, storage->least_exponent);
    if (!storage->scales) return value;
    const size_t place = step_of(storage, j);
    const double scale = storage->scales[place], zero = storage->zeros ? storage->zeros[place] : 0;
    if (!(scale != 0) || !(magnitude(value) < __builtin_inf())) return 0;
    const double limit = storage->code_limit, code = value / scale + zero;
    const double kept = code > limit ? limit : code < -limit - 1 ? -limit - 1 : nearest(code);
    const double result = (kept - zero) * scale;
    // Products are rounded to the type of the scale.
    return to_bits(result, storage->unit > 0x1p-10 ? 8 : storage->unit > 0x1p-20 ? 11 : 24, -126);
}

void ck_round_to_storage_f32(float *values, size_t count, const ck_storage *storage) {
    for (size_t j = 0; j < count; j++) values[j] = (float)rounded(storage, j, values[j]);
}

void ck_round_to_storage_f64(double *values, size_t count, const ck_storage *storage) {
    for (size_t j = 0; j < count; j++) values[j] = rounded(storage, j, values[j]);
}

void ck_add_rounding_error_f32(float *values, const double *other, size_t count, const ck_storage *storage) {
    for (size_t j = 0; j < count; j++) values[j] = (float)(values[j] + (other[j] - rounded(storage, j, other[j])));
}

void ck_add_rounding_error_f64(double *values, const double *other, size_t count, const ck_storage *storage) {
    for (size_t j = 0; j < count; j++) values[j] += other[j] - rounded(storage, j, other[j]);
}

// MARK: Layout

void ck_transpose_f64(const double *in, size_t rows, size_t columns, double *out) {
    enum { TILE = 16 };
    for (size_t top = 0; top < rows; top += TILE)
        for (size_t left = 0; left < columns; left += TILE)
            for (size_t j = left; j < columns && j < left + TILE; j++)
                for (size_t i = top; i < rows && i < top + TILE; i++) out[j * rows + i] = in[i * columns + j];
}

// MARK: Logits

/// d + exp(-d) - 1, times p = exp(log p); q = p exp(-d).
static double divergence(double d, double p, double q) {
    if (magnitude(d) < 0x1p-7)
        return p * d * d * (0.5 - d * (1.0 / 6 - d * (1.0 / 24 - d * (1.0 / 120 - d * (1.0 / 720)))));
    // Nothing of a class that both leave out.
    return p > 0 ? p * d - p + q : q;
}

void ck_compare_logits(const double *log_p, const double *log_q, const double *p, const double *q, size_t count,
                       ck_logits_row *out) {
    double lanes[CK_LANES] = {0};
    for (size_t j = 0; j < count; j++) lanes[j % CK_LANES] += divergence(log_p[j] - log_q[j], p[j], q[j]);
    for (int width = CK_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    *out = (ck_logits_row){.kl = lanes[0], .margin = __builtin_inf()};
    double first = -__builtin_inf(), second = -__builtin_inf(), test = -__builtin_inf();
    for (size_t j = 0; j < count; j++) {
        if (log_p[j] > first) {
            second = first;
            first = log_p[j];
            out->reference_top = j;
        } else if (log_p[j] > second) {
            second = log_p[j];
        }
        if (log_q[j] > test) {
            test = log_q[j];
            out->test_top = j;
        }
    }
    if (count > 1) out->margin = first - second;
}
