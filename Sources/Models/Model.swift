import AssayCheckpoints
import AssayPackings
import AssayTensors

/// A checkpoint with the configuration that says what it computes.
public struct Model: Sendable {
    /// The path of the checkpoint, for messages and reports.
    public let name: String
    public internal(set) var spec: TransformerSpec
    public let table: TensorTable
    public let report: TableReport
    public let checkpoint: LogicalCheckpoint
    private let naming: Naming
    private let configurationFile: String
    /// Names that stored tables of positions would have, which must hold what is computed.
    let positionTables: [StackSpec.Role: String]

    /// What its configuration asks for and is not computed: sentences.
    public var notes: [String] { checkpoint.notes.map { "\(name): \($0)" } }

    /// Reads the configuration and compares the tensors with it. Reads no tensor data.
    ///
    /// - Parameters:
    ///   - configuration: the model's `config.json`.
    ///   - configurationFile: what messages call it.
    ///   - name: what messages call the checkpoint.
    /// - Throws: `StructureError` where the architecture is unknown or the configuration cannot be computed; missing,
    ///   extra and misshapen tensors are listed in `report`.
    public init(
        _ checkpoint: LogicalCheckpoint, configuration: JSONObject, configurationFile: String = "config.json",
        name: String
    ) throws {
        let architecture = try ArchitectureRegistry.architecture(for: configuration, file: configurationFile)
        let naming = architecture.naming
        let isPrefixed = Self.isPrefixed(checkpoint, naming)
        var reader = ConfigurationReader(configuration, file: configurationFile)
        // A head that is a second name of the embedding is tied to it.
        let aliases = NameSet(checkpoint.reader.contents.tensors.lazy.filter { $0.aliasOf != nil }.map(\.name))
        spec = try architecture.spec(from: &reader) { module in
            naming.names(of: WeightSlot(module), prefixed: isPrefixed).contains {
                checkpoint[$0] != nil && !(module == .head && aliases.contains($0))
            }
                || naming.isStacked(module, checkpoint.tensors.lazy.map(\.name))
        }
        // Before any name is made: a configuration may claim any number of layers.
        if let layerCount = spec.stacks.map(\.weightSetCount).max(), layerCount > checkpoint.tensors.count {
            throw StructureError(
                "\(configurationFile): expected at most as many layers as \(name) has tensors "
                    + "(\(checkpoint.tensors.count)), found \(layerCount) layers")
        }
        let experts = (0..<spec.layerCount).lazy.compactMap { [spec] in spec.blocks[$0].experts }.filter {
            !$0.isStacked
        }
        guard experts.map(\.count).max() ?? 0 <= checkpoint.tensors.count,
            experts.reduce(0, { $0 + $1.count }) <= checkpoint.tensors.count
        else {
            throw StructureError(
                "\(configurationFile): expected at most as many experts as \(name) has tensors "
                    + "(\(checkpoint.tensors.count)), found more")
        }
        self.naming = architecture.naming(for: spec)
        table = try TensorTable(spec, self.naming, isPrefixed: isPrefixed, file: configurationFile)
        report = table.check(checkpoint)
        positionTables = self.naming.positionTables.mapValues { [prefix = table.prefix] in prefix + $0 }
        self.checkpoint = checkpoint
        self.name = name
        self.configurationFile = configurationFile
    }

    public init(
        _ reader: any CheckpointReader, configuration: JSONObject, configurationFile: String = "config.json",
        name: String
    ) throws {
        try self.init(
            LogicalCheckpoint(reader, configuration: configuration, name: name), configuration: configuration,
            configurationFile: configurationFile, name: name)
    }

    private init(
        _ model: Model, spec: TransformerSpec, table: TensorTable, report: TableReport, _ checkpoint: LogicalCheckpoint
    ) {
        name = model.name
        naming = model.naming
        configurationFile = model.configurationFile
        self.spec = spec
        self.table = table
        var report = report
        report.copies = []
        self.report = report
        positionTables = [:]
        self.checkpoint = checkpoint
    }

    /// The same model with other values in some weights. Copies of weights, and tables of positions, are no longer held
    /// against what is used.
    ///
    /// - Parameter replace: gives a tensor of the same name, shape and orientation.
    public func replacingTensors(_ replace: (any LogicalTensor) throws -> any LogicalTensor) rethrows -> Model {
        Model(self, spec: spec, table: table, report: report, try checkpoint.replacingTensors(replace))
    }

    /// The same tensors, computed as another specification says; tensors that it does without are left.
    ///
    /// - Returns: nil where it needs a weight that is not there, or one of another shape.
    public func computing(_ spec: TransformerSpec) -> Model? {
        guard
            let table = try? TensorTable(spec, naming, isPrefixed: !self.table.prefix.isEmpty, file: configurationFile)
        else { return nil }
        var report = table.check(checkpoint)
        guard report.missing.isEmpty, report.misshapen.isEmpty else { return nil }
        report.extra = []
        return Model(self, spec: spec, table: table, report: report, checkpoint)
    }

    /// The weight of a layer's slot, or what it is tied to; nil where there is none.
    public func tensor(_ slot: WeightSlot) -> (any LogicalTensor)? {
        let slot = spec.shared(slot)
        if let position = report.positions[table.source(of: slot)] {
            let tensor = checkpoint.tensors[position]
            // Dimensions of 1 before those of the weight hold one of it.
            return (0..<(table[slot]?.leadingAxes ?? 0)).reduce(tensor) { inner, _ in StackedTensor(inner, 0) }
        }
        guard let expert = slot.expert, let position = report.positions[slot.ofAllExperts] else { return nil }
        return StackedTensor(checkpoint.tensors[position], expert)
    }

    /// The table's entry whose weight the tensor with this name is.
    public func entry(named name: String) -> TensorTable.Entry? {
        table.entry(named: name)
    }

    /// Requires that copies of a weight (a stored head that is tied) hold what is used instead of them.
    ///
    /// - Throws: `StructureError` naming both tensors where they differ.
    public func checkCopies() throws {
        for (name, other) in report.copies {
            guard let copy = checkpoint[name], let used = checkpoint[other], copy.parts != used.parts else { continue }
            guard try Self.hold(copy, used) else {
                throw StructureError(
                    "\(self.name): tensor '\(name.escapedForDisplay)': expected the values of "
                        + "'\(other.escapedForDisplay)', which the configuration uses in its place, found others")
            }
        }
    }

    /// Whether the body's names bear the prefix: the token embedding decides, else whatever name begins with it.
    private static func isPrefixed(_ checkpoint: LogicalCheckpoint, _ naming: Naming) -> Bool {
        let slots = StackSpec.Role.allCases.map { WeightSlot(.tokenEmbedding, in: $0) }.filter {
            naming.names(of: $0, prefixed: true) != naming.names(of: $0, prefixed: false)
        }
        func stands(prefixed: Bool) -> Bool {
            slots.contains { naming.names(of: $0, prefixed: prefixed).contains { checkpoint[$0] != nil } }
        }
        if stands(prefixed: true) { return true }
        if stands(prefixed: false) { return false }
        return checkpoint.tensors.contains { $0.name.hasPrefix(naming.prefix) }
    }

    private static let comparedByteCount = 1 << 20

    private static func hold(_ a: any LogicalTensor, _ b: any LogicalTensor) throws -> Bool {
        guard a.shape == b.shape else { return false }
        let width = a.shape.rowElementCount
        guard width > 0 else { return true }
        let step = max(1, comparedByteCount / (width * 8))
        for start in stride(from: 0, to: a.shape.rowCount, by: step) {
            let rows = start..<min(start + step, a.shape.rowCount)
            let count = rows.count * width
            let first = try ByteBuffer(byteCount: count * 8)
            let second = try ByteBuffer(byteCount: count * 8)
            defer { withExtendedLifetime((first, second)) {} }
            try a.read(rows: rows, into: first.bytes.bindMemory(to: Double.self))
            try b.read(rows: rows, into: second.bytes.bindMemory(to: Double.self))
            guard Digest.of(first.readOnly) == Digest.of(second.readOnly) else { return false }
        }
        return true
    }
}
