import AssayCheckpoints
import AssayTensors
import SystemPackage

/// The formats, in the order in which they look at a file. One line an entry.
public enum FormatRegistry {
    public static let all: [any CheckpointFormat.Type] = [
        Safetensors.self,
        PyTorch.self,
        HDF5.self,
        ZPlanes.self,
        GGUF.self,
        NumPyArray.self,
        NumPyArchive.self,
        ZTensor.self,
        SeekableZstd<Safetensors>.self,
        SeekableZstd<GGUF>.self,
    ]

    /// What keeps the metadata true that some format has of its own, where weights become of another element type.
    public static func edits(
        forWeightsOf type: ElementType, in contents: CheckpointContents, writing written: any CheckpointFormat.Type
    ) -> [MetadataEdit] {
        all.filter { $0.metadataOwner == $0.name }.flatMap {
            $0.edits(forWeightsOf: type, in: contents, isWritten: $0.name == written.metadataOwner)
        }
    }

    /// The names of those that satisfy a condition, as help and messages list them: "safetensors, pytorch, hdf5".
    public static func names(where isWanted: (any CheckpointFormat.Type) -> Bool = { _ in true }) -> String {
        all.filter(isWanted).map { $0.name }.joined(separator: ", ")
    }

    /// The extensions of all: ".safetensors, .bin, .pt".
    public static var extensions: String { all.flatMap { $0.fileExtensions }.joined(separator: ", ") }

    /// Those of files that are read, some of which are not written.
    static var readExtensions: String { all.flatMap { $0.readExtensions }.joined(separator: ", ") }

    /// The format that the name of an output calls for.
    ///
    /// - Returns: nil where the name has no extension of a format.
    /// - Throws: `UsageError` where it is that of a format that cannot be written.
    public static func format(forOutput path: FilePath) throws(UsageError) -> (any CheckpointFormat.Type)? {
        let name = path.lastComponent?.string ?? ""
        if let format = format(forFileName: name) { return format }
        if let unwritten = UnwrittenFormat.format(forFileName: name) {
            throw UsageError("\(path.forDisplay): \(refusal(of: unwritten))")
        }
        return nil
    }

    /// Why a format is not written: "cannot write ONNX yet; writes: safetensors, pytorch".
    public static func refusal(of format: UnwrittenFormat) -> String {
        "cannot write \(format.name) yet; writes: \(names())"
    }

    /// The format with a name ("hdf5"), or nil.
    public static func format(named name: String) -> (any CheckpointFormat.Type)? {
        all.first { $0.name == name.lowercased() }
    }

    /// The format whose extension a file name has, or nil.
    public static func format(forFileName name: String) -> (any CheckpointFormat.Type)? {
        all.first { name.fileExtension(among: $0.fileExtensions) != nil }
    }
}
