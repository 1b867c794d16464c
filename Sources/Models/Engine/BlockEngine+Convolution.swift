import AssayTensors

/// Convolutions as products: what a window sees becomes a row, and the weight's matrix, [outputs, channels · window], is that
/// of a linear layer.
extension BlockEngine {
    /// The vectors of all positions, [batch · time, hidden].
    func vectors(of spec: FeatureSpec) throws -> Matrix<S> {
        guard let features = tokens.features else { preconditionFailure("the input was checked, but has no numbers") }
        var volume = try Volume(matrix: numbers(features), channelsFirst: spec.channelCount, extents: spec.extents)
        for (module, convolution) in zip(FeatureSpec.modules, spec.convolutions) {
            let windows = try self.windows(of: volume, convolution)
            let result = try linear([windows], WeightSlot(module), bias: convolution.hasBias)
            if let activation = convolution.activation { try apply(activation, result) }
            volume = Volume(channelsLast: result[0], extents: convolution.extents(of: volume.extents))
        }
        return spec.hasClassVector ? try withClassVector(volume.matrix) : volume.matrix
    }

    /// Numbers of a batch, a number for every channel and place.
    private struct Volume {
        let matrix: Matrix<S>
        let extents: [Int]
        let channelCount: Int
        /// From a number to that of the next channel, and to that of the next place.
        let channelStride: Int
        let placeStride: Int

        var placeCount: Int { extents.reduce(1, *) }

        /// - Parameter matrix: a row an input, channel after channel.
        init(matrix: Matrix<S>, channelsFirst channelCount: Int, extents: [Int]) {
            self.matrix = matrix
            self.extents = extents
            self.channelCount = channelCount
            (channelStride, placeStride) = (extents.reduce(1, *), 1)
        }

        /// - Parameter matrix: a row a place.
        init(channelsLast matrix: Matrix<S>, extents: [Int]) {
            self.matrix = matrix
            self.extents = extents
            channelCount = matrix.columnCount
            (channelStride, placeStride) = (1, matrix.columnCount)
        }

        /// The first number of an input.
        func input(_ index: Int) -> UnsafeMutablePointer<S> { matrix.pointer + index * channelCount * placeCount }
    }

    private func numbers(_ features: InputFeatures) throws -> Matrix<S> {
        let columns = features.shape.dropFirst().reduce(1, *)
        func state(_ values: LentNumbers) throws -> HiddenState {
            try HiddenState(rowCount: features.batchCount, featureCount: columns, copying: values)
        }
        switch features.numbers {
        case .float32(let values): return try matrix(values.withUnsafeBufferPointer { try state(.float32($0)) })
        case .float64(let values): return try matrix(values.withUnsafeBufferPointer { try state(.float64($0)) })
        }
    }

    /// A row for every place of the window: channel after channel what it sees of it, zeros outside.
    private func windows(of volume: Volume, _ convolution: ConvolutionSpec) throws -> Matrix<S> {
        let outer = convolution.extents(of: volume.extents)
        let window = convolution.kernel.reduce(1, *)
        let placeCount = outer.reduce(1, *)
        let result = try Matrix<S>(
            rowCount: sequences.count * placeCount, columnCount: volume.channelCount * window)
        let places = Self.places(of: volume.extents, convolution)
        forEachRows(of: result) { rows in
            for row in rows {
                let (input, to) = (volume.input(row / placeCount), result.row(row))
                let seen = places[row % placeCount]
                for channel in 0..<volume.channelCount {
                    for (offset, place) in seen.enumerated() {
                        to[channel * window + offset] =
                            place.map { input[channel * volume.channelStride + $0 * volume.placeStride] } ?? S.zero
                    }
                }
            }
        }
        return result
    }

    /// For every place of the window the places that it sees, row by row; nil for those outside.
    private static func places(of extents: [Int], _ convolution: ConvolutionSpec) -> [[Int?]] {
        indices(within: convolution.extents(of: extents)).map { origin in
            indices(within: convolution.kernel).map { offset in
                extents.indices.reduce(0) { place, axis -> Int? in
                    let index = origin[axis] * convolution.stride[axis] + offset[axis] - convolution.padding[axis]
                    guard let place, (0..<extents[axis]).contains(index) else { return nil }
                    return place * extents[axis] + index
                }
            }
        }
    }

    /// All indices within extents, the last axis fastest.
    private static func indices(within extents: [Int]) -> [[Int]] {
        extents.reduce([[]]) { all, extent in all.flatMap { index in (0..<extent).map { index + [$0] } } }
    }

    /// The vector of the class before every sequence.
    private func withClassVector(_ vectors: Matrix<S>) throws -> Matrix<S> {
        let length = vectors.rowCount / sequences.count
        let width = vectors.columnCount
        let values = try vector(WeightSlot(.classVector)).widened
        let result = try Matrix<S>(rowCount: sequences.count * (length + 1), columnCount: width)
        for sequence in 0..<sequences.count {
            let first = result.row(sequence * (length + 1))
            S.take(kernels, values, first, width)
            (first + width).update(from: vectors.row(sequence * length), count: length * width)
        }
        return result
    }
}
