// The kernels for AVX-512: a tile of 12 rows and 2 registers leaves 8 of the 32 registers.
#include <stddef.h>
#include <stdint.h>
#include "ck_math.h"
#include "math_coefficients.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma"))), apply_to = function)
#define MATH_TABLE ck_math_avx512
#define REGISTER_BYTES 64
#define TILE_ROWS 12
#define TILE_REGISTERS 2
#include "math_body.h"
#pragma clang attribute pop
#endif
