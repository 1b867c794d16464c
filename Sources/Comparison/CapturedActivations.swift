import AssayCheckpoints
import AssayModels
import AssayTensors
import SystemPackage

/// Activations that were captured in a forward pass, here or by another program. A tensor's name is a tap
/// (`formats/taps.md`), or says which module's input or output it is (`formats/captures.md`).
public struct CapturedActivations: Sendable {
    /// A captured value, compared under a name.
    struct Tap: Sendable {
        var name: String
        /// Where it is stored: a position in the reader, and the parts of the last axis; none for all of it.
        var tensor: Int
        var columns: [Range<Int>] = []
        /// [batch, time, features], or what the other program made of it.
        var shape: [Int]
        /// Whether it is stored as [batch, heads, time, width]; the shape is [batch, time, heads, width].
        var isHeadsFirst = false
    }

    public let name: String
    let reader: any CheckpointReader
    /// In the order of a forward pass.
    private(set) var taps: [Tap]
    private(set) var positions: NameMap<Int>
    /// Which tensors are tokens and what goes along with them, by their own names.
    private let inputs: NameMap<Int>

    /// Tensors beside the taps: what the model was fed.
    private static let inputNames = TokenBatch.Member.allCases.map(\.rawValue)

    /// Whether the tensors of a file are taps, values of modules and inputs, and nothing else unless the file says itself that
    /// it is a capture.
    public static func recognizes(_ contents: CheckpointContents) -> Bool {
        contents.tensors.contains { TapName($0.name) != nil || isModuleValue($0.name) }
            && (contents.tensors.allSatisfy { knows($0.name) } || contents.metadata.contains { $0.key == captureKey })
    }

    /// The tensors that keep a file from being captured activations, in which some are taps or values of modules; nil of
    /// any other file.
    static func strangers(in contents: CheckpointContents) -> [String]? {
        let names = contents.tensors.map(\.name)
        let strangers = names.filter { !knows($0) }
        guard !strangers.isEmpty, names.contains(where: { TapName($0) != nil || isModuleValue($0) }) else { return nil }
        return strangers
    }

    /// Whether a name is that of a tap, of a module's value, or of an input.
    public static func knows(_ name: String) -> Bool {
        TapName(name) != nil || inputNames.contains(name) || isModuleValue(name) || isOwnValue(name)
    }

    /// "model.norm.output", "model.layers.0.input.1"
    static func isModuleValue(_ name: String) -> Bool {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count > 2, Int(parts.last!) != nil { parts.removeLast() }
        return parts.count > 1 && ["input", "output"].contains(parts.last!)
    }

    /// "input.input_ids", "output.logits": what the model itself was given or gave.
    private static func isOwnValue(_ name: String) -> Bool {
        ["input", "output"].contains(name.prefix { $0 != "." })
    }

    /// - Parameter name: what messages call it.
    /// - Throws: `StructureError` where a tap holds no real numbers.
    public init(_ reader: any CheckpointReader, name: String) throws {
        self.name = name
        self.reader = reader
        let tensors = reader.contents.tensors
        let known = reader.contents.indexByName()
        inputs = NameMap(
            Self.inputNames.compactMap { input -> (String, Int)? in
                // A model that was given one thing by position was given tokens.
                let place = known[input] ?? known["input." + input] ?? (input == "input_ids" ? known["input.0"] : nil)
                return place.map { (input, $0) }
            })
        let found = tensors.indices.compactMap { index in TapName(tensors[index].name).map { (index, $0) } }
        for (index, _) in found where !tensors[index].elementType.isFloating {
            throw StructureError(
                "\(name): tap '\(tensors[index].name)': expected floating-point numbers, found"
                    + " \(tensors[index].elementType.name)")
        }
        taps = found.sorted { $0.1.order.lexicographicallyPrecedes($1.1.order) }.map { index, _ in
            Tap(name: tensors[index].name, tensor: index, shape: tensors[index].shape.dimensions)
        }
        positions = NameMap(taps.enumerated().map { ($1.name, $0) })
    }

    /// The taps it holds, in the order of a forward pass.
    public var tapNames: [String] { taps.map(\.name) }

    /// "captured activations, 21 taps, profile fast32".
    public var description: String {
        let profile =
            metadata("profile").map { ", profile \($0.escapedForDisplay)" } ?? (isOwn ? "" : ", profile not known")
        return "captured activations, \(taps.count) taps\(profile)"
    }

    /// A fact that `assay run --capture` writes into the metadata.
    private func metadata(_ key: String) -> String? {
        reader.contents.metadata.first { $0.key == "assay." + key }?.value
    }

    /// What to say of tensors that are neither taps nor values of modules nor inputs.
    var strangersNote: String? {
        let strangers = reader.contents.tensors.map(\.name).filter { !Self.knows($0) }
        guard !strangers.isEmpty else { return nil }
        return "\(name): \(strangers.count) of \(reader.contents.tensors.count) tensors are no taps and are left out:"
            + " \(strangers.listed(first: 3))"
    }

    /// Whether this program made it, by its metadata.
    var isOwn: Bool { reader.contents.metadata.contains { $0.key == Self.captureKey } }

    /// Under which `assay run --capture` says that a file is one.
    private static let captureKey = "assay.capture"

    /// What to say where it was captured with arithmetic whose bits may differ.
    var arithmeticNote: String? {
        // The second is how captures named it once.
        guard let version = metadata("arithmeticVersion") ?? metadata("arithmetic"), version != "\(Arithmetic.version)"
        else { return nil }
        return
            "\(name) was captured with arithmetic version \(version.escapedForDisplay), this is \(Arithmetic.version)"
    }

    subscript(tap: String) -> Tap? { positions[tap].map { taps[$0] } }

    /// The storage of a tap.
    private func elementType(of tap: Tap) -> ElementType { reader.contents.tensors[tap.tensor].elementType }

    /// Half of the relative L2 that rounding to the tap's storage may make; nil where that is as fine as float32.
    func storageTerm(of tap: String) -> Double? {
        guard let tap = self[tap] else { return nil }
        return switch elementType(of: tap) {
        case .bf16: 0x1p-9
        case .f16: 0x1p-12
        default: nil
        }
    }

    // MARK: Values of modules

    private var moduleValues: [Int] {
        let tensors = reader.contents.tensors
        return tensors.indices.filter { Self.isModuleValue(tensors[$0].name) || tensors[$0].name.hasPrefix("output.") }
    }

    /// The same with the taps of a model that its modules' values are, beside those that are there under their own names.
    ///
    /// - Throws: `StructureError` where the modules are none of the model's.
    func named(by model: Model) throws -> CapturedActivations {
        let values = moduleValues
        guard !values.isEmpty else { return self }
        var result = self
        let tensors = reader.contents.tensors
        let known = reader.contents.indexByName()
        let names = values.map { tensors[$0].name }
        // Whoever named taps may have modules that are called otherwise.
        let found =
            try taps.isEmpty ? model.taps(among: names, of: name) : (try? model.taps(among: names, of: name)) ?? []
        for value in found where positions[value.tap] == nil {
            let index = known[value.name]!
            try result.add(value, tensor: index, tensors[index])
        }
        guard !result.taps.isEmpty else {
            throw StructureError("\(name): none of its \(values.count) values of modules is a tap of \(model.name)")
        }
        let order = NameMap(model.tapNames.enumerated().map { ($1, $0) })
        result.taps.sort { (order[$0.name] ?? .max) < (order[$1.name] ?? .max) }
        result.positions = NameMap(result.taps.enumerated().map { ($1.name, $0) })
        return result
    }

    private mutating func add(_ value: ModuleValue, tensor: Int, _ info: TensorInfo) throws {
        guard info.elementType.isFloating else {
            throw StructureError(
                "\(name): '\(info.name.escapedForDisplay)', which is tap '\(value.tap)': expected floating-point numbers,"
                    + " found \(info.elementType.name)")
        }
        var shape = info.shape.dimensions
        let isHeadsFirst = shape.count == 4 && shape[1] == value.headCount
        if isHeadsFirst {
            // Nobody can say whether [batch, n, n, width] are heads of a position or positions of a head.
            if shape[1] == shape[2] { return }
            shape.swapAt(1, 2)
        }
        if let end = value.columns.map(\.upperBound).max() {
            guard let width = shape.last, end <= width else {
                throw StructureError(
                    "\(name): '\(info.name.escapedForDisplay)', a part of which is tap '\(value.tap)': expected at least"
                        + " \(end) features, found the shape \(shape)")
            }
            shape[shape.count - 1] = value.columns.reduce(0) { $0 + $1.count }
        }
        taps.append(
            Tap(
                name: value.tap, tensor: tensor, columns: value.columns, shape: shape, isHeadsFirst: isHeadsFirst))
    }

    /// The same with every value of a module as a tap of its own name, in the order of the file.
    func namedByModules() -> CapturedActivations {
        var result = self
        let tensors = reader.contents.tensors
        result.taps += moduleValues.filter { tensors[$0].elementType.isFloating }.map { index in
            Tap(name: tensors[index].name, tensor: index, shape: tensors[index].shape.dimensions)
        }
        result.positions = NameMap(result.taps.enumerated().map { ($1.name, $0) })
        return result
    }

    // MARK: Numbers

    /// Some rows of a tap (all dimensions but those of the features, flattened): float64 where it is stored so, else
    /// float32.
    ///
    /// - Parameter features: numbers in a row.
    func read(_ tap: Tap, rows: Range<Int>, features: Int) throws -> HiddenState {
        let stored = elementType(of: tap)
        let type: ElementType = stored == .f64 ? .f64 : .f32
        guard stored.elementsPerUnit == 1, let conversion = ElementConversion(from: stored, to: type) else {
            throw StructureError("\(name): tap '\(tap.name)': \(stored.name) is not read")
        }
        let size = stored.unitByteCount
        let bytes = try ByteBuffer(byteCount: rows.count * features * size)
        let values = try ByteBuffer(byteCount: rows.count * features * type.unitByteCount)
        defer { withExtendedLifetime((bytes, values)) {} }
        try read(tap, rows, rowByteCount: features * size, elementByteCount: size, into: bytes.bytes)
        conversion.convert(bytes.readOnly, to: values.bytes, count: rows.count * features)
        let numbers: LentNumbers =
            type == .f64
            ? .float64(UnsafeBufferPointer(values.bytes.bindMemory(to: Double.self)))
            : .float32(UnsafeBufferPointer(values.bytes.bindMemory(to: Float.self)))
        return try HiddenState(rowCount: rows.count, featureCount: features, copying: numbers)
    }

    /// Bytes of some rows, where the tap is a part of each of the tensor's rows too.
    private func read(
        _ tap: Tap, _ rows: Range<Int>, rowByteCount: Int, elementByteCount: Int,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        if tap.isHeadsFirst { return try readHeads(tap, rows, elementByteCount: elementByteCount, into: buffer) }
        if tap.columns.isEmpty {
            return try reader.read(
                tap.tensor, rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount, into: buffer)
        }
        let whole = reader.contents.tensors[tap.tensor].shape.dimensions.last! * elementByteCount
        let bytes = try ByteBuffer(byteCount: rows.count * whole)
        defer { withExtendedLifetime(bytes) {} }
        try reader.read(tap.tensor, rows.lowerBound * whole..<rows.upperBound * whole, into: bytes.bytes)
        var place = 0
        for row in 0..<rows.count {
            for columns in tap.columns {
                let start = row * whole + columns.lowerBound * elementByteCount
                let part = bytes.readOnly[start..<start + columns.count * elementByteCount]
                buffer[place..<place + part.count].copyBytes(from: part)
                place += part.count
            }
        }
    }

    /// Bytes of some rows, [time, heads, width], of what is stored as [batch, heads, time, width].
    private func readHeads(
        _ tap: Tap, _ rows: Range<Int>, elementByteCount: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        let (time, headCount, width) = (tap.shape[1], tap.shape[2], tap.shape[3] * elementByteCount)
        let bytes = try ByteBuffer(byteCount: min(rows.count, time) * width)
        defer { withExtendedLifetime(bytes) {} }
        var first = rows.lowerBound
        while first < rows.upperBound {
            let (sequence, position) = first.quotientAndRemainder(dividingBy: time)
            let count = min(rows.upperBound - first, time - position)
            for head in 0..<headCount {
                let start = ((sequence * headCount + head) * time + position) * width
                let part = UnsafeMutableRawBufferPointer(rebasing: bytes.bytes[..<(count * width)])
                try reader.read(tap.tensor, start..<start + part.count, into: part)
                for row in 0..<count {
                    let place = ((first - rows.lowerBound + row) * headCount + head) * width
                    buffer[place..<place + width].copyBytes(from: part[row * width..<(row + 1) * width])
                }
            }
            first += count
        }
    }

    // MARK: Tokens

    /// The input that the capture itself holds; nil where it holds none.
    ///
    /// - Throws: `CheckpointError` where they are no lists of whole numbers of one shape.
    public func tokens() throws -> TokenBatch? {
        let places = TokenBatch.Member.allCases.compactMap { member in inputs[member.rawValue].map { (member, $0) } }
        return try TokenBatch(reader, Dictionary(uniqueKeysWithValues: places), source: FilePath(name))
    }

    /// The digest of the tokens, as the capture's metadata has it.
    var tokensDigest: String? { metadata("tokens") }
}
