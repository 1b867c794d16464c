import AssayCheckpoints
import AssayModels
import AssayTensors
import SystemPackage

/// Activations that were captured in a forward pass, here or by another program: a safetensors file whose names are
/// taps. The page `formats/taps.md` has the form.
public struct CapturedActivations: Sendable {
    public let name: String
    private let reader: any CheckpointReader
    private let positions: NameMap<Int>

    /// Tensors beside the taps: what the model was fed.
    private static let inputs: Set<String> = ["input_ids", "attention_mask", "token_type_ids", "position_ids"]
    private static let points: Set<String> = [
        "attn_norm", "q", "k", "v", "attn_out", "mlp_norm", "mlp_act", "mlp_out", "out",
    ]

    /// Whether the tensors of a file are taps and inputs, and nothing else.
    public static func recognizes(_ contents: CheckpointContents) -> Bool {
        contents.tensors.contains { isTap($0.name) }
            && contents.tensors.allSatisfy { isTap($0.name) || inputs.contains($0.name) }
    }

    private static func isTap(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count == 1 { return ["embed", "final_norm", "pooler", "logits"].contains(name) }
        return parts.count == 3 && parts[0] == "layers" && Int(parts[1]) != nil && points.contains(String(parts[2]))
    }

    /// - Throws: `StructureError` where a tap holds no real numbers.
    init(_ reader: any CheckpointReader, name: String) throws {
        self.name = name
        self.reader = reader
        positions = reader.contents.indexByName()
        for info in taps where !info.elementType.isFloating {
            throw StructureError(
                "\(name): tap '\(info.name)': expected floating-point numbers, found \(info.elementType.name)")
        }
    }

    private var taps: [TensorInfo] { reader.contents.tensors.filter { Self.isTap($0.name) } }

    /// The taps it holds, in the order of a forward pass.
    public var tapNames: [String] {
        func order(_ name: String) -> (Int, Int) {
            let steps = ["attn_norm", "q", "k", "v", "attn_out", "mlp_norm", "mlp_act", "mlp_out", "out"]
            let parts = name.split(separator: ".")
            if parts.count == 3 { return (1 + (Int(parts[1]) ?? 0), steps.firstIndex(of: String(parts[2])) ?? 0) }
            return name == "embed" ? (0, 0) : (Int.max, ["final_norm", "pooler", "logits"].firstIndex(of: name) ?? 3)
        }
        return taps.map(\.name).sorted { order($0) < order($1) }
    }

    /// "captured activations, 21 taps, profile fast32".
    public var description: String {
        let profile = metadata("profile").map { ", profile \($0.escapedForDisplay)" } ?? ""
        return "captured activations, \(taps.count) taps\(profile)"
    }

    /// A fact that `assay run --capture` writes into the metadata.
    private func metadata(_ key: String) -> String? {
        reader.contents.metadata.first { $0.key == "assay." + key }?.value
    }

    /// Whether this program made it, by its metadata.
    var isOwn: Bool { metadata("capture") != nil }

    /// What to say where it was captured with arithmetic whose bits may differ.
    var arithmeticNote: String? {
        // The second is how captures named it once.
        guard let version = metadata("arithmeticVersion") ?? metadata("arithmetic"), version != "\(Arithmetic.version)"
        else { return nil }
        return
            "\(name) was captured with arithmetic version \(version.escapedForDisplay), this is \(Arithmetic.version)"
    }

    func shape(of tap: String) -> [Int]? { positions[tap].map { reader.contents.tensors[$0].shape.dimensions } }

    /// Some rows of a tap (all dimensions but the last, flattened): float64 where it is stored so, else float32.
    func read(_ tap: String, rows: Range<Int>) throws -> HiddenState {
        let index = positions[tap]!
        let info = reader.contents.tensors[index]
        let columns = info.shape.dimensions.last ?? 1
        let type: ElementType = info.elementType == .f64 ? .f64 : .f32
        let elements = rows.lowerBound * columns..<rows.upperBound * columns
        guard info.elementType.bitCount % 8 == 0,
            let conversion = ElementConversion(from: info.elementType, to: type)
        else {
            throw StructureError("\(name): tap '\(tap)': \(info.elementType.name) is not read")
        }
        let size = info.elementType.bitCount / 8
        let stored = try ByteBuffer(byteCount: elements.count * size)
        let values = try ByteBuffer(byteCount: elements.count * type.bitCount / 8)
        defer { withExtendedLifetime((stored, values)) {} }
        try reader.read(index, elements.lowerBound * size..<elements.upperBound * size, into: stored.bytes)
        conversion.convert(stored.readOnly, to: values.bytes, count: elements.count)
        let numbers: LentNumbers =
            type == .f64
            ? .float64(UnsafeBufferPointer(values.bytes.bindMemory(to: Double.self)))
            : .float32(UnsafeBufferPointer(values.bytes.bindMemory(to: Float.self)))
        return try HiddenState(rowCount: rows.count, featureCount: columns, copying: numbers)
    }

    // MARK: Tokens

    /// The tokens that the capture itself holds; nil where it holds none.
    ///
    /// - Throws: `CheckpointError` where they are no lists of whole numbers of one shape.
    public func tokens() throws -> TokenBatch? {
        guard let ids = try lists("input_ids") else { return nil }
        return try TokenBatch(
            inputIDs: ids, attentionMask: lists("attention_mask"), tokenTypeIDs: lists("token_type_ids"),
            positionIDs: lists("position_ids"), source: FilePath(name))
    }

    /// The digest of the tokens, as the capture's metadata has it.
    var tokensDigest: String? { metadata("tokens") }

    private func lists(_ member: String) throws -> [[Int]]? {
        guard let index = positions[member] else { return nil }
        let info = reader.contents.tensors[index]
        let dimensions = info.shape.dimensions
        guard dimensions.count == 2, let size = Self.integerByteCount(info.elementType) else {
            throw CheckpointError(
                FilePath(name), .tensor(member), expected: "whole numbers, [batch, time]",
                found: "\(info.elementType.name) \(info.shape)")
        }
        let buffer = try ByteBuffer(byteCount: info.byteCount)
        defer { withExtendedLifetime(buffer) {} }
        try reader.read(index, 0..<info.byteCount, into: buffer.bytes)
        func number(_ element: Int) -> Int {
            switch size {
            case 8: Int(Int64(littleEndian: buffer.readOnly.loadUnaligned(fromByteOffset: element * 8, as: Int64.self)))
            case 4: Int(Int32(littleEndian: buffer.readOnly.loadUnaligned(fromByteOffset: element * 4, as: Int32.self)))
            default: Int(buffer.readOnly[element])
            }
        }
        return (0..<dimensions[0]).map { row in (0..<dimensions[1]).map { number(row * dimensions[1] + $0) } }
    }

    private static func integerByteCount(_ type: ElementType) -> Int? {
        switch type {
        case .i64: 8
        case .i32: 4
        case .u8, .bool: 1
        default: nil
        }
    }
}
