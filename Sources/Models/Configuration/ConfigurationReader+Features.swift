import AssayCheckpoints

/// What models that read images or sound have in common.
extension ConfigurationReader {
    /// Patches of an image, one a position, behind a vector of the class.
    ///
    /// - Parameters:
    ///   - imageSize: [height, width]
    ///   - patchSize: [height, width], no larger.
    mutating func patches(
        imageSize: [Int], patchSize: [Int], outputCount: Int, hasBias: Bool = true
    ) throws(StructureError) -> FeatureSpec {
        guard zip(patchSize, imageSize).allSatisfy({ $0 <= $1 }) else {
            throw error("patch_size", expected: "at most image_size \(imageSize)", found: "\(patchSize)")
        }
        guard imageSize.allSatisfy({ $0 <= Self.largestImageSize }) else {
            throw error("image_size", expected: "at most \(Self.largestImageSize)", found: "\(imageSize)")
        }
        return FeatureSpec(
            .pixels, channelCount: try optionalSize("num_channels") ?? 3, extents: imageSize,
            convolutions: [.patches(patchSize, outputCount: outputCount, hasBias: hasBias)], hasClassVector: true)
    }

    /// Larger than any model reads, small enough that nothing overflows.
    private static let largestImageSize = 1 << 16

    /// Height and width: one number for both, or a list of two.
    mutating func extents(_ key: String, default fallback: Int) throws(StructureError) -> [Int] {
        guard isList(key) else {
            let size = try optionalSize(key) ?? fallback
            return [size, size]
        }
        let sizes = try wholeNumbers(key) ?? []
        guard sizes.count == 2, sizes.allSatisfy({ (1...Self.largestSize).contains($0) }) else {
            throw error(key, expected: "a size, or a list of height and width", found: shown(key))
        }
        return sizes
    }

    /// Classes of a classifier: as many as are named, 2 where none are.
    mutating func labelCount() throws(StructureError) -> Int {
        let count = try optionalSize("num_labels")
        guard let named = try object("id2label")?.count else { return count ?? 2 }
        guard named > 0, count == nil || count == named else {
            throw error(
                "id2label", expected: count.map { "\($0) labels as in num_labels" } ?? "a label", found: "\(named)")
        }
        return named
    }
}
