// Norms and softmax: each row alone, its sums over the sixteen virtual lanes.

INLINE REAL OF(sum)(const REAL *x, size_t count) {
    OF(lanes) sum = 0;
    for (size_t i = 0; i < count; i += CK_LANES) sum += OF(load_at)(x, i, count, 0);
    return OF(joined)(sum);
}

/// The sum of (x - centre)^2. What fills up the last group is the centre itself, so it adds +0.
INLINE REAL OF(sum_of_squares)(const REAL *x, REAL centre, size_t count) {
    OF(lanes) sum = 0;
    for (size_t i = 0; i < count; i += CK_LANES) {
        const OF(lanes) difference = OF(load_at)(x, i, count, centre) - centre;
        sum = OF(fma)(difference, difference, sum);
    }
    return OF(joined)(sum);
}

INLINE REAL OF(maximum)(const REAL *x, size_t count) {
    const REAL least = (REAL)-__builtin_inf();
    OF(lanes) most = least;
    for (size_t i = 0; i < count; i += CK_LANES) most = OF(greater)(most, OF(load_at)(x, i, count, least));
    return OF(greatest)(most);
}

INLINE REAL OF(inverse_root)(REAL x) { return 1 / (sizeof(REAL) == 4 ? (REAL)__builtin_sqrtf((float)x) : (REAL)__builtin_sqrt(x)); }

static void OF(layer_norm)(const REAL *in, const float *weight, const float *bias, double epsilon, REAL *out,
                           size_t rows, size_t columns) {
    for (size_t r = 0; r < rows; r++, in += columns, out += columns) {
        const REAL mean = OF(sum)(in, columns) / (REAL)columns;
        const REAL variance = OF(sum_of_squares)(in, mean, columns) / (REAL)columns;
        const REAL factor = OF(inverse_root)(variance + (REAL)epsilon);
        for (size_t i = 0; i < columns; i += CK_LANES) {
            OF(lanes) y = (OF(load_at)(in, i, columns, 0) - mean) * factor;
            if (weight && bias) y = OF(fma)(y, OF(weights_at)(weight, i, columns), OF(weights_at)(bias, i, columns));
            else if (weight) y = y * OF(weights_at)(weight, i, columns);
            else if (bias) y = y + OF(weights_at)(bias, i, columns);
            OF(settle_at)(out, i, columns, y);
        }
    }
}

static void OF(rms_norm)(const REAL *in, const float *weight, double epsilon, REAL *out, size_t rows, size_t columns) {
    for (size_t r = 0; r < rows; r++, in += columns, out += columns) {
        const REAL factor = OF(inverse_root)(OF(sum_of_squares)(in, 0, columns) / (REAL)columns + (REAL)epsilon);
        for (size_t i = 0; i < columns; i += CK_LANES) {
            OF(lanes) y = OF(load_at)(in, i, columns, 0) * factor;
            if (weight) y = y * OF(weights_at)(weight, i, columns);
            OF(settle_at)(out, i, columns, y);
        }
    }
}

/// The sum of e^(x - most); the exponentials are kept in `out` where it is given.
INLINE REAL OF(sum_of_exponentials)(const REAL *x, REAL most, REAL *out, size_t count) {
    OF(lanes) sum = 0;
    for (size_t i = 0; i < count; i += CK_LANES) {
        const OF(lanes) e = OF(exponential)(OF(load_at)(x, i, count, (REAL)-__builtin_inf()) - most);
        sum += e;
        if (out) OF(settle_at)(out, i, count, e);
    }
    return OF(joined)(sum);
}

static void OF(softmax_rows)(const REAL *in, REAL *out, size_t rows, size_t columns) {
    for (size_t r = 0; r < rows; r++, in += columns, out += columns) {
        const REAL sum = OF(sum_of_exponentials)(in, OF(maximum)(in, columns), out, columns);
        for (size_t i = 0; i < columns; i += CK_LANES)
            OF(settle_at)(out, i, columns, OF(load_at)(out, i, columns, 0) / sum);
    }
}

static void OF(log_softmax_rows)(const REAL *in, REAL *out, size_t rows, size_t columns) {
    for (size_t r = 0; r < rows; r++, in += columns, out += columns) {
        const REAL most = OF(maximum)(in, columns);
        const REAL sum = OF(sum_of_exponentials)(in, most, NULL, columns);
        const REAL log_sum = (REAL)logarithm_f64((lanes_f64)(double)sum)[0];
        for (size_t i = 0; i < columns; i += CK_LANES)
            OF(settle_at)(out, i, columns, (OF(load_at)(in, i, columns, 0) - most) - log_sum);
    }
}
