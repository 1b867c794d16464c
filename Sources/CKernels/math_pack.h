// Packing of weights into panels.

enum { OF(PACK_STEPS) = 8 };

/// Eight weights as the kernels' type.
#define COPY_EIGHT(name, source)                                                                                       \
    INLINE void OF(name)(REAL *to, const source *from) {                                                               \
        typedef source eight __attribute__((ext_vector_type(8)));                                                      \
        typedef REAL eight_real __attribute__((ext_vector_type(8)));                                                   \
        eight x;                                                                                                       \
        __builtin_memcpy(&x, from, sizeof x);                                                                          \
        const eight_real converted = __builtin_convertvector(x, eight_real);                                           \
        __builtin_memcpy(to, &converted, sizeof converted);                                                            \
    }

/// Whole columns next to one another in memory: some rows at a time over all panels. Longer strips would fall into
/// the same few lines of the cache, panel after panel, and shorter ones write less than the memory likes.
#define PACK_ROWS(name, source, copy_eight)                                                                            \
    static void OF(name)(const source *w, size_t k_stride, size_t k, size_t panels, REAL *packed) {                    \
        for (size_t first = 0; first < k; first += OF(PACK_STEPS))                                                     \
            for (size_t p = 0; p < panels; p++) {                                                                      \
                const size_t end = k - first < OF(PACK_STEPS) ? k : first + OF(PACK_STEPS);                            \
                const source *from = w + first * k_stride + p * OF(PANEL_WIDTH);                                       \
                REAL *to = packed + (p * k + first) * OF(PANEL_WIDTH);                                                 \
                for (size_t i = first; i < end; i++, from += k_stride, to += OF(PANEL_WIDTH))                          \
                    UNROLL for (size_t j = 0; j < OF(PANEL_WIDTH); j += 8) OF(copy_eight)(to + j, from + j);           \
            }                                                                                                          \
    }

/// Any strides, and the last panel where it is not whole.
#define PACK_ELEMENTS(name, source)                                                                                    \
    static void OF(name)(const source *w, size_t k_stride, size_t n_stride, size_t k, size_t columns, REAL *packed) {  \
        for (size_t i = 0; i < k; i++, packed += OF(PANEL_WIDTH)) {                                                    \
            for (size_t j = 0; j < columns; j++) packed[j] = (REAL)w[i * k_stride + j * n_stride];                     \
            for (size_t j = columns; j < OF(PANEL_WIDTH); j++) packed[j] = 0;                                          \
        }                                                                                                              \
    }

COPY_EIGHT(copy_eight, float)
PACK_ROWS(pack_rows_of_weights, float, copy_eight)
PACK_ELEMENTS(pack_elements, float)

typedef float OF(eight) __attribute__((ext_vector_type(8)));
typedef REAL OF(eight_real) __attribute__((ext_vector_type(8)));

/// Four elements each of two columns four apart.
INLINE OF(eight) OF(two_columns)(const float *w, size_t n_stride) {
    OF(eight) x;
    __builtin_memcpy(&x, w, 4 * sizeof *w);
    __builtin_memcpy((float *)&x + 4, w + 4 * n_stride, 4 * sizeof *w);
    return x;
}

/// Four steps of k for eight columns, each contiguous along k: a transposition in registers.
INLINE void OF(transpose_eight)(const float *w, size_t n_stride, OF(eight_real) *steps) {
    const OF(eight) a = OF(two_columns)(w, n_stride), b = OF(two_columns)(w + n_stride, n_stride);
    const OF(eight) c = OF(two_columns)(w + 2 * n_stride, n_stride), d = OF(two_columns)(w + 3 * n_stride, n_stride);
    const OF(eight) ab = __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
    const OF(eight) cd = __builtin_shufflevector(c, d, 0, 8, 1, 9, 4, 12, 5, 13);
    const OF(eight) ab_high = __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
    const OF(eight) cd_high = __builtin_shufflevector(c, d, 2, 10, 3, 11, 6, 14, 7, 15);
    const OF(eight) whole[4] = {
        __builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13),
        __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15),
        __builtin_shufflevector(ab_high, cd_high, 0, 1, 8, 9, 4, 5, 12, 13),
        __builtin_shufflevector(ab_high, cd_high, 2, 3, 10, 11, 6, 7, 14, 15),
    };
    UNROLL for (size_t s = 0; s < 4; s++) steps[s] = __builtin_convertvector(whole[s], OF(eight_real));
}

/// A whole panel whose columns are contiguous along k.
static void OF(pack_columns)(const float *w, size_t n_stride, size_t k, REAL *packed) {
    const size_t even = k / 4 * 4;
    for (size_t i = 0; i < even; i += 4)
        UNROLL for (size_t j = 0; j < OF(PANEL_WIDTH); j += 8) {
            OF(eight_real) steps[4];
            OF(transpose_eight)(w + j * n_stride + i, n_stride, steps);
            UNROLL for (size_t s = 0; s < 4; s++)
                __builtin_memcpy(packed + (i + s) * OF(PANEL_WIDTH) + j, &steps[s], sizeof steps[s]);
        }
    OF(pack_elements)(w + even, 1, n_stride, k - even, OF(PANEL_WIDTH), packed + even * OF(PANEL_WIDTH));
}

static void OF(pack)(const float *w, size_t k_stride, size_t n_stride, size_t k, size_t n, size_t panel_begin,
                     size_t panel_end, REAL *packed) {
    const size_t whole_end = n / OF(PANEL_WIDTH) < panel_end ? n / OF(PANEL_WIDTH) : panel_end;
    const size_t whole = whole_end > panel_begin ? whole_end - panel_begin : 0;
    const float *from = w + panel_begin * OF(PANEL_WIDTH) * n_stride;
    size_t panel = 0;
    if (n_stride == 1) {
        OF(pack_rows_of_weights)(from, k_stride, k, whole, packed);
        panel = whole;
    } else if (k_stride == 1) {
        for (; panel < whole; panel++)
            OF(pack_columns)(from + panel * OF(PANEL_WIDTH) * n_stride, n_stride, k, packed + panel * k * OF(PANEL_WIDTH));
    }
    for (; panel < panel_end - panel_begin; panel++)
        OF(pack_elements)(from + panel * OF(PANEL_WIDTH) * n_stride, k_stride, n_stride, k,
                          OF(columns_between)(panel_begin + panel, panel_begin + panel + 1, n), packed + panel * k * OF(PANEL_WIDTH));
}
