import AssayCheckpoints
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The sections of the README that tests make: each stands between a comment that names its test and `<!-- end -->`.
public enum Readme {
    private static let path = TestFiles.fixtures.removingLastComponent().appending("README.md")
    private static let end = "<!-- end -->\n"
    /// Suites run side by side, and the file is one.
    private static let turn = Mutex(())

    /// Whether this run is to write the sections anew; otherwise they are compared.
    public static var isWritten: Bool { getenv("ASSAY_WRITE_TABLES") != nil }

    public struct MissingSection: Error, CustomStringConvertible {
        public let description: String
    }

    /// Takes the text of a section; where it is written, what `change` makes of it takes its place.
    ///
    /// - Parameter maker: the test that makes it, as its opening comment says.
    /// - Returns: the text as it stood.
    /// - Throws: `MissingSection` where the README has none that this test makes.
    @discardableResult
    public static func section(madeBy maker: String, _ change: (String) -> String) throws -> String {
        try turn.withLock { _ in
            let begin = "<!-- made by \(maker): ASSAY_WRITE_TABLES=1 writes it -->\n"
            let parts = String(decoding: try TestFiles.bytes(path), as: UTF8.self)
                .split(separator: begin, maxSplits: 1, omittingEmptySubsequences: false)
            let rest = parts.last!.split(separator: end, maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, rest.count == 2 else {
                throw MissingSection(description: "README.md: there is no section that \(maker) makes")
            }
            let text = String(rest[0])
            if isWritten {
                let whole = [String(parts[0]), begin, change(text), end, String(rest[1])].joined()
                try TestFiles.write(Array(whole.utf8), to: path)
            }
            return text
        }
    }
}
