// One row times weights as they lie in memory, which is read once and is what takes the time.

enum {
    OF(ROW_COLUMNS) = 16 * 1024 / sizeof(REAL),  // columns whose partial sums stay in the cache's first level
    OF(ROW_OUTPUTS) = 16,    // columns along k that are walked side by side
};

/// Starts or continues some outputs with a block's partial sums.
INLINE void OF(deposit_row)(const REAL *partial, REAL *c, size_t count, int is_first) {
    for (size_t j = 0; j < count; j += CK_LANES) {
        const OF(lanes) sum = OF(load_at)(partial, j, count, 0);
        OF(settle_at)(c, j, count, is_first ? sum : OF(load_at)(c, j, count, 0) + sum);
    }
}

/// One block of k, columns next to one another: four rows of weights at a time into partial sums that stay near.
static void OF(row_across)(const REAL *a, const float *w, size_t k_stride, size_t depth, REAL *c, size_t count,
                           int is_first) {
    REAL partial[OF(ROW_COLUMNS)] = {0};
    size_t i = 0;
    for (; i + 4 <= depth; i += 4, w += 4 * k_stride)
        for (size_t j = 0; j < count; j += CK_LANES) {
            OF(lanes) sum = OF(load)(partial + j);
            UNROLL for (size_t s = 0; s < 4; s++)
                sum = OF(fma)((OF(lanes))a[i + s], OF(weights_at)(w + s * k_stride, j, count), sum);
            OF(store)(partial + j, sum);
        }
    for (; i < depth; i++, w += k_stride)
        for (size_t j = 0; j < count; j += CK_LANES)
            OF(store)(partial + j, OF(fma)((OF(lanes))a[i], OF(weights_at)(w, j, count), OF(load)(partial + j)));
    OF(deposit_row)(partial, c, count, is_first);
}

/// One block of k, columns contiguous along k: four steps of eight columns are transposed in registers.
///
/// `next` is what the next columns will read, in the order of the addresses: sixteen short streams at once are more
/// than the processor foresees by itself.
static void OF(row_along)(const REAL *a, const float *w, size_t n_stride, size_t depth, REAL *c, const float *next,
                          int is_first) {
    enum { GROUPS = OF(ROW_OUTPUTS) / 8, LINE = 16 };
    OF(eight_real) sums[GROUPS] = {0};
    size_t i = 0;
    for (; i + 4 <= depth; i += 4) {
        for (size_t l = 0; l < 4; l++, next += LINE) __builtin_prefetch(next, 0, 2);
        UNROLL for (size_t g = 0; g < GROUPS; g++) {
            OF(eight_real) steps[4];
            OF(transpose_eight)(w + 8 * g * n_stride + i, n_stride, steps);
            UNROLL for (size_t s = 0; s < 4; s++)
                sums[g] = __builtin_elementwise_fma((OF(eight_real))a[i + s], steps[s], sums[g]);
        }
    }
    for (; i < depth; i++)
        for (size_t j = 0; j < OF(ROW_OUTPUTS); j++)
            sums[j / 8][j % 8] = __builtin_elementwise_fma(a[i], (REAL)w[j * n_stride + i], sums[j / 8][j % 8]);
    OF(deposit_row)((const REAL *)sums, c, OF(ROW_OUTPUTS), is_first);
}

/// Whether the kernels of this file take a product, and for how many of its columns.
INLINE size_t OF(row_takes)(size_t m, size_t k_stride, size_t n_stride, size_t count) {
    return m != 1 ? 0 : n_stride == 1 ? count : k_stride == 1 ? count / OF(ROW_OUTPUTS) * OF(ROW_OUTPUTS) : 0;
}

/// One row times `count` columns, as many as row_takes.
static void OF(row_product)(const REAL *a, const float *w, size_t k_stride, size_t n_stride, REAL *c, size_t k,
                            size_t count) {
    const size_t together = n_stride == 1 ? OF(ROW_COLUMNS) : OF(ROW_OUTPUTS);
    for (size_t j = 0; j < count; j += together)
        for (size_t i = 0; i < k; i += CK_PRODUCT_BLOCK) {
            const size_t depth = k - i < CK_PRODUCT_BLOCK ? k - i : CK_PRODUCT_BLOCK;
            const float *from = w + i * k_stride + j * n_stride;
            if (n_stride == 1)
                OF(row_across)(a + i, from, k_stride, depth, c + j, count - j < together ? count - j : together, i == 0);
            else OF(row_along)(a + i, from, n_stride, depth, c + j, w + (j + together) * n_stride + i * together, i == 0);
        }
}
