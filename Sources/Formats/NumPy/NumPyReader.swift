import AssayCheckpoints
import AssayTensors

/// Reads arrays where they lie.
struct NumPyReader: CheckpointReader {
    let contents: CheckpointContents
    private let arrays: [StridedArray]

    init(_ contents: CheckpointContents, _ arrays: [StridedArray]) {
        self.contents = contents
        self.arrays = arrays
    }

    /// Reads the headers of all arrays of an archive.
    ///
    /// - Throws: `CheckpointError`.
    init(archive: ZipArchive) throws {
        var contents = CheckpointContents(
            formatName: NumPyArchive.name, tensors: [], fileByteCount: archive.file.byteCount)
        var arrays: [StridedArray] = []
        var others: [String] = []
        let path = archive.file.path
        for (position, member) in archive.members.enumerated() {
            guard let name = NumPyArchive.arrayName(member.name) else {
                others.append(member.name)
                continue
            }
            let source = archive.source(of: position, isChecked: true)
            let header = try NumPyHeader(of: source, path, member: member.place)
            contents.tensors.append(header.tensor(named: name))
            arrays.append(header.array(in: source))
        }
        if !others.isEmpty {
            contents.warnings.append(
                "members that are no arrays are passed over: \(others.listed(first: 5))")
        }
        self.init(contents, arrays)
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        precondition(range.lowerBound >= 0 && range.upperBound <= contents.tensors[tensor].byteCount)
        try arrays[tensor].read(range, into: buffer)
    }

    func granularity(of tensor: Int) -> Int { arrays[tensor].granularity }

    func requireIntact(_ tensor: Int) throws { try arrays[tensor].requireIntact() }
}
