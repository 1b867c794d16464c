import Synchronization

/// What was tried to make something go wrong: a row of the README's table, made by the tests that tried it.
///
/// A suite holds one constant and records on it every attempt that ended as it must. A run with `ASSAY_WRITE_TABLES=1`
/// puts the row with its count into the table; any other requires that the row is there and says the same, but for the
/// count, which depends on the machine.
public struct Trials: Sendable {
    /// "Faults".
    let area: String
    /// "every system call of a conversion failing, for each format".
    let attempt: String
    /// What this found that was wrong, and is mended: a sentence each. Whoever mends something adds its sentence here, where
    /// the test is that would find it again.
    let findings: [String]

    public init(_ area: String, _ attempt: String, findings: [String] = []) {
        self.area = area
        self.attempt = attempt
        self.findings = findings
    }

    private static let counts = Mutex<[String: Int]>([:])
    private static let head = "| area | what was tried | how often | found and mended |\n|---|---|---|---|\n"

    /// The row up to its count, and what stands behind it.
    private var begin: String { "| \(area) | \(attempt) | " }
    private var end: String { " | \(findings.isEmpty ? "–" : findings.joined(separator: "; ")) |" }

    /// Adds so many attempts of this run.
    ///
    /// - Throws: `Readme.MissingSection` also where the table lacks the row.
    public func record(_ count: Int) throws {
        let total = Self.counts.withLock { counts in
            counts[begin, default: 0] += count
            return counts[begin]!
        }
        let text = try Readme.section(madeBy: "Trials") { text in
            var rows = text.split(separator: "\n").dropFirst(2).map { String($0) }
            rows.removeAll { $0.hasPrefix(begin) }
            rows.append(begin + Self.grouped(total) + end)
            return Self.head + rows.sorted().joined(separator: "\n") + "\n"
        }
        guard !Readme.isWritten else { return }
        let isThere = text.split(separator: "\n").contains { $0.hasPrefix(begin) && $0.hasSuffix(end) }
        guard isThere else {
            throw Readme.MissingSection(
                description: "README.md: the table of trials lacks '\(begin)...\(end)';"
                    + " ASSAY_WRITE_TABLES=1 scripts/test writes it anew")
        }
    }

    /// "12,345".
    private static func grouped(_ count: Int) -> String {
        let digits = Array(String(count).reversed())
        let groups = stride(from: 0, to: digits.count, by: 3).map { digits[$0..<min($0 + 3, digits.count)] }
        return String(groups.joined(separator: [","]).reversed())
    }
}
