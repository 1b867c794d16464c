// Streaming statistics of numbers, in float64: the same bits at every level and however the stream is cut.
#pragma once
#include "ck_convert.h"

/// The types beside `ck_float` whose statistics are known; numbered after them.
typedef enum {
    CK_BOOL = CK_FLOAT_COUNT, CK_U8, CK_I8, CK_U16, CK_I16, CK_U32, CK_I32, CK_U64, CK_I64
} ck_integer;

enum {
    CK_NUMBER_COUNT = CK_I64 + 1,
    /// Values summed together before they join the rest.
    CK_STATISTICS_BLOCK = 1024
};

/// What is known of a stream. All but the first three counts is of the finite values alone.
typedef struct {
    uint64_t nan, infinite, zero, finite;
    double minimum, maximum;  // +infinity and -infinity where nothing is finite
    double mean;
    double squares;           // the sum of squared distances from the mean
} ck_statistics;

/// The statistics of nothing.
ck_statistics ck_statistics_empty(void);

/// Reads `count` numbers that begin on a whole byte. Those that do not fill a block yet wait in `pending`.
///
/// - type: a `ck_float` or `ck_integer`. Whatever is not 0 is 1 in a bool. 64-bit integers are rounded to float64.
/// - pending: CK_STATISTICS_BLOCK values, of which `pending_count` are taken.
void ck_statistics_add(
    ck_level level, int type, const void *bytes, size_t count,
    double *pending, size_t *pending_count, ck_statistics *statistics);

/// Takes the first `count` values of a block, at most CK_STATISTICS_BLOCK, into the statistics. `block` is overwritten.
void ck_statistics_add_block(ck_level level, double *block, size_t count, ck_statistics *statistics);

/// Takes what is known of a later part of the stream into the statistics of an earlier one.
void ck_statistics_merge(ck_statistics *statistics, const ck_statistics *later);
