import AssayCheckpoints
import AssayTensors

/// Writes arrays as stored members of a zip archive, each aligned.
struct NumPyArchiveWriter: CheckpointWriter {
    let pieceOrder = PieceOrder.any
    private let archive: ZipWriter
    private let headers: [[UInt8]]

    init(_ plan: WritePlan, _ output: OutputFile) throws {
        headers = plan.tensors.map { NumPyHeader.bytes(for: $0) }
        let members = try zip(plan.tensors, headers).map { tensor, header in
            (
                name: tensor.name + NumPyArray.fileExtensions[0],
                byteCount: try FilePlace.padded(header.count, adding: tensor.byteCount)
            )
        }
        archive = try ZipWriter(members, output)
        for (member, header) in headers.enumerated() { try archive.write(member, header) }
    }

    func write(
        _ tensor: Int, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer,
        inTurn: (() throws -> Void) throws -> Void
    ) throws {
        try archive.write(tensor, at: headers[tensor].count + range.lowerBound, bytes)
    }

    func finish(digests: [Digest]) throws { try archive.finish() }
}
