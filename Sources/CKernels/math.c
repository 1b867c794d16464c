// Which table of kernels belongs to a level, and what needs no level.
#include "ck_math.h"
#pragma STDC FP_CONTRACT OFF

extern const ck_math ck_math_scalar;
#if defined(__x86_64__)
extern const ck_math ck_math_avx2, ck_math_avx512;
#elif defined(__aarch64__)
extern const ck_math ck_math_neon;
#endif

const ck_math *ck_math_at(ck_level level) {
    if (!ck_level_is_available(level)) return NULL;
    switch (level) {
    case CK_SCALAR: return &ck_math_scalar;
#if defined(__x86_64__)
    case CK_AVX2: return &ck_math_avx2;
    case CK_AVX512: return &ck_math_avx512;
#elif defined(__aarch64__)
    case CK_NEON: return &ck_math_neon;
#endif
    default: return NULL;
    }
}

void ck_comparison_add(ck_comparison *total, const ck_comparison *part, uint64_t begin) {
    total->sum_ref2 += part->sum_ref2;
    total->sum_test2 += part->sum_test2;
    total->sum_dot += part->sum_dot;
    total->sum_diff2 += part->sum_diff2;
    if (part->max_abs_diff > total->max_abs_diff) {
        total->max_abs_diff = part->max_abs_diff;
        total->index_of_max = begin + part->index_of_max;
    }
    if (part->max_abs_ref > total->max_abs_ref) total->max_abs_ref = part->max_abs_ref;
    total->count += part->count;
    total->count_nonfinite_ref += part->count_nonfinite_ref;
    total->count_nonfinite_test += part->count_nonfinite_test;
    total->count_unmatched += part->count_unmatched;
    total->count_equal_bits += part->count_equal_bits;
}
