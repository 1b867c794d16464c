import AssayCheckpoints
import AssayTensors

/// Reads a safetensors file: the header when it is opened, data only when it is asked for.
struct SafetensorsReader: CheckpointReader {
    private(set) var contents: CheckpointContents
    private let file: InputFile
    /// Where each tensor's data begins in the file.
    private let offsets: [Int]

    init(_ file: InputFile, _ options: ReadingOptions = ReadingOptions()) throws {
        let limit = SafetensorsHeader.maximumByteCount
        let header = try SafetensorsHeader(of: file, atMost: options.headerByteCount(atMost: limit, ratio: 64))
        if let fault = header.surplus, !options.showsInvalid { throw fault }
        self.file = file
        let (aliases, metadata) = Self.aliases(in: header)
        let begins = header.entries.map { header.dataOffset + $0.range.lowerBound }
        offsets = begins + aliases.map { begins[$0.position] }
        contents = CheckpointContents(
            formatName: Safetensors.name, tensors: header.entries.map(\.info) + aliases.map(\.info), metadata: metadata,
            originalHeader: OriginalHeader(formatName: Safetensors.name, bytes: header.bytes),
            fileByteCount: file.byteCount)
        contents.fault = header.surplus
    }

    /// The names that `save_model` of the safetensors library dropped because their bytes are stored under another name:
    /// it notes each as metadata `dropped name: kept name`. Everything else is metadata proper.
    ///
    /// - Returns: each alias with the position of the entry whose bytes it has.
    private static func aliases(
        in header: SafetensorsHeader
    ) -> (aliases: [(info: TensorInfo, position: Int)], metadata: [(key: String, value: String)]) {
        guard header.metadata.contains(where: { $0.key != "format" }) else { return ([], header.metadata) }
        let stored = NameMap(header.entries.enumerated().map { ($1.info.name, $0) })
        var aliases: [(info: TensorInfo, position: Int)] = []
        var metadata: [(key: String, value: String)] = []
        for (key, value) in header.metadata {
            guard stored[key] == nil, let position = stored[value], key != "format" else {
                metadata.append((key, value))
                continue
            }
            var info = header.entries[position].info
            info.name = key
            info.aliasOf = value
            aliases.append((info, position))
        }
        return (aliases, metadata)
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        precondition(range.lowerBound >= 0 && range.upperBound <= contents.tensors[tensor].byteCount)
        try file.read(at: offsets[tensor] + range.lowerBound, into: buffer)
    }
}
