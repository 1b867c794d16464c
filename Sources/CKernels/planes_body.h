// The loops of ck_planes.h, written once and compiled for every level. The compiler makes vectors of them: inner loops
// have a constant length and no branches.

INLINE uint16_t CK_NAME(load_upper)(const uint8_t *elements, size_t index, int width) {
    uint16_t upper;
    memcpy(&upper, elements + index * (size_t)width + (size_t)width - 2, 2);
    return upper;
}

INLINE ck_pair_range CK_NAME(pair_range_of)(const uint8_t *elements, size_t count, int width) {
    uint16_t greatest = 0, least = 0xFFFF;
    for (size_t i = 0; i < count; i++) {
        uint16_t pair = PAIR(CK_NAME(load_upper)(elements, i, width));
        uint16_t before = (uint16_t)(pair - 1);   // 0 becomes the greatest and so does not count
        greatest = pair > greatest ? pair : greatest;
        least = before < least ? before : least;
    }
    return (ck_pair_range){greatest, least == 0xFFFF ? least : (uint16_t)(least + 1)};
}

static ck_pair_range CK_NAME(pair_range)(const uint8_t *elements, size_t count, int width) {
    return width == 2 ? CK_NAME(pair_range_of)(elements, count, 2) : CK_NAME(pair_range_of)(elements, count, 4);
}

static void CK_NAME(pairs_seen)(uint8_t seen[CK_PAIRS], const uint8_t *elements, size_t count, int width) {
    for (size_t i = 0; i < count; i++) seen[PAIR(CK_NAME(load_upper)(elements, i, width))] = 1;
}

/// Divides up to CK_REST_GROUP elements; `rests` is one byte each here.
INLINE void CK_NAME(split_group)(
    uint8_t *restrict ranks, uint8_t *restrict rests, uint8_t *restrict middle, uint8_t *restrict low,
    const uint8_t *restrict elements, size_t count, int width, const ck_pair_table *restrict table, int is_shifted) {
    uint16_t shift = table->shift;
    for (size_t i = 0; i < count; i++) {
        uint16_t upper = CK_NAME(load_upper)(elements, i, width);
        uint16_t pair = PAIR(upper);
        ranks[i] = is_shifted ? (uint8_t)(pair > shift ? pair - shift : 0) : table->rank_of[pair];
        rests[i] = (uint8_t)((upper & 0x3F) | (upper >> 15 << 6));
    }
    if (width == 4)
        for (size_t i = 0; i < count; i++) {
            uint16_t lower;
            memcpy(&lower, elements + 4 * i, 2);
            middle[i] = (uint8_t)(lower >> 8);
            low[i] = (uint8_t)lower;
        }
}

INLINE void CK_NAME(pack_rests)(uint8_t *restrict out, const uint8_t *restrict rests, size_t row) {
    for (size_t k = 0; k < 7; k++)
        for (size_t i = 0; i < row; i++)
            out[k * row + i] = (uint8_t)(rests[k * row + i] | (uint8_t)(rests[7 * row + i] << (7 - k) & 0x80));
}

INLINE void CK_NAME(unpack_rests)(uint8_t *restrict rests, const uint8_t *restrict in, size_t row) {
    for (size_t i = 0; i < row; i++) rests[7 * row + i] = 0;
    for (size_t k = 0; k < 7; k++)
        for (size_t i = 0; i < row; i++) {
            uint8_t byte = in[k * row + i];
            rests[k * row + i] = byte & 0x7F;
            rests[7 * row + i] |= (uint8_t)((byte & 0x80) >> (7 - k));
        }
}

INLINE void CK_NAME(split_all)(
    uint8_t *ranks, uint8_t *rests, uint8_t *middle, uint8_t *low, const uint8_t *elements, size_t count, int width,
    const ck_pair_table *table, int is_shifted) {
    uint8_t group[CK_REST_GROUP];
    size_t whole = count / CK_REST_GROUP * CK_REST_GROUP;
    for (size_t i = 0; i < whole; i += CK_REST_GROUP) {
        CK_NAME(split_group)(
            ranks + i, group, middle + i, low + i, elements + i * (size_t)width, CK_REST_GROUP, width, table, is_shifted);
        CK_NAME(pack_rests)(rests + i / 8 * 7, group, CK_REST_ROW);
    }
    if (whole == count) return;
    memset(group, 0, sizeof group);
    CK_NAME(split_group)(
        ranks + whole, group, middle + whole, low + whole, elements + whole * (size_t)width, count - whole, width, table,
        is_shifted);
    CK_NAME(pack_rests)(rests + whole / 8 * 7, group, (count - whole + 7) / 8);
}

static void CK_NAME(split_pairs)(
    uint8_t *ranks, uint8_t *rests, uint8_t *middle, uint8_t *low, const uint8_t *elements, size_t count, int width,
    const ck_pair_table *table) {
    if (width == 2 && table->is_shifted) CK_NAME(split_all)(ranks, rests, ranks, ranks, elements, count, 2, table, 1);
    else if (width == 2) CK_NAME(split_all)(ranks, rests, ranks, ranks, elements, count, 2, table, 0);
    else if (table->is_shifted) CK_NAME(split_all)(ranks, rests, middle, low, elements, count, 4, table, 1);
    else CK_NAME(split_all)(ranks, rests, middle, low, elements, count, 4, table, 0);
}

INLINE uint8_t CK_NAME(greatest_rank)(const uint8_t *ranks, size_t count) {
    uint8_t greatest = 0;
    for (size_t i = 0; i < count; i++) greatest = ranks[i] > greatest ? ranks[i] : greatest;
    return greatest;
}

/// Joins up to CK_REST_GROUP elements.
INLINE void CK_NAME(join_group)(
    uint8_t *restrict elements, const uint8_t *restrict ranks, const uint8_t *restrict rests,
    const uint8_t *restrict middle, const uint8_t *restrict low, size_t count, int width,
    const ck_pair_table *restrict table, int is_shifted) {
    uint16_t shift = table->shift;
    for (size_t i = 0; i < count; i++) {
        uint16_t rank = ranks[i], rest = rests[i];
        uint16_t pair = is_shifted ? (uint16_t)(rank + (rank ? shift : 0)) : table->pair_of[rank];
        uint16_t upper = (uint16_t)(pair << 6 | (rest & 0x3F) | (rest & 0x40) << 9);
        if (width == 2) {
            memcpy(elements + 2 * i, &upper, 2);
        } else {
            uint32_t element = (uint32_t)upper << 16 | (uint32_t)middle[i] << 8 | low[i];
            memcpy(elements + 4 * i, &element, 4);
        }
    }
}

INLINE int CK_NAME(join_all)(
    uint8_t *elements, const uint8_t *ranks, const uint8_t *rests, const uint8_t *middle, const uint8_t *low,
    size_t count, int width, const ck_pair_table *table, int is_shifted) {
    if (count > 0 && CK_NAME(greatest_rank)(ranks, count) >= table->count) return 0;
    uint8_t group[CK_REST_GROUP];
    size_t whole = count / CK_REST_GROUP * CK_REST_GROUP;
    for (size_t i = 0; i < whole; i += CK_REST_GROUP) {
        CK_NAME(unpack_rests)(group, rests + i / 8 * 7, CK_REST_ROW);
        CK_NAME(join_group)(
            elements + i * (size_t)width, ranks + i, group, middle + i, low + i, CK_REST_GROUP, width, table, is_shifted);
    }
    if (whole == count) return 1;
    CK_NAME(unpack_rests)(group, rests + whole / 8 * 7, (count - whole + 7) / 8);
    CK_NAME(join_group)(
        elements + whole * (size_t)width, ranks + whole, group, middle + whole, low + whole, count - whole, width, table,
        is_shifted);
    return 1;
}

static int CK_NAME(join_pairs)(
    uint8_t *elements, const uint8_t *ranks, const uint8_t *rests, const uint8_t *middle, const uint8_t *low,
    size_t count, int width, const ck_pair_table *table) {
    if (width == 2 && table->is_shifted) return CK_NAME(join_all)(elements, ranks, rests, ranks, ranks, count, 2, table, 1);
    if (width == 2) return CK_NAME(join_all)(elements, ranks, rests, ranks, ranks, count, 2, table, 0);
    if (table->is_shifted) return CK_NAME(join_all)(elements, ranks, rests, middle, low, count, 4, table, 1);
    return CK_NAME(join_all)(elements, ranks, rests, middle, low, count, 4, table, 0);
}

/// Elements that are handled together, so that their planes' lines stay in the nearest cache.
#define BYTES_GROUP 64

#define SPLIT_BYTES(name, type, bits, width)                                                                        \
    static void CK_NAME(name)(uint8_t *restrict planes, const uint8_t *restrict elements, size_t count, int is_rotated) { \
        for (size_t start = 0; start < count; start += BYTES_GROUP) {                                               \
            size_t length = count - start < BYTES_GROUP ? count - start : BYTES_GROUP;                              \
            type group[BYTES_GROUP];                                                                                \
            memcpy(group, elements + start * width, length * width);                                                \
            if (is_rotated)                                                                                         \
                for (size_t i = 0; i < length; i++) group[i] = (type)(group[i] << 1 | group[i] >> (bits - 1));      \
            for (size_t k = 0; k < width; k++)                                                                      \
                for (size_t i = 0; i < length; i++)                                                                 \
                    planes[k * count + start + i] = (uint8_t)(group[i] >> (8 * k));                                 \
        }                                                                                                           \
    }                                                                                                               \
    static void CK_NAME(join_##name)(                                                                                    \
        uint8_t *restrict elements, const uint8_t *const planes[], size_t count, int is_rotated) {                  \
        for (size_t start = 0; start < count; start += BYTES_GROUP) {                                               \
            size_t length = count - start < BYTES_GROUP ? count - start : BYTES_GROUP;                              \
            type group[BYTES_GROUP] = {0};                                                                          \
            for (size_t k = 0; k < width; k++) {                                                                    \
                const uint8_t *restrict plane = planes[k] + start;                                                  \
                for (size_t i = 0; i < length; i++) group[i] = (type)(group[i] | (type)plane[i] << (8 * k));        \
            }                                                                                                       \
            if (is_rotated)                                                                                         \
                for (size_t i = 0; i < length; i++) group[i] = (type)(group[i] >> 1 | group[i] << (bits - 1));      \
            memcpy(elements + start * width, group, length * width);                                                \
        }                                                                                                           \
    }

SPLIT_BYTES(bytes2, uint16_t, 16, 2)
SPLIT_BYTES(bytes4, uint32_t, 32, 4)
SPLIT_BYTES(bytes8, uint64_t, 64, 8)

static void CK_NAME(split_bytes)(uint8_t *planes, const uint8_t *elements, size_t count, int width, int is_rotated) {
    if (width == 2) CK_NAME(bytes2)(planes, elements, count, is_rotated);
    else if (width == 4) CK_NAME(bytes4)(planes, elements, count, is_rotated);
    else CK_NAME(bytes8)(planes, elements, count, is_rotated);
}

static void CK_NAME(join_bytes)(
    uint8_t *elements, const uint8_t *const planes[], size_t count, int width, int is_rotated) {
    if (width == 2) CK_NAME(join_bytes2)(elements, planes, count, is_rotated);
    else if (width == 4) CK_NAME(join_bytes4)(elements, planes, count, is_rotated);
    else CK_NAME(join_bytes8)(elements, planes, count, is_rotated);
}

static const ck_planes CK_NAME(table) = {
    CK_NAME(pair_range), CK_NAME(pairs_seen), CK_NAME(split_pairs), CK_NAME(join_pairs), CK_NAME(split_bytes), CK_NAME(join_bytes),
};

#undef SPLIT_BYTES
#undef BYTES_GROUP
