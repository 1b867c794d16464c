// exp, tanh and erf of sixteen lanes. Their errors are measured by the tests, which state them.

/// The polynomial with `count` coefficients, lowest power first, by Horner's rule.
INLINE OF(lanes) OF(polynomial)(OF(lanes) x, const REAL *coefficients, size_t count) {
    OF(lanes) sum = coefficients[count - 1];
    UNROLL for (size_t i = count - 1; i-- > 0;) sum = OF(fma)(sum, x, (OF(lanes))coefficients[i]);
    return sum;
}

#define POLYNOMIAL(x, name) \
    OF(polynomial)(x, OF(ck_##name##_coefficients), sizeof OF(ck_##name##_coefficients) / sizeof(REAL))

/// 2^power for powers of normal numbers.
INLINE OF(lanes) OF(power_of_two)(OF(bits) power) {
    const INTEGER bias = CONSTANT(127.0, 1023.0);
    return (OF(lanes))((OF(natural_bits))(power + bias) << (NATURAL)CONSTANT(23.0, 52.0));
}

/// e^x: x = n ln 2 + r, and e^r = 1 + r + r^2 q(r).
///
/// 2^n is multiplied in two halves, so that only the second rounds, and only where the result is subnormal.
INLINE OF(lanes) OF(exponential)(OF(lanes) x) {
    // Outside these bounds the result is 0 or infinite; inside, n stays within the halves' reach.
    const OF(lanes) low = CONSTANT(-104.0, -746.0), high = CONSTANT(89.0, 710.0);
    x = x < low ? low : x;
    x = x > high ? high : x;
    // Adding 1.5 * 2^(mantissa bits) leaves the nearest integer in the lowest bits.
    const OF(lanes) magic = CONSTANT(0x1.8p23, 0x1.8p52);
    const OF(lanes) shifted = OF(fma)(x, (OF(lanes))CONSTANT(0x1.715476p+0, 0x1.71547652b82fep+0), magic);
    const OF(lanes) n = shifted - magic;
    OF(lanes) r = OF(fma)(n, (OF(lanes))CONSTANT(-0x1.62e43p-1, -0x1.62e42fefa39efp-1), x);
    r = OF(fma)(n, (OF(lanes))CONSTANT(0x1.05c61p-29, -0x1.abc9e3b39803fp-56), r);
    const OF(lanes) e = OF(fma)(r * r, POLYNOMIAL(r, exp), r) + CONSTANT(1.0, 1.0);
    const OF(bits) power = (OF(bits))shifted - (OF(bits))magic;
    const OF(bits) half = power >> 1;
    return e * OF(power_of_two)(half) * OF(power_of_two)(power - half);
}

/// tanh: an odd polynomial near 0, else 1 - 2 / (e^(2|x|) + 1).
INLINE OF(lanes) OF(hyperbolic_tangent)(OF(lanes) x) {
    const OF(lanes) one = CONSTANT(1.0, 1.0), two = CONSTANT(2.0, 2.0);
    const OF(lanes) a = OF(magnitude)(x), z = a * a;
    const OF(lanes) near = OF(fma)(a * z, POLYNOMIAL(z, tanh), a);
    const OF(lanes) far = one - two / (OF(exponential)(a + a) + one);
    return OF(signed_as)(a < CONSTANT(0.625, 0.625) ? near : far, x);
}

/// erfc of numbers that are not negative: e^(-x^2) r Q(1 - 2 k r) with r = 1 / (x + k).
INLINE OF(lanes) OF(error_complement)(OF(lanes) x) {
    const OF(lanes) limit = CONSTANT(10.5, 27.5);  // erfc is 0 from here on
    x = x > limit ? limit : x;
    const REAL k = CONSTANT(3.0, 4.0);
    const OF(lanes) one = CONSTANT(1.0, 1.0);
    const OF(lanes) r = one / (x + k);
    const OF(lanes) t = OF(fma)(r, (OF(lanes))(-2 * k), one);
    // What rounding takes from x^2 is given back to the first order.
    const OF(lanes) square = x * x, rest = OF(fma)(x, x, -square);
    OF(lanes) e = OF(exponential)(-square);
    e = OF(fma)(e, -rest, e);
    return e * (r * POLYNOMIAL(t, erfcx));
}

/// erf: an odd polynomial below 1, else 1 - erfc.
INLINE OF(lanes) OF(error_function)(OF(lanes) x) {
    const OF(lanes) one = CONSTANT(1.0, 1.0);
    const OF(lanes) a = OF(magnitude)(x), z = a * a;
    const OF(lanes) near = OF(fma)(a, POLYNOMIAL(z, erf), a);
    return OF(signed_as)(a < one ? near : one - OF(error_complement)(a), x);
}
