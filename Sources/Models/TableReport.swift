import AssayCheckpoints
import AssayPackings
import AssayTensors

/// What a checkpoint has of the tensors that its model needs.
public struct TableReport: Sendable {
    public struct Misshapen: Sendable, Equatable {
        public var name: String
        public var expected: Shape
        public var found: Shape
    }

    /// Required tensors that are not there, by their preferred names.
    public var missing: [String] = []
    /// Tensors that the model does not know.
    public var extra: [String] = []
    public var misshapen: [Misshapen] = []
    /// Tensors that are no weights of a forward pass: old buffers, heads that are not computed.
    public var ignored: [String] = []
    /// Tensors that stand beside what is used instead of them, and must hold the same values.
    public var copies: [(name: String, of: String)] = []
    /// The prefix that the names have; empty for none.
    public var prefix: String
    /// Positions in the logical checkpoint.
    var positions: [WeightSlot: Int] = [:]

    public var isSound: Bool { missing.isEmpty && extra.isEmpty && misshapen.isEmpty }

    /// What is wrong, a sentence a tensor.
    public var sentences: [String] {
        missing.map { "tensor '\($0.escapedForDisplay)' is missing" }
            + extra.map { "tensor '\($0.escapedForDisplay)' is not part of this model" }
            + misshapen.map {
                "tensor '\($0.name.escapedForDisplay)': expected shape \($0.expected), found \($0.found)"
            }
    }

    /// - Throws: `StructureError` with the first sentences, unless the report is sound.
    public func requireSound(_ source: String) throws(StructureError) {
        guard !isSound else { return }
        let shown = sentences.prefix(3).joined(separator: "; ")
        let more = sentences.count > 3 ? "; and \(sentences.count - 3) more" : ""
        throw StructureError("\(source): \(shown)\(more)")
    }
}

extension TensorTable {
    /// Compares the table with a checkpoint, by names and shapes alone.
    public func check(_ checkpoint: LogicalCheckpoint) -> TableReport {
        var report = TableReport(prefix: prefix)
        var positions: [String: Int] = [:]
        for (index, tensor) in checkpoint.tensors.enumerated() { positions[tensor.name] = index }
        var known = Set(buffers)
        for entry in entries {
            known.formUnion(entry.names)
            let standing = entry.names.filter { positions[$0] != nil }
            guard let name = standing.first, let position = positions[name] else {
                if entry.presence == .required { report.missing.append(entry.name) }
                continue
            }
            if entry.hasEqualNames {
                report.copies += standing.dropFirst().map { (name: $0, of: name) }
            } else {
                report.ignored += standing.dropFirst()
            }
            let tensor = checkpoint.tensors[position]
            let expected = entry.shape(orientation: tensor.orientation)
            if tensor.shape != expected {
                report.misshapen.append(.init(name: name, expected: expected, found: tensor.shape))
            }
            report.positions[entry.slot] = position
            switch entry.presence {
            case .required: break
            case .optional: report.ignored.append(name)
            case .tied(let slot):
                if let other = report.positions[source(of: slot)] {
                    report.copies.append((name: name, of: checkpoint.tensors[other].name))
                }
            }
        }
        let buffers = Set(buffers)
        for tensor in checkpoint.tensors where !known.contains(tensor.name) || buffers.contains(tensor.name) {
            if buffers.contains(tensor.name) || aheadLayers.contains(where: tensor.name.hasPrefix) {
                report.ignored.append(tensor.name)
            } else {
                report.extra.append(tensor.name)
            }
        }
        return report
    }
}

extension TensorTable.Entry {
    /// The shape where the tensor lies with this orientation; nil for the model's own.
    func shape(orientation found: WeightOrientation?) -> Shape {
        guard let found, let orientation, found != orientation else { return shape }
        return Shape(shape.dimensions.reversed()) ?? shape
    }
}
