import AssayCheckpoints

/// Which taps are wanted: names with `*` for any run of characters and `?` for one, several separated by commas.
public struct TapPattern: Sendable {
    /// Longer than any list a person writes; bounds the work of matching.
    static let maximumByteCount = 4096

    private let alternatives: [NamePattern]
    public let text: String

    /// Every tap.
    public static let everything = TapPattern(text: "*", alternatives: [NamePattern("*")])

    private init(text: String, alternatives: [NamePattern]) {
        self.text = text
        self.alternatives = alternatives
    }

    /// - Throws: `UsageError` where the pattern is empty, has an empty part or is too long.
    public init(_ text: String) throws(UsageError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard text.utf8.count <= Self.maximumByteCount, parts.allSatisfy({ !$0.isEmpty }) else {
            throw UsageError(
                "taps '\(String(text.prefix(60)).escapedForDisplay)': expected names with * and ?, separated by commas, "
                    + "at most \(Self.maximumByteCount) bytes")
        }
        self.init(text: text, alternatives: parts.map { NamePattern(String($0)) })
    }

    public func matches(_ name: String) -> Bool { alternatives.contains { $0.matches(name) } }
}
