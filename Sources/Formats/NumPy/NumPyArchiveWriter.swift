import AssayCheckpoints
import AssayTensors

/// Writes one array.
struct NumPyArrayWriter: CheckpointWriter {
    let pieceOrder = PieceOrder.any
    private let output: OutputFile
    private let dataOffset: Int

    init(_ plan: WritePlan, _ output: OutputFile) throws {
        guard plan.tensors.count == 1 else {
            throw UsageError("npy holds exactly one tensor, these are \(plan.tensors.count); write npz instead")
        }
        let header = try NumPyHeader.bytes(for: plan.tensors[0])
        let (total, overflow) = header.count.addingReportingOverflow(plan.tensors[0].byteCount)
        guard !overflow else { throw UsageError("the tensor is more than a file can hold") }
        self.output = output
        dataOffset = header.count
        try output.reserve(total)
        try output.setLength(total)
        try output.write(at: 0, header)
    }

    func granularity(of tensor: Int) -> Int { 0 }

    func write(
        _ tensor: Int, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer,
        inTurn: (() throws -> Void) throws -> Void
    ) throws {
        try output.write(at: dataOffset + range.lowerBound, bytes)
    }

    func finish(digests: [Digest]) throws {}
}

/// Writes arrays as stored members of a zip archive, each aligned.
struct NumPyArchiveWriter: CheckpointWriter {
    let pieceOrder = PieceOrder.any
    private let archive: ZipWriter
    private let headers: [[UInt8]]

    init(_ plan: WritePlan, _ output: OutputFile) throws {
        headers = try plan.tensors.map { try NumPyHeader.bytes(for: $0) }
        let members = try zip(plan.tensors, headers).map { tensor, header in
            let (byteCount, overflow) = tensor.byteCount.addingReportingOverflow(header.count)
            guard !overflow else { throw UsageError("the tensors are more than a file can hold") }
            return (name: tensor.name + NumPyArray.fileExtensions[0], byteCount: byteCount)
        }
        archive = try ZipWriter(members, output)
        for (member, header) in headers.enumerated() { try archive.write(member, header) }
    }

    func granularity(of tensor: Int) -> Int { 0 }

    func write(
        _ tensor: Int, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer,
        inTurn: (() throws -> Void) throws -> Void
    ) throws {
        try archive.write(tensor, at: headers[tensor].count + range.lowerBound, bytes)
    }

    func finish(digests: [Digest]) throws { try archive.finish() }
}
