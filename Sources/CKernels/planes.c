#include "ck_planes.h"
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the loops over planes read elements as little-endian numbers"
#endif

/// Exponent and top mantissa bit of the upper 16 bits of a bfloat16 or float32.
#define PAIR(upper) ((uint16_t)((upper) >> 6 & (CK_PAIRS - 1)))

/// Loops are specialised for the constants they are called with.
#define INLINE static inline __attribute__((always_inline))

#define CK_BODY "planes_body.h"
#include "each_level.h"

const ck_planes *ck_planes_at(ck_level level) {
    switch (level) {
    case CK_SCALAR: return &table_scalar;
#if defined(__x86_64__)
    case CK_AVX2: return &table_avx2;
    case CK_AVX512: return &table_avx512;
#elif defined(__aarch64__)
    case CK_NEON: return &table_scalar;   // NEON is part of every such processor, so the compiler used it there
#endif
    default: return NULL;
    }
}

int ck_pair_table_make(ck_pair_table *table, const uint16_t *runs, size_t run_count) {
    memset(table, 0, sizeof *table);
    unsigned count = 0, next = 0;
    for (size_t run = 0; run < run_count; run++) {
        unsigned first = runs[2 * run], length = runs[2 * run + 1];
        if (first < next || length == 0 || first + length > CK_PAIRS || count + length > 256) return 0;
        for (unsigned i = 0; i < length; i++) {
            table->pair_of[count + i] = (uint16_t)(first + i);
            table->rank_of[first + i] = (uint8_t)(count + i);
        }
        count += length;
        next = first + length;
    }
    table->count = (uint16_t)count;
    table->is_shifted = count > 0 && table->pair_of[0] == 0;
    table->shift = count > 1 ? (uint16_t)(table->pair_of[1] - 1) : 0;
    for (unsigned rank = 1; rank < count; rank++)
        if (table->pair_of[rank] != rank + table->shift) table->is_shifted = 0;
    return count > 0;
}

/// Counts bytes in two tables, so that equal neighbours do not wait for one another.
static void count_bytes(uint32_t counts[2][256], const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) counts[i & 1][bytes[i]]++;
}

uint32_t ck_unevenness(const uint8_t *bytes, size_t count) {
    enum { windows = 16, window = 512 };
    uint32_t counts[2][256] = {{0}};
    size_t sample = count <= (size_t)windows * window ? count : (size_t)windows * window;
    if (sample == 0) return 0;
    if (sample == count) count_bytes(counts, bytes, count);
    else
        for (size_t w = 0; w < windows; w++)
            count_bytes(counts, bytes + (count - window) / (windows - 1) * w, window);
    uint64_t squares = 0;
    for (int i = 0; i < 256; i++) {
        uint64_t both = counts[0][i] + counts[1][i];
        squares += both * both;
    }
    return (uint32_t)(squares * 256 * 1024 / ((uint64_t)sample * sample));
}
