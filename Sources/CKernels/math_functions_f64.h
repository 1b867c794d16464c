// log, sine and cosine, in float64 only: sums of softmax and tables of positions.

/// log x: x = 2^n (1 + f) with 1 + f between the roots of 1/2 and 2; s = f / (2 + f);
/// log(1 + f) = 2 atanh(s) = f - s (f - s^2 q(s^2)).
INLINE lanes_f64 logarithm_f64(lanes_f64 x) {
    const lanes_f64 infinity = __builtin_inf();
    const bits_f64 is_subnormal = x < 0x1p-1022;
    const lanes_f64 normal = is_subnormal ? x * 0x1p54 : x;
    const bits_f64 root = (bits_f64)(lanes_f64)0x1.6a09e667f3bcdp-1;
    const bits_f64 power = ((bits_f64)normal - root) >> 52;
    const lanes_f64 f = (lanes_f64)((bits_f64)normal - (bits_f64)((natural_bits_f64)power << 52)) - 1.0;
    const lanes_f64 n = __builtin_convertvector(power + (is_subnormal & -54), lanes_f64);
    const lanes_f64 s = f / (f + 2.0), z = s * s;
    const lanes_f64 q = z * POLYNOMIAL(z, log);
    const lanes_f64 low = fma_f64(s, q - f, n * 0x1.abc9e3b39803fp-56);
    const lanes_f64 result = fma_f64(n, (lanes_f64)0x1.62e42fefa39efp-1, f + low);
    const lanes_f64 special = x == 0.0 ? -infinity : x == infinity ? infinity : (lanes_f64)__builtin_nan("");
    return ((x > 0.0) & (x < infinity)) ? result : special;
}

/// sin(x + quarters * pi / 2): x = n pi / 2 + r, then the sine or the cosine of r, and the sign of the quadrant.
INLINE lanes_f64 turned_sine_f64(lanes_f64 x, int64_t quarters) {
    const lanes_f64 magic = 0x1.8p52;
    const lanes_f64 shifted = fma_f64(x, (lanes_f64)0x1.45f306dc9c883p-1, magic);
    const lanes_f64 n = shifted - magic;
    lanes_f64 r = fma_f64(n, (lanes_f64)-0x1.921fb54442d18p+0, x);
    r = fma_f64(n, (lanes_f64)-0x1.1a62633145c07p-54, r);
    const lanes_f64 z = r * r;
    const lanes_f64 sine = fma_f64(r * z, POLYNOMIAL(z, sine), r);
    const lanes_f64 cosine = fma_f64(z * z, POLYNOMIAL(z, cosine), fma_f64(z, (lanes_f64)-0.5, (lanes_f64)1.0));
    const bits_f64 quadrant = (bits_f64)shifted + quarters;
    const lanes_f64 magnitude = (quadrant & 1) == 1 ? cosine : sine;
    return (quadrant & 2) == 2 ? -magnitude : magnitude;
}
