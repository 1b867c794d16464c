import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// The README's table of what was tried.
@Suite struct TrialsTable {
    /// A test that is gone, or says otherwise what it tries, leaves its row behind: it is to be taken out by hand.
    @Test func everyRowIsMadeByATest() throws {
        let tests = TestFiles.fixtures.removingLastComponent().appending("Tests")
        let sources = try SystemCall.tree(in: tests).map(\.name).filter { $0.hasSuffix(".swift") }.map {
            // Long texts are joined of pieces.
            String(decoding: try TestFiles.bytes(tests.pushing(FilePath($0))), as: UTF8.self)
                .replacing(#/"\s*\+\s*"/#, with: "")
        }
        let rows = try Readme.section(madeBy: "Trials") { $0 }.split(separator: "\n").dropFirst(2)
        #expect(rows.count > 30)
        for row in rows {
            let attempt = row.split(separator: " | ")[1]
            #expect(sources.contains { $0.contains(attempt) }, "\(row)")
        }
    }
}
