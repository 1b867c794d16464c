// What follows is compiled for float64.
#undef REAL
#undef INTEGER
#undef NATURAL
#undef OF
#undef CONSTANT
#define REAL double
#define INTEGER int64_t
#define NATURAL uint64_t
#define OF(name) name##_f64
#define CONSTANT(f32, f64) f64
