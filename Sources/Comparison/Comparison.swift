import AssayCheckpoints
import AssayModels
import AssayPackings
import AssayTensors

/// What is compared, and how.
public struct ComparisonOptions: Sendable {
    /// What the models are fed; nil compares no activations, unless a capture holds its own tokens.
    public var tokens: TokenBatch?
    /// Whether a table of weights is wanted; without tokens it is anyway. They are compared in any case.
    public var showsWeights = false
    public var profile = Profile.fast32
    /// Sequences that are walked together; nil for as many as fit. No figure depends on it.
    public var batchCount: Int?
    /// Relative L2 that no tap may exceed (where no activations are compared, no weight), beside what is unexplained.
    public var limit: Double?
    public var taps = TapPattern.everything
    public var threads: Int

    public init(threads: Int = Parallel.availableThreads) { self.threads = threads }
}

/// The comparison of two sides, the first of which is the reference: structure, then weights, then activations.
public struct Comparison {
    private let reference: ComparisonSide
    private let test: ComparisonSide
    private let options: ComparisonOptions
    private let progress: @Sendable (Int) -> Void

    /// - Parameter progress: gets bytes of weights as they are walked through, of `byteCount` in all.
    public init(
        _ reference: ComparisonSide, _ test: ComparisonSide, _ options: ComparisonOptions,
        progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        self.reference = reference
        self.test = test
        self.options = options
        self.progress = progress
    }

    /// Bytes of weights that will be walked through, about.
    public var byteCount: Int {
        let bytes = reference.checkpoint?.reader.contents.tensors.reduce(0) { $0 + $1.byteCount } ?? 0
        return bytes * ((options.tokens == nil ? 0 : 1) + (test.checkpoint == nil ? 0 : 1))
    }

    /// - Throws: `UsageError` where the request does not fit the sides; `StructureError` and what reading throws.
    public func run() throws -> ComparisonResult {
        var result = ComparisonResult(
            reference, test, profile: options.profile, tolerance: Tolerance(limit: options.limit))
        let pairs = pairs()
        if reference.checkpoint != nil, test.checkpoint != nil {
            result.weights = try weights(pairs)
            result.showsWeights = options.showsWeights || options.tokens == nil
        }
        switch (reference, test) {
        case (.model(let a), .model(let b)):
            if let tokens = options.tokens { try compareActivations(a, b, pairs, tokens, &result) }
        case (.model(let model), .capture(let capture)):
            try compareCapture(model, capture, isReference: true, &result)
        case (.capture(let capture), .model(let model)):
            try compareCapture(model, capture, isReference: false, &result)
        case (.capture(let a), .capture(let b)): try compareCaptures(a, b, &result)
        default: try refuseActivations()
        }
        result.choosesTaps = !options.taps.isEverything
        if result.firstOutside == nil { result.suspects = result.unexplainedWeights }
        return result
    }

    /// Sides without configuration have weights only.
    private func refuseActivations() throws {
        for (side, letter) in [(reference, "A"), (test, "B")] {
            guard case .checkpoint(let checkpoint, let name) = side else { continue }
            let other = letter == "A" ? test : reference
            let isAsked = options.tokens != nil || other.isCapture
            if isAsked, let strangers = CapturedActivations.strangers(in: checkpoint.reader.contents) {
                throw UsageError(
                    "\(name): holds captured activations, and beside them \(strangers.listed(first: 3)), which is no tap, no"
                        + " module's value and no input; leave it out, or say with"
                        + " --map-\(letter.lowercased()) which taps there are")
            }
            if case .capture = other {
                throw UsageError(
                    "\(name): a file without configuration cannot be run; name a model folder to compare with captured"
                        + " activations")
            }
            if options.tokens != nil {
                throw UsageError(
                    "\(name): a file without configuration cannot be run over tokens; name a model folder (convert and quantize make one where the destination is a folder), or leave"
                        + " --tokens out to compare weights")
            }
        }
    }

    // MARK: Weights

    private func pairs() -> [WeightPair] {
        switch (reference, test) {
        case (.model(let a), .model(let b)): return WeightPair.pairs(a, b).filter { WeightPair.fits($0) }
        default:
            guard let a = reference.checkpoint, let b = test.checkpoint else { return [] }
            return WeightPair.pairs(a, b)
        }
    }

    private func weights(_ pairs: [WeightPair]) throws -> [WeightFigures] {
        let comparison = WeightComparison(threads: options.threads)
        var figures = try pairs.map { pair in
            defer { progress(pair.reference.byteCount(in: reference.checkpoint)) }
            return try comparison.compare(pair)
        }
        try MisplacedWeights.note(in: &figures, pairs)
        return figures
    }

    // MARK: Activations

    private func compareActivations(
        _ a: Model, _ b: Model, _ pairs: [WeightPair], _ tokens: TokenBatch, _ result: inout ComparisonResult
    ) throws {
        if let unsound = [a, b].first(where: { !$0.report.isSound }) {
            let sentences = unsound.report.sentences
            let more = sentences.count > 1 ? "; and \(sentences.count - 1) more" : ""
            result.notes.append("activations were not compared: \(unsound.name): \(sentences[0])\(more)")
            return
        }
        if let obstacle = a.spec.obstacle(to: b.spec) {
            result.notes.append("activations were not compared: the sides differ in \(obstacle)")
            return
        }
        if let note = tokens.noteOfLength(for: a.spec) { result.notes.append(note) }
        for model in [a, b] { result.notes += model.notes }
        let rounded = Self.rounded(a, pairs.filter(\.hasOtherStorage))
        let walk = LockstepComparison(
            reference: a, test: b, rounded: rounded, settings: settings, pattern: options.taps, progress: progress)
        let outcome = try walk.run(tokens, batchCount: options.batchCount)
        result.tokens = ComparisonResult.Tokens(tokens, of: a.spec)
        let unexplained = result.unexplainedWeights
        result.taps = outcome.taps.map { tap in
            var tap = tap
            tap.judge(result.tolerance, tensorsBeyond: Self.beyond(tap, unexplained, a.spec))
            return tap
        }
        result.routing = outcome.routing
        result.logits = outcome.logits
        findSuspects(a.spec, &result)
        try diagnose(rounded ?? a, tokens, &result, other: b.spec) { tokens, tap, step, states in
            let runner = try BlockRunner(b, tokens: tokens, settings: settings)
            return try Diagnostician.values(of: tap, step, states, runner)
        }
    }

    private var settings: RunSettings { RunSettings(profile: options.profile, threads: options.threads) }

    /// Looks for a known cause of what is outside, over the first sequences.
    ///
    /// - Parameter values: what the other side gave.
    private func diagnose(
        _ model: Model, _ tokens: TokenBatch, _ result: inout ComparisonResult, isOfReference: Bool = false,
        other: TransformerSpec? = nil,
        _ values: @escaping (TokenBatch, PlannedTap, ForwardStep, [HiddenState]) throws -> HiddenState?
    ) throws {
        guard let first = result.firstOutside, first.differenceClass == .unexplained,
            !first.judged.hasUnmatchedNonFinite
        else { return }
        let count = model.spec.sequencesPerPart(Self.diagnosedSequenceCount, of: tokens)
        let part = try tokens.part(0..<min(tokens.batchCount, count))
        let diagnostician = Diagnostician(reference: model, settings: settings, tokens: part, other: other) {
            try values(part, $0, $1, $2)
        }
        result.diagnosis = try diagnostician.diagnose(first, allowed: first.allowed)
        result.diagnosis?.isOfReference = isOfReference
    }

    private static let diagnosedSequenceCount = 4

    /// The reference with every weight rounded whose declared storages differ.
    private static func rounded(_ model: Model, _ pairs: [WeightPair]) -> Model? {
        guard !pairs.isEmpty else { return nil }
        let byName = NameMap(pairs.map { ($0.name, $0) })
        let turned = TurnedMatrix()
        return model.replacingTensors { tensor in byName[tensor.name].map { RoundedTensor($0, turned) } ?? tensor }
    }

    /// Names of unexplained weights that feed a tap directly.
    private static func beyond(_ tap: TapFigures, _ weights: [WeightFigures], _ spec: TransformerSpec) -> [String] {
        let sources = TapSources.feeding(tap, spec)
        return weights.filter { weight in
            sources.contains { source in
                guard source.slot == weight.slot else { return false }
                guard let slice = source.slice, slice < weight.beyondBySlice.count else { return true }
                return weight.beyondBySlice[slice] > 0
            }
        }.map(\.name)
    }

    /// Looks at the weights behind the first tap that is outside.
    private func findSuspects(_ spec: TransformerSpec, _ result: inout ComparisonResult) {
        guard let first = result.firstOutside else { return }
        result.suspects = result.unexplainedWeights.filter { weight in
            guard let slot = weight.slot else { return false }
            if let layer = first.layer, let stack = spec[first.role] {
                return slot.layer == stack.blocks.weightSet(of: layer) && slot.role == first.role
            }
            return TapSources.feeding(first, spec).contains { $0.slot == slot }
        }
    }

    // MARK: Captures

    private func compareCapture(
        _ model: Model, _ capture: CapturedActivations, isReference: Bool, _ result: inout ComparisonResult
    ) throws {
        let tokens = try self.tokens(of: [capture])
        guard let tokens else {
            throw UsageError("\(capture.name): holds no input_ids; name the tokens with --tokens")
        }
        let outcome = try captures.run(
            model, capture, isReference: isReference, tokens, batchCount: options.batchCount)
        if !capture.isOwn { result.tolerance.leastArithmetic = Tolerance.betweenPrograms }
        take(outcome, [capture], tokens, of: model.spec, &result)
        result.notes += model.notes
        result.notes += [
            capture.arithmeticNote, try tokensNote(capture), missingNote(capture, outcome), capture.strangersNote,
        ].compactMap { $0 }
        try diagnose(model, tokens, &result, isOfReference: !isReference) { _, tap, step, states in
            guard let captured = capture[tap.name] else { return nil }
            let rows = step == .logits ? min(states[0].rowCount, tap.rowCount) : tap.rowCount
            return try capture.read(captured, rows: 0..<rows, features: tap.featureCount)
        }
    }

    /// What to say where nothing in a capture tells the tokens.
    private func tokensNote(_ capture: CapturedActivations) throws -> String? {
        guard try capture.tokens() == nil, capture.tokensDigest == nil else { return nil }
        return "\(capture.name) does not say which tokens it is of; those that were given are taken for them"
    }

    private func missingNote(_ capture: CapturedActivations, _ outcome: CaptureComparison.Outcome) -> String? {
        guard !outcome.missing.isEmpty else { return nil }
        let count = outcome.taps.count + outcome.missing.count
        return "\(capture.name) holds \(outcome.taps.count) of \(count) taps; not among them:"
            + " \(outcome.missing.listed(first: 3))"
    }

    private func compareCaptures(
        _ a: CapturedActivations, _ b: CapturedActivations, _ result: inout ComparisonResult
    ) throws {
        let tokens = try self.tokens(of: [a, b])
        result.tolerance.leastArithmetic = Tolerance.betweenPrograms
        take(try captures.run(a, b, tokens), [a, b], tokens, of: nil, &result)
        result.notes += [a.strangersNote, b.strangersNote].compactMap { $0 }
    }

    private var captures: CaptureComparison {
        CaptureComparison(
            settings: settings, pattern: options.taps,
            tolerance: Tolerance(limit: options.limit))
    }

    private func take(
        _ outcome: CaptureComparison.Outcome, _ captures: [CapturedActivations], _ tokens: TokenBatch?,
        of spec: TransformerSpec?, _ result: inout ComparisonResult
    ) {
        result.isAccumulatedOnly = true
        result.notes.append(
            "a side was captured: every error is accumulated, and nothing is explained by the storage of weights")
        result.structure.taps = outcome.unmatched
        result.tokens = tokens.map { ComparisonResult.Tokens($0, of: spec) }
        result.logits = outcome.logits
        result.taps = outcome.taps.map { tap in
            var tap = tap
            let terms = captures.compactMap { $0.storageTerm(of: tap.name) }
            tap.storageTerm = terms.isEmpty ? nil : terms.reduce(0, +)
            tap.judge(result.tolerance)
            return tap
        }
    }

    /// The tokens that were given or that a capture holds; where both stand they must be the same.
    private func tokens(of captures: [CapturedActivations]) throws -> TokenBatch? {
        var tokens = options.tokens
        for capture in captures {
            let own = try capture.tokens()
            if let own, let other = tokens, own.digest != other.digest {
                throw UsageError(
                    "\(capture.name): its activations are of other tokens than \(other.source.forDisplay)")
            }
            if own == nil, let digest = capture.tokensDigest, let tokens, digest != tokens.digest.description {
                throw UsageError(
                    "\(capture.name): its activations are of tokens \(digest.escapedForDisplay), not of"
                        + " \(tokens.source.forDisplay)")
            }
            tokens = tokens ?? own
        }
        return tokens
    }
}

extension ComparisonResult.Tokens {
    /// - Parameter spec: of the model, whose first stack says of how many positions numbers become; nil where there is none.
    init(_ tokens: TokenBatch, of spec: TransformerSpec?) {
        let first = spec.map { tokens.part(for: $0.stacks[0]) } ?? tokens
        self.init(
            batchCount: first.batchCount, length: first.length,
            readCount: (0..<first.batchCount).reduce(0) { sum, sequence in
                sum + (0..<first.length).reduce(0) { $0 + (first.isRead(sequence: sequence, position: $1) ? 1 : 0) }
            },
            summary: tokens.features == nil ? nil : tokens.summary, digest: tokens.digest)
    }
}

extension WeightPair {
    /// Whether the shapes let the weights be compared.
    fileprivate static func fits(_ pair: WeightPair) -> Bool {
        let turned = pair.isTransposed ? Array(pair.test.shape.dimensions.reversed()) : pair.test.shape.dimensions
        return turned == pair.reference.shape.dimensions
    }
}

extension LogicalTensor {
    /// Stored bytes of all parts.
    fileprivate func byteCount(in checkpoint: LogicalCheckpoint?) -> Int {
        guard let tensors = checkpoint?.reader.contents.tensors else { return 0 }
        return parts.reduce(0) { $0 + (tensors.indices.contains($1) ? tensors[$1].byteCount : 0) }
    }
}
