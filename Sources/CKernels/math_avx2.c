// The kernels for AVX2 with FMA: a tile of 6 rows and 2 registers leaves 4 of the 16 registers.
#include <stddef.h>
#include <stdint.h>
#include "ck_math.h"
#include "math_coefficients.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define MATH_TABLE ck_math_avx2
#define REGISTER_BYTES 32
#define TILE_ROWS 6
#define TILE_REGISTERS 2
#include "math_body.h"
#pragma clang attribute pop
#endif
