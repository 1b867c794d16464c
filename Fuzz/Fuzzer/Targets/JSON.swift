import AssayCheckpoints

extension FuzzTarget {
    /// What was parsed and written is what was parsed; the canonical form of one is its own.
    static let json = FuzzTarget(
        name: "json", fixtures: ["golden/models/*/config.json", "golden/models/*/tokens.json"],
        words: ["\\u0000", "\\ud800", "\\udc00", "null", "true", "false", "1e400", "-0.0", "9223372036854775808"],
        maximumByteCount: 1024
    ) { bytes in
        do {
            let value = try JSONValue(parsing: bytes)
            let (compact, canonical) = (value.compactText, value.canonicalText)
            Judge.require(try JSONValue(parsing: Array(compact.utf8)) == value, "another value: \(compact)")
            let again = try JSONValue(parsing: Array(canonical.utf8)).canonicalText
            Judge.require(again == canonical, "another canonical form: \(canonical)")
        } catch let error as JSONError {
            Judge.require(error.offset <= bytes.count && Judge.isSentence(error.found), "\(error)")
        }
    }
}
