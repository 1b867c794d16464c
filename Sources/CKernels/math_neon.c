// The kernels for NEON: a tile of 6 rows and 4 registers leaves 8 of the 32 registers.
#include <stddef.h>
#include <stdint.h>
#include "ck_math.h"
#include "math_coefficients.h"

#if defined(__aarch64__)
#define MATH_TABLE ck_math_neon
#define REGISTER_BYTES 16
#define TILE_ROWS 6
#define TILE_REGISTERS 4
#include "math_body.h"
#endif
