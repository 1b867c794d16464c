// Between float32 and float64, and the loads of float32 weights into kernels of either type.

INLINE lanes_f64 widened(lanes_f32 x) { return __builtin_convertvector(x, lanes_f64); }
INLINE lanes_f32 narrowed(lanes_f64 x) { return __builtin_convertvector(x, lanes_f32); }

INLINE lanes_f32 weights_at_f32(const float *from, size_t i, size_t count) { return load_at_f32(from, i, count, 0); }
INLINE lanes_f64 weights_at_f64(const float *from, size_t i, size_t count) {
    return widened(load_at_f32(from, i, count, 0));
}

INLINE lanes_f64 as_f64_f32(lanes_f32 x) { return widened(x); }
INLINE lanes_f64 as_f64_f64(lanes_f64 x) { return x; }

static void widen_f32_f64(const float *in, double *out, size_t count) {
    for (size_t i = 0; i < count; i += CK_LANES) settle_at_f64(out, i, count, widened(load_at_f32(in, i, count, 0)));
}

static void narrow_f64_f32(const double *in, float *out, size_t count) {
    for (size_t i = 0; i < count; i += CK_LANES) settle_at_f32(out, i, count, narrowed(load_at_f64(in, i, count, 0)));
}

static void round_f64_to_f32_in_place(double *x, size_t count) {
    for (size_t i = 0; i < count; i += CK_LANES)
        settle_at_f64(x, i, count, widened(narrowed(load_at_f64(x, i, count, 0))));
}
