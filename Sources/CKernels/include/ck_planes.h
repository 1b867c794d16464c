// Byte planes of zplanes chunks: elements are divided into planes that compress well, and joined again.
//
// The upper 16 bits of a bfloat16 or float32 are a sign, 8 exponent bits and 7 mantissa bits. The exponent and the top
// mantissa bit form the pair, a number of 9 bits; the sign (bit 6) and the other 6 mantissa bits form the rest. Pairs
// become bytes by their rank in a table of ascending pairs. The rests of 256 elements become 7 rows of 32 bytes: row k
// holds the rests of elements 32k ... 32k+31 in its lower 7 bits, and in its top bits, bit k of the rests of elements
// 224 ... 255. A last incomplete group of r elements has rows of ceil(r / 8) bytes, and absent rests are 0.
//
// All numbers are little-endian in memory, and any alignment will do. `out` never overlaps an input.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "ck_level.h"

enum {
    CK_PAIRS = 512,        ///< pairs there are
    CK_REST_GROUP = 256,   ///< elements that are packed together
    CK_REST_ROW = 32,      ///< bytes of a row of a whole group
};

/// Bytes of the packed rests of `count` elements.
static inline size_t ck_rest_byte_count(size_t count) {
    size_t last = count % CK_REST_GROUP;
    return count / CK_REST_GROUP * 7 * CK_REST_ROW + (last + 7) / 8 * 7;
}

/// The pairs of the elements: the greatest, and the least of those that are not 0 (0 and 0xFFFF where none is).
typedef struct {
    uint16_t greatest, least_nonzero;
} ck_pair_range;

/// Which pairs stand for which ranks. With `is_shifted`, rank 0 is pair 0 and rank r is pair r + shift (a range of
/// pairs behind 0), so that no look-up is needed; the arrays are filled in any case.
typedef struct {
    int is_shifted;
    uint16_t shift;
    uint16_t count;              ///< ranks that stand for something
    uint16_t pair_of[256];
    uint8_t rank_of[CK_PAIRS];   ///< of pairs in the table
} ck_pair_table;

/// Fills a table from `run_count` runs, each a first pair and a number of pairs: ranks count through them.
///
/// - Returns: 1, or 0 where the runs are empty, not ascending, beyond the pairs there are, or more than 256 ranks.
int ck_pair_table_make(ck_pair_table *table, const uint16_t *runs, size_t run_count);

/// `width` is the bytes of an element: 2 (bfloat16) or 4 (float32), where two more planes hold the lower bytes, the
/// upper of them first. The planes `ranks`, `middle` and `low` have `count` bytes.
typedef struct {
    ck_pair_range (*pair_range)(const uint8_t *elements, size_t count, int width);
    /// Sets `seen[pair]` to 1 for every pair that occurs.
    void (*pairs_seen)(uint8_t seen[CK_PAIRS], const uint8_t *elements, size_t count, int width);
    /// Every pair must be in the table.
    void (*split_pairs)(
        uint8_t *ranks, uint8_t *rests, uint8_t *middle, uint8_t *low, const uint8_t *elements, size_t count, int width,
        const ck_pair_table *table);
    /// - Returns: 0 where a rank stands for nothing, and then what is written is meaningless; else 1.
    int (*join_pairs)(
        uint8_t *elements, const uint8_t *ranks, const uint8_t *rests, const uint8_t *middle, const uint8_t *low,
        size_t count, int width, const ck_pair_table *table);

    /// Plane k (`planes + k * count`) holds byte k of every element, of `width` bytes (2, 4 or 8). `is_rotated` rotates
    /// every element left by one bit before (and right after joining), so that the exponent bits are the topmost.
    void (*split_bytes)(uint8_t *planes, const uint8_t *elements, size_t count, int width, int is_rotated);
    void (*join_bytes)(uint8_t *elements, const uint8_t *const planes[], size_t count, int width, int is_rotated);
} ck_planes;

/// The table for a level, or NULL where this build lacks it.
const ck_planes *ck_planes_at(ck_level level);

/// How uneven the bytes are: 256 times the sum of squared counts over a sample, divided by the squared size of the
/// sample, times 1024. 1024 is perfectly even, a sample of 8 KiB of even bytes has about 1056 by chance; each 1 % of
/// possible saving adds about 110.
uint32_t ck_unevenness(const uint8_t *bytes, size_t count);
