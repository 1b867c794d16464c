import AssayCheckpoints

/// Which taps are wanted: names with `*` for any run of characters and `?` for one, several separated by commas.
public struct TapPattern: Sendable {
    /// Longer than any list a person writes; bounds the work of matching.
    static let maximumByteCount = 4096

    private let alternatives: [[UInt8]]
    public let text: String

    /// Every tap.
    public static let everything = TapPattern(text: "*", alternatives: [[UInt8(ascii: "*")]])

    private init(text: String, alternatives: [[UInt8]]) {
        self.text = text
        self.alternatives = alternatives
    }

    /// - Throws: `UsageError` where the pattern is empty, has an empty part or is too long.
    public init(_ text: String) throws(UsageError) {
        let parts = text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map(Array.init)
        guard text.utf8.count <= Self.maximumByteCount, parts.allSatisfy({ !$0.isEmpty }) else {
            throw UsageError(
                "taps '\(String(text.prefix(60)).escapedForDisplay)': expected names with * and ?, separated by commas, "
                    + "at most \(Self.maximumByteCount) bytes")
        }
        self.init(text: text, alternatives: parts)
    }

    public func matches(_ name: String) -> Bool {
        let name = Array(name.utf8)
        return alternatives.contains { Self.matches($0[...], name[...]) }
    }

    /// Greedy matching that returns to the last star only: at most pattern times name steps.
    private static func matches(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
        var p = pattern.startIndex
        var n = name.startIndex
        var retry: (pattern: Int, name: Int)?
        while n < name.endIndex {
            if p < pattern.endIndex, pattern[p] == UInt8(ascii: "*") {
                retry = (p + 1, n)
                p += 1
            } else if p < pattern.endIndex, pattern[p] == UInt8(ascii: "?") || pattern[p] == name[n] {
                p += 1
                n += 1
            } else if let last = retry {
                retry = (last.pattern, last.name + 1)
                (p, n) = (last.pattern, last.name + 1)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
