// Compiles the kernels in the file CK_BODY once for every dispatch level; CK_NAME(f) is f with the level's name behind it.
#define CK_JOIN_(a, b) a##_##b
#define CK_JOIN(a, b) CK_JOIN_(a, b)
#define CK_NAME(name) CK_JOIN(name, LEVEL)

#define LEVEL scalar
#include CK_BODY
#undef LEVEL

#if defined(__x86_64__)
#define LEVEL avx2
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include CK_BODY
#pragma clang attribute pop
#undef LEVEL

#define LEVEL avx512
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma"))), apply_to = function)
#include CK_BODY
#pragma clang attribute pop
#undef LEVEL
#endif
