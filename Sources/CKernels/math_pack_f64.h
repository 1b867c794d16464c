// Packing of weights that are float64 already.
COPY_EIGHT(copy_wide_eight, double)
PACK_ROWS(pack_rows_of_wide_weights, double, copy_wide_eight)
PACK_ELEMENTS(pack_wide_elements, double)

static void pack_f64_from_f64(const double *w, size_t k_stride, size_t n_stride, size_t k, size_t n,
                              size_t panel_begin, size_t panel_end, double *packed) {
    const double *from = w + panel_begin * PANEL_WIDTH_f64 * n_stride;
    const size_t whole_end = n / PANEL_WIDTH_f64 < panel_end ? n / PANEL_WIDTH_f64 : panel_end;
    const size_t whole = n_stride == 1 && whole_end > panel_begin ? whole_end - panel_begin : 0;
    pack_rows_of_wide_weights_f64(from, k_stride, k, whole, packed);
    for (size_t panel = whole; panel < panel_end - panel_begin; panel++)
        pack_wide_elements_f64(from + panel * PANEL_WIDTH_f64 * n_stride, k_stride, n_stride, k,
                               columns_between_f64(panel_begin + panel, panel_begin + panel + 1, n), packed + panel * k * PANEL_WIDTH_f64);
}
