import AssayCheckpoints
import Testing

@Suite struct NamePatterns {
    @Test(arguments: [
        ("*", "", true), ("", "", true), ("", "a", false), ("a", "a", true), ("a*", "abc", true), ("*c", "abc", true),
        ("a*c", "abbc", true), ("a*c", "abcd", false), ("?", "é", true), ("??", "é", false),
        ("*.weight", "h.0.weight", true),
        ("h.*.attn.*", "h.3.attn.c_attn.bias", true), ("h.?.attn", "h.10.attn", false), ("**", "x", true),
        ("[a]", "[a]", true),
    ])
    func match(_ pattern: String, _ name: String, _ expected: Bool) {
        #expect(NamePattern(pattern).matches(name) == expected)
    }

    @Test(.timeLimit(.minutes(1))) func noPatternTakesLong() {
        let pattern = NamePattern(String(repeating: "*a", count: 500) + "b")
        #expect(!pattern.matches(String(repeating: "a", count: 5000)))
    }
}
