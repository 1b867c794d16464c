// Attention of one head over blocks of keys, in the order that ck_math.h states.

enum {
    OF(KEY_GROUPS) = CK_KEY_BLOCK / CK_LANES,
    OF(QUERY_ROWS) = 128,  // rows that share the packing of a block of keys
};

/// What a row has gathered from the blocks behind it; its sums of v stand in `out`.
typedef struct {
    REAL peak[OF(QUERY_ROWS)], sum[OF(QUERY_ROWS)];
    uint8_t has_begun[OF(QUERY_ROWS)];
} OF(gathered);

/// A block of keys, and which of them a row sees: `first ..< last` within the block, less the masked ones.
typedef struct {
    size_t begin, first, last;
    const uint8_t *mask;                     // of this block, or NULL
    OF(bits) is_open[OF(KEY_GROUPS)];   // the mask as lanes
} OF(key_block);

static size_t OF(attention_scratch_count)(size_t width) { return CK_KEY_BLOCK * width; }

INLINE int OF(sees_any)(const OF(key_block) *block) {
    if (!block->mask) return block->first < block->last;
    for (size_t j = block->first; j < block->last; j++)
        if (block->mask[j]) return 1;
    return 0;
}

INLINE void OF(narrow_to_row)(OF(key_block) *block, const OF(ck_attention) *head, size_t row) {
    const size_t begin = head->begin ? head->begin[row] : head->key_begin, end = head->end[row];
    block->first = begin > block->begin ? begin - block->begin : 0;
    block->last = end > block->begin ? end - block->begin : 0;
    if (block->last > CK_KEY_BLOCK) block->last = CK_KEY_BLOCK;
}

INLINE void OF(open_block)(OF(key_block) *block, const OF(ck_attention) *head, size_t begin, size_t count) {
    block->begin = begin;
    block->mask = head->mask ? head->mask + begin : NULL;
    for (size_t j = 0; j < CK_KEY_BLOCK; j++)
        block->is_open[j / CK_LANES][j % CK_LANES] = j < count && (!block->mask || block->mask[j]) ? -1 : 0;
}

/// acc = partial sum of v, or fma(acc, carry, partial), for `width` registers of columns.
INLINE void OF(gather_columns)(const size_t width, const REAL *weights, const OF(key_block) *block, const REAL *v,
                               size_t v_stride, int has_begun, REAL carry, REAL *acc) {
    OF(reg) partial[8];
    UNROLL for (size_t i = 0; i < width; i++) partial[i] = 0;
    for (size_t j = block->first; j < block->last; j++) {
        if (block->mask && !block->mask[j]) continue;
        const OF(reg) weight = weights[j];
        UNROLL for (size_t i = 0; i < width; i++)
            partial[i] = __builtin_elementwise_fma(
                weight, OF(load_reg)(v + j * v_stride + i * OF(REGISTER_WIDTH)), partial[i]);
    }
    UNROLL for (size_t i = 0; i < width; i++) {
        REAL *to = acc + i * OF(REGISTER_WIDTH);
        if (has_begun) partial[i] = __builtin_elementwise_fma(OF(load_reg)(to), (OF(reg))carry, partial[i]);
        OF(store_reg)(to, partial[i]);
    }
}

/// One column of v, for the few that do not fill a register.
INLINE void OF(gather_column)(const REAL *weights, const OF(key_block) *block, const REAL *v, size_t v_stride,
                              int has_begun, REAL carry, REAL *acc) {
    REAL partial = 0;
    for (size_t j = block->first; j < block->last; j++)
        if (!block->mask || block->mask[j]) partial = __builtin_elementwise_fma(weights[j], v[j * v_stride], partial);
    *acc = has_begun ? __builtin_elementwise_fma(*acc, carry, partial) : partial;
}

static void OF(gather)(const REAL *weights, const OF(key_block) *block, const REAL *v, size_t v_stride,
                       size_t value_width, int has_begun, REAL carry, REAL *acc) {
    size_t i = 0;
    for (; i + 8 * OF(REGISTER_WIDTH) <= value_width; i += 8 * OF(REGISTER_WIDTH))
        OF(gather_columns)(8, weights, block, v + i, v_stride, has_begun, carry, acc + i);
    for (; i + OF(REGISTER_WIDTH) <= value_width; i += OF(REGISTER_WIDTH))
        OF(gather_columns)(1, weights, block, v + i, v_stride, has_begun, carry, acc + i);
    for (; i < value_width; i++) OF(gather_column)(weights, block, v + i, v_stride, has_begun, carry, acc + i);
}

INLINE OF(lanes) OF(capped)(OF(lanes) score, REAL cap) { return OF(hyperbolic_tangent)(score / cap) * cap; }

/// The row's scores of a block as lanes: times scale, capped, plus bias, minus infinity for what it does not see.
INLINE void OF(finish_scores)(const REAL *products, const OF(key_block) *block, REAL scale, REAL cap, const REAL *bias,
                              OF(lanes) *scores) {
    REAL added[CK_KEY_BLOCK] = {0};
    if (bias)
        __builtin_memcpy(added + block->first, bias + block->begin + block->first,
                         (block->last - block->first) * sizeof *bias);
    OF(bits) index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    UNROLL for (size_t g = 0; g < OF(KEY_GROUPS); g++, index += CK_LANES) {
        const OF(lanes) plain = OF(load)(products + g * CK_LANES) * scale;
        const OF(lanes) scaled = cap > 0 ? OF(capped)(plain, cap) : plain;
        const OF(lanes) score = bias ? scaled + OF(load)(added + g * CK_LANES) : scaled;
        const OF(bits) is_seen = block->is_open[g] & (index >= (INTEGER)block->first) & (index < (INTEGER)block->last);
        scores[g] = is_seen ? score : (OF(lanes))(REAL)-__builtin_inf();
    }
}

/// Where a block of keys lies in k and v.
INLINE size_t OF(stored_key)(const OF(ck_attention) *head, size_t begin) {
    return begin < head->repeated ? 0 : begin - head->repeated;
}

/// One block's scores and values into one row.
static void OF(attend)(const OF(ck_attention) *head, const OF(key_block) *block, const REAL *products, size_t row,
                       size_t slot, OF(gathered) *so_far) {
    const REAL least = (REAL)-__builtin_inf();
    OF(lanes) scores[OF(KEY_GROUPS)], most = least, total = 0;
    const REAL *bias = head->bias ? head->bias + (ptrdiff_t)row * head->bias_stride : NULL;
    OF(finish_scores)(products, block, head->scale, head->cap, bias, scores);
    UNROLL for (size_t g = 0; g < OF(KEY_GROUPS); g++) most = OF(greater)(most, scores[g]);
    const int has_begun = so_far->has_begun[slot];
    const REAL before = has_begun ? so_far->peak[slot] : least, block_peak = OF(greatest)(most);
    const REAL peak = block_peak > before ? block_peak : before, origin = peak == least ? 0 : peak;
    REAL weights[CK_KEY_BLOCK];
    UNROLL for (size_t g = 0; g < OF(KEY_GROUPS); g++) {
        const OF(lanes) weight = OF(exponential)(scores[g] - origin);
        OF(store)(weights + g * CK_LANES, weight);
        total += weight;
    }
    // e^0 is exactly 1, so the carry need not be computed while the peak stands.
    const REAL carry = before == peak ? 1 : OF(exponential)((OF(lanes))(before - origin))[0];
    const REAL sum = OF(joined)(total);
    so_far->sum[slot] = has_begun ? __builtin_elementwise_fma(so_far->sum[slot], carry, sum) : sum;
    so_far->peak[slot] = peak;
    so_far->has_begun[slot] = 1;
    OF(gather)(weights, block, head->v + OF(stored_key)(head, block->begin) * head->v_stride, head->v_stride,
               head->value_width, has_begun, carry, head->out + row * head->out_stride);
}

/// Products of some rows of q with the keys of a packed block, [rows][CK_KEY_BLOCK].
static void OF(score_rows)(const OF(ck_attention) *head, size_t row, size_t rows, size_t keys, const REAL *packed,
                           REAL *products) {
    for (size_t i = 0; i < head->width; i += CK_PRODUCT_BLOCK) {
        const OF(step) step = {
            .a = head->q + row * head->q_stride + i, .a_stride = head->q_stride,
            .b = packed + i * OF(PANEL_WIDTH), .panel_stride = head->width * OF(PANEL_WIDTH),
            .depth = head->width - i < CK_PRODUCT_BLOCK ? head->width - i : CK_PRODUCT_BLOCK,
            .c = products, .c_stride = CK_KEY_BLOCK, .columns = keys, .is_first = i == 0,
        };
        OF(few_rows)(&step, 0, rows);
    }
}

/// A block of keys as panels, the columns being keys.
static void OF(pack_keys)(const OF(ck_attention) *head, size_t begin, size_t count, REAL *packed) {
    const size_t panels = (count + OF(PANEL_WIDTH) - 1) / OF(PANEL_WIDTH);
    OF(pack_own)(head->k + OF(stored_key)(head, begin) * head->k_stride, 1, head->k_stride, head->width, count, 0, panels,
                 packed);
}

/// One block of keys into the rows `row ..< row + rows`, a tile of rows at a time.
static void OF(attend_rows)(const OF(ck_attention) *head, size_t begin, size_t count, size_t row, size_t rows,
                            OF(gathered) *so_far, REAL *packed) {
    OF(key_block) block;
    OF(open_block)(&block, head, begin, count);
    OF(pack_keys)(head, begin, count, packed);
    for (size_t t = 0; t < rows; t += TILE_ROWS) {
        const size_t tile_rows = rows - t < TILE_ROWS ? rows - t : TILE_ROWS;
        size_t keys = 0;
        for (size_t r = t; r < t + tile_rows; r++) {
            OF(narrow_to_row)(&block, head, row + r);
            if (block.first < block.last && block.last > keys) keys = block.last;
        }
        if (keys == 0) continue;
        REAL products[TILE_ROWS * CK_KEY_BLOCK] = {0};
        OF(score_rows)(head, row + t, tile_rows, keys, packed, products);
        for (size_t r = t; r < t + tile_rows; r++) {
            OF(narrow_to_row)(&block, head, row + r);
            if (OF(sees_any)(&block))
                OF(attend)(head, &block, products + (r - t) * CK_KEY_BLOCK, row + r, r, so_far);
        }
    }
}

static void OF(divide_row)(REAL *out, REAL sum, int has_begun, size_t count) {
    for (size_t i = 0; i < count; i += CK_LANES)
        OF(settle_at)(out, i, count, has_begun ? OF(load_at)(out, i, count, 0) / sum : (OF(lanes))0);
}

INLINE REAL OF(exponential_of)(REAL x) { return OF(exponential)((OF(lanes))x)[0]; }

/// Lets a sink take its share of a row.
static void OF(sink_row)(REAL *out, REAL *sum, REAL peak, REAL sink, size_t count) {
    const REAL greater = sink > peak ? sink : peak, carry = OF(exponential_of)(peak - greater);
    *sum = __builtin_elementwise_fma(*sum, carry, OF(exponential_of)(sink - greater));
    for (size_t i = 0; i < count; i += CK_LANES) OF(settle_at)(out, i, count, OF(load_at)(out, i, count, 0) * carry);
}

static void OF(attention)(const OF(ck_attention) *head, REAL *scratch) {
    for (size_t row = 0; row < head->rows; row += OF(QUERY_ROWS)) {
        const size_t rows = head->rows - row < OF(QUERY_ROWS) ? head->rows - row : OF(QUERY_ROWS);
        OF(gathered) so_far;
        __builtin_memset(so_far.has_begun, 0, sizeof so_far.has_begun);
        size_t begin = SIZE_MAX, end = 0;
        for (size_t r = row; r < row + rows; r++) {
            const size_t first = head->begin ? head->begin[r] : head->key_begin;
            if (first >= head->end[r]) continue;
            if (first < begin) begin = first;
            if (head->end[r] > end) end = head->end[r];
        }
        if (begin < end) begin -= (begin - head->key_begin) % CK_KEY_BLOCK;
        for (; begin < end; begin += CK_KEY_BLOCK) {
            const size_t count = end - begin < CK_KEY_BLOCK ? end - begin : CK_KEY_BLOCK;
            OF(attend_rows)(head, begin, count, row, rows, &so_far, scratch);
        }
        for (size_t r = 0; r < rows; r++) {
            REAL *out = head->out + (row + r) * head->out_stride;
            if (head->sink && so_far.has_begun[r])
                OF(sink_row)(out, &so_far.sum[r], so_far.peak[r], *head->sink, head->value_width);
            OF(divide_row)(out, so_far.sum[r], so_far.has_begun[r], head->value_width);
        }
    }
}
