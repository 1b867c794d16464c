import AssayTensors

/// What `--scheme` names.
public enum Scheme: Sendable, Equatable {
    /// Integers and scales in tensors of their own.
    case integers(QuantizationScheme)
    /// Blocks of ggml, in which scales and integers lie together: the name is the element type's.
    case blocks(ElementType)
}

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

    public static let blockTypes: [ElementType] = [.q40, .q41, .q50, .q51, .q80]

    /// The names of all.
    public static var names: [String] { all.map(\.name) + blockTypes.map(\.name) }

    /// What a name stands for, in upper or lower case, or nil.
    public static func any(named name: String) -> Scheme? {
        scheme(named: name).map { .integers($0) }
            ?? blockTypes.first { $0.name == name.lowercased() }.map { .blocks($0) }
    }

    /// The scheme of integers with a name ("int4-g32"), upper or lower case, or nil.
    public static func scheme(named name: String) -> QuantizationScheme? {
        all.first { $0.name == name.lowercased() }
    }
}
