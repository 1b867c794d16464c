import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// What `scripts/fuzz --record` wrote down, a line a run: commit, target, seconds of processor time, inputs, coverage, findings.
@Suite struct FuzzRecord {
    private static let folder = TestFiles.fixtures.removingLastComponent().appending("Fuzz")

    @Test func everyTargetRanWithoutAFinding() throws {
        let targets = try Self.targets()
        var lastFindings: [String: Int] = [:]
        var findings: [String: Int] = [:]
        var count = 0
        for line in try Self.text(of: Self.folder.appending("record.tsv")).split(separator: "\n") {
            let fields = line.split(separator: "\t")
            try #require(fields.count == 6, "\(line)")
            let (target, found) = (String(fields[1]), try #require(Int(fields[5])))
            count += Int(fields[3]) ?? 0
            lastFindings[target] = found
            findings[target, default: 0] += found
        }
        for target in targets { #expect(lastFindings[target] == 0, "\(target)") }
        try Trials(
            "Fuzzing", "inputs that libFuzzer made for every parser (`Fuzz/record.tsv`)",
            findings: findings.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map {
                "\($0.value == 1 ? "one" : "\($0.value)") in \($0.key)"
            }
        ).record(count)
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
