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
    }

    // MARK: Steps

    func embed(_ observe: TapObserver?) throws -> HiddenState {
        let embedding = try embeddings()
        let result =
            if let norm = spec.embedding.norm { try normalize([embedding], WeightSlot(.embeddingNorm), norm)[0] } else {
                embedding
            }
        try show([result], .embed, nil, observe)
        return try state(result)
    }

    func block(_ layer: Int, _ states: [HiddenState], _ observe: TapObserver?) throws -> [HiddenState] {
        let inputs = try states.map { try matrix($0) }
        let result =
            switch spec.block.normPlacement {
            case .beforeSublayer: try normFirstBlock(layer, inputs, observe)
            case .afterResidual: try normLastBlock(layer, inputs, observe)
            }
        try show(result, .out, layer, observe)
        return try result.map(state)
    }

    private func normFirstBlock(
        _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        let norm = spec.block.norm
        var normed = try normalize(inputs, WeightSlot(.attentionNorm, layer: layer), norm)
        try show(normed, .attentionNorm, layer, observe)
        let attended = try attention(layer, normed, observe)
        let middle = try sum(inputs, attended)
        normed = try normalize(middle, WeightSlot(.feedForwardNorm, layer: layer), norm)
        try show(normed, .feedForwardNorm, layer, observe)
        return try sum(middle, feedForward(layer, normed, observe))
    }

    private func normLastBlock(
        _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        let norm = spec.block.norm
        let attended = try attention(layer, inputs, observe)
        let middle = try normalize(sum(inputs, attended), WeightSlot(.attentionNorm, layer: layer), norm)
        try show(middle, .attentionNorm, layer, observe)
        let fed = try feedForward(layer, middle, observe)
        let result = try normalize(sum(middle, fed), WeightSlot(.feedForwardNorm, layer: layer), norm)
        try show(result, .feedForwardNorm, layer, observe)
        return result
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
            result = try linear(result, WeightSlot(.headTransform))
            try apply(transform.activation, result)
            result = try normalize(result, WeightSlot(.headNorm), transform.norm)
        }
        return try result.map(state)
    }

    func logits(_ features: [HiddenState], _ rows: Range<Int>) throws -> [HiddenState] {
        let inputs = try features.map { try matrix($0, rows: rows) }
        let result = try linear(inputs, WeightSlot(.head), bias: spec.head?.hasBias == true)
        return try result.map(state)
    }

    // MARK: Sublayers

    private func attention(
        _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        let attention = spec.block.attention
        let width = attention.headCount * attention.headDimension
        let q: [Matrix<S>]
        let k: [Matrix<S>]
        let v: [Matrix<S>]
        if attention.hasFusedProjection {
            let slices = (0..<3).map { $0 * width..<($0 + 1) * width }
            let parts = try linear(inputs, WeightSlot(.queryKeyValue, layer: layer), slices: slices)
            (q, k, v) = (parts[0], parts[1], parts[2])
        } else {
            q = try linear(inputs, WeightSlot(.query, layer: layer))
            k = try linear(inputs, WeightSlot(.key, layer: layer))
            v = try linear(inputs, WeightSlot(.value, layer: layer))
        }
        try show(q, .query, layer, observe)
        try show(k, .key, layer, observe)
        try show(v, .value, layer, observe)
        let attended = try q.indices.map { try attend(q[$0], k[$0], v[$0], attention, layer) }
        let result = try linear(attended, WeightSlot(.attentionOutput, layer: layer))
        try show(result, .attentionOutput, layer, observe)
        return result
    }

    private func feedForward(
        _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        let inner = try linear(inputs, WeightSlot(.feedForwardInput, layer: layer))
        try apply(spec.block.feedForward.activation, inner)
        try show(inner, .activation, layer, observe)
        let result = try linear(inner, WeightSlot(.feedForwardOutput, layer: layer))
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
