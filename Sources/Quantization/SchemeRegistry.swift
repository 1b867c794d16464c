/// The quantization schemes that `--scheme` takes. One line an entry.
public enum SchemeRegistry {
    public static let all: [QuantizationScheme] = [
        QuantizationScheme(bits: 8),
        QuantizationScheme(bits: 8, groupSize: 32),
        QuantizationScheme(bits: 8, groupSize: 64),
        QuantizationScheme(bits: 8, groupSize: 128),
        QuantizationScheme(bits: 4, groupSize: 32),
        QuantizationScheme(bits: 4, groupSize: 64),
        QuantizationScheme(bits: 4, groupSize: 128),
        QuantizationScheme(bits: 4, groupSize: 32, isSymmetric: false),
        QuantizationScheme(bits: 4, groupSize: 64, isSymmetric: false),
        QuantizationScheme(bits: 4, groupSize: 128, isSymmetric: false),
    ]

    /// The scheme with a name ("int4-g32"), upper or lower case, or nil.
    public static func scheme(named name: String) -> QuantizationScheme? {
        all.first { $0.name == name.lowercased() }
    }
}
