// What follows is compiled for float32.
#undef REAL
#undef INTEGER
#undef NATURAL
#undef OF
#undef CONSTANT
#define REAL float
#define INTEGER int32_t
#define NATURAL uint32_t
#define OF(name) name##_f32
#define CONSTANT(f32, f64) f32##f
