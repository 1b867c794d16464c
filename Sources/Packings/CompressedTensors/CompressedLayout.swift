import AssayCKernels
import AssayCheckpoints
import AssayTensors

/// Where and how the parts of one compressed weight lie, every shape checked against every other.
struct CompressedLayout: Sendable {
    /// The logical shape [out, in], no dimension zero.
    let shape: Shape
    let bits: Int
    /// Whether codes are packed into words, or stand one a byte.
    let isPacked: Bool
    let groupSize: Int
    let groupsPerRow: Int
    /// Whether the scales belong to groups, rather than to rows or the whole tensor.
    let isGrouped: Bool
    /// One scale for the whole tensor.
    let isPerTensor: Bool
    let scaleType: ck_scale_type
    /// Positions in the checkpoint.
    let codes: Int
    let scale: Int
    let zeroPoints: ZeroPoints?

    struct ZeroPoints: Sendable {
        var position: Int
        /// Packed along the rows, as codes are along the columns; else int8 in the shape of the scales.
        var isPacked: Bool
    }

    var rowByteCount: Int { isPacked ? wordCount(shape.rowElementCount, bits: bits)! * 4 : shape.rowElementCount }
    var scaleByteCount: Int { scaleType == CK_SCALE_F32 ? 4 : 2 }
}

/// 32-bit words that hold `count` codes; nil where that overflows.
func wordCount(_ count: Int, bits: Int) -> Int? {
    let (product, overflow) = count.multipliedReportingOverflow(by: bits)
    guard !overflow else { return nil }
    return product / 32 + (product % 32 == 0 ? 0 : 1)
}

extension CompressedLayout {
    /// - Throws: `StructureError` naming the part that is missing, misshapen or contradicts another.
    init(
        reader: any CheckpointReader, module: String, parts: CompressedTensors.Parts, declared: DeclaredSchemes
    ) throws {
        let check = PartCheck(reader: reader, module: module, parts: parts)
        try check.refuseUnread()
        let codes =
            try parts.positions[.packed].map { try check.packedCodes(at: $0, declared) } ?? check.plainCodes(declared)
        try check.requireDeclared(codes, declared)
        let scales = try check.scales(for: codes.shape)
        var zeroPoints = try check.zeroPoints(for: codes, scales)
        if let stored = zeroPoints, check.isSymmetric(codes, declared), try check.areZero(stored, codes, scales) {
            // They say what the configuration says without them.
            zeroPoints = nil
        }
        try check.compare(codes, scales, isSymmetric: zeroPoints == nil, with: declared)
        shape = codes.shape
        bits = codes.bits
        isPacked = codes.isPacked
        self.codes = codes.position
        scale = scales.position
        scaleType = scales.type
        groupsPerRow = scales.groupsPerRow
        groupSize = codes.shape.rowElementCount / scales.groupsPerRow
        isGrouped =
            scales.groupsPerRow > 1 || declared.groupSizes(bits: codes.bits).contains(codes.shape.rowElementCount)
        isPerTensor = scales.isPerTensor
        self.zeroPoints = zeroPoints
    }
}

/// The checks of one module's parts, in the order in which they depend on each other.
private struct PartCheck {
    let reader: any CheckpointReader
    let module: String
    let parts: CompressedTensors.Parts

    struct Codes {
        var position: Int
        var shape: Shape
        var bits: Int
        var isPacked: Bool
    }

    struct Scales {
        var position: Int
        var type: ck_scale_type
        var groupsPerRow: Int
        var isPerTensor: Bool
        var shape: Shape
    }

    private func error(_ part: CompressedTensors.Part, _ text: String) -> StructureError {
        StructureError("tensor '\(module.qualified(part).escapedForDisplay)': \(text)")
    }

    private func info(_ position: Int) -> TensorInfo { reader.contents.tensors[position] }

    /// Forms of the same names that this version does not read.
    func refuseUnread() throws {
        if parts.positions[.columnGroups] != nil {
            throw error(.columnGroups, "compressed-tensors with activation order are not read yet")
        }
        if parts.positions[.globalScale] != nil {
            throw error(.globalScale, "compressed-tensors' floating-point packings are not read yet")
        }
    }

    func packedCodes(at position: Int, _ declared: DeclaredSchemes) throws -> Codes {
        guard parts.positions[.weight] == nil else {
            throw error(
                .packed, "\(module.qualified(.weight).escapedForDisplay) stands beside it; one of them is too many")
        }
        let packed = info(position)
        guard packed.elementType == .i32, packed.shape.rank == 2 else {
            throw error(
                .packed,
                "integers are packed in I32 of 2 dimensions, this is \(packed.elementType.name) \(packed.shape)"
                    + "; other packings of compressed-tensors are not read yet")
        }
        let shape = try logicalShape()
        let rows = shape.dimensions[0]
        let columns = shape.dimensions[1]
        guard packed.shape.dimensions[0] == rows else {
            throw error(.packed, "\(packed.shape) has not the \(rows) rows of weight_shape \(shape)")
        }
        let fitting = (2...8).filter { wordCount(columns, bits: $0) == packed.shape.dimensions[1] }
        guard !fitting.isEmpty else {
            throw error(.packed, "\(packed.shape) holds no integers of 2 to 8 bits for weight_shape \(shape)")
        }
        let told = Set(declared.weights.map(\.bits))
        let matching = told.isEmpty ? fitting : fitting.filter(told.contains)
        guard let bits = matching.first else {
            throw error(
                .packed,
                "\(packed.shape) holds \(list(fitting)) bits an element for weight_shape \(shape),"
                    + " but quantization_config says \(list(told.sorted()))")
        }
        guard matching.count == 1 else {
            throw error(
                .packed,
                "\(packed.shape) could hold \(list(matching)) bits an element for weight_shape \(shape);"
                    + " a config.json with quantization_config tells which")
        }
        return Codes(position: position, shape: shape, bits: bits, isPacked: true)
    }

    private func list(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: " or ") }

    /// The two integers of `weight_shape`.
    private func logicalShape() throws -> Shape {
        guard let position = parts.positions[.shape] else {
            throw error(.packed, "\(CompressedTensors.Part.shape.rawValue) is missing")
        }
        let stored = info(position)
        let isWide = stored.elementType == .i64
        guard isWide || stored.elementType == .i32, stored.shape.dimensions == [2] else {
            throw error(
                .shape,
                "expected 2 integers (I64 [2]), found \(stored.elementType.name) \(stored.shape)"
                    + (stored.shape.dimensions == [3] ? "; weights of 3 dimensions are not read yet" : ""))
        }
        let buffer = try ByteBuffer(byteCount: stored.byteCount)
        defer { withExtendedLifetime(buffer) {} }
        try reader.read(position, 0..<stored.byteCount, into: buffer.bytes)
        let dimensions: [Int] = (0..<2).map {
            isWide
                ? Int(Int64(littleEndian: buffer.readOnly.load(fromByteOffset: 8 * $0, as: Int64.self)))
                : Int(Int32(littleEndian: buffer.readOnly.load(fromByteOffset: 4 * $0, as: Int32.self)))
        }
        guard let shape = Shape(dimensions), dimensions.allSatisfy({ $0 > 0 }) else {
            throw error(.shape, "\(dimensions) is no shape of a weight")
        }
        return shape
    }

    func plainCodes(_ declared: DeclaredSchemes) throws -> Codes {
        guard let position = parts.positions[.weight] else {
            let part = CompressedTensors.Part.allCases.first { parts.positions[$0] != nil }!
            throw error(part, "stands without weight_packed or weight")
        }
        if parts.positions[.shape] != nil { throw error(.shape, "stands without weight_packed") }
        let weight = info(position)
        guard weight.elementType == .i8, weight.shape.rank == 2, weight.shape.elementCount > 0 else {
            throw error(
                .weight,
                "a scale or zero point stands beside \(weight.elementType.name) \(weight.shape);"
                    + " of such forms only I8 [out, in] is read yet")
        }
        let told = Set(declared.weights.map(\.bits))
        return Codes(
            position: position, shape: weight.shape,
            bits: told.count == 1 && (2...8).contains(told.first!) ? told.first! : 8,
            isPacked: false)
    }

    func scales(for shape: Shape) throws -> Scales {
        guard let position = parts.positions[.scale] else {
            throw error(parts.positions[.packed] != nil ? .packed : .weight, "weight_scale is missing")
        }
        let stored = info(position)
        let type: ck_scale_type
        switch stored.elementType {
        case .f32: type = CK_SCALE_F32
        case .bf16: type = CK_SCALE_BF16
        case .f16: type = CK_SCALE_F16
        default: throw error(.scale, "scales are F32, BF16 or F16, this is \(stored.elementType.name)")
        }
        let rows = shape.dimensions[0]
        let columns = shape.dimensions[1]
        let isPerTensor = stored.shape.rank < 2 && stored.shape.elementCount == 1
        let groups = isPerTensor ? 1 : stored.shape.dimensions.last ?? 0
        guard isPerTensor || (stored.shape.rank == 2 && stored.shape.dimensions[0] == rows), groups > 0,
            columns % groups == 0
        else {
            throw error(
                .scale,
                "\(stored.shape) fits neither the tensor [1], nor the channels [\(rows), 1], nor groups that"
                    + " divide the \(columns) columns of the weight \(shape)")
        }
        return Scales(
            position: position, type: type, groupsPerRow: groups, isPerTensor: isPerTensor, shape: stored.shape)
    }

    func zeroPoints(for codes: Codes, _ scales: Scales) throws -> CompressedLayout.ZeroPoints? {
        guard let position = parts.positions[.zeroPoint] else { return nil }
        let stored = info(position)
        if stored.elementType == .i8, stored.shape == scales.shape {
            return CompressedLayout.ZeroPoints(position: position, isPacked: false)
        }
        let words = wordCount(codes.shape.dimensions[0], bits: codes.bits)
        guard codes.isPacked, !scales.isPerTensor, stored.elementType == .i32,
            stored.shape.dimensions == [words, scales.groupsPerRow]
        else {
            throw error(
                .zeroPoint,
                "\(stored.elementType.name) \(stored.shape) fits neither the scales \(scales.shape) as I8"
                    + (codes.isPacked
                        ? " nor \(codes.shape.dimensions[0]) rows of \(codes.bits) bits packed in I32" : ""))
        }
        return CompressedLayout.ZeroPoints(position: position, isPacked: true)
    }

    private func candidates(_ codes: Codes, _ declared: DeclaredSchemes) -> [DeclaredSchemes.Weights] {
        declared.weights.filter { !codes.isPacked || $0.bits == codes.bits }
    }

    /// Whether the configuration knows of no zero points.
    func isSymmetric(_ codes: Codes, _ declared: DeclaredSchemes) -> Bool {
        let candidates = candidates(codes, declared)
        return !candidates.isEmpty && candidates.allSatisfy(\.isSymmetric)
    }

    /// Whether zero points are all 0.
    func areZero(_ zeroPoints: CompressedLayout.ZeroPoints, _ codes: Codes, _ scales: Scales) throws -> Bool {
        let stored = info(zeroPoints.position)
        let buffer = try ByteBuffer(byteCount: stored.byteCount)
        defer { withExtendedLifetime(buffer) {} }
        try reader.read(zeroPoints.position, 0..<stored.byteCount, into: buffer.bytes)
        guard zeroPoints.isPacked else { return buffer.readOnly.allSatisfy { $0 == 0 } }
        let rows = codes.shape.dimensions[0]
        let pointCount = rows * scales.groupsPerRow
        let points = [Int8](unsafeUninitializedCapacity: pointCount) { points, initialized in
            initialized = pointCount
            ck_zeros_unpack(
                buffer.bytes.baseAddress!.assumingMemoryBound(to: UInt32.self), 0, rows, scales.groupsPerRow,
                CInt(codes.bits), points.baseAddress)
        }
        return points.allSatisfy { $0 == 0 }
    }

    /// The configuration may not contradict what is stored.
    func compare(_ codes: Codes, _ scales: Scales, isSymmetric: Bool, with declared: DeclaredSchemes) throws {
        let candidates = candidates(codes, declared)
        guard !candidates.isEmpty else { return }
        guard candidates.contains(where: { $0.isSymmetric == isSymmetric }) else {
            throw isSymmetric
                ? error(.zeroPoint, "is missing: quantization_config says that the weights are asymmetric")
                : error(.zeroPoint, "must be 0 everywhere: quantization_config says that the weights are symmetric")
        }
        let columns = codes.shape.rowElementCount
        let groupSize = columns / scales.groupsPerRow
        let isFitting = candidates.contains {
            $0.fits(isPerTensor: scales.isPerTensor, groupSize: groupSize, columns: columns)
        }
        guard isFitting else {
            let made = scales.isPerTensor ? "is one scale for the tensor" : "makes groups of \(groupSize) elements"
            throw error(
                .scale,
                "\(scales.shape) \(made), quantization_config says"
                    + " \(Set(candidates.map(\.scales)).sorted().joined(separator: " or "))")
        }
    }

    /// The configuration must say of the module that it is quantized, and so.
    func requireDeclared(_ codes: Codes, _ declared: DeclaredSchemes) throws {
        let part = codes.isPacked ? CompressedTensors.Part.packed : .weight
        if let entry = declared.ignored.first(where: { $0.covers(module) == true }) {
            throw error(part, "is quantized, but quantization_config.ignore has '\(entry.text.escapedForDisplay)'")
        }
        let groups = declared.groups.filter { $0.mayCover(module) }
        guard !declared.hasNoGroups, declared.groups.isEmpty || !groups.isEmpty else {
            throw error(part, "is quantized, but no targets in quantization_config name it")
        }
        let fitting = codes.isPacked ? ["pack-quantized"] : ["int-quantized", "naive-quantized"]
        let formats = groups.map(\.format)
        guard formats.isEmpty || formats.contains(where: { $0.map(fitting.contains) ?? true }) else {
            throw error(
                part,
                "is \(codes.isPacked ? "packed in words" : "integers of a byte"), but quantization_config says the format"
                    + " \(Set(formats.compactMap { $0 }).sorted().joined(separator: " or ").escapedForDisplay)")
        }
    }
}
