import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

/// Q10: tensors of more bytes and elements than 32 bits count, in files that are mostly holes.
@Suite struct LargeTensors {
    private static let count = 1 << 32 + 5

    private static let headers: [(name: String, header: [UInt8])] = [
        (
            "large.safetensors",
            SafetensorsBytes.file(
                #"{"large":{"dtype":"U8","shape":[\#(count)],"data_offsets":[0,\#(count)]}}"#, data: [])
        ),
        (
            "large.npy",
            // It puts the data of two float32 behind.
            Array(
                NumPyHeaders.bytes("{'descr': '|u1', 'fortran_order': False, 'shape': (\(count),), }\n").dropLast(8))
        ),
    ]

    @Test(arguments: headers.indices) func areReadAtEveryOffset(_ index: Int) throws {
        let (name, header) = Self.headers[index]
        let folder = try TemporaryFolder()
        let path = folder.path.appending(name)
        let marks = [
            (0, UInt8(1)), (1 << 31 - 1, 2), (1 << 31, 3), (1 << 32 - 1, 4), (1 << 32, 5), (Self.count - 1, 6),
        ]
        do {
            let output = try OutputFile(creating: path)
            try output.setLength(header.count + Self.count)
            try output.write(at: 0, header)
            for (offset, value) in marks { try output.write(at: header.count + offset, [value]) }
        }
        let checkpoint = try Checkpoint.open(path)
        #expect(checkpoint.contents.tensors.map(\.shape.elementCount) == [Self.count])
        for (offset, value) in marks {
            let range = max(0, offset - 1)..<min(Self.count, offset + 2)
            let buffer = try ByteBuffer(byteCount: range.count)
            try checkpoint.reader.read(0, range, into: buffer.bytes)
            #expect(buffer.readOnly[offset - range.lowerBound] == value)
        }
        // One byte less is noticed.
        let short = try OutputFile(changing: path)
        try short.setLength(header.count + Self.count - 1)
        #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
    }
}
