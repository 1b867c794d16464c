/// Formats that are known by name and not written, so that a name of theirs is refused and never taken for a folder's.
/// One line an entry.
public struct UnwrittenFormat: Sendable {
    /// As people write it: "PyTorch".
    public let name: String
    /// With the dot.
    public let fileExtensions: [String]

    public static let all: [UnwrittenFormat] = [
        UnwrittenFormat(name: "PyTorch Lightning", fileExtensions: [".ckpt"]),
        UnwrittenFormat(name: "Keras archives", fileExtensions: [".keras"]),
        UnwrittenFormat(name: "ONNX", fileExtensions: [".onnx"]),
        UnwrittenFormat(name: "Flax", fileExtensions: [".msgpack"]),
        UnwrittenFormat(name: "rust-bert", fileExtensions: [".ot"]),
    ]

    /// The format whose extension a file name has, or nil.
    public static func format(forFileName name: String) -> UnwrittenFormat? {
        all.first { name.fileExtension(among: $0.fileExtensions) != nil }
    }

    /// The format that a person names, by its name or its extension without the dot, or nil.
    public static func format(named name: String) -> UnwrittenFormat? {
        all.first { $0.name.lowercased() == name.lowercased() } ?? format(forFileName: "." + name)
    }
}
