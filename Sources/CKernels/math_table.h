// The table of one level.

static void log_f64(const double *in, double *out, size_t count) {
    for (size_t i = 0; i < count; i += CK_LANES)
        settle_at_f64(out, i, count, logarithm_f64(load_at_f64(in, i, count, 1)));
}

static void sine_f64(const double *in, double *out, size_t count) {
    for (size_t i = 0; i < count; i += CK_LANES)
        settle_at_f64(out, i, count, turned_sine_f64(load_at_f64(in, i, count, 0), 0));
}

static void cosine_f64(const double *in, double *out, size_t count) {
    for (size_t i = 0; i < count; i += CK_LANES)
        settle_at_f64(out, i, count, turned_sine_f64(load_at_f64(in, i, count, 0), 1));
}

extern const ck_math MATH_TABLE;
const ck_math MATH_TABLE = {
    .panel_width_f32 = PANEL_WIDTH_f32,
    .panel_width_f64 = PANEL_WIDTH_f64,
    .packed_count_f32 = packed_count_f32,
    .packed_count_f64 = packed_count_f64,
    .pack_f32 = pack_f32,
    .pack_f64 = pack_f64,
    .product_f32 = product_f32,
    .product_f64 = product_f64,
    .product_unpacked_f32 = product_unpacked_f32,
    .product_unpacked_f64 = product_unpacked_f64,
    .attention_scratch_count_f32 = attention_scratch_count_f32,
    .attention_scratch_count_f64 = attention_scratch_count_f64,
    .attention_f32 = attention_f32,
    .attention_f64 = attention_f64,
    .layer_norm_f32 = layer_norm_f32,
    .layer_norm_f64 = layer_norm_f64,
    .rms_norm_f32 = rms_norm_f32,
    .rms_norm_f64 = rms_norm_f64,
    .softmax_rows_f32 = softmax_rows_f32,
    .softmax_rows_f64 = softmax_rows_f64,
    .log_softmax_rows_f32 = log_softmax_rows_f32,
    .log_softmax_rows_f64 = log_softmax_rows_f64,
    .gelu_tanh_f32 = gelu_tanh_f32,
    .gelu_tanh_f64 = gelu_tanh_f64,
    .gelu_erf_f32 = gelu_erf_f32,
    .gelu_erf_f64 = gelu_erf_f64,
    .gelu_quick_f32 = gelu_quick_f32,
    .gelu_quick_f64 = gelu_quick_f64,
    .relu_f32 = relu_f32,
    .relu_f64 = relu_f64,
    .silu_f32 = silu_f32,
    .silu_f64 = silu_f64,
    .sigmoid_f32 = sigmoid_f32,
    .sigmoid_f64 = sigmoid_f64,
    .exp_f32 = exp_f32,
    .exp_f64 = exp_f64,
    .tanh_f32 = tanh_f32,
    .tanh_f64 = tanh_f64,
    .erf_f32 = erf_f32,
    .erf_f64 = erf_f64,
    .add_f32 = add_f32,
    .add_f64 = add_f64,
    .multiply_f32 = multiply_f32,
    .multiply_f64 = multiply_f64,
    .add_row_f32 = add_row_f32,
    .add_row_f64 = add_row_f64,
    .rotate_f32 = rotate_f32,
    .rotate_f64 = rotate_f64,
    .scale_f32 = scale_f32,
    .scale_f64 = scale_f64,
    .clamp_f32 = clamp_f32,
    .clamp_f64 = clamp_f64,
    .compare_f32 = compare_f32,
    .compare_f64 = compare_f64,
    .pack_f64_from_f64 = pack_f64_from_f64,
    .log_f64 = log_f64,
    .sine_f64 = sine_f64,
    .cosine_f64 = cosine_f64,
    .widen_f32_f64 = widen_f32_f64,
    .narrow_f64_f32 = narrow_f64_f32,
    .round_f64_to_f32_in_place = round_f64_to_f32_in_place,
};
