@_spi(_Unicode) import Swift

/// Unicode's canonical decomposition (NFD): "é" as "e" and its accent.
///
/// The Swift library has it for comparing strings, but offers it only to friends; this file is the one place that asks.
/// Foundation would offer it openly, and cost every start of the program a millisecond.
enum CanonicalDecomposition {
    static func of(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        return Array(String(text)._nfd)
    }
}
