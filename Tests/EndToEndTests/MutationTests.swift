import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// A few of the damaged files of `AssayFormatsTests`, and of their kind, through every command of the real binary.
@Suite struct DamagedFiles {
    /// Each of them is five processes, and as many more for HDF5.
    private static let count = 6
    private static let trials = Trials("Damage", "damaged copies through five commands, in 120 MB and one second each")

    @Test(arguments: DamagedFormat.all.map(\.format)) func everyCommandEndsOrderly(_ format: String) throws {
        let base = DamagedFormat.all.first { $0.format == format }!
        var mutations = try DamagedCopies(of: base.bytes(), seed: 2)
        let folder = try TemporaryFolder()
        for number in 0..<Self.count {
            let (bytes, index) = mutations.next()
            let path = try folder.write("\(number)-\(base.name(of: index))", bytes)
            try EveryCommand.mustEndOrderly(path)
        }
        try Self.trials.record(Self.count)
    }
}
