// The kernels for any processor: fused multiply-adds are calls of libm where it has no instruction for them.
#include <stddef.h>
#include <stdint.h>
#include "ck_math.h"
#include "math_coefficients.h"
#define MATH_TABLE ck_math_scalar
#define REGISTER_BYTES 16
#define TILE_ROWS 4
#define TILE_REGISTERS 4
#include "math_body.h"
