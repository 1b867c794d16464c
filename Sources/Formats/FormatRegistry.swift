import AssayCheckpoints

/// The formats, in the order in which they look at a file. One line an entry.
public enum FormatRegistry {
    public static let all: [any CheckpointFormat.Type] = [
        Safetensors.self,
        PyTorch.self,
        HDF5.self,
        ZPlanes.self,
        NumPyArray.self,
        NumPyArchive.self,
    ]

    /// The format with a name ("hdf5"), or nil.
    public static func format(named name: String) -> (any CheckpointFormat.Type)? {
        all.first { $0.name == name.lowercased() }
    }

    /// The format whose extension a file name has, or nil.
    public static func format(forFileName name: String) -> (any CheckpointFormat.Type)? {
        all.first { $0.fileExtensions.contains { name.lowercased().hasSuffix($0) } }
    }
}
