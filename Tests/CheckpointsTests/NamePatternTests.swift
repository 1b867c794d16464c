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

    @Test(arguments: [
        ("b.weights", "the 3 there are include 'a.b.weight'"), ("d.*.x", "the 3 there are include 'a.d.bias'"),
        ("zzz", "the 3 there are include 'a.b.weight', 'a.b.bias', 'a.d.bias'"),
    ])
    func thatMatchNothingAreRefusedWithTheNearestNames(_ pattern: String, _ words: String) {
        let names = ["a.b.weight", "a.b.bias", "a.d.bias"]
        let error = #expect(throws: UsageError.self) {
            try NamePattern.requireMatches(
                [NamePattern("*"), NamePattern(pattern)], among: names, option: "--x", noun: "tensor")
        }
        #expect(error?.sentence == "--x: '\(pattern)' matches no tensor; \(words)")
    }

    @Test func matchNothingWhereThereIsNothing() {
        let error = #expect(throws: UsageError.self) {
            try NamePattern.requireMatches([NamePattern("*")], among: [], option: "--x", noun: "tap")
        }
        #expect(error?.sentence == "--x: '*' matches no tap; there are none")
    }

    @Test(.timeLimit(.minutes(1))) func noPatternTakesLong() {
        let pattern = NamePattern(String(repeating: "*a", count: 500) + "b")
        #expect(!pattern.matches(String(repeating: "a", count: 5000)))
    }
}
