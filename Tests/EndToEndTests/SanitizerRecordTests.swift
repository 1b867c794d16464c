import AssayTestSupport
import SystemPackage
import Testing

/// What `scripts/sanitize --record` wrote down, a line a run: commit, kind, tests, seconds, whether it failed.
@Suite struct SanitizerRecord {
    private static let path = TestFiles.fixtures.removingLastComponent().appending("Tests").appending("Sanitizers")
        .appending("record.tsv")

    static let kinds: [(name: String, words: String, findings: [String])] = [
        (
            "address", "all tests, memory watched in Swift and C, undefined behaviour in C (`scripts/sanitize`)",
            [
                "biases of distances in cross attention, which only an edited specification has, were read beyond their end",
                "a diagnosis of positions looked up row -1 of a table",
            ]
        ),
        ("thread", "tests of what runs on several threads, races watched (`scripts/sanitize`)", []),
    ]

    @Test(arguments: kinds.indices) func theLastRunFoundNothing(_ index: Int) throws {
        let (kind, words, findings) = Self.kinds[index]
        let lines = String(decoding: try TestFiles.bytes(Self.path), as: UTF8.self).split(separator: "\n")
        let runs = lines.map { $0.split(separator: "\t") }.filter { $0.count == 5 && $0[1] == kind }
        let last = try #require(runs.last, "\(kind)")
        #expect(last[4] == "0")
        let count = try #require(Int(last[2]))
        #expect(count > 50)
        try Trials("Sanitizers", words, findings: findings).record(count)
    }
}
