#include "ck_statistics.h"
#include "loose_types.h"

#pragma STDC FP_CONTRACT OFF

/// Values are summed in this many interleaved sums at every level, as many as the widest level holds in two registers.
enum { CK_LANES = 16 };

typedef struct {
    void (*read_integer[CK_NUMBER_COUNT - CK_FLOAT_COUNT])(double *restrict out, const void *restrict in, size_t count);
    ck_statistics (*block_statistics)(const double *block, size_t count);
} statistics_kernels;

ck_statistics ck_statistics_empty(void) {
    return (ck_statistics){.minimum = __builtin_inf(), .maximum = -__builtin_inf()};
}

#define CK_BODY "statistics_kernels.h"
#include "each_level.h"

static const statistics_kernels *kernels_at(ck_level level) {
    switch (level) {
#if defined(__x86_64__)
    case CK_AVX2: return &kernels_avx2;
    case CK_AVX512: return &kernels_avx512;
#endif
    default: return &kernels_scalar;  // NEON too: it is part of every 64-bit ARM processor
    }
}

/// Elements and bytes of the smallest piece of a `ck_float` or `ck_integer` type.
static ck_unit number_unit(int type) {
    static const uint8_t integer_bytes[] = {1, 1, 1, 2, 2, 4, 4, 8, 8};
    return type < CK_FLOAT_COUNT ? ck_float_unit((ck_float)type) : (ck_unit){1, integer_bytes[type - CK_FLOAT_COUNT]};
}

static void read_numbers(ck_level level, int type, double *out, const void *bytes, size_t count) {
    ck_tally exact = {0};
    if (type < CK_FLOAT_COUNT)
        ck_convert_elements(ck_convert_at(level), (ck_float)type, CK_F64, out, bytes, count, &exact);
    else
        kernels_at(level)->read_integer[type - CK_FLOAT_COUNT](out, bytes, count);
}

void ck_statistics_add_block(ck_level level, double *block, size_t count, ck_statistics *statistics) {
    size_t filled = count;
    while (filled % CK_LANES != 0) block[filled++] = __builtin_nan("");
    ck_statistics of_block = kernels_at(level)->block_statistics(block, filled);
    of_block.nan -= filled - count;
    ck_statistics_merge(statistics, &of_block);
}

void ck_statistics_add(
    ck_level level, int type, const void *bytes, size_t count,
    double *pending, size_t *pending_count, ck_statistics *statistics
) {
    const char *next = bytes;
    ck_unit unit = number_unit(type);
    while (count > 0) {
        size_t room = CK_STATISTICS_BLOCK - *pending_count, taken = count < room ? count : room;
        read_numbers(level, type, pending + *pending_count, next, taken);
        next += taken / unit.elements * unit.bytes;
        count -= taken;
        *pending_count += taken;
        if (*pending_count == CK_STATISTICS_BLOCK) {
            ck_statistics_add_block(level, pending, CK_STATISTICS_BLOCK, statistics);
            *pending_count = 0;
        }
    }
}

// Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
void ck_statistics_merge(ck_statistics *statistics, const ck_statistics *later) {
    statistics->nan += later->nan;
    statistics->infinite += later->infinite;
    statistics->zero += later->zero;
    if (later->minimum < statistics->minimum) statistics->minimum = later->minimum;
    if (later->maximum > statistics->maximum) statistics->maximum = later->maximum;
    if (later->finite == 0) return;
    double earlier_share = (double)statistics->finite, later_share = (double)later->finite;
    statistics->finite += later->finite;
    double all = (double)statistics->finite;
    double distance = later->mean - statistics->mean;
    statistics->mean += distance * (later_share / all);
    statistics->squares += later->squares + distance * distance * (earlier_share * (later_share / all));
}
