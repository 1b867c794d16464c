import AssayModels
import AssayPackings
import AssayTensors

/// A weight of the reference and what stands in its place on the other side.
struct WeightPair: Sendable {
    /// The reference's name.
    let name: String
    let reference: any LogicalTensor
    let test: any LogicalTensor
    /// Its place in the model, where there is one.
    let slot: WeightSlot?
    /// Whether one is the other turned: [in, out] and [out, in].
    let isTransposed: Bool
    /// Parts of the product's outputs that are looked at alone: queries, keys and values of a joined matrix.
    let slices: [[Range<Int>]]
    /// Which dimension of the reference runs along the outputs; nil for vectors, and for what is no matrix of a product.
    let referenceOrientation: WeightOrientation?
    let referenceRounding: Rounding
    let testRounding: Rounding

    /// Whether the declared storages differ, so that some difference is to be expected.
    var hasOtherStorage: Bool { reference.storage != test.storage }
}

extension WeightPair {
    private init(_ pair: WeightPair, _ reference: any LogicalTensor, _ test: any LogicalTensor) {
        name = pair.name
        (self.reference, self.test) = (reference, test)
        slot = pair.slot
        isTransposed = pair.isTransposed
        slices = pair.slices
        referenceOrientation = pair.referenceOrientation
        referenceRounding = pair.referenceRounding
        testRounding = pair.testRounding
    }

    /// The same elements in rows of no more than `count`, where nobody needs to know which row they are of.
    func folded(toRowsOf count: Int) -> WeightPair {
        guard !isTransposed, slices.isEmpty, let a = reference as? PlainTensor, let b = test as? PlainTensor,
            !a.storage.isBlock, !b.storage.isBlock
        else { return self }
        return WeightPair(self, a.folded(toRowsOf: count), b.folded(toRowsOf: count))
    }

    /// Rows that are best read together: reading them block by block would decode, or walk over, the same bytes for each.
    var granuleRowCount: Int {
        isTransposed ? 1 : [reference, test].reduce(1) { max($0, ($1 as? PlainTensor)?.granuleRowCount ?? 1) }
    }

    /// The same, with the values of some rows at hand.
    func holding(_ rows: Range<Int>) throws -> WeightPair {
        func held(_ tensor: any LogicalTensor) throws -> any LogicalTensor {
            guard let plain = tensor as? PlainTensor, plain.granuleRowCount > 1 else { return tensor }
            return try HeldRows(of: plain, rows)
        }
        return WeightPair(self, try held(reference), try held(test))
    }
}

extension TensorStorage {
    fileprivate var isBlock: Bool { if case .plain(let type) = self { type.isBlock } else { false } }
}

extension WeightPair {
    /// Every weight that both models have, in the order of the forward pass; a tied one once.
    static func pairs(_ reference: Model, _ test: Model) -> [WeightPair] {
        return reference.table.entries.compactMap { entry in
            guard let a = reference.ownTensor(entry), let b = test.ownTensor(entry.slot)
            else { return nil }
            let orientation = entry.orientation.map { a.orientation ?? $0 }
            let other = test.table[entry.slot]?.orientation.map { b.orientation ?? $0 }
            return WeightPair(
                name: a.name, reference: a, test: b, slot: entry.slot, isTransposed: orientation != other,
                slices: slices(of: entry.slot, reference.spec), referenceOrientation: orientation,
                referenceRounding: Rounding(of: a, in: reference.checkpoint),
                testRounding: Rounding(of: b, in: test.checkpoint))
        }
    }

    private static func slices(of slot: WeightSlot, _ spec: TransformerSpec) -> [[Range<Int>]] {
        guard let block = slot.layer.flatMap({ spec[slot.role]?.blocks[$0] }) else { return [] }
        switch slot.module {
        case .queryKeyValue: return block.attention.joinedSlices
        case .crossQueryKeyValue: return block.cross?.attention.joinedSlices ?? []
        default: return []
        }
    }

    /// The tensors of two bare checkpoints that share a name and a shape, in the reference's order.
    ///
    /// A packed matrix is [out, in] whatever the plain one is; where the shapes show that a plain side is turned, square
    /// matrices are taken to be turned too.
    static func pairs(_ reference: LogicalCheckpoint, _ test: LogicalCheckpoint) -> [WeightPair] {
        let common = reference.tensors.compactMap { a in test[a.name].map { (a, $0) } }
        let turns = common.contains { canBeTurned($0, $1) && $0.shape != $1.shape && isReversed($0, $1) }
        return common.compactMap { a, b in
            let isTransposed = turns && canBeTurned(a, b) && isReversed(a, b)
            guard isTransposed || a.shape == b.shape else { return nil }
            return WeightPair(
                name: a.name, reference: a, test: b, slot: nil, isTransposed: isTransposed, slices: [],
                referenceOrientation: a.orientation, referenceRounding: Rounding(of: a, in: reference),
                testRounding: Rounding(of: b, in: test))
        }
    }

    /// One side's packing fixes the orientation, the other's does not.
    private static func canBeTurned(_ a: any LogicalTensor, _ b: any LogicalTensor) -> Bool {
        a.shape.rank == 2 && b.shape.rank == 2 && (a.orientation == nil) != (b.orientation == nil)
    }

    private static func isReversed(_ a: any LogicalTensor, _ b: any LogicalTensor) -> Bool {
        Array(a.shape.dimensions.reversed()) == b.shape.dimensions
    }

    /// Whether two tensors could be one weight.
    static func fit(_ a: any LogicalTensor, _ b: any LogicalTensor) -> Bool {
        a.shape == b.shape || (canBeTurned(a, b) && isReversed(a, b))
    }
}

extension Model {
    /// The tensor of an entry itself; nil where it is missing or another is used in its place.
    fileprivate func ownTensor(_ slot: WeightSlot) -> (any LogicalTensor)? {
        table[slot].flatMap { ownTensor($0) }
    }

    fileprivate func ownTensor(_ entry: TensorTable.Entry) -> (any LogicalTensor)? {
        if case .tied = entry.presence { return nil }
        return entry.names.lazy.compactMap { self.checkpoint[$0] }.first
    }
}
