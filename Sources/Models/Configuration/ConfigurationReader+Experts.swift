import AssayCheckpoints

extension ConfigurationReader {
    /// How many experts there are, and how many work on a token.
    ///
    /// - Parameters:
    ///   - keys: what the key of the number may be called.
    ///   - count: where none of them stands.
    ///   - chosenCount: where `num_experts_per_tok` is absent.
    mutating func experts(
        _ keys: (String, or: String), default count: Int, chosen chosenCount: Int?
    ) throws(StructureError) -> ExpertsSpec {
        let count = try optionalSize(keys.0, or: keys.or) ?? count
        let key = "num_experts_per_tok"
        guard let chosen = try optionalSize(key, or: "experts_per_token") ?? chosenCount else {
            throw error(key, expected: "a whole number from 1 on", found: "no such key")
        }
        guard chosen <= count else { throw error(key, expected: "at most \(count) experts", found: "\(chosen)") }
        return ExpertsSpec(count: count, chosenCount: chosen)
    }

    /// A number of groups of experts, and how many are chosen, that can be computed.
    mutating func groups(
        of experts: ExpertsSpec, default counts: (Int, chosen: Int)?, best bestCount: Int
    ) throws(StructureError) -> ExpertsSpec.Groups {
        guard let count = try optionalSize("n_group") ?? counts?.0,
            experts.count % count == 0, experts.count / count >= bestCount
        else {
            throw error(
                "n_group", expected: "a divisor of \(experts.count) experts that leaves \(bestCount) to a group",
                found: shown("n_group"))
        }
        guard let chosen = try optionalSize("topk_group") ?? counts?.chosen, chosen <= count,
            chosen * (experts.count / count) >= experts.chosenCount
        else {
            throw error(
                "topk_group", expected: "at most \(count) groups, which hold \(experts.chosenCount) experts",
                found: shown("topk_group"))
        }
        return ExpertsSpec.Groups(count: count, chosenCount: chosen, bestCount: bestCount)
    }
}

extension BlockSpec {
    /// The same block with experts, each gated by matrices of its own; where they are stacked, by one for both.
    func with(_ experts: ExpertsSpec, innerSize: Int, isStacked: Bool) -> BlockSpec {
        var block = self
        block.experts = experts
        block.experts?.isStacked = isStacked
        block.feedForward.innerSize = innerSize
        block.feedForward.hasBias = false
        block.feedForward.gating = isStacked ? .joined : .separate
        return block
    }
}

extension Naming {
    /// The names of a router and its experts as most models have them: a matrix each, or stacked as transformers 5 holds
    /// them in memory.
    static let experts =
        [
            ModuleName(.router, hf: "layers.{i}.mlp.gate"),
            ModuleName(.expertGate, hf: "layers.{i}.mlp.experts.{e}.gate_proj"),
            ModuleName(.expertInput, hf: "layers.{i}.mlp.experts.{e}.up_proj"),
            ModuleName(.expertOutput, hf: "layers.{i}.mlp.experts.{e}.down_proj"),
        ] + stackedExperts

    static let stackedExperts = [
        ModuleName(.expertGateInput, hf: "layers.{i}.mlp.experts.gate_up_proj", isParameter: true),
        ModuleName(.expertOutput, hf: "layers.{i}.mlp.experts.down_proj", isParameter: true),
    ]
}
