import AssayModels
import AssayPackings

/// A known mistake of ports and converters, as data: where it first shows, and how a right model makes it.
///
/// A cause is a hypothesis about the test. It is checked by building the mistake into the reference and running the step
/// where the sides part: if the reference then gives what the test gave, that is the cause.
///
/// Adding one: an entry in `Causes`, a test that makes the mistake.
struct Cause: Sendable {
    /// What the test does: "GELU approximated by tanh in place of GELU".
    let mistake: String
    /// The taps, by their names within a block, at which it first shows.
    let points: Set<String>
    /// The reference with the mistake in it; none where it cannot have it.
    let make: @Sendable (Model, Place) -> [Model]

    /// Where the sides part.
    struct Place: Sendable {
        let role: StackSpec.Role
        /// Nil outside blocks.
        let layer: Int?
        let point: String
    }
}

extension Cause {
    /// A mistake in the block where it shows.
    ///
    /// - Parameter variants: the block with the mistake; none where it cannot have it, or has it.
    static func block(
        _ mistake: String, at points: Set<String>, _ variants: @escaping @Sendable (BlockSpec) -> [BlockSpec]
    ) -> Cause {
        Cause(mistake: mistake, points: points) { model, place in
            guard let layer = place.layer, let block = model.spec[place.role]?.blocks[layer] else { return [] }
            return variants(block).filter { $0 != block }.compactMap {
                model.computing(model.spec.with($0, in: place.role, layer: layer))
            }
        }
    }

    /// A mistake outside blocks.
    static func model(
        _ mistake: String, at points: Set<String>,
        _ variants: @escaping @Sendable (TransformerSpec, StackSpec.Role) -> [TransformerSpec]
    ) -> Cause {
        Cause(mistake: mistake, points: points) { model, place in
            variants(model.spec, place.role).filter { $0 != model.spec }.compactMap(model.computing)
        }
    }

    /// Tensors that stand in one another's place.
    static func exchanged(_ mistake: String, at points: Set<String>, _ a: Module, _ b: Module) -> Cause {
        Cause(mistake: mistake, points: points) { model, place in
            guard let layer = place.layer else { return [] }
            func tensor(_ module: Module, _ part: WeightSlot.Part) -> (any LogicalTensor)? {
                model.tensor(WeightSlot(module, in: place.role, layer: layer, part))
            }
            let pairs = [WeightSlot.Part.weight, .bias].compactMap { part in
                tensor(a, part).flatMap { first in tensor(b, part).map { (first, $0) } }
            }
            guard !pairs.isEmpty, pairs.allSatisfy({ $0.shape == $1.shape }) else { return [] }
            let others = pairs.flatMap { [($0.name, $1), ($1.name, $0)] }
            return [model.replacing { tensor in others.first { $0.0 == tensor.name }.map { RearrangedTensor(tensor, $0.1) } }]
        }
    }
}

extension TransformerSpec {
    /// The same with another block in one layer.
    fileprivate func with(_ block: BlockSpec, in role: StackSpec.Role, layer: Int) -> TransformerSpec {
        var result = self
        guard var stack = result[role] else { return self }
        let order = (0..<stack.layerCount).map { stack.blocks.order[$0 % stack.blocks.order.count] }
        var kinds = stack.blocks.kinds
        kinds.append(block)
        stack.blocks = BlockPattern(
            kinds: kinds, order: order.enumerated().map { $0 == layer ? kinds.count - 1 : $1 })
        result[role] = stack
        return result
    }
}

extension Model {
    func replacing(_ replace: (any LogicalTensor) -> (any LogicalTensor)?) -> Model {
        replacingTensors { replace($0) ?? $0 }
    }
}
