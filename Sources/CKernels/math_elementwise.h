// One element in, one out.

#define ELEMENTWISE(name, expression)                                           \
    static void OF(name)(const REAL *in, REAL *out, size_t count) {             \
        for (size_t i = 0; i < count; i += CK_LANES) {                          \
            const OF(lanes) x = OF(load_at)(in, i, count, 0);                   \
            OF(settle_at)(out, i, count, expression);                           \
        }                                                                       \
    }

/// The least finite number in place of minus infinity, so that times 0 it gives -0.
INLINE OF(lanes) OF(above_infinity)(OF(lanes) x) {
    const OF(lanes) least = (REAL)CONSTANT(-0x1.fffffep127, -0x1.fffffffffffffp1023);
    return x < least ? least : x;
}

/// x sigmoid(z), the exponential being of -|z|: it cannot overflow, and keeps small sigmoids exact.
INLINE OF(lanes) OF(gated)(OF(lanes) x, OF(lanes) z) {
    const OF(lanes) one = CONSTANT(1.0, 1.0);
    const OF(lanes) e = OF(exponential)(-OF(magnitude)(z));
    return OF(above_infinity)(x) * (z < 0 ? e : one) / (one + e);
}

/// Twice sqrt(2 / pi) (x + 0.044715 x^3).
INLINE OF(lanes) OF(tanh_gate)(OF(lanes) x) {
    const OF(lanes) cubic = x * x * CONSTANT(0.044715, 0.044715);
    return OF(fma)(cubic, x, x) * CONSTANT(1.5957691216057308, 1.5957691216057308);
}

/// x Phi(x), Phi being half of erfc on the negative side: nothing cancels there.
INLINE OF(lanes) OF(erf_gated)(OF(lanes) x) {
    const OF(lanes) root = CONSTANT(0.7071067811865476, 0.7071067811865476), half = CONSTANT(0.5, 0.5);
    const OF(lanes) tail = half * OF(error_complement)(OF(magnitude)(x) * root);
    return OF(above_infinity)(x) * (x < 0 ? tail : CONSTANT(1.0, 1.0) - tail);
}

ELEMENTWISE(gelu_tanh, OF(gated)(x, OF(tanh_gate)(x)))
ELEMENTWISE(gelu_erf, OF(erf_gated)(x))
ELEMENTWISE(gelu_quick, OF(gated)(x, x *CONSTANT(1.702, 1.702)))
ELEMENTWISE(relu, x < 0 ? (OF(lanes))0 : x)
ELEMENTWISE(silu, OF(gated)(x, x))
ELEMENTWISE(sigmoid, OF(gated)((OF(lanes))CONSTANT(1.0, 1.0), x))
ELEMENTWISE(exp, OF(exponential)(x))
ELEMENTWISE(tanh, OF(hyperbolic_tangent)(x))
ELEMENTWISE(erf, OF(error_function)(x))

#undef ELEMENTWISE

static void OF(add)(const REAL *a, const REAL *b, REAL *out, size_t count) {
    for (size_t i = 0; i < count; i += CK_LANES)
        OF(settle_at)(out, i, count, OF(load_at)(a, i, count, 0) + OF(load_at)(b, i, count, 0));
}

static void OF(multiply)(const REAL *a, const REAL *b, REAL *out, size_t count) {
    for (size_t i = 0; i < count; i += CK_LANES)
        OF(settle_at)(out, i, count, OF(load_at)(a, i, count, 0) * OF(load_at)(b, i, count, 0));
}

static void OF(add_row)(REAL *x, const float *bias, size_t rows, size_t columns) {
    for (size_t r = 0; r < rows; r++, x += columns)
        for (size_t i = 0; i < columns; i += CK_LANES)
            OF(settle_at)(x, i, columns, OF(load_at)(x, i, columns, 0) + OF(weights_at)(bias, i, columns));
}

static void OF(rotate)(REAL *x, const REAL *cosines, const REAL *sines, size_t pairs, int are_neighbours) {
    const size_t step = are_neighbours ? 2 : 1, distance = are_neighbours ? 1 : pairs;
    for (size_t m = 0; m < pairs; m++) {
        REAL *first = x + m * step, *second = first + distance;
        const REAL a = *first, b = *second;
        *first = a * cosines[m] - b * sines[m];
        *second = b * cosines[m] + a * sines[m];
    }
}

static void OF(clamp)(REAL *x, REAL low, REAL high, size_t count) {
    for (size_t i = 0; i < count; i += CK_LANES) {
        const OF(lanes) value = OF(load_at)(x, i, count, 0), least = low, greatest = high;
        const OF(lanes) raised = value < least ? least : value;
        OF(settle_at)(x, i, count, raised > greatest ? greatest : raised);
    }
}

static void OF(scale)(REAL *x, REAL factor, size_t count) {
    for (size_t i = 0; i < count; i += CK_LANES) OF(settle_at)(x, i, count, OF(load_at)(x, i, count, 0) * factor);
}
