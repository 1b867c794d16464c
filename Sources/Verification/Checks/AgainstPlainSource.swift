import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayPackings

/// A checkpoint without a certificate, held against a source: the same names and shapes, and the same bytes or those of
/// a plain cast. How weights were quantized cannot be known without a certificate.
struct AgainstPlainSource {
    private let source: Checkpoint
    /// "model.safetensors", with the map that was applied to it.
    private let sourceName: String
    private let checkpoint: Checkpoint
    private let made: DigestedTensors
    private let repetition: Repetition
    private let quantized: [String]
    /// Not in the source by name, in a checkpoint whose packing cannot be read.
    private let unread: [String]
    /// Not in the source, or of another shape there.
    private let unlike: [String]
    private let lost: [String]

    /// - Parameter map: applied to the source before.
    init(
        _ original: Checkpoint, _ map: TensorMap?, _ checkpoint: Checkpoint, _ made: DigestedTensors,
        _ options: ConversionOptions, _ progress: (@Sendable (Int) -> Void)?
    ) throws {
        let mapping = try map.map { try MappedCheckpoint(original, $0) }
        let source = mapping?.checkpoint ?? original
        var matching = Matching(source, checkpoint)
        for index in made.infos.indices { try matching.match(index) }
        let names = source.contents.tensors.map(\.name)
        let lost = names.indices.filter { !matching.used.contains(names[$0]) }
            .flatMap { mapping?.origin(of: $0).named ?? [names[$0]] }
        self.source = source
        sourceName = original.path.forDisplay + (map.map { ", mapped by \($0.path.forDisplay)" } ?? "")
        self.checkpoint = checkpoint
        self.made = made
        (quantized, unread, unlike, self.lost) = (matching.quantized, matching.unread, matching.unlike, lost)
        repetition = try Repetition(matching.steps, of: source, options, progress)
    }

    /// Finds for each tensor of a checkpoint where it comes from.
    private struct Matching {
        let source: CheckpointContents
        let checkpoint: Checkpoint
        let positions: NameMap<Int>
        /// Positions in the checkpoint itself.
        private let own: NameMap<Int>
        /// Nil as long as every tensor has its like by name: then nobody needs to know how they are packed.
        private var packed: Packed?
        var steps: [any TensorStep] = []
        var quantized: [String] = []
        var unread: [String] = []
        var unlike: [String] = []
        var used = NameSet()

        /// What is packed, by stored part.
        private struct Packed {
            var tensors: [Int: any LogicalTensor] = [:]
            var isRead = true
        }

        init(_ source: Checkpoint, _ checkpoint: Checkpoint) {
            self.source = source.contents
            self.checkpoint = checkpoint
            positions = source.contents.indexByName()
            own = checkpoint.contents.indexByName()
        }

        mutating func match(_ index: Int) throws {
            let info = checkpoint.contents.tensors[index]
            if let position = positions[info.name], !isPart(info) {
                _ = used.insert(info.name)
                if let step = step(position, info) { steps.append(step) } else { unlike.append(info.name) }
                return
            }
            let known = try packed ?? readPacked()
            packed = known
            if let tensor = known.tensors[index], let position = positions[tensor.name],
                Self.fits(source.tensors[position].shape.dimensions, tensor.shape.dimensions)
            {
                if used.insert(tensor.name) { quantized.append(tensor.name) }
            } else if known.isRead {
                unlike.append(info.name)
            } else {
                unread.append(info.name)
            }
        }

        /// Whether a tensor of another type than the source's has parts of its own beside it, by which it is no cast.
        private func isPart(_ info: TensorInfo) -> Bool {
            guard let position = positions[info.name], source.tensors[position].elementType != info.elementType else {
                return false
            }
            return ["_scale", "_scale_inv", "_zero_point"].contains { part in
                own[info.name + part] != nil && positions[info.name + part] == nil
            }
        }

        private func readPacked() throws -> Packed {
            var packed = Packed()
            do {
                let logical = try LogicalCheckpoint(
                    checkpoint.reader, configuration: ModelConfiguration.read(of: checkpoint),
                    name: checkpoint.path.forDisplay)
                for tensor in logical.tensors {
                    guard case .quantized = tensor.storage else { continue }
                    for part in tensor.parts { packed.tensors[part] = tensor }
                }
            } catch is StructureError {
                packed.isRead = false
            }
            return packed
        }

        private func step(_ position: Int, _ info: TensorInfo) -> (any TensorStep)? {
            let (from, to) = (source.tensors[position].elementType, info.elementType)
            var output = info
            output.aliasOf = nil
            return Recomputation.step(
                from == to ? "copy" : "cast \(from.name) to \(to.name)", position, of: source, outputs: [output])
        }

        /// A packing may have turned the weight.
        private static func fits(_ source: [Int], _ packed: [Int]) -> Bool {
            source == packed || source == packed.reversed()
        }
    }

    func check() throws -> [VerifiedStatement] {
        var structure = VerifiedStatement(
            "names and shapes of the tensors are those of \(sourceName)",
            checked: repetition.steps.count + quantized.count)
        structure.add("not there, or of another shape", unlike, .structureDiffers)
        structure.add("not there, and packed as this version does not read it", unread, nil)
        // They may be in what is packed.
        structure.add("its own tensors went nowhere", lost, unread.isEmpty ? .structureDiffers : nil)
        // Nothing of it was used: one statement says it all.
        guard structure.checkedCount > 0 else { return [structure] }
        return [structure, bytes()]
    }

    private func bytes() -> VerifiedStatement {
        var statement = VerifiedStatement(
            "the bytes are those of \(sourceName), copied or cast", checked: repetition.outputNames.count,
            remark: repetition.summary)
        statement.add("other bytes", repetition.differences(from: made).exact, .numbersDiffer)
        statement.add("quantized, which only the certificate can prove (see assay diff)", quantized, nil)
        return statement
    }

    /// What was not compared.
    static func scope(_ source: Checkpoint, _ checkpoint: Checkpoint) -> String {
        source.folder != nil && checkpoint.folder != nil
            ? "no certificate: beside the tensors only config.json was compared"
            : "no certificate: only the tensors were compared"
    }
}

extension TensorOrigin {
    /// The tensors of the source, and which part of them: "c_attn.weight (0 to 767 of axis 1)".
    fileprivate var named: [String] {
        guard let slice = arrangement.slice, let axis = arrangement.axis else { return sources }
        return sources.map { "\($0) (\(slice.lowerBound) to \(slice.upperBound - 1) of axis \(axis))" }
    }
}
