// Elements at any address, of bytes that other code may see as another type.
#pragma once
#include <stdint.h>

typedef uint16_t __attribute__((aligned(1), may_alias)) loose_u16;
typedef uint32_t __attribute__((aligned(1), may_alias)) loose_u32;
typedef uint64_t __attribute__((aligned(1), may_alias)) loose_u64;
typedef int16_t __attribute__((aligned(1), may_alias)) loose_i16;
typedef int32_t __attribute__((aligned(1), may_alias)) loose_i32;
typedef int64_t __attribute__((aligned(1), may_alias)) loose_i64;
typedef float __attribute__((aligned(1), may_alias)) loose_f32;
typedef double __attribute__((aligned(1), may_alias)) loose_f64;
