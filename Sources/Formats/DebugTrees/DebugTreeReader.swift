import AssayCheckpoints
import AssayTensors
import SystemPackage

/// The values of a debug tree as the tensors of one checkpoint. There may be thousands of files, so that each is opened to be
/// looked at and again to be read, and none is kept open.
struct DebugTreeReader: CheckpointReader {
    let contents: CheckpointContents
    /// Of every tensor.
    let files: [FilePath]
    private let reader: @Sendable (FilePath) throws -> any CheckpointReader

    /// What transformers calls the only tensor of each file.
    private static let tensorName = "data"

    /// - Parameter reader: opens one file.
    /// - Throws: `StructureError` where files are missing or hold other tensors than the tree says; what `reader` throws.
    init(
        _ tree: DebugTree, _ path: FilePath, threads: Int,
        reader: @escaping @Sendable (FilePath) throws -> any CheckpointReader
    ) throws {
        let files = tree.values.map { path.removingLastComponent().appending($0.fileName) }
        let missing = try files.filter { try SystemCall.status($0) == nil }.map { $0.lastComponent?.string ?? "" }
        guard missing.isEmpty else {
            throw StructureError(
                "\(path.forDisplay): \(missing.count) of \(files.count) files of values are missing:"
                    + " \(missing.listed(first: 3)); capture again")
        }
        let found = ResultSlots<(info: TensorInfo, fileByteCount: Int)>(count: files.count)
        try Parallel.forEach(files.count, threads: threads) { index in
            let contents = try Self.contents(reader(files[index]), files[index])
            var info = contents.tensors[0]
            let shape = "torch.Size([\(info.shape.dimensions.map(String.init).joined(separator: ", "))])"
            let value = tree.values[index]
            guard shape == value.shape else {
                throw StructureError(
                    "\(path.forDisplay): '\(value.name.escapedForDisplay)' is \(value.shape.escapedForDisplay) in the tree"
                        + " and \(shape) in \(value.fileName.escapedForDisplay)")
            }
            info.name = value.name
            found.set(index, (info, contents.fileByteCount))
        }
        self.files = files
        self.reader = reader
        var contents = CheckpointContents(formatName: Safetensors.name, tensors: found.all.map(\.info))
        contents.fileByteCount = found.all.reduce(0) { $0 + $1.fileByteCount }
        self.contents = contents
    }

    private static func contents(_ reader: any CheckpointReader, _ path: FilePath) throws -> CheckpointContents {
        let tensors = reader.contents.tensors
        guard tensors.count == 1, tensors[0].name == tensorName else {
            throw StructureError(
                "\(path.forDisplay): expected one tensor, '\(tensorName)', as the debugger writes it, found"
                    + " \(tensors.map(\.name).listed(first: 3))")
        }
        return reader.contents
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        let opened = try reader(files[tensor])
        let (known, found) = (contents.tensors[tensor], try Self.contents(opened, files[tensor]).tensors[0])
        guard found.elementType == known.elementType, found.shape == known.shape else {
            throw SystemError(
                "read '\(known.name.escapedForDisplay)'", files[tensor], .ioError,
                advice: "the file changed while it was being read")
        }
        try opened.read(0, range, into: buffer)
    }
}
