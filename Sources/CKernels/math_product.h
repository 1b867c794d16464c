// Products: c = a times w, w packed into panels along the columns.
//
// A panel holds PANEL_WIDTH columns, [k][PANEL_WIDTH]. A tile keeps TILE_ROWS rows of one panel's outputs in
// registers while k ascends; nothing but the outputs is ever divided, which is what fixes the bits.

enum {
    OF(PANEL_WIDTH) = TILE_REGISTERS * OF(REGISTER_WIDTH),
    // Rows of `a` that are copied together, to the stack: 64 KB.
    OF(BLOCK_ROWS) = 64 * 1024 / (CK_PRODUCT_BLOCK * sizeof(REAL)) / TILE_ROWS * TILE_ROWS,
    // Panels that a single row walks at once: enough loads under way to use all of the memory's bandwidth.
    OF(ROW_PANELS) = 4,
};

static size_t OF(packed_count)(size_t k, size_t n) {
    return (n + OF(PANEL_WIDTH) - 1) / OF(PANEL_WIDTH) * OF(PANEL_WIDTH) * k;
}

/// Columns of some panels, less the padding.
INLINE size_t OF(columns_between)(size_t panel, size_t panel_end, size_t n) {
    const size_t begin = panel * OF(PANEL_WIDTH), end = panel_end * OF(PANEL_WIDTH);
    return begin >= n ? 0 : (end < n ? end : n) - begin;
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

/// A whole tile whose rows of `a` were copied next to one another, CK_PRODUCT_BLOCK apart.
static void OF(whole_tile)(const REAL *a, const REAL *b, size_t depth, REAL *c, size_t c_stride, size_t columns,
                           int is_first) {
    OF(tile_of)(TILE_ROWS, a, CK_PRODUCT_BLOCK, 1, b, depth, c, c_stride, columns, is_first);
}

/// One block of k: `a` begins at its first column, `b` at its first step in the first panel; the same step lies
/// `panel_stride` further in the next panel. `c` begins at the first panel's columns, of which `columns` are real.
typedef struct {
    const REAL *a;
    size_t a_stride;
    const REAL *b;
    size_t panel_stride, depth;
    REAL *c;
    size_t c_stride, columns;
    int is_first;
} OF(step);

INLINE size_t OF(columns_left)(const OF(step) *s, size_t column) {
    return s->columns - column < OF(PANEL_WIDTH) ? s->columns - column : OF(PANEL_WIDTH);
}

/// Rows that do not fill more than a tile: `a` is read where it lies.
static void OF(few_rows)(const OF(step) *s, size_t row, size_t rows) {
    const REAL *b = s->b;
    for (size_t j = 0; j < s->columns; j += OF(PANEL_WIDTH), b += s->panel_stride)
        OF(tile)(rows, s->a + row * s->a_stride, s->a_stride, 1, b, s->depth, s->c + row * s->c_stride + j, s->c_stride,
                 OF(columns_left)(s, j), s->is_first);
}

/// One row times ROW_PANELS whole panels.
static void OF(row_of_panels)(const OF(step) *s) {
    enum { WIDTH = OF(ROW_PANELS) * TILE_REGISTERS };
    OF(reg) sums[WIDTH];
    OF(accumulate)(1, WIDTH, s->a, 0, 1, s->b, s->panel_stride, s->depth, sums);
    OF(deposit)(1, WIDTH, sums, s->c, 0, WIDTH * OF(REGISTER_WIDTH), s->is_first);
}

/// One or two rows do not keep the multipliers busy: a last tile of so few shares with the one before it.
INLINE size_t OF(rows_of_whole_tiles)(size_t rows) {
    const size_t whole = rows / TILE_ROWS * TILE_ROWS;
    return whole > 0 && whole < rows && rows - whole < TILE_ROWS / 2 ? whole - TILE_ROWS : whole;
}

/// Many rows: blocks of them, each copied once for all panels, then panels, then tiles.
static void OF(many_rows)(const OF(step) *s, size_t m) {
    _Alignas(64) REAL block[OF(BLOCK_ROWS) * CK_PRODUCT_BLOCK];
    for (size_t row = 0; row < m; row += OF(BLOCK_ROWS)) {
        const size_t rows = m - row < OF(BLOCK_ROWS) ? m - row : OF(BLOCK_ROWS);
        const size_t whole = OF(rows_of_whole_tiles)(rows), left = rows - whole;
        for (size_t r = 0; r < whole; r++)
            __builtin_memcpy(block + r * CK_PRODUCT_BLOCK, s->a + (row + r) * s->a_stride, s->depth * sizeof *block);
        const REAL *b = s->b;
        for (size_t j = 0; j < s->columns; j += OF(PANEL_WIDTH), b += s->panel_stride)
            for (size_t r = 0; r < whole; r += TILE_ROWS)
                OF(whole_tile)(block + r * CK_PRODUCT_BLOCK, b, s->depth, s->c + (row + r) * s->c_stride + j,
                               s->c_stride, OF(columns_left)(s, j), s->is_first);
        if (left > TILE_ROWS) OF(few_rows)(s, row + whole, left / 2);
        if (left) OF(few_rows)(s, row + (left > TILE_ROWS ? whole + left / 2 : whole), left > TILE_ROWS ? left - left / 2 : left);
    }
}

static void OF(take)(const OF(step) *s, size_t m) {
    if (m > TILE_ROWS) OF(many_rows)(s, m);
    else if (m == 1 && s->columns == OF(ROW_PANELS) * OF(PANEL_WIDTH)) OF(row_of_panels)(s);
    else OF(few_rows)(s, 0, m);
}

static void OF(clear_columns)(REAL *c, size_t c_stride, size_t m, size_t n, size_t panel_begin, size_t panel_end) {
    const size_t columns = OF(columns_between)(panel_begin, panel_end, n);
    for (size_t r = 0; r < m; r++)
        for (size_t j = 0; j < columns; j++) c[r * c_stride + panel_begin * OF(PANEL_WIDTH) + j] = 0;
}

/// How many panels go through all of k before the next: all, or few where the weights are what takes the time.
INLINE size_t OF(panels_together)(size_t m, size_t panels) { return m > TILE_ROWS ? panels : OF(ROW_PANELS); }

static void OF(product)(const REAL *a, size_t a_stride, const REAL *packed, REAL *c, size_t c_stride, size_t m,
                        size_t k, size_t n, size_t panel_begin, size_t panel_end) {
    if (k == 0) return OF(clear_columns)(c, c_stride, m, n, panel_begin, panel_end);
    const size_t together = OF(panels_together)(m, panel_end - panel_begin);
    for (size_t panel = panel_begin; panel < panel_end; panel += together) {
        const size_t end = panel_end - panel < together ? panel_end : panel + together;
        for (size_t i = 0; i < k; i += CK_PRODUCT_BLOCK) {
            const OF(step) step = {
                .a = a + i, .a_stride = a_stride,
                .b = packed + ((panel - panel_begin) * k + i) * OF(PANEL_WIDTH), .panel_stride = k * OF(PANEL_WIDTH),
                .depth = k - i < CK_PRODUCT_BLOCK ? k - i : CK_PRODUCT_BLOCK,
                .c = c + panel * OF(PANEL_WIDTH), .c_stride = c_stride, .columns = OF(columns_between)(panel, end, n),
                .is_first = i == 0,
            };
            OF(take)(&step, m);
        }
    }
}

#include "math_row.h"

static void OF(product_unpacked)(const REAL *a, size_t a_stride, const float *w, size_t k_stride, size_t n_stride,
                                 REAL *c, size_t c_stride, size_t m, size_t k, size_t n, size_t panel_begin,
                                 size_t panel_end, REAL *scratch, size_t scratch_count) {
    if (k == 0) return OF(clear_columns)(c, c_stride, m, n, panel_begin, panel_end);
    const size_t columns = OF(columns_between)(panel_begin, panel_end, n), column = panel_begin * OF(PANEL_WIDTH);
    const size_t taken = OF(row_takes)(m, k_stride, n_stride, columns) / OF(PANEL_WIDTH) * OF(PANEL_WIDTH);
    OF(row_product)(a, w + column * n_stride, k_stride, n_stride, c + column, k, taken);
    panel_begin += taken / OF(PANEL_WIDTH);
    const size_t held = scratch_count / (CK_PRODUCT_BLOCK * OF(PANEL_WIDTH));
    const size_t wanted = OF(panels_together)(m, panel_end - panel_begin);
    const size_t together = held > wanted ? wanted : held > 1 ? held : 1;
    for (size_t panel = panel_begin; panel < panel_end; panel += together) {
        const size_t end = panel_end - panel < together ? panel_end : panel + together;
        for (size_t i = 0; i < k; i += CK_PRODUCT_BLOCK) {
            const size_t depth = k - i < CK_PRODUCT_BLOCK ? k - i : CK_PRODUCT_BLOCK;
            OF(pack)(w + i * k_stride, k_stride, n_stride, depth, n, panel, end, scratch);
            const OF(step) step = {
                .a = a + i, .a_stride = a_stride, .b = scratch, .panel_stride = depth * OF(PANEL_WIDTH), .depth = depth,
                .c = c + panel * OF(PANEL_WIDTH), .c_stride = c_stride, .columns = OF(columns_between)(panel, end, n),
                .is_first = i == 0,
            };
            OF(take)(&step, m);
        }
    }
}
