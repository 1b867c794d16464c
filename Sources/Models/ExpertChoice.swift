import AssayPackings

/// Which experts a layer's router chooses for a token.
public struct ExpertChoice: Sendable {
    let router: Router

    /// The experts, ascending.
    ///
    /// - Parameter logits: of every expert, as the tap of the router shows them.
    public func experts(_ logits: [Double]) -> [Int] { router.choose(scores(logits)) }

    /// How near another choice is: the least distance from the score of what was chosen to that of what was not, of
    /// experts, and of groups where there are groups. Scores are the logits themselves where a softmax keeps their order.
    /// Infinite where all are chosen.
    public func margin(_ logits: [Double]) -> Double { router.margin(scores(logits)) }

    private func scores(_ logits: [Double]) -> [Double] {
        guard router.spec.scoring == .sigmoid else { return logits }
        return logits.map { 1 / (1 + PortableMath.exponential(-$0)) }
    }
}

extension Model {
    /// What chooses experts, by the tap of the router's logits, in the order of the forward pass.
    ///
    /// - Throws: what reading a correction throws.
    public func expertChoices() throws -> [(tap: String, choice: ExpertChoice)] {
        try spec.stacks.flatMap { stack in
            try (0..<stack.layerCount).compactMap { layer in
                guard let experts = stack.blocks[layer].experts else { return nil }
                let slot = WeightSlot(.routerCorrection, in: stack.role, layer: layer)
                let correction =
                    try experts.hasCorrection
                    ? tensor(slot).map { try BorrowedVector($0, precision: .float64).widened } : nil
                let router = Router(spec: experts, correction: correction, isRounded: false)
                return (TapPoint.router.name(stack.role, layer: layer), ExpertChoice(router: router))
            }
        }
    }
}
