import AssayCheckpoints
import AssayComparison
import AssayModels
import AssayPackings

/// What a comparison found, as text and as JSON; `HTMLReport` makes the page.
public struct DiffReport {
    let result: ComparisonResult

    public init(_ result: ComparisonResult) { self.result = result }

    // MARK: Verdict

    /// One sentence: whether the sides differ, where it starts, what explains it.
    public var verdict: String {
        if result.structure.differs { return structureVerdict }
        guard let worst = result.differenceClass else { return "Nothing was compared." }
        if let tap = result.firstOutside { return outsideVerdict(tap) }
        if let weight = result.unexplainedWeights.first {
            let reason = hasOtherStorage ? "their storage explains" : "rounding explains"
            return "B's weights differ from A's more than \(reason): \(part(result.unexplainedWeights)), first "
                + "'\(weight.name.escapedForDisplay)'" + unseen + misplaced
        }
        if let weight = result.weightsAboveLimit.first, let figures = weight.figures {
            return "B's weights differ from A's more than --tolerance allows: \(part(result.weightsAboveLimit)), first "
                + "'\(weight.name.escapedForDisplay)' (relative L2 \(error(figures)))."
        }
        switch worst {
        case .identical: return equality
        case .arithmetic: return "B differs from A by arithmetic only\(lastPlaces)\(margin)."
        case .storage where result.isAccumulatedOnly:
            return "B differs from A as the types explain in which activations were captured\(margin)."
        case .storage:
            return "B differs from A as the storage of its weights explains (\(storages))\(margin).\(quality)"
        case .unexplained: return "B differs from A."
        }
    }

    /// Bit for bit, or in numbers alone.
    private var equality: String {
        let weights = result.equalInValueOnly
        guard let first = weights.first else { return "B equals A, bit for bit\(everywhere)." }
        return "B equals A in value\(everywhere); the bits that store it are others in \(part(weights)), first"
            + " '\(first.name.escapedForDisplay)' (another type or packing, the sign of a zero, or a NaN's payload)."
    }

    private var structureVerdict: String {
        let sentences = result.structure.sentences
        let more = sentences.count > 1 ? " (\(sentences.count) differences in all)" : ""
        let numbers = result.firstOutside.map { "; activations differ from \($0.name.escapedForDisplay) on" } ?? ""
        return "The structure of B differs from A's: \(sentences[0])\(more)\(numbers)." + cause + allUnexplained
            + misplaced
    }

    /// How many weights differ beyond what is explained, and the first that no suspect names; nothing where all are suspects.
    private var allUnexplained: String {
        let all = result.unexplainedWeights
        guard all.count > result.suspects.count else { return "" }
        let others = all.filter { weight in !result.suspects.contains { $0.name == weight.name } }
        return " In all, \(part(all)) \(all.count == 1 ? "differs" : "differ") unexplained"
            + (others.first.map { "\(others.count > 1 ? ", among them" : ":") '\($0.name.escapedForDisplay)'" } ?? "")
            + "."
    }

    private func outsideVerdict(_ tap: TapFigures) -> String {
        let isUnexplained = tap.differenceClass == .unexplained
        let limit = isUnexplained ? tap.allowed : result.tolerance.limit ?? tap.allowed
        let isAccumulated =
            tap.isolated == nil || (!isUnexplained && tap.accumulated.relativeL2 == tap.largestError)
        let kind = isAccumulated ? "accumulated" : "isolated"
        let figures = isAccumulated ? tap.accumulated : tap.judged
        var text =
            isUnexplained
            ? "B differs from A more than arithmetic\(hasOtherStorage ? " and storage explain" : " explains")"
            : "B differs from A more than --tolerance allows"
        text +=
            ": it starts at \(tap.name.escapedForDisplay) (\(kind) relative L2 \(error(figures)), allowed \(figure(limit)))"
        let names = result.suspects.map(\.name)
        if !names.isEmpty {
            text +=
                ", where \(names.prefix(2).map { "'\($0.escapedForDisplay)'" }.joined(separator: " and "))"
                + (names.count > 2 ? " and \(names.count - 2) more tensors of the step" : "")
                + (names.count == 1 ? " differs" : " differ")
            if result.suspects.contains(where: \.isEqualWhenTurned) { text += " (turned, it would be equal)" }
        }
        if let block = result.largestContribution {
            let reason = block.differenceClass == .unexplained ? "" : ", \(block.differenceClass.label)"
            text +=
                "; block \(block.layer) adds most (\(block.error.isFinite ? figure(block.error) : "not finite")\(reason))"
        }
        return text + "." + allUnexplained + misplaced + cause
    }

    /// Which weights stand in others' places: the first, and how many more.
    private var misplaced: String {
        let weights = result.unexplainedWeights.filter { $0.twin != nil }
        guard let first = weights.first, let twin = first.twin else { return "" }
        let verb = weights.count == 2 ? "holds" : "hold"
        let more = weights.count > 1 ? ", and \(weights.count - 1) more \(verb) another's" : ""
        return " B's '\(first.name.escapedForDisplay)' holds the values of A's '\(twin.escapedForDisplay)'\(more)."
    }

    /// The known cause, where one was proved.
    private var cause: String {
        guard let diagnosis = result.diagnosis else { return "" }
        let (one, other) = diagnosis.isOfReference ? ("A", "B") : ("B", "A")
        let others = diagnosis.alternatives.isEmpty ? "" : " (or \(diagnosis.alternatives.joined(separator: "; or ")))"
        return
            " The cause: \(one) has \(diagnosis.mistake)\(others): with that \(other) gives the same at \(diagnosis.tap), "
            + "to \(figure(diagnosis.after)) in place of \(figure(diagnosis.before))."
    }

    private var hasOtherStorage: Bool {
        !result.isAccumulatedOnly && result.reference.storages != result.test.storages
    }
    private func part(_ weights: [WeightFigures]) -> String {
        "\(Quantities.count(weights.count)) of \(Quantities.plural(result.weights?.count ?? 0, "tensor"))"
    }
    /// What the taps say of a weight that is wrong, where none of them is outside.
    private var unseen: String {
        guard result.taps != nil else { return "." }
        return result.choosesTaps ? "; none of the chosen taps shows where it enters." : "; no tap shows it."
    }
    /// That a conversion is right does not say that what it lost is little.
    private var quality: String {
        guard let logits = result.logits, logits.notFiniteCount == 0, !logits.flips.isEmpty else { return "" }
        let share = 100 * Double(logits.flips.count) / Double(logits.kl.count)
        return
            " It was converted rightly; whether it is still good enough is another question: \(figure(share)) % of the"
            + " most likely predictions change."
    }
    private var lastPlaces: String {
        let weights = (result.weights ?? []).filter { $0.differenceClass == .arithmetic }
        return weights.isEmpty ? "" : " (\(part(weights)) in the last places)"
    }
    private var storages: String { "A \(result.reference.storages), B \(result.test.storages)" }
    private var everywhere: String { result.taps == nil ? "" : " at every tap" }

    private var margin: String {
        guard let tap = result.tightest else { return "" }
        let kind = result.isAccumulatedOnly ? "accumulated" : "isolated"
        return ": nearest to its limit is \(tap.name.escapedForDisplay) (\(kind) relative L2 "
            + "\(figure(tap.judged.relativeL2)), allowed \(figure(tap.allowed)))"
    }

    /// The relative L2, or that a number is NaN or infinite without counterpart.
    func error(_ figures: DifferenceFigures) -> String {
        figures.hasUnmatchedNonFinite ? "not finite" : figure(figures.relativeL2)
    }

    func figure(_ value: Double) -> String {
        value != 0 && (value < 0.001 || value >= 10000) ? Quantities.scientificFigure(value) : Quantities.figure(value)
    }
}

extension ComparisonResult.Tokens {
    /// "2 sequences of 7, 3 of padding left out", "2 images of [3, 224, 224]".
    var words: String {
        let padding = batchCount * length - readCount
        return (summary ?? "\(Quantities.plural(batchCount, "sequence")) of \(length)")
            + (padding > 0 ? ", \(Quantities.count(padding)) of padding left out" : "")
    }
}

extension LogitsFigures {
    /// "logits at 12 positions", "logits of 2 sequences".
    var place: String { "logits \(isOfSequences ? "of" : "at") \(Quantities.plural(positions.count, rowNoun))" }

    /// "sequence 1, position 5", "sequence 1".
    func place(of position: Position) -> String {
        "sequence \(position.sequence)" + (isOfSequences ? "" : ", position \(position.position)")
    }
}

extension Quantities {
    /// "4.1e-07": two digits, for errors that span many powers of ten.
    static func scientificFigure(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return figure(value) }
        var exponent = 0
        var mantissa = abs(value)
        while mantissa >= 9.95 {
            mantissa /= 10
            exponent += 1
        }
        while mantissa < 0.995 {
            mantissa *= 10
            exponent -= 1
        }
        let digits = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
        return "\(value < 0 ? "-" : "")\(rounded(mantissa, digits: 1))e\(exponent < 0 ? "-" : "+")\(digits)"
    }
}
