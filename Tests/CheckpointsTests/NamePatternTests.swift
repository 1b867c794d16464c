import AssayCheckpoints
import Testing

@Suite struct NamePatternTests {
    @Test(arguments: [
        ("*", "", true), ("", "", true), ("", "a", false), ("a", "a", true), ("a*", "abc", true), ("*c", "abc", true),
        ("a*c", "abbc", true), ("a*c", "abcd", false), ("?", "é", true), ("??", "é", false),
        ("*.weight", "h.0.weight", true),
        ("h.*.attn.*", "h.3.attn.c_attn.bias", true), ("h.?.attn", "h.10.attn", false), ("**", "x", true),
        ("[a]", "[a]", true), ("*?é", "éé", true), ("*??é", "éé", false), ("*??bc", "ébc", false), ("é*", "é", true),
        ("*é", "aé", true), ("a*a", "a", false), ("a*?", "aé", true), ("?é?", "aéb", true),
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
            try NamePatterns([NamePattern("*"), NamePattern(pattern)]).requireMatches(
                among: names, option: "--x", noun: "tensor")
        }
        #expect(error?.sentence == "--x: '\(pattern)' matches no tensor; \(words)")
    }

    @Test func matchNothingWhereThereIsNothing() {
        let error = #expect(throws: UsageError.self) {
            try NamePatterns([NamePattern("*")]).requireMatches(among: [], option: "--x", noun: "tap")
        }
        #expect(error?.sentence == "--x: '*' matches no tap; there are none")
    }

    /// Whichever ends they are filed under, the first of those that match is found.
    @Test func severalAreTriedInOrder() {
        let patterns: NamePatterns = [
            NamePattern("a.b"), NamePattern("a.*"), NamePattern("*.c"), NamePattern("a.?"), NamePattern("*"),
        ]
        let expected = ["a.b": "a.b", "a.c": "a.*", "b.c": "*.c", "": "*", "a": "*", "é": "*"]
        for (name, pattern) in expected { #expect(patterns.first(matching: name)?.description == pattern) }
        let few: NamePatterns = [NamePattern("abc*"), NamePattern("*abc"), NamePattern("ab?")]
        for name in ["", "a", "abd.", "xab"] { #expect(few.first(matching: name) == nil) }
        #expect(few.first(matching: "abcabc")?.description == "abc*")
        #expect(few.first(matching: "xabc")?.description == "*abc")
        #expect(NamePatterns([]).first(matching: "a") == nil)
    }

    /// Half a million pairs of names and patterns take no longer than those that may match.
    @Test(.timeLimit(.minutes(1))) func manyPatternsOfManyNamesTakeNoLonger() throws {
        let names = (0..<20_000).map { "model.layers.\($0).weight" }
        let texts = ["*", ""].flatMap { end in names.map { end.isEmpty ? $0 : String($0.dropLast()) + end } }
        let patterns = NamePatterns(texts.map { NamePattern($0) })
        try patterns.requireMatches(among: names, option: "--x", noun: "tensor")
        for name in names { #expect(patterns.first(matching: name) != nil) }
    }

    @Test(.timeLimit(.minutes(1))) func noPatternTakesLong() {
        let pattern = NamePattern(String(repeating: "*a", count: 500) + "b")
        #expect(!pattern.matches(String(repeating: "a", count: 5000)))
    }
}
