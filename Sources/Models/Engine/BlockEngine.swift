import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors

/// The steps of a forward pass in one number type.
///
/// Under `ref32` the type is float64, every number is one of float32, and `roundsToFloat32` says that every operation's
/// result is rounded to it once.
struct BlockEngine<S: Scalar>: Engine {
    let model: Model
    let tokens: TokenBatch
    let sequences: Sequences
    let plan: TapPlan
    let kernels: KernelTable
    let threads: Int
    let roundsToFloat32: Bool
    /// Of every kind of block that has rotary positions.
    private let rotations: [Rotation<S>?]

    var spec: TransformerSpec { model.spec }
    var rowCount: Int { sequences.count * sequences.length }

    /// - Throws: `UsageError` where this machine lacks the dispatch level; `StructureError` where copies of weights
    ///   differ.
    init(_ model: Model, _ tokens: TokenBatch, _ settings: RunSettings) throws {
        guard let table = ck_math_at(settings.level.kernelLevel) else {
            throw UsageError("dispatch level '\(settings.level.rawValue)': this machine cannot run it")
        }
        try model.checkCopies()
        self.model = model
        self.tokens = tokens
        sequences = Sequences(tokens)
        plan = TapPlan(model.spec, tokens)
        kernels = KernelTable(pointer: table)
        threads = max(1, settings.threads)
        roundsToFloat32 = settings.profile == .ref32
        let positions =
            tokens.positionIDs?.flatMap { $0 } ?? (0..<tokens.batchCount * tokens.length).map { $0 % tokens.length }
        rotations = try model.spec.blocks.kinds.map { [kernels] block in
            try block.attention.rotary.map {
                try Rotation(
                    $0, positions: positions, kernels, isRounded: settings.profile != .ref64)
            }
        }
    }

    // MARK: Steps

    func embed(_ observe: TapObserver?) throws -> HiddenState {
        var result = [try embeddings()]
        func project(isBehindNorm: Bool) throws {
            guard let projection = spec.embedding.projection, projection.isBehindNorm == isBehindNorm else { return }
            result = try linear(result, WeightSlot(.embeddingProjection), bias: projection.hasBias)
        }
        try project(isBehindNorm: false)
        if let norm = spec.embedding.norm { result = try normalize(result, WeightSlot(.embeddingNorm), norm) }
        try project(isBehindNorm: true)
        if spec.embedding.isZeroAtPadding { clearPadding(of: result[0]) }
        try show(result, .embed, nil, observe)
        return try state(result[0])
    }

    func block(_ layer: Int, _ states: [HiddenState], _ observe: TapObserver?) throws -> [HiddenState] {
        let block = spec.blocks[layer]
        let inputs = try states.map { try matrix($0) }
        let result =
            switch block.arrangement {
            case .sequential: try sequential(block, layer, inputs, observe)
            case .parallel: try parallel(block, layer, inputs, observe)
            }
        try show(result, .out, layer, observe)
        return try result.map(state)
    }

    private func sequential(
        _ block: BlockSpec, _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        func residual(
            _ inputs: [Matrix<S>], _ norms: BlockSpec.Norms, _ places: NormPlaces,
            _ sublayer: ([Matrix<S>]) throws -> [Matrix<S>]
        ) throws -> [Matrix<S>] {
            let entering = try normalized(inputs, norms.before, places.norm, layer, observe)
            let leaving = try normalized(sublayer(entering), norms.after, places.postNorm, layer, observe)
            let sums = try sum(inputs, scaled(leaving, by: block.residualScale))
            return try normalized(sums, norms.afterResidual, places.norm, layer, observe)
        }
        let middle = try residual(inputs, block.attentionNorms, .attention) {
            try attention(block.attention, layer, $0, observe)
        }
        return try residual(middle, block.feedForwardNorms, .feedForward) {
            try feedForward(block.feedForward, layer, $0, observe)
        }
    }

    private func parallel(
        _ block: BlockSpec, _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        let (first, second) = (block.attentionNorms, block.feedForwardNorms)
        let entering = try normalized(inputs, first.before, NormPlaces.attention.norm, layer, observe)
        let attended = try normalized(
            attention(block.attention, layer, entering, observe), first.after, NormPlaces.attention.postNorm, layer,
            observe)
        let read =
            second.before == nil
            ? entering : try normalized(inputs, second.before, NormPlaces.feedForward.norm, layer, observe)
        let fed = try normalized(
            feedForward(block.feedForward, layer, read, observe), second.after, NormPlaces.feedForward.postNorm, layer,
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
        if let activation = spec.poolerActivation {
            let pooled = try linear(firstTokens(of: result), WeightSlot(.pooler))
            try apply(activation, pooled)
            try show(pooled, .pooler, nil, observe)
        }
        if let transform = spec.head?.transform {
            result = try linear(result, WeightSlot(.headTransform), bias: transform.hasBias)
            try apply(transform.activation, result)
            if let norm = transform.norm { result = try normalize(result, WeightSlot(.headNorm), norm) }
        }
        return try result.map(state)
    }

    func logits(_ features: [HiddenState], _ rows: Range<Int>) throws -> [HiddenState] {
        let inputs = try features.map { try matrix($0, rows: rows) }
        let result = try linear(inputs, WeightSlot(.head), bias: spec.head?.hasBias == true)
        return try softCapped(scaled(result, by: spec.head?.scale), at: spec.head?.softCap).map(state)
    }

    // MARK: Sublayers

    private func attention(
        _ attention: AttentionSpec, _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        var (q, k, v) = try projections(attention, layer, inputs)
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
        var biases = try scoreBiases(attention, layer)
        biases.distances = try distanceScores(attention, layer)
        let attended = try q.indices.map { try attend(q[$0], k[$0], v[$0], attention, layer, biases) }
        let output = WeightSlot(.attentionOutput, layer: layer)
        let result = try linear(attended, output, bias: attention.hasOutputBias)
        try show(result, .attentionOutput, layer, observe)
        return result
    }

    private typealias Projections = (q: [Matrix<S>], k: [Matrix<S>], v: [Matrix<S>])

    private func projections(_ attention: AttentionSpec, _ layer: Int, _ inputs: [Matrix<S>]) throws -> Projections {
        let hasBias = attention.hasInputBias
        func project(_ module: Module) throws -> [Matrix<S>] {
            try linear(inputs, WeightSlot(module, layer: layer), bias: hasBias)
        }
        if attention.projection == .separate { return try (project(.query), project(.key), project(.value)) }
        let parts = try linear(
            inputs, WeightSlot(.queryKeyValue, layer: layer), slices: attention.joinedSlices, bias: hasBias)
        return (parts[0], parts[1], parts[2])
    }

    private func feedForward(
        _ spec: FeedForwardSpec, _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        func project(_ inputs: [Matrix<S>], _ module: Module) throws -> [Matrix<S>] {
            try linear(inputs, WeightSlot(module, layer: layer), bias: spec.hasBias)
        }
        let inner: [Matrix<S>]
        switch spec.gating {
        case .none:
            inner = try project(inputs, .feedForwardInput)
            try apply(spec.activation, inner)
        case .separate:
            let gates = try project(inputs, .feedForwardGate)
            try apply(spec.activation, gates)
            inner = multiply(gates, try project(inputs, .feedForwardInput))
        case .joined:
            let slices = [[0..<spec.innerSize], [spec.innerSize..<2 * spec.innerSize]]
            let parts = try linear(
                inputs, WeightSlot(.feedForwardGateInput, layer: layer), slices: slices, bias: spec.hasBias)
            try apply(spec.activation, parts[0])
            inner = multiply(parts[0], parts[1])
        }
        try show(inner, .activation, layer, observe)
        let result = try project(inner, .feedForwardOutput)
        try show(result, .feedForwardOutput, layer, observe)
        return result
    }

    // MARK: In and out

    private func show(
        _ values: [Matrix<S>], _ point: TapPoint, _ layer: Int?, _ observe: TapObserver?
    ) throws {
        guard let observe else { return }
        for (index, matrix) in values.enumerated() {
            let shape =
                point == .pooler
                ? [sequences.count, matrix.columnCount] : [sequences.count, sequences.length, matrix.columnCount]
            let tap = PlannedTap(name: point.name(layer: layer), shape: shape)
            try state(matrix).withNumbers {
                try observe(index, TapValues(tap: tap, rows: 0..<matrix.rowCount, values: $0))
            }
        }
    }

    /// A hidden state in the engine's type: lent where it has it, converted otherwise.
    private func matrix(_ state: HiddenState, rows: Range<Int>? = nil) throws -> Matrix<S> {
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
    private func state(_ matrix: Matrix<S>) throws -> HiddenState {
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

    /// The first row of every sequence.
    private func firstTokens(of states: [Matrix<S>]) throws -> [Matrix<S>] {
        try states.map { state in
            let result = try Matrix<S>(rowCount: sequences.count, columnCount: state.columnCount)
            for sequence in 0..<sequences.count {
                result.row(sequence).update(from: state.row(sequence * sequences.length), count: state.columnCount)
            }
            return result
        }
    }
}
