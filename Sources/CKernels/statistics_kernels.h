// The body of the statistics kernels. statistics.c includes it once for every dispatch level, with LEVEL set.

#define CK_READ(name, type, expression) \
    static void CK_NAME(read_##name)(double *restrict out, const void *restrict in, size_t count) { \
        const type *restrict numbers = in; \
        for (size_t i = 0; i < count; i++) out[i] = (double)(expression); \
    }

CK_READ(bool, uint8_t, numbers[i] != 0)
CK_READ(u8, uint8_t, numbers[i])
CK_READ(i8, int8_t, numbers[i])
CK_READ(u16, loose_u16, numbers[i])
CK_READ(i16, loose_i16, numbers[i])
CK_READ(u32, loose_u32, numbers[i])
CK_READ(i32, loose_i32, numbers[i])
CK_READ(u64, loose_u64, numbers[i])
CK_READ(i64, loose_i64, numbers[i])

#undef CK_READ

/// One tree over the lanes: the halves are added, then their halves.
static double CK_NAME(lanes_sum)(const double *lanes) {
    double sums[CK_LANES];
    for (int j = 0; j < CK_LANES; j++) sums[j] = lanes[j];
    for (int half = CK_LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++) sums[j] += sums[j + half];
    return sums[0];
}

/// The sum of squared distances of the finite values from their mean. `count` fills whole lanes.
static double CK_NAME(block_squares)(const double *block, size_t count, double mean) {
    double lanes[CK_LANES] = {0};
    for (size_t i = 0; i < count; i += CK_LANES) {
        for (int j = 0; j < CK_LANES; j++) {
            double value = block[i + (size_t)j];
            double distance = value - mean;
            lanes[j] += __builtin_fabs(value) < __builtin_inf() ? distance * distance : 0;
        }
    }
    return CK_NAME(lanes_sum)(lanes);
}

/// The statistics of one block. `count` fills whole lanes; what fills the last one up is NaN.
static ck_statistics CK_NAME(block_statistics)(const double *block, size_t count) {
    double sums[CK_LANES] = {0}, minima[CK_LANES], maxima[CK_LANES];
    uint64_t nan[CK_LANES] = {0}, zero[CK_LANES] = {0}, finite[CK_LANES] = {0};
    for (int j = 0; j < CK_LANES; j++) {
        minima[j] = __builtin_inf();
        maxima[j] = -__builtin_inf();
    }
    for (size_t i = 0; i < count; i += CK_LANES) {
        for (int j = 0; j < CK_LANES; j++) {
            double value = block[i + (size_t)j];
            int is_finite = __builtin_fabs(value) < __builtin_inf();
            double low = is_finite ? value : __builtin_inf(), high = is_finite ? value : -__builtin_inf();
            sums[j] += is_finite ? value : 0;
            minima[j] = low < minima[j] ? low : minima[j];
            maxima[j] = high > maxima[j] ? high : maxima[j];
            nan[j] += value != value;
            zero[j] += value == 0;
            finite[j] += (uint64_t)is_finite;
        }
    }
    ck_statistics result = ck_statistics_empty();
    for (int j = 0; j < CK_LANES; j++) {
        result.nan += nan[j];
        result.zero += zero[j];
        result.finite += finite[j];
        result.minimum = minima[j] < result.minimum ? minima[j] : result.minimum;
        result.maximum = maxima[j] > result.maximum ? maxima[j] : result.maximum;
    }
    result.infinite = count - result.nan - result.finite;
    if (result.finite > 0) {
        result.mean = CK_NAME(lanes_sum)(sums) / (double)result.finite;
        result.squares = CK_NAME(block_squares)(block, count, result.mean);
    }
    return result;
}

static const statistics_kernels CK_NAME(kernels) = {
    .read_integer = {
        CK_NAME(read_bool), CK_NAME(read_u8), CK_NAME(read_i8), CK_NAME(read_u16), CK_NAME(read_i16),
        CK_NAME(read_u32), CK_NAME(read_i32), CK_NAME(read_u64), CK_NAME(read_i64),
    },
    .block_statistics = CK_NAME(block_statistics),
};
