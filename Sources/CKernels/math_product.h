// Products: c = a times w, w packed into panels along the columns.
//
// A panel holds PANEL_WIDTH columns, [k][PANEL_WIDTH]. A tile keeps TILE_ROWS rows of one panel's outputs in
// registers while k ascends; nothing but the outputs is ever divided, which is what fixes the bits.

enum {
    OF(PANEL_WIDTH) = TILE_REGISTERS * OF(REGISTER_WIDTH),
    // Rows of `a` that are packed together, on the stack: 64 KB.
    OF(BLOCK_ROWS) = 64 * 1024 / (CK_PRODUCT_BLOCK * sizeof(REAL)) / TILE_ROWS * TILE_ROWS,
    // Panels that a single row walks at once: enough loads under way to use all of the memory's bandwidth.
    OF(ROW_PANELS) = 4,
};

static size_t OF(packed_count)(size_t k, size_t n) {
    return (n + OF(PANEL_WIDTH) - 1) / OF(PANEL_WIDTH) * OF(PANEL_WIDTH) * k;
}

INLINE size_t OF(columns_of)(size_t panel, size_t n) {
    const size_t left = n - panel * OF(PANEL_WIDTH);
    return left < OF(PANEL_WIDTH) ? left : OF(PANEL_WIDTH);
}

#include "math_pack.h"

INLINE OF(reg) OF(load_reg)(const REAL *from) {
    OF(reg) x;
    __builtin_memcpy(&x, from, sizeof x);
    return x;
}

INLINE void OF(store_reg)(REAL *to, OF(reg) x) { __builtin_memcpy(to, &x, sizeof x); }

INLINE OF(reg) OF(settled_reg)(OF(reg) x) { return x == x ? x : (OF(reg))(REAL)__builtin_nan(""); }

/// The partial sums of one block: `rows` rows of `a` (element (r, i) at r * a_row + i * a_step) times `width`
/// registers of columns (those of step i at b + i * b_step, and `panel` further for every whole panel).
///
/// `rows` and `width` are constants where this is inlined; `sums` is [rows][width].
INLINE void OF(accumulate)(const size_t rows, const size_t width, const REAL *a, size_t a_row, size_t a_step,
                           const REAL *b, size_t panel, size_t depth, OF(reg) *sums) {
    UNROLL for (size_t i = 0; i < rows * width; i++) sums[i] = 0;
    for (size_t i = 0; i < depth; i++, a += a_step, b += OF(PANEL_WIDTH)) {
        OF(reg) columns[OF(ROW_PANELS) * TILE_REGISTERS];
        UNROLL for (size_t v = 0; v < width; v++)
            columns[v] = OF(load_reg)(b + v / TILE_REGISTERS * panel + v % TILE_REGISTERS * OF(REGISTER_WIDTH));
        UNROLL for (size_t r = 0; r < rows; r++) {
            const OF(reg) factor = a[r * a_row];
            UNROLL for (size_t v = 0; v < width; v++)
                sums[r * width + v] = __builtin_elementwise_fma(factor, columns[v], sums[r * width + v]);
        }
    }
}

/// Starts the outputs with the first block's partial sums, or adds those of a later one.
INLINE void OF(deposit)(const size_t rows, const size_t width, const OF(reg) *sums, REAL *c, size_t c_stride,
                        size_t columns, int is_first) {
    REAL line[OF(ROW_PANELS) * OF(PANEL_WIDTH)];
    UNROLL for (size_t r = 0; r < rows; r++, c += c_stride) {
        const int is_whole = columns == width * OF(REGISTER_WIDTH);
        REAL *to = is_whole ? c : line;
        if (!is_whole && !is_first) __builtin_memcpy(line, c, columns * sizeof *c);
        UNROLL for (size_t v = 0; v < width; v++, to += OF(REGISTER_WIDTH))
            OF(store_reg)(to, OF(settled_reg)(is_first ? sums[r * width + v] : OF(load_reg)(to) + sums[r * width + v]));
        if (!is_whole) __builtin_memcpy(c, line, columns * sizeof *c);
    }
}

INLINE void OF(tile_of)(const size_t rows, const REAL *a, size_t a_row, size_t a_step, const REAL *b, size_t depth,
                        REAL *c, size_t c_stride, size_t columns, int is_first) {
    OF(reg) sums[TILE_ROWS * TILE_REGISTERS];
    UNROLL for (size_t r = 0; r < rows; r++) __builtin_prefetch(c + r * c_stride, 1);
    OF(accumulate)(rows, TILE_REGISTERS, a, a_row, a_step, b, 0, depth, sums);
    OF(deposit)(rows, TILE_REGISTERS, sums, c, c_stride, columns, is_first);
}

/// One tile of one block, for any number of rows up to TILE_ROWS.
static void OF(tile)(size_t rows, const REAL *a, size_t a_row, size_t a_step, const REAL *b, size_t depth,
                     REAL *c, size_t c_stride, size_t columns, int is_first) {
#define ROWS(count)                                                                                                    \
    case count:                                                                                                        \
        OF(tile_of)(count <= TILE_ROWS ? count : 1, a, a_row, a_step, b, depth, c, c_stride, columns, is_first);       \
        return;
    switch (rows) {
        ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6)
#if TILE_ROWS > 6
        ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12)
#endif
    }
#undef ROWS
}

/// Whole tiles whose rows of `a` were packed: [depth][TILE_ROWS].
static void OF(packed_tile)(const REAL *a, const REAL *b, size_t depth, REAL *c, size_t c_stride, size_t columns,
                            int is_first) {
    OF(tile_of)(TILE_ROWS, a, 1, TILE_ROWS, b, depth, c, c_stride, columns, is_first);
}

/// Rows that do not fill a tile or only just: `a` is read where it lies, all of k for one panel after the other.
static void OF(few_rows)(const REAL *a, size_t a_stride, const REAL *panel, REAL *c, size_t c_stride, size_t m,
                         size_t k, size_t columns) {
    for (size_t i = 0; i < k; i += CK_PRODUCT_BLOCK) {
        const size_t depth = k - i < CK_PRODUCT_BLOCK ? k - i : CK_PRODUCT_BLOCK;
        OF(tile)(m, a + i, a_stride, 1, panel + i * OF(PANEL_WIDTH), depth, c, c_stride, columns, i == 0);
    }
}

/// One row times ROW_PANELS whole panels.
static void OF(row_of_panels)(const REAL *a, const REAL *panels, REAL *c, size_t k) {
    enum { WIDTH = OF(ROW_PANELS) * TILE_REGISTERS, COLUMNS = OF(ROW_PANELS) * OF(PANEL_WIDTH) };
    for (size_t i = 0; i < k; i += CK_PRODUCT_BLOCK) {
        const size_t depth = k - i < CK_PRODUCT_BLOCK ? k - i : CK_PRODUCT_BLOCK;
        OF(reg) sums[WIDTH];
        OF(accumulate)(1, WIDTH, a + i, 0, 1, panels + i * OF(PANEL_WIDTH), k * OF(PANEL_WIDTH), depth, sums);
        OF(deposit)(1, WIDTH, sums, c, 0, COLUMNS, i == 0);
    }
}

/// Many rows: blocks of k outside, then blocks of rows packed once for all panels, then panels, then tiles.
static void OF(many_rows)(const REAL *a, size_t a_stride, const REAL *packed, REAL *c, size_t c_stride, size_t m,
                          size_t k, size_t n, size_t panel_begin, size_t panel_end) {
    _Alignas(64) REAL block[OF(BLOCK_ROWS) * CK_PRODUCT_BLOCK];
    for (size_t i = 0; i < k; i += CK_PRODUCT_BLOCK) {
        const size_t depth = k - i < CK_PRODUCT_BLOCK ? k - i : CK_PRODUCT_BLOCK;
        for (size_t row = 0; row < m; row += OF(BLOCK_ROWS)) {
            const size_t rows = m - row < OF(BLOCK_ROWS) ? m - row : OF(BLOCK_ROWS);
            const size_t whole = rows / TILE_ROWS * TILE_ROWS;
            OF(pack_rows)(a + row * a_stride + i, a_stride, whole, depth, block);
            for (size_t panel = panel_begin; panel < panel_end; panel++) {
                const REAL *b = packed + ((panel - panel_begin) * k + i) * OF(PANEL_WIDTH);
                const size_t columns = OF(columns_of)(panel, n);
                REAL *to = c + row * c_stride + panel * OF(PANEL_WIDTH);
                for (size_t r = 0; r < whole; r += TILE_ROWS)
                    OF(packed_tile)(block + r * depth, b, depth, to + r * c_stride, c_stride, columns, i == 0);
                OF(tile)(rows - whole, a + (row + whole) * a_stride + i, a_stride, 1, b, depth, to + whole * c_stride,
                         c_stride, columns, i == 0);
            }
        }
    }
}

static void OF(clear_columns)(REAL *c, size_t c_stride, size_t m, size_t n, size_t panel_begin, size_t panel_end) {
    for (size_t panel = panel_begin; panel < panel_end; panel++)
        for (size_t r = 0; r < m; r++)
            for (size_t j = 0; j < OF(columns_of)(panel, n); j++) c[r * c_stride + panel * OF(PANEL_WIDTH) + j] = 0;
}

static void OF(product)(const REAL *a, size_t a_stride, const REAL *packed, REAL *c, size_t c_stride, size_t m,
                        size_t k, size_t n, size_t panel_begin, size_t panel_end) {
    if (k == 0) return OF(clear_columns)(c, c_stride, m, n, panel_begin, panel_end);
    if (m > TILE_ROWS) return OF(many_rows)(a, a_stride, packed, c, c_stride, m, k, n, panel_begin, panel_end);
    const size_t whole = n / OF(PANEL_WIDTH) < panel_end ? n / OF(PANEL_WIDTH) : panel_end;
    for (size_t panel = panel_begin; panel < panel_end;) {
        const REAL *from = packed + (panel - panel_begin) * k * OF(PANEL_WIDTH);
        REAL *to = c + panel * OF(PANEL_WIDTH);
        if (m == 1 && panel + OF(ROW_PANELS) <= whole) {
            OF(row_of_panels)(a, from, to, k);
            panel += OF(ROW_PANELS);
        } else {
            OF(few_rows)(a, a_stride, from, to, c_stride, m, k, OF(columns_of)(panel, n));
            panel++;
        }
    }
}

static void OF(product_unpacked)(const REAL *a, size_t a_stride, const float *w, size_t k_stride, size_t n_stride,
                                 REAL *c, size_t c_stride, size_t m, size_t k, size_t n, size_t panel_begin,
                                 size_t panel_end, REAL *scratch, size_t scratch_count) {
    const size_t held = k ? scratch_count / (k * OF(PANEL_WIDTH)) : panel_end;
    const size_t step = held > 1 ? held : 1;
    for (size_t panel = panel_begin; panel < panel_end; panel += step) {
        const size_t end = panel_end - panel < step ? panel_end : panel + step;
        OF(pack)(w, k_stride, n_stride, k, n, panel, end, scratch);
        OF(product)(a, a_stride, scratch, c, c_stride, m, k, n, panel, end);
    }
}
