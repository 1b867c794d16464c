import AssayTensors

/// A choice of feed-forwards for every token.
extension BlockEngine {
    /// Experts in ascending order, each over the tokens that chose it, one matrix in memory at a time; those that none
    /// chose are not read. A row's sum begins at zero and takes one expert after the other, as the library adds them.
    func experts(
        _ spec: ExpertsSpec, _ expert: FeedForwardSpec, _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        let logits = try linear(inputs, WeightSlot(.router, layer: layer), bias: spec.hasRouterBias)
        try show(logits, .router, layer, observe)
        let routes = try self.routes(logits, spec, layer)
        let results = try inputs.map { try zeros(like: $0) }
        for number in 0..<spec.count {
            let states = inputs.indices.filter { !routes[$0][number].isEmpty }
            guard !states.isEmpty else { continue }
            let slots = FeedForwardSlots(layer: layer, expert: number)
            let gathered = try states.map { try gather(routes[$0][number], of: inputs[$0]) }
            let outputs = try linear(inner(expert, slots, gathered), slots.output, bias: expert.hasBias)
            for (state, output) in zip(states, outputs) { add(output, routes[state][number], to: results[state]) }
        }
        guard let shared = spec.shared else { return results }
        let slots = FeedForwardSlots(sharedOf: layer)
        return try sum(results, linear(inner(shared, slots, inputs), slots.output, bias: shared.hasBias))
    }

    private func zeros(like matrix: Matrix<S>) throws -> Matrix<S> {
        let result = try Matrix<S>(rowCount: matrix.rowCount, columnCount: matrix.columnCount)
        result.pointer.update(repeating: .zero, count: matrix.rowCount * matrix.columnCount)
        return result
    }

    private func gather(_ routes: [Route], of input: Matrix<S>) throws -> Matrix<S> {
        let result = try Matrix<S>(rowCount: routes.count, columnCount: input.columnCount)
        for (place, route) in routes.enumerated() {
            result.row(place).update(from: input.row(route.row), count: input.columnCount)
        }
        return result
    }

    /// Adds the weighted rows of one expert, each to another row.
    private func add(_ output: Matrix<S>, _ routes: [Route], to result: Matrix<S>) {
        let columns = output.columnCount
        forEachRows(of: output) { rows in
            for place in rows {
                let sum = result.row(routes[place].row)
                S.scale(kernels, output.row(place), routes[place].weight, columns)
                roundRows(of: output, place..<place + 1)
                S.add(kernels, sum, output.row(place), sum, columns)
                if roundsToFloat32 { S.roundToFloat32(kernels, sum, columns) }
            }
        }
    }
}

/// A token that an expert works on, and what its result is multiplied by.
struct Route: Sendable, Equatable {
    var row: Int
    var weight: Double
}

extension BlockEngine {
    /// For every state and every expert the rows that chose it, ascending.
    private func routes(_ logits: [Matrix<S>], _ spec: ExpertsSpec, _ layer: Int) throws -> [[[Route]]] {
        let correction =
            spec.hasCorrection ? try vector(WeightSlot(.routerCorrection, layer: layer)).widened : nil
        let router = Router(spec: spec, correction: correction, isRounded: S.precision == .float32 || roundsToFloat32)
        return try logits.map { logits in
            let scores = try self.scores(logits, spec)
            var routes = [[Route]](repeating: [], count: spec.count)
            for row in 0..<logits.rowCount {
                let chosen = router.choose(numbers(scores, row))
                let weights = try self.weights(of: chosen, scores, row, router)
                for (expert, weight) in zip(chosen, weights) { routes[expert].append(Route(row: row, weight: weight)) }
            }
            return routes
        }
    }

    /// What experts are chosen by.
    private func scores(_ logits: Matrix<S>, _ spec: ExpertsSpec) throws -> Matrix<S> {
        let (rows, columns) = (logits.rowCount, logits.columnCount)
        if spec.scoring == .softmaxOfChosen { return logits }
        let result = try Matrix<S>(rowCount: rows, columnCount: columns)
        if spec.scoring == .softmax {
            S.softmax(kernels, logits.pointer, result.pointer, rows, columns)
        } else {
            S.sigmoid(kernels, logits.pointer, result.pointer, rows * columns)
        }
        roundRows(of: result, 0..<rows)
        return result
    }

    private func weights(of chosen: [Int], _ scores: Matrix<S>, _ row: Int, _ router: Router) throws -> [Double] {
        guard router.spec.scoring == .softmaxOfChosen else {
            let all = numbers(scores, row)
            return router.weights(chosen.map { all[$0] })
        }
        let own = try Matrix<S>(rowCount: 1, columnCount: chosen.count)
        for (place, expert) in chosen.enumerated() { own.pointer[place] = scores.row(row)[expert] }
        S.softmax(kernels, own.pointer, own.pointer, 1, chosen.count)
        roundRows(of: own, 0..<1)
        return router.weights(numbers(own, 0))
    }

    /// A row in float64, exactly.
    private func numbers(_ matrix: Matrix<S>, _ row: Int) -> [Double] {
        (0..<matrix.columnCount).map { S.double(matrix.row(row)[$0]) }
    }
}

/// The choice among experts.
struct Router: Sendable {
    let spec: ExpertsSpec
    /// What is added to scores for the choice alone.
    var correction: [Double]?
    /// Whether every operation's result is one of float32.
    var isRounded: Bool

    /// The experts of a token, ascending.
    func choose(_ scores: [Double]) -> [Int] {
        let scores = correction.map { zip(scores, $0).map { rounded($0 + $1) } } ?? scores
        guard let groups = spec.groups else { return Self.greatest(spec.chosenCount, of: scores) }
        let size = spec.count / groups.count
        let members = (0..<groups.count).map { $0 * size..<($0 + 1) * size }
        let sums = members.map { members in
            let own = members.map { scores[$0] }
            return Self.greatest(groups.bestCount, of: own).map { own[$0] }.reduce(0) { rounded($0 + $1) }
        }
        let candidates = Self.greatest(groups.chosenCount, of: sums).flatMap { Array(members[$0]) }
        return Self.greatest(spec.chosenCount, of: candidates.map { scores[$0] }).map { candidates[$0] }
    }

    /// What the results of the chosen are multiplied by.
    func weights(_ scores: [Double]) -> [Double] {
        var weights = scores
        if spec.isNormalized {
            let sum = rounded(rounded(weights.reduce(0, +)) + spec.divisorOffset)
            weights = weights.map { rounded($0 / sum) }
        }
        guard let scale = spec.weightScale else { return weights }
        return weights.map { rounded($0 * rounded(scale)) }
    }

    private func rounded(_ value: Double) -> Double { isRounded ? Double(Float(value)) : value }

    /// The places of the greatest numbers, ascending; of equal ones the first. What is not a number is above all.
    static func greatest(_ count: Int, of numbers: [Double]) -> [Int] {
        let order = numbers.indices.sorted { a, b in
            let (x, y) = (numbers[a].isNaN ? .infinity : numbers[a], numbers[b].isNaN ? .infinity : numbers[b])
            return x == y ? a < b : x > y
        }
        return order.prefix(count).sorted()
    }
}
