import AssayCheckpoints
import AssayTensors
import SystemPackage

/// Token ids and numbers as tensors of a file, under the names of their members.
extension TokenBatch {
    /// More bytes than any batch that could be run takes.
    static let maximumTensorByteCount = 1 << 30

    /// Reads a file whose tensors are members and nothing else.
    ///
    /// - Parameter source: the path of the file, for messages.
    /// - Throws: `CheckpointError` where a tensor is no member, or not what the member is.
    public init(_ reader: any CheckpointReader, source: FilePath) throws {
        var places: [Member: Int] = [:]
        for (index, info) in reader.contents.tensors.enumerated() {
            guard let member = Member(rawValue: info.name) else {
                let known = Member.allCases.map(\.rawValue).joined(separator: ", ")
                throw CheckpointError(
                    source, .file, expected: "only tensors named \(known)", found: "'\(info.name.escapedForDisplay)'")
            }
            places[member] = index
        }
        guard let batch = try TokenBatch(reader, places, source: source) else {
            throw CheckpointError(
                source, .file, expected: "input_ids, input_features or pixel_values", found: "none of them")
        }
        self = batch
    }

    /// Reads members that stand at some places of a file.
    ///
    /// - Returns: nil where there are neither token ids nor numbers.
    public init?(_ reader: any CheckpointReader, _ places: [Member: Int], source: FilePath) throws {
        func lists(_ member: Member) throws -> [[Int]]? {
            try places[member].map { try Self.lists(reader, $0, member, source) }
        }
        let numbers = places.keys.filter { $0.features != nil }
        guard numbers.count < 2 else {
            throw CheckpointError(
                source, .part(Member.pixelValues.rawValue), expected: "no input_features beside it", found: "both")
        }
        let features = try numbers.first.map { try Self.features($0, reader, places[$0]!, source) }
        guard places[.inputIDs] != nil || features != nil else { return nil }
        try self.init(
            inputIDs: lists(.inputIDs) ?? [], attentionMask: lists(.attentionMask),
            tokenTypeIDs: lists(.tokenTypeIDs), positionIDs: lists(.positionIDs), features: features,
            decoder: DecoderTokens(
                ids: lists(.decoderInputIDs), attentionMask: lists(.decoderAttentionMask), source: source),
            source: source)
        let segments = Segments(
            length: try lists(.segmentLength)?[0][0], memoryLength: try lists(.memoryLength)?[0][0])
        self = try cut(into: segments)
    }

    // MARK: Whole numbers

    private static func lists(
        _ reader: any CheckpointReader, _ index: Int, _ member: Member, _ source: FilePath
    ) throws -> [[Int]] {
        let info = reader.contents.tensors[index]
        let dimensions = info.shape.dimensions
        let isMask = member == .attentionMask || member == .decoderAttentionMask
        guard dimensions.count == 2, !dimensions.contains(0),
            let size = integerByteCount(info.elementType, ofMask: isMask)
        else {
            throw CheckpointError(
                source, .tensor(info.name),
                expected: "whole numbers, [batch, time] (\(isMask ? "I64, I32, U8 or BOOL" : "I64 or I32"))",
                found: "\(info.elementType.name) \(info.shape)")
        }
        return try withBytes(reader, index, source) { bytes in
            func number(_ element: Int) -> Int {
                switch size {
                case 8: Int(Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: element * 8, as: Int64.self)))
                case 4: Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: element * 4, as: Int32.self)))
                default: Int(bytes[element])
                }
            }
            return (0..<dimensions[0]).map { row in (0..<dimensions[1]).map { number(row * dimensions[1] + $0) } }
        }
    }

    private static func integerByteCount(_ type: ElementType, ofMask isMask: Bool) -> Int? {
        switch type {
        case .i64: 8
        case .i32: 4
        case .u8 where isMask, .bool where isMask: 1
        default: nil
        }
    }

    // MARK: Numbers

    private static func features(
        _ member: Member, _ reader: any CheckpointReader, _ index: Int, _ source: FilePath
    ) throws -> InputFeatures {
        let info = reader.contents.tensors[index]
        let isWide = info.elementType == .f64
        guard [.f64, .f32, .f16, .bf16].contains(info.elementType),
            let conversion = ElementConversion(from: info.elementType, to: isWide ? .f64 : .f32)
        else {
            throw CheckpointError(
                source, .tensor(info.name), expected: "F32, F64, F16 or BF16 numbers", found: info.elementType.name)
        }
        let count = info.shape.elementCount
        let numbers: InputFeatures.Numbers = try withBytes(reader, index, source) { bytes in
            if isWide {
                var values = [Double](repeating: 0, count: count)
                _ = values.withUnsafeMutableBytes { conversion.convert(bytes, to: $0, count: count) }
                return InputFeatures.numbers(exactly: values)
            }
            var values = [Float](repeating: 0, count: count)
            _ = values.withUnsafeMutableBytes { conversion.convert(bytes, to: $0, count: count) }
            return .float32(values)
        }
        return try InputFeatures(member.features!, shape: info.shape.dimensions, numbers, source: source)
    }

    private static func withBytes<R>(
        _ reader: any CheckpointReader, _ index: Int, _ source: FilePath, _ body: (UnsafeRawBufferPointer) throws -> R
    ) throws -> R {
        let info = reader.contents.tensors[index]
        guard info.byteCount <= maximumTensorByteCount else {
            throw CheckpointError(
                source, .tensor(info.name), expected: "at most \(maximumTensorByteCount) bytes",
                found: "\(info.byteCount)")
        }
        let buffer = try ByteBuffer(byteCount: info.byteCount)
        defer { withExtendedLifetime(buffer) {} }
        try reader.read(index, 0..<info.byteCount, into: buffer.bytes)
        return try body(buffer.readOnly)
    }
}

extension TokenBatch.DecoderTokens {
    /// - Returns: nil where nothing is given.
    /// - Throws: `CheckpointError` where a mask has no ids.
    init?(ids: [[Int]]?, attentionMask: [[Int]]?, source: FilePath) throws(CheckpointError) {
        guard let ids else {
            guard attentionMask == nil else {
                throw CheckpointError(
                    source, .part(TokenBatch.Member.decoderAttentionMask.rawValue),
                    expected: "decoder_input_ids beside it", found: "no such member")
            }
            return nil
        }
        self.init(inputIDs: ids, attentionMask: attentionMask)
    }
}
