// The kernels of ck_quantize.h at one level; included by quantize.c once a level, as each_level.h says.

/// Largest magnitude as bits: orders like the numbers do, NaN above infinity.
static uint32_t CK_NAME(magnitude)(const float *x, size_t n) {
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = bits_of(x[i]) & 0x7FFFFFFF;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

/// Smallest and largest of finite weights and zero.
static void CK_NAME(extent)(const float *x, size_t n, float *low, float *high) {
    f32x16 least = 0, most = 0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        f32x16 v;
        memcpy(&v, x + i, sizeof v);
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    float lows[16], highs[16];
    memcpy(lows, &least, sizeof lows);
    memcpy(highs, &most, sizeof highs);
    for (size_t lane = 0; i < n; i++, lane++) {
        lows[lane] = x[i] < lows[lane] ? x[i] : lows[lane];
        highs[lane] = x[i] > highs[lane] ? x[i] : highs[lane];
    }
    for (int width = 8; width > 0; width /= 2)
        for (int lane = 0; lane < width; lane++) {
            lows[lane] = lows[lane + width] < lows[lane] ? lows[lane + width] : lows[lane];
            highs[lane] = highs[lane + width] > highs[lane] ? highs[lane + width] : highs[lane];
        }
    *low = lows[0];
    *high = highs[0];
}

/// The scales and zero points to try for a group, the widest first.
static void CK_NAME(make_candidates)(const ck_quantize_scheme *scheme, float low, float high, candidates *c) {
    const float code_min = -(float)(1 << (scheme->bits - 1)), code_max = -code_min - 1;
    const float floor = ck_scale_smallest(scheme->scale_type);
    const float magnitude = high > -low ? high : -low;
    const float widest =
        scheme->is_symmetric ? magnitude / code_max : high / (code_max - code_min) - low / (code_max - code_min);
    for (int i = 0; i < CK_CLIP_CANDIDATES; i++) c->scale[i] = widest * (1 - (float)i * scheme->clip_step);
    if (scheme->scale_type == CK_SCALE_BF16)
        for (int i = 0; i < CK_CLIP_CANDIDATES; i++) c->scale[i] = round_bf16(c->scale[i]);
    if (scheme->scale_type == CK_SCALE_F16)
        for (int i = 0; i < CK_CLIP_CANDIDATES; i++) c->scale[i] = round_f16(c->scale[i]);
    for (int i = 0; i < CK_CLIP_CANDIDATES; i++) {
        c->scale[i] = c->scale[i] < floor ? floor : c->scale[i];
        c->inverse[i] = 1 / c->scale[i];
        c->zero[i] = 0;
    }
    if (scheme->is_symmetric) return;
    for (int i = 0; i < CK_CLIP_CANDIDATES; i++) {
        float zero = code_min - low * (1 - (float)i * scheme->clip_step) / c->scale[i];
        zero = zero < code_min ? code_min : zero;
        zero = zero > code_max ? code_max : zero;
        c->zero[i] = round_even(zero);
    }
}

/// The candidate with the least squared error; -1 where the widest scale is not finite. Lanes are candidates, so each
/// one's errors are added in the order of the elements, in blocks of 256.
static int CK_NAME(best_candidate)(const float *x, size_t n, const ck_quantize_scheme *scheme, const candidates *c) {
    if (bits_of(c->scale[0]) >= 0x7F800000) return -1;
    if (scheme->clip_step == 0) return 0;
    const float code_min = -(float)(1 << (scheme->bits - 1)), code_max = -code_min - 1;
    f32x16 total[2] = {0, 0};
    for (size_t start = 0; start < n; start += 256) {
        const size_t end = n - start < 256 ? n : start + 256;
        for (int half = 0; half < 2; half++) {
            f32x16 inverse, zero, sum = 0;
            memcpy(&inverse, c->inverse + 16 * half, sizeof inverse);
            memcpy(&zero, c->zero + 16 * half, sizeof zero);
            const f32x16 low = code_min, high = code_max;
            for (size_t i = start; i < end; i++) {
                const f32x16 place = x[i] * inverse + zero;
                f32x16 code = place > low ? place : low;
                code = code < high ? code : high;
                code = (code + ROUND_EVEN) - ROUND_EVEN;
                const f32x16 error = place - code;
                sum += error * error;
            }
            total[half] += sum;
        }
    }
    float sums[CK_CLIP_CANDIDATES];
    memcpy(sums, total, sizeof sums);
    double errors[CK_CLIP_CANDIDATES];
    for (int i = 0; i < CK_CLIP_CANDIDATES; i++) errors[i] = (double)c->scale[i] * c->scale[i] * sums[i];
    int best = 0;
    for (int i = 1; i < CK_CLIP_CANDIDATES; i++) best = errors[i] < errors[best] ? i : best;
    return best;
}

/// code = round(x / scale + zero), clamped: the order of operations of the packing's own library.
static int64_t CK_NAME(encode)(const float *x, size_t n, int bits, float scale, float zero, int8_t *codes) {
    const float code_min = -(float)(1 << (bits - 1)), code_max = -code_min - 1;
    int32_t saturated = 0;
    for (size_t i = 0; i < n; i++) {
        const float place = x[i] / scale + zero;
        float code = place < code_min ? code_min : place;
        code = code > code_max ? code_max : code;
        code = round_even(code);
        // A tie at the upper end rounds to the even integer outside; at the lower end to the end itself.
        saturated += (place >= code_max + 0.5f) | (place < code_min - 0.5f);
        codes[i] = (int8_t)(int32_t)code;
    }
    return saturated;
}

static void CK_NAME(dequantize_group)(
    const int8_t *codes, size_t n, float scale, int32_t zero, ck_scale_type type, float *values) {
    switch (type) {
    case CK_SCALE_F32:
        for (size_t i = 0; i < n; i++) values[i] = (float)(codes[i] - zero) * scale;
        break;
    case CK_SCALE_BF16:
        for (size_t i = 0; i < n; i++) values[i] = round_bf16((float)(codes[i] - zero) * scale);
        break;
    case CK_SCALE_F16:
        for (size_t i = 0; i < n; i++) values[i] = round_f16((float)(codes[i] - zero) * scale);
        break;
    }
}

static void CK_NAME(dequantize_row)(const int8_t *codes, size_t count, size_t group, const float *scales,
                                  const int8_t *zeros, ck_scale_type type, float *values) {
    for (size_t start = 0, g = 0; start < count; start += group, g++) {
        const size_t n = count - start < group ? count - start : group;
        CK_NAME(dequantize_group)(codes + start, n, scales[g], zeros ? zeros[g] : 0, type, values + start);
    }
}

/// Adds a group's errors to the tally; 0 where a decoded value is not finite. Sixteen lanes joined by one tree.
static int CK_NAME(judge)(const float *x, const int8_t *codes, size_t n, float scale, int32_t zero, ck_scale_type type,
                        ck_quantize_tally *tally) {
    f64x16 signal = 0, noise = 0, maximum = 0;
    for (size_t start = 0; start < n; start += 256) {
        float decoded[256], weights[256];
        const size_t count = n - start < 256 ? n - start : 256, whole = (count + 15) / 16 * 16;
        CK_NAME(dequantize_group)(codes + start, count, scale, zero, type, decoded);
        memcpy(weights, x + start, count * sizeof *x);
        for (size_t i = count; i < whole; i++) decoded[i] = weights[i] = 0;
        for (size_t i = 0; i < whole; i += 16) {
            f32x16 a, b;
            memcpy(&a, weights + i, sizeof a);
            memcpy(&b, decoded + i, sizeof b);
            const f64x16 weight = __builtin_convertvector(a, f64x16);
            const f64x16 error = __builtin_convertvector(b, f64x16) - weight;
            const f64x16 magnitude = error < 0 ? -error : error;
            signal += weight * weight;
            noise += error * error;
            maximum = magnitude > maximum ? magnitude : maximum;
        }
    }
    double s[16], e[16], m[16];
    memcpy(s, &signal, sizeof s);
    memcpy(e, &noise, sizeof e);
    memcpy(m, &maximum, sizeof m);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++) {
            s[i] += s[i + width];
            e[i] += e[i + width];
            m[i] = m[i + width] > m[i] ? m[i + width] : m[i];
        }
    tally->signal += s[0];
    tally->noise += e[0];
    tally->maximum = m[0] > tally->maximum ? m[0] : tally->maximum;
    return e[0] < INFINITY;
}

static ck_quantize_status CK_NAME(quantize_row)(const float *weights, size_t count, const ck_quantize_scheme *scheme,
                                              int8_t *codes, float *scales, int8_t *zeros, ck_quantize_tally *tally,
                                              size_t *failed) {
    const size_t n = scheme->group;
    for (size_t start = 0, g = 0; start < count; start += n, g++) {
        const float *x = weights + start;
        const uint32_t magnitude = CK_NAME(magnitude)(x, n);
        if (magnitude >= 0x7F800000) {
            size_t i = 0;
            while ((bits_of(x[i]) & 0x7FFFFFFF) < 0x7F800000) i++;
            *failed = start + i;
            return CK_NOT_FINITE;
        }
        if (magnitude == 0) {
            memset(codes + start, 0, n);
            scales[g] = ck_scale_smallest(scheme->scale_type);
            if (zeros) zeros[g] = 0;
            continue;
        }
        float low, high;
        candidates c;
        CK_NAME(extent)(x, n, &low, &high);
        CK_NAME(make_candidates)(scheme, low, high, &c);
        const int best = CK_NAME(best_candidate)(x, n, scheme, &c);
        *failed = start;
        if (best < 0) return CK_SCALE_OVERFLOW;
        scales[g] = c.scale[best];
        if (zeros) zeros[g] = (int8_t)c.zero[best];
        tally->floored += c.scale[0] == ck_scale_smallest(scheme->scale_type);
        tally->saturated += CK_NAME(encode)(x, n, scheme->bits, c.scale[best], c.zero[best], codes + start);
        if (!CK_NAME(judge)(x, codes + start, n, c.scale[best], (int32_t)c.zero[best], scheme->scale_type, tally))
            return CK_SCALE_OVERFLOW;
    }
    return CK_QUANTIZED;
}

static void CK_NAME(pack_row)(const int8_t *codes, size_t count, int bits, uint8_t *packed) {
    const size_t bytes = (count * (size_t)bits + 31) / 32 * 4;
    size_t i = 0, at = 0;
    if (bits == 8) {
        for (; i < count; i++) packed[i] = (uint8_t)codes[i] ^ 0x80;
        at = count;
    } else if (bits == 4) {
        for (; i + 32 <= count; i += 32) {
            i8x32 pairs;
            memcpy(&pairs, codes + i, sizeof pairs);
            pairs ^= 8;
            const i8x16 first = __builtin_shufflevector(pairs, pairs, EVEN_16);
            const i8x16 second = __builtin_shufflevector(pairs, pairs, ODD_16);
            const i8x16 bytes = (first & 15) | (second << 4);
            memcpy(packed + i / 2, &bytes, sizeof bytes);
        }
        for (; i + 2 <= count; i += 2)
            packed[i / 2] = (uint8_t)(((uint8_t)codes[i] ^ 8) & 15) | (uint8_t)(((uint8_t)codes[i + 1] ^ 8) << 4);
        at = i / 2;
    } else {
        for (; i + 8 <= count; i += 8, at += (size_t)bits) pack_some(codes + i, 8, bits, packed + at, (size_t)bits);
    }
    if (i < count) {
        const size_t rest = ((count - i) * (size_t)bits + 7) / 8;
        pack_some(codes + i, count - i, bits, packed + at, rest);
        at += rest;
    }
    memset(packed + at, 0, bytes - at);
}

static void CK_NAME(unpack_row)(const uint8_t *packed, size_t count, int bits, int8_t *codes) {
    size_t i = 0, at = 0;
    if (bits == 8) {
        for (; i < count; i++) codes[i] = (int8_t)(packed[i] ^ 0x80);
    } else if (bits == 4) {
        for (; i + 32 <= count; i += 32) {
            u8x16 bytes;
            memcpy(&bytes, packed + i / 2, sizeof bytes);
            const u8x16 first = bytes & 15, second = bytes >> 4;
            const u8x32 pairs = __builtin_shufflevector(first, second, INTERLEAVE_16) - 8;
            memcpy(codes + i, &pairs, sizeof pairs);
        }
        for (; i + 2 <= count; i += 2) {
            codes[i] = (int8_t)((packed[i / 2] & 15) - 8);
            codes[i + 1] = (int8_t)((packed[i / 2] >> 4) - 8);
        }
        at = i / 2;
    } else {
        for (; i + 8 <= count; i += 8, at += (size_t)bits) unpack_some(packed + at, (size_t)bits, 8, bits, codes + i);
    }
    if (i < count) unpack_some(packed + at, ((count - i) * (size_t)bits + 7) / 8, count - i, bits, codes + i);
}

/// Tiles of 8 by 8 in registers: three rounds of interleaving.
static void CK_NAME(transpose_tile)(const float *from, size_t from_stride, float *to, size_t to_stride) {
    f32x8 a[8], b[8];
    for (int i = 0; i < 8; i++) memcpy(&a[i], from + (size_t)i * from_stride, sizeof a[i]);
    for (int i = 0; i < 4; i++) {
        b[2 * i] = __builtin_shufflevector(a[i], a[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
        b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
    for (int i = 0; i < 4; i++) {
        a[2 * i] = __builtin_shufflevector(b[i], b[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
        a[2 * i + 1] = __builtin_shufflevector(b[i], b[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
    for (int i = 0; i < 4; i++) {
        b[2 * i] = __builtin_shufflevector(a[i], a[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
        b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i++) memcpy(to + (size_t)i * to_stride, &b[i], sizeof b[i]);
}

static void CK_NAME(transpose)(
    const float *from, size_t from_stride, size_t rows, size_t columns, float *to, size_t to_stride) {
    const size_t whole_rows = rows / 8 * 8, whole_columns = columns / 8 * 8;
    for (size_t c = 0; c < whole_columns; c += 8)
        for (size_t r = 0; r < whole_rows; r += 8)
            CK_NAME(transpose_tile)(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
    for (size_t c = 0; c < columns; c++)
        for (size_t r = c < whole_columns ? whole_rows : 0; r < rows; r++)
            to[c * to_stride + r] = from[r * from_stride + c];
}

static const ck_quantize CK_NAME(table) = {
    CK_NAME(quantize_row), CK_NAME(pack_row), CK_NAME(unpack_row), CK_NAME(dequantize_row), CK_NAME(transpose)};
