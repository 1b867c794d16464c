import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors

/// The rounding that a weight's declared storage stands for: half a unit in the last place of a plain type, half a step
/// of a quantized one. What is said of a storage that we know nothing of is that it rounds nothing.
struct Rounding: Sendable {
    private enum Kind: Sendable {
        case none
        case plain(significantBits: Int, leastExponent: Int)
        case steps(bits: Int, unit: Double)
        case blocks(BlockSteps)
    }

    let tensor: any LogicalTensor
    private let kind: Kind
    /// Whether it keeps less of a number than float32 does.
    var isCoarse: Bool {
        switch kind {
        case .none: false
        case .plain(let bits, _): bits < 24
        case .steps, .blocks: true
        }
    }
    /// Whether it has scales, which lie as the tensor does.
    var hasSteps: Bool {
        switch kind {
        case .none, .plain: false
        case .steps, .blocks: true
        }
    }
    private let reader: any CheckpointReader

    init(of tensor: any LogicalTensor, in checkpoint: LogicalCheckpoint) {
        self.tensor = tensor
        reader = checkpoint.reader
        switch tensor.storage {
        case .plain(let type) where type.isBlock:
            kind = BlockSteps(type, reader: reader, tensor: tensor.parts[0]).map { .blocks($0) } ?? .none
        case .plain(let type):
            kind = Self.plain(type).map { .plain(significantBits: $0.bits, leastExponent: $0.least) } ?? .none
        case .quantized(let bits, _, _, _):
            let types = tensor.parts.map { checkpoint.reader.contents.tensors[$0].elementType }
            let scaleType = types.first { $0 == .bf16 || $0 == .f16 } ?? .f32
            kind = .steps(bits: bits, unit: Self.unit(of: scaleType))
        }
    }

    /// Significant bits, the leading one counted, and the exponent of the least normal number.
    ///
    /// - Source: formats/element-types.md.
    private static func plain(_ type: ElementType) -> (bits: Int, least: Int)? {
        switch type {
        case .f64: (53, -1022)
        case .f32: (24, -126)
        case .bf16: (8, -126)
        case .f16: (11, -14)
        case .f8e4m3: (4, -6)
        case .f8e4m3fnuz: (4, -7)
        case .f8e5m2: (3, -14)
        case .f8e5m2fnuz: (3, -15)
        case .f6e2m3: (4, 0)
        case .f6e3m2: (3, -2)
        case .f4: (2, 0)
        default: nil
        }
    }

    /// Half a unit in the last place of a type, relative to the value.
    private static func unit(of type: ElementType) -> Double {
        switch type {
        case .bf16: 0x1p-8
        case .f16: 0x1p-11
        default: 0x1p-24
        }
    }

    /// The digest of a stored part's bytes.
    func digest(of part: Int) throws -> Digest { try reader.digest(of: part) }

    /// What computing a number in another order does to it before it is stored: on both sides together four units in the
    /// last place of float32, or of float64 where that is the storage. A coarser storage turns that into a step or
    /// nothing, and a step is more.
    var lastPlaces: RoundingRows {
        let isWide = tensor.storage == .plain(.f64)
        return RoundingRows(
            storage: ck_storage(significantBits: isWide ? 51 : 22, leastExponent: isWide ? -1022 : -126))
    }

    /// What the kernels need to know about some rows, as the tensor is stored.
    func rows(_ rows: Range<Int>, withCodes: Bool) throws -> RoundingRows {
        switch kind {
        case .none: return RoundingRows()
        case .plain(let bits, let least):
            return RoundingRows(storage: ck_storage(significantBits: bits, leastExponent: least))
        case .steps(let bits, let unit):
            guard let scales = try tensor.readScales(rows: rows), !rows.isEmpty else { return RoundingRows() }
            var result = try RoundingRows(
                storage: ck_storage(unit: unit, codeLimit: (1 << (bits - 1)) - 1), scales: scales,
                zeros: (tensor as? any QuantizedTensor)?.readZeroPoints(rows: rows)?.map { Float($0) },
                rowCount: rows.count, rowElementCount: tensor.shape.rowElementCount)
            if withCodes, let quantized = tensor as? any QuantizedTensor {
                result.codes = try codes(of: rows) { try quantized.readCodes(rows: rows, into: $0) }
            }
            return result
        case .blocks(let blocks):
            guard !rows.isEmpty else { return RoundingRows() }
            let steps = try blocks.steps(of: rows)
            var result = try RoundingRows(
                storage: ck_storage(
                    unit: Self.unit(of: .f32), stepUnit: Self.unit(of: .f16), codeLimit: blocks.codeLimit),
                scales: steps.scales, zeros: steps.zeros, rowCount: rows.count,
                rowElementCount: tensor.shape.rowElementCount)
            if withCodes {
                result.codes = try codes(of: rows) { try blocks.readCodes(rows, steps, of: tensor, into: $0) }
            }
            return result
        }
    }

    private func codes(
        of rows: Range<Int>, _ read: (UnsafeMutableBufferPointer<Int8>) throws -> Void
    ) throws -> ByteBuffer {
        let codes = try ByteBuffer(byteCount: rows.count * tensor.shape.rowElementCount)
        try read(codes.bytes.bindMemory(to: Int8.self))
        return codes
    }
}

extension ck_storage {
    fileprivate init(
        significantBits: Int = 0, leastExponent: Int = 0, unit: Double = 0, stepUnit: Double = 0, codeLimit: Int = 0
    ) {
        self.init(
            significant_bits: CInt(significantBits), least_exponent: CInt(leastExponent), scales: nil, zeros: nil,
            scale_stride: 1, group: 1, offset: 0, unit: unit, step_unit: stepUnit, codes: nil,
            code_limit: CInt(codeLimit))
    }
}

/// Steps and integers of some rows of a weight, held while kernels look at them.
struct RoundingRows: Sendable {
    fileprivate var storage: StorageBox
    fileprivate(set) var groupsPerRow = 0
    fileprivate var groupElementCount = 1
    fileprivate var rowElementCount = 0
    fileprivate var scales: ByteBuffer?
    fileprivate var zeros: ByteBuffer?
    fileprivate var codes: ByteBuffer?

    /// A storage without pointers.
    fileprivate struct StorageBox: @unchecked Sendable {  // reason: its pointers are nil
        var value: ck_storage
    }

    fileprivate init(storage: ck_storage = ck_storage()) { self.storage = StorageBox(value: storage) }

    /// - Parameters:
    ///   - scales: [rows, groups of a row].
    ///   - zeros: the same, in steps.
    fileprivate init(
        storage: ck_storage, scales: [Float], zeros: [Float]?, rowCount: Int, rowElementCount: Int
    ) throws {
        self.init(storage: storage)
        groupsPerRow = scales.count / rowCount
        groupElementCount = max(1, rowElementCount / max(1, groupsPerRow))
        self.rowElementCount = rowElementCount
        self.scales = try ByteBuffer(copying: scales)
        self.zeros = try zeros.map { try ByteBuffer(copying: $0) }
    }

    /// Lends what concerns one of the rows.
    func withRow<R>(_ row: Int, _ body: (ck_storage) throws -> R) rethrows -> R {
        defer { withExtendedLifetime((scales, zeros, codes)) {} }
        var storage = storage(from: row * groupsPerRow, stride: 1, group: groupElementCount)
        storage.codes = codes.map { Self.start($0, Int8.self) + row * rowElementCount }
        return try body(storage)
    }

    /// Lends what concerns one column of all rows: what a row of the transposed weight is.
    func withColumn<R>(_ column: Int, _ body: (ck_storage) throws -> R) rethrows -> R {
        defer { withExtendedLifetime((scales, zeros)) {} }
        return try body(storage(from: column / groupElementCount, stride: groupsPerRow, group: 1))
    }

    private func storage(from place: Int, stride: Int, group: Int) -> ck_storage {
        var result = storage.value
        guard let scales else { return result }
        result.scales = Self.start(scales, Float.self) + place
        result.zeros = zeros.map { Self.start($0, Float.self) + place }
        result.scale_stride = stride
        result.group = group
        return result
    }

    private static func start<T>(_ buffer: ByteBuffer, _ type: T.Type) -> UnsafePointer<T> {
        UnsafePointer(buffer.bytes.baseAddress!.assumingMemoryBound(to: type))
    }
}

extension ByteBuffer {
    fileprivate convenience init(copying values: [Float]) throws {
        try self.init(byteCount: values.count * MemoryLayout<Float>.stride)
        values.withUnsafeBytes { bytes.copyMemory(from: $0) }
    }
}
