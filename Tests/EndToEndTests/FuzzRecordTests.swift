import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// What `scripts/fuzz --record` wrote down, a line a run: commit, target, seconds of processor time, inputs, coverage, findings.
@Suite struct FuzzRecord {
    private static let folder = TestFiles.fixtures.removingLastComponent().appending("Fuzz")

    private static let trials = Trials(
        "Fuzzing", "inputs that libFuzzer made for every parser (`Fuzz/record.tsv`)",
        findings: [
            "a storage of PyTorch that is named twice reached behind its end",
            "a list in a pickle, handed to `OrderedDict` again and again, took all memory",
            "a dataset of HDF5 lost a combining mark before its name", "chunks that are not there were walked over",
            "what a HDF5 helper says was shown unescaped", "a sparse matrix of zTensor claimed any size",
            "metadata of shards, and layouts of zTensor, took the time of their square",
        ])

    @Test func everyTargetRanWithoutAFinding() throws {
        let targets = try Self.targets()
        var lastFindings: [String: String] = [:]
        var count = 0
        for line in try Self.text(of: Self.folder.appending("record.tsv")).split(separator: "\n") {
            let fields = line.split(separator: "\t")
            try #require(fields.count == 6, "\(line)")
            count += Int(fields[3]) ?? 0
            lastFindings[String(fields[1])] = String(fields[5])
        }
        for target in targets { #expect(lastFindings[target] == "0", "\(target)") }
        try Self.trials.record(count)
    }

    /// The names in `Fuzz/Fuzzer/Targets`.
    private static func targets() throws -> [String] {
        let folder = folder.appending("Fuzzer").appending("Targets")
        let names = try SystemCall.names(in: folder).flatMap { file in
            try text(of: folder.appending(file)).matches(of: #/(?:FuzzTarget\(\s*name: |\.self, )"([a-z0-9-]+)"/#).map {
                String($0.1)
            }
        }
        #expect(names.count > 20)
        return names
    }

    private static func text(of path: FilePath) throws -> String {
        String(decoding: try TestFiles.bytes(path), as: UTF8.self)
    }
}
