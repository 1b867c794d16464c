// The kernels of one level. The including file says which: MATH_TABLE (the name of the table that it defines),
// REGISTER_BYTES, TILE_ROWS and TILE_REGISTERS (the product's tile: rows, and registers along the columns).
//
// There is one text for all levels and both types; `OF(name)` is name_f32 or name_f64.
#pragma STDC FP_CONTRACT OFF

// Vectors wider than the registers are passed between functions here, all of them inlined.
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

#include "math_as_f32.h"
#include "math_lanes.h"
#include "math_as_f64.h"
#include "math_lanes.h"
#include "math_convert.h"

#include "math_functions.h"
#include "math_functions_f64.h"
#include "math_elementwise.h"
#include "math_rows.h"
#include "math_compare.h"
#include "math_product.h"
#include "math_pack_f64.h"
#define pack_own_f64 pack_f64_from_f64
#include "math_attention.h"

#include "math_as_f32.h"
#include "math_functions.h"
#include "math_elementwise.h"
#include "math_rows.h"
#include "math_compare.h"
#include "math_product.h"
#define pack_own_f32 pack_f32
#include "math_attention.h"

#include "math_table.h"
