import AssayFormats

extension FuzzTarget {
    static let safetensors = files(
        of: Safetensors.self, "safetensors", fixtures: ["golden/safetensors/*", "golden/safetensors/refuse/*"],
        words: ["\"dtype\":", "\"shape\":", "\"data_offsets\":", "\"__metadata__\":", "F32", "BF16", "F4", "F8_E4M3"])
}
