#include "ck_level.h"

int ck_level_is_available(ck_level level) {
    switch (level) {
    case CK_SCALAR: return 1;
#if defined(__x86_64__)
    case CK_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case CK_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("fma");
#elif defined(__aarch64__)
    case CK_NEON: return 1;
#endif
    default: return 0;
    }
}

ck_level ck_best_level(void) {
    const ck_level levels[] = {CK_NEON, CK_AVX512, CK_AVX2};
    for (int i = 0; i < 3; i++)
        if (ck_level_is_available(levels[i])) return levels[i];
    return CK_SCALAR;
}
