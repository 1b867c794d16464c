import AssayCheckpoints
import AssayTensors

/// Reads a safetensors file: the header when it is opened, data only when it is asked for.
struct SafetensorsReader: CheckpointReader {
    private(set) var contents: CheckpointContents
    private let file: InputFile
    /// Where each tensor's data begins in the file.
    private let offsets: [Int]

    init(_ file: InputFile, _ options: ReadingOptions = ReadingOptions()) throws {
        let header = try SafetensorsHeader(of: file)
        if let fault = header.surplus, !options.showsInvalid { throw fault }
        self.file = file
        let (aliases, metadata) = Self.aliases(in: header)
        let positions = NameMap(header.entries.enumerated().map { ($1.info.name, $0) })
        let begin = header.dataOffset
        offsets =
            header.entries.map { begin + $0.range.lowerBound }
            + aliases.map { begin + header.entries[positions[$0.aliasOf!]!].range.lowerBound }
        contents = CheckpointContents(
            formatName: Safetensors.name, tensors: header.entries.map(\.info) + aliases, metadata: metadata,
            originalHeader: OriginalHeader(formatName: Safetensors.name, bytes: header.bytes),
            fileByteCount: file.byteCount)
        contents.fault = header.surplus
    }

    /// The names that `save_model` of the safetensors library dropped because their bytes are stored under another name:
    /// it notes each as metadata `dropped name: kept name`. Everything else is metadata proper.
    private static func aliases(
        in header: SafetensorsHeader
    ) -> (aliases: [TensorInfo], metadata: [(key: String, value: String)]) {
        guard !header.metadata.isEmpty else { return ([], []) }
        let stored = NameMap(header.entries.map { ($0.info.name, $0.info) })
        var aliases: [TensorInfo] = []
        var metadata: [(key: String, value: String)] = []
        for (key, value) in header.metadata {
            guard stored[key] == nil, var info = stored[value], key != "format" else {
                metadata.append((key, value))
                continue
            }
            info.name = key
            info.aliasOf = value
            aliases.append(info)
        }
        return (aliases, metadata)
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        precondition(range.lowerBound >= 0 && range.upperBound <= contents.tensors[tensor].byteCount)
        try file.read(at: offsets[tensor] + range.lowerBound, into: buffer)
    }
}
