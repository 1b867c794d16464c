import AssayCheckpoints

/// Which taps are wanted: names with `*` for any run of characters and `?` for one, several separated by commas.
public struct TapPattern: Sendable {
    /// Longer than any list a person writes; bounds the work of matching.
    static let maximumByteCount = 4096

    private let alternatives: [NamePattern]

    /// Every tap.
    public static let everything = TapPattern(alternatives: [NamePattern("*")])

    /// Whether it matches whatever there is.
    public var isEverything: Bool { alternatives.contains(NamePattern("*")) }

    private init(alternatives: [NamePattern]) {
        self.alternatives = alternatives
    }

    /// Several patterns, of which a tap needs to match one; nil where there is none.
    ///
    /// - Throws: As for one.
    public init?(joining texts: [String]) throws(UsageError) {
        guard !texts.isEmpty else { return nil }
        try self.init(texts.joined(separator: ","))
    }

    /// - Throws: `UsageError` where the pattern is empty, has an empty part or is too long.
    public init(_ text: String) throws(UsageError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard text.utf8.count <= Self.maximumByteCount, parts.allSatisfy({ !$0.isEmpty }) else {
            throw UsageError(
                "taps '\(String(text.prefix(60)).escapedForDisplay)': expected names with * and ?, separated by commas, "
                    + "at most \(Self.maximumByteCount) bytes")
        }
        self.init(alternatives: parts.map { NamePattern(String($0)) })
    }

    /// Requires that each of its parts matches a tap.
    ///
    /// - Throws: `UsageError` with the part and the taps nearest to it.
    public func requireMatches(among names: [String]) throws(UsageError) {
        try NamePatterns(alternatives).requireMatches(among: names, option: "--taps", noun: "tap")
    }

    public func matches(_ name: String) -> Bool { alternatives.contains { $0.matches(name) } }
}
