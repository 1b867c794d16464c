import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors

/// The steps of one stack of a forward pass in one number type.
///
/// Under `ref32` the type is float64, every number is one of float32, and `roundsToFloat32` says that every operation's
/// result is rounded to it once.
struct BlockEngine<S: Scalar>: Engine {
    let model: Model
    /// The model's, with this stack alone; the head where it is the last.
    let spec: TransformerSpec
    /// Whether what is pooled is what leaves the stack.
    private let passesOnPooled: Bool
    let tokens: TokenBatch
    let sequences: Sequences
    /// Those of the stack before, which cross attention reads.
    let earlierSequences: Sequences?
    /// The stack's position among the model's.
    private let stackIndex: Int
    let kernels: KernelTable
    let threads: Int
    let roundsToFloat32: Bool
    /// Of every kind of block that has rotary positions.
    private let rotations: [Rotation<S>?]

    var role: StackSpec.Role { spec.stacks[0].role }
    var rowCount: Int { sequences.count * sequences.length }

    /// - Parameter parts: what every stack is fed.
    /// - Throws: `UsageError` where this machine lacks the dispatch level.
    init(_ model: Model, _ parts: [TokenBatch], stack: Int, _ settings: RunSettings) throws {
        guard let table = ck_math_at(settings.level.kernelLevel) else {
            throw UsageError("dispatch level '\(settings.level.rawValue)': this machine cannot run it")
        }
        let isLast = stack == model.spec.stacks.count - 1
        self.model = model
        spec = TransformerSpec(
            architecture: model.spec.architecture, stacks: [model.spec.stacks[stack].cut(into: parts[stack].segments)],
            head: isLast ? model.spec.head : nil)
        passesOnPooled = model.spec.head?.isOfPooled == true
        let tokens = parts[stack]
        self.tokens = tokens
        sequences = Sequences(tokens)
        stackIndex = stack
        earlierSequences = stack == 0 ? nil : Sequences(parts[stack - 1])
        kernels = KernelTable(pointer: table)
        threads = max(1, settings.threads)
        roundsToFloat32 = settings.profile == .ref32
        let positions =
            tokens.positionIDs?.flatMap { $0 } ?? (0..<tokens.batchCount * tokens.length).map { $0 % tokens.length }
        rotations = try spec.blocks.kinds.map { [kernels] block in
            try block.attention.rotary.map {
                try Rotation(
                    $0, positions: positions, kernels, isRounded: settings.profile != .ref64)
            }
        }
    }

    // MARK: Steps

    func embed(_ observe: TapObserver?) throws -> HiddenState {
        var result = try projected([embeddings()], .beforeNorm)
        if let norm = spec.embedding.norm { result = try normalize(result, WeightSlot(.embeddingNorm), norm) }
        result = try projected(result, .behindNorm)
        if spec.embedding.isZeroAtPadding { clearPadding(of: result[0]) }
        try show(result, .embed, nil, observe)
        return try state(result[0])
    }

    func block(_ layer: Int, _ states: [HiddenState], _ observe: TapObserver?) throws -> [HiddenState] {
        let block = spec.blocks[layer]
        let inputs = try states.map { try matrix($0) }
        let result =
            switch block.arrangement {
            case .sequential: try sequential(block, layer, inputs, states.map(\.earlier), observe)
            case .parallel: try parallel(block, layer, inputs, observe)
            }
        try show(result, .out, layer, observe)
        return try result.map(state)
    }

    private func sequential(
        _ block: BlockSpec, _ layer: Int, _ inputs: [Matrix<S>], _ memories: [HiddenState?], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        func residual(
            _ inputs: [Matrix<S>], _ norms: BlockSpec.Norms, _ places: NormPlaces,
            _ sublayer: ([Matrix<S>]) throws -> [Matrix<S>]
        ) throws -> [Matrix<S>] {
            let entering = try normalized(inputs, norms.before, places.norm, layer, observe)
            let leaving = try normalized(sublayer(entering), norms.after, places.postNorm, layer, observe)
            let kept = block.residual == .normed ? entering : inputs
            let sums = try sum(kept, scaled(leaving, by: block.residualScale))
            return try normalized(sums, norms.afterResidual, places.norm, layer, observe)
        }
        var middle = try residual(inputs, block.attentionNorms, .attention) {
            try attention(block, layer, $0, observe)
        }
        if let cross = block.cross {
            middle = try residual(middle, cross.norms, .cross) {
                try crossAttention(cross.attention, layer, $0, memories, observe)
            }
        }
        return try residual(middle, block.feedForwardNorms, .feedForward) {
            try feedForward(block, layer, $0, observe)
        }
    }

    private func parallel(
        _ block: BlockSpec, _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        let (first, second) = (block.attentionNorms, block.feedForwardNorms)
        let entering = try normalized(inputs, first.before, NormPlaces.attention.norm, layer, observe)
        let attended = try normalized(
            attention(block, layer, entering, observe), first.after, NormPlaces.attention.postNorm, layer,
            observe)
        let read =
            second.before == nil
            ? entering : try normalized(inputs, second.before, NormPlaces.feedForward.norm, layer, observe)
        let fed = try normalized(
            feedForward(block, layer, read, observe), second.after, NormPlaces.feedForward.postNorm, layer,
            observe)
        let sums = try sum(attended, fed)
        return try sum(inputs, scaled(sums, by: block.residualScale))
    }

    /// The norm of a place, where there is one.
    private func normalized(
        _ values: [Matrix<S>], _ norm: NormSpec?, _ place: (Module, TapPoint), _ layer: Int, _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        guard let norm else { return values }
        let result = try normalize(values, WeightSlot(place.0, layer: layer), norm)
        try show(result, place.1, layer, observe)
        return result
    }

    /// What the norms of a sublayer are called.
    private struct NormPlaces {
        let norm: (Module, TapPoint)
        let postNorm: (Module, TapPoint)

        static var attention: NormPlaces {
            NormPlaces(
                norm: (.attentionNorm, .attentionNorm), postNorm: (.attentionPostNorm, .attentionPostNorm))
        }
        static var cross: NormPlaces {
            NormPlaces(norm: (.crossNorm, .crossNorm), postNorm: (.crossNorm, .crossNorm))
        }
        static var feedForward: NormPlaces {
            NormPlaces(
                norm: (.feedForwardNorm, .feedForwardNorm), postNorm: (.feedForwardPostNorm, .feedForwardPostNorm))
        }
    }

    func finish(_ states: [HiddenState], _ observe: TapObserver?) throws -> [HiddenState] {
        var result = try states.map { try matrix($0) }
        if let norm = spec.finalNorm {
            result = try normalize(result, WeightSlot(.finalNorm), norm)
            try show(result, .finalNorm, nil, observe)
        }
        if let pooling = spec.pooling {
            let pooled = try self.pooled(result, pooling, observe)
            if passesOnPooled { return try pooled.map(state) }
        }
        if let transform = spec.head?.transform {
            result = try linear(result, WeightSlot(.headTransform), bias: transform.hasBias)
            try apply(transform.activation, result)
            if let norm = transform.norm { result = try normalize(result, WeightSlot(.headNorm), norm) }
        }
        if spec.head?.width != nil { result = try linear(result, WeightSlot(.headProjection), bias: false) }
        return try result.map(state)
    }

    func logits(_ features: [HiddenState], _ rows: Range<Int>) throws -> [HiddenState] {
        if spec.head?.comparesStacks == true { return try similarities(features, rows) }
        let inputs = try features.map { try matrix($0, rows: rows) }
        if let adaptive = spec.head?.adaptive { return try logProbabilities(inputs, adaptive).map(state) }
        let result = try linear(inputs, WeightSlot(.head), bias: spec.head?.hasBias == true)
        if spec.head?.hasBiasRow == true { add(row: try vector(WeightSlot(.headBiasRow)), to: result) }
        return try softCapped(scaled(result, by: spec.head?.scale), at: spec.head?.softCap).map(state)
    }

    // MARK: Sublayers

    private func attention(
        _ block: BlockSpec, _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        let attention = block.attention
        var (q, k, v) = try projections(attention, layer, inputs, observe)
        try show(q, .query, layer, observe)
        try show(k, .key, layer, observe)
        try show(v, .value, layer, observe)
        if let headNorm = attention.headNorm {
            q = try normalize(q, WeightSlot(.queryNorm, layer: layer), headNorm, headCount: attention.headCount)
            k = try normalize(k, WeightSlot(.keyNorm, layer: layer), headNorm, headCount: attention.keyValueHeadCount)
            try show(q, .queryNorm, layer, observe)
            try show(k, .keyNorm, layer, observe)
        }
        if let rotation = rotations[spec.blocks.kind(of: layer)] {
            for matrix in q + k { rotate(matrix, rotation, headDimension: attention.headDimension) }
        }
        let keys = try remember(&k, &v, block, layer)
        var biases = try scoreBiases(attention, layer)
        biases.disentangled = try distanceScores(attention, layer)
        let meeting = attention.sinusoidalDistances == nil ? nil : try adding(.distanceBias, to: q, layer)
        if attention.sinusoidalDistances != nil { q = try adding(.contentBias, to: q, layer) }
        let attended = try q.indices.map { index in
            var biases = biases
            biases.disentangled?.meetingKeys = meeting?[index]
            return try attend(q[index], k[index], v[index], attention, layer, biases, keys: keys)
        }
        let output = WeightSlot(.attentionOutput, layer: layer)
        let result = try linear(attended, output, bias: attention.hasOutputBias)
        try show(result, .attentionOutput, layer, observe)
        return result
    }

    /// Attention of the rows to what the stack before gave.
    private func crossAttention(
        _ attention: AttentionSpec, _ layer: Int, _ inputs: [Matrix<S>], _ memories: [HiddenState?],
        _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        guard let earlierSequences else { preconditionFailure("cross attention in the first stack") }
        let memories = try memories.map { try matrix($0!) }
        let (q, k, v) = try crossProjections(attention, layer, inputs, memories)
        try show(q, .crossQuery, layer, observe)
        try show(k, .crossKey, layer, observe, isOfEarlier: true)
        try show(v, .crossValue, layer, observe, isOfEarlier: true)
        let biases = try scoreBiases(attention, layer, keys: earlierSequences)
        let attended = try q.indices.map {
            try attend(q[$0], k[$0], v[$0], attention, layer, biases, keys: earlierSequences)
        }
        let output = WeightSlot(.crossOutput, layer: layer)
        let result = try linear(attended, output, bias: attention.hasOutputBias)
        try show(result, .crossOutput, layer, observe)
        return result
    }

    private func crossProjections(
        _ attention: AttentionSpec, _ layer: Int, _ inputs: [Matrix<S>], _ memories: [Matrix<S>]
    ) throws -> Projections {
        let hasBias = attention.hasInputBias
        if attention.projection == .separate {
            func project(_ inputs: [Matrix<S>], _ module: Module, bias: Bool) throws -> [Matrix<S>] {
                try linear(inputs, WeightSlot(module, layer: layer), bias: bias)
            }
            return try (
                project(inputs, .crossQuery, bias: hasBias),
                project(memories, .crossKey, bias: hasBias && attention.hasKeyBias),
                project(memories, .crossValue, bias: hasBias)
            )
        }
        let slot = WeightSlot(.crossQueryKeyValue, layer: layer)
        let slices = attention.joinedSlices
        let q = try linear(inputs, slot, slices: [slices[0]], bias: hasBias)
        let others = try linear(memories, slot, slices: Array(slices[1...]), bias: hasBias)
        return (q[0], others[0], others[1])
    }

    /// A vector of every head added to all rows of copies.
    private func adding(_ module: Module, to values: [Matrix<S>], _ layer: Int) throws -> [Matrix<S>] {
        let copies = try values.map { value in
            let copy = try Matrix<S>(rowCount: value.rowCount, columnCount: value.columnCount)
            copy.pointer.update(from: value.pointer, count: value.rowCount * value.columnCount)
            return copy
        }
        add(row: try vector(WeightSlot(module, layer: layer)), to: copies)
        return copies
    }

    /// Puts the keys and values of zeros before every sequence's own, where a layer remembers zeros.
    ///
    /// - Returns: the sequences that keys then are; nil for the tokens' own.
    private func remember(
        _ k: inout [Matrix<S>], _ v: inout [Matrix<S>], _ block: BlockSpec, _ layer: Int
    ) throws -> Sequences? {
        guard let count = block.attention.recurrence?.zeroCount, count > 0 else { return nil }
        let zero = try Matrix<S>(rowCount: 1, columnCount: spec.hiddenSize)
        zero.pointer.update(repeating: S.zero, count: spec.hiddenSize)
        // Zeros pass the norm and the projection as anything does.
        let entering = try normalized([zero], block.attentionNorms.before, NormPlaces.attention.norm, layer, nil)
        let ofZero = try projections(block.attention, layer, entering, nil)
        k = try k.map { try preceded($0, by: ofZero.k[0], count) }
        v = try v.map { try preceded($0, by: ofZero.v[0], count) }
        return sequences.preceded(by: count)
    }

    /// The same row some times before each sequence, as often as it is stored.
    private func preceded(_ matrix: Matrix<S>, by row: Matrix<S>, _ count: Int) throws -> Matrix<S> {
        let (length, width) = (sequences.length, matrix.columnCount)
        let count = count - Sequences.repeatedKeyCount(of: count)
        let result = try Matrix<S>(rowCount: sequences.count * (count + length), columnCount: width)
        for sequence in 0..<sequences.count {
            let first = sequence * (count + length)
            for index in 0..<count { result.row(first + index).update(from: row.pointer, count: width) }
            result.row(first + count).update(from: matrix.row(sequence * length), count: length * width)
        }
        return result
    }

    typealias Projections = (q: [Matrix<S>], k: [Matrix<S>], v: [Matrix<S>])

    private func projections(
        _ attention: AttentionSpec, _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> Projections {
        if let latent = attention.latent { return try projections(latent, attention, layer, inputs, observe) }
        let hasBias = attention.hasInputBias
        func project(_ module: Module, bias: Bool) throws -> [Matrix<S>] {
            try linear(inputs, WeightSlot(module, layer: layer), bias: bias)
        }
        if attention.projection == .separate {
            return try (
                project(.query, bias: hasBias), project(.key, bias: hasBias && attention.hasKeyBias),
                project(.value, bias: hasBias)
            )
        }
        let parts = try linear(
            inputs, WeightSlot(.queryKeyValue, layer: layer), slices: attention.joinedSlices, bias: hasBias)
        return (parts[0], parts[1], parts[2])
    }

    private func feedForward(
        _ block: BlockSpec, _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        let result: [Matrix<S>]
        if let experts = block.experts {
            result = try self.experts(experts, block.feedForward, layer, inputs, observe)
        } else {
            let slots = FeedForwardSlots(layer: layer)
            let inner = try inner(block.feedForward, slots, inputs)
            try show(inner, .activation, layer, observe)
            result = try linear(inner, slots.output, bias: block.feedForward.hasBias)
        }
        try show(result, .feedForwardOutput, layer, observe)
        return result
    }

    /// What enters a feed-forward's last projection.
    func inner(_ spec: FeedForwardSpec, _ slots: FeedForwardSlots, _ inputs: [Matrix<S>]) throws -> [Matrix<S>] {
        func project(_ slot: WeightSlot) throws -> [Matrix<S>] { try linear(inputs, slot, bias: spec.hasBias) }
        func gated(_ gates: [Matrix<S>], _ inputs: [Matrix<S>]) throws -> [Matrix<S>] {
            if let clamp = spec.clamp {
                self.clamp(gates, -.infinity...clamp)
                self.clamp(inputs, -clamp...clamp)
            }
            try apply(spec.activation, gates)
            return multiply(gates, add(spec.inputOffset, to: inputs))
        }
        switch spec.gating {
        case .none:
            let inner = try project(slots.input)
            try apply(spec.activation, inner)
            return inner
        case .separate: return try gated(project(slots.gate), project(slots.input))
        case .joined:
            let slices = [[0..<spec.innerSize], [spec.innerSize..<2 * spec.innerSize]]
            let parts = try linear(inputs, slots.gateInput, slices: slices, bias: spec.hasBias)
            return try gated(parts[0], parts[1])
        case .alternating:
            let both = try project(slots.gateInput)
            return try gated(both.map { try everyOther($0, from: 0) }, both.map { try everyOther($0, from: 1) })
        }
    }

    // MARK: In and out

    func show(
        _ values: [Matrix<S>], _ point: TapPoint, _ layer: Int?, _ observe: TapObserver?, isOfEarlier: Bool = false
    ) throws {
        guard let observe else { return }
        let sequences = isOfEarlier ? earlierSequences! : sequences
        let rows: PlannedTap.Rows =
            point.isOfSequences
            ? .sequences(stack: stackIndex) : .positions(stack: isOfEarlier ? stackIndex - 1 : stackIndex)
        for (index, matrix) in values.enumerated() {
            let shape =
                point.isOfSequences
                ? [sequences.count, matrix.columnCount] : [sequences.count, sequences.length, matrix.columnCount]
            let tap = PlannedTap(name: point.name(role, layer: layer), shape: shape, rows: rows)
            try state(matrix).withNumbers {
                try observe(index, TapValues(tap: tap, rows: 0..<matrix.rowCount, values: $0))
            }
        }
    }

    /// A hidden state in the engine's type: lent where it has it, converted otherwise.
    func matrix(_ state: HiddenState, rows: Range<Int>? = nil) throws -> Matrix<S> {
        let rows = rows ?? 0..<state.rowCount
        precondition(rows.upperBound <= state.rowCount)
        let result = try Matrix<S>(rowCount: rows.count, columnCount: state.featureCount)
        let first = rows.lowerBound * state.featureCount
        let count = rows.count * state.featureCount
        state.withNumbers { numbers in
            switch numbers {
            case .float32(let values): S.widen(kernels, values.baseAddress! + first, result.pointer, count)
            case .float64(let values): S.take(kernels, values.baseAddress! + first, result.pointer, count)
            }
        }
        if roundsToFloat32, state.precision == .float64 { S.roundToFloat32(kernels, result.pointer, count) }
        return result
    }

    /// Numbers as the profile hands them out: float32 under `ref32`, which holds float32 numbers in float64.
    func state(_ matrix: Matrix<S>) throws -> HiddenState {
        let count = matrix.rowCount * matrix.columnCount
        guard roundsToFloat32 else {
            return HiddenState(
                rowCount: matrix.rowCount, featureCount: matrix.columnCount, precision: S.precision,
                buffer: matrix.buffer)
        }
        let buffer = try ByteBuffer(byteCount: count * 4)
        S.narrow(
            kernels, matrix.pointer, buffer.bytes.baseAddress!.bindMemory(to: Float.self, capacity: max(count, 1)),
            count)
        return HiddenState(
            rowCount: matrix.rowCount, featureCount: matrix.columnCount, precision: .float32, buffer: buffer)
    }
}
