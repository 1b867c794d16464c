import AssayCheckpoints

@testable import AssayFormats

extension FuzzTarget {
    /// As a file is opened whose format nobody named: the first that recognizes it.
    static let anyFormat = FuzzTarget(
        name: "any-format", fixtures: ["golden/*/*"]
    ) { bytes in
        let file = MemoryFile.holding(bytes)
        for format in FormatRegistry.all where try format.recognizes(file) {
            guard format != HDF5.self else { return }
            return try Reading.everything(of: format.open(file, ReadingOptions()))
        }
        Judge.require(try Judge.isSentence(ForeignContent.describe(file)), "description")
    }
}
