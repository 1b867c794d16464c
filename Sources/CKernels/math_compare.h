// Statistics of a test vector against its reference, in float64.

/// Sums, maxima and counts of each lane.
typedef struct {
    lanes_f64 ref2, test2, dot, diff2, max_diff, max_ref;
    bits_f64 index, nonfinite_ref, nonfinite_test, unmatched, equal;
} OF(tally);

INLINE void OF(count_in)(OF(tally) *t, OF(lanes) reference, OF(lanes) test, bits_f64 index) {
    const lanes_f64 infinity = __builtin_inf(), zero = 0;
    lanes_f64 a = OF(as_f64)(reference), b = OF(as_f64)(test);
    const bits_f64 a_is_finite = magnitude_f64(a) < infinity, b_is_finite = magnitude_f64(b) < infinity;
    t->nonfinite_ref += ~a_is_finite & 1;
    t->nonfinite_test += ~b_is_finite & 1;
    t->unmatched += ~(a_is_finite & b_is_finite) & ~(a == b) & ~((a != a) & (b != b)) & 1;
    t->equal += __builtin_convertvector((OF(bits))reference == (OF(bits))test, bits_f64) & 1;
    a = a_is_finite & b_is_finite ? a : zero;
    b = a_is_finite & b_is_finite ? b : zero;
    const lanes_f64 difference = b - a, distance = magnitude_f64(difference);
    t->ref2 = fma_f64(a, a, t->ref2);
    t->test2 = fma_f64(b, b, t->test2);
    t->dot = fma_f64(a, b, t->dot);
    t->diff2 = fma_f64(difference, difference, t->diff2);
    t->index = distance > t->max_diff ? index : t->index;
    t->max_diff = greater_f64(t->max_diff, distance);
    t->max_ref = greater_f64(t->max_ref, magnitude_f64(a));
}

INLINE uint64_t OF(counted)(bits_f64 lanes) {
    uint64_t sum = 0;
    for (int i = 0; i < CK_LANES; i++) sum += (uint64_t)lanes[i];
    return sum;
}

static void OF(compare)(const REAL *reference, const REAL *test, size_t count, ck_comparison *out) {
    OF(tally) t = {0};
    bits_f64 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (size_t i = 0; i < count; i += CK_LANES, index += CK_LANES)
        OF(count_in)(&t, OF(load_at)(reference, i, count, 0), OF(load_at)(test, i, count, 0), index);
    const size_t filling = (CK_LANES - count % CK_LANES) % CK_LANES;  // equal zeros that are not elements
    *out = (ck_comparison){
        .sum_ref2 = joined_f64(t.ref2), .sum_test2 = joined_f64(t.test2), .sum_dot = joined_f64(t.dot),
        .sum_diff2 = joined_f64(t.diff2), .max_abs_diff = greatest_f64(t.max_diff),
        .max_abs_ref = greatest_f64(t.max_ref), .count = count,
        .count_nonfinite_ref = OF(counted)(t.nonfinite_ref), .count_nonfinite_test = OF(counted)(t.nonfinite_test),
        .count_unmatched = OF(counted)(t.unmatched), .count_equal_bits = OF(counted)(t.equal) - filling,
    };
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < CK_LANES; i++)
        if (t.max_diff[i] == out->max_abs_diff && (uint64_t)t.index[i] < first) first = (uint64_t)t.index[i];
    out->index_of_max = first;
}
