import AssayCheckpoints
import Testing

@Suite struct JSON {
    @Test(arguments: [
        ("null", "null"), (" true\n", "true"), ("[ ]", "[]"), ("{}", "{}"), ("-0", "-0"), ("1.50e+3", "1.50e+3"),
        (#"{"b":[1,{"a":null}],"a":"x"}"#, #"{"b":[1,{"a":null}],"a":"x"}"#),
        (#""\u00e9\ud83d\ude00\n\/\\""#, "\"é😀\\n/\\\\\""), (#""\u0001""#, #""\u0001""#),
    ])
    func isReadAndWritten(_ text: String, _ written: String) throws {
        #expect(try JSONValue(parsing: Array(text.utf8)).compactText == written)
    }

    @Test(arguments: [
        ("", 0), ("nul", 0), ("[1,]", 3), ("{\"a\":1,}", 7), ("{'a':1}", 1), ("[1 2]", 3), ("01", 1), ("1.", 2),
        (".5", 0),
        ("+1", 0), ("1e", 2), ("NaN", 0), ("Infinity", 0), ("\"a", 2), ("\"\t\"", 1), ("\"\\x\"", 2),
        ("\"\\u12g4\"", 5),
        ("\"\\udc00\"", 1), ("\"\\ud800x\"", 1), ("[] []", 3), ("{\"a\":1,\"a\":2}", 7), ("/**/1", 0), ("\u{FEFF}1", 0),
    ])
    func whatIsNotJSONIsRefusedWhereItStandsWrong(_ text: String, _ offset: Int) {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text.utf8)) }
        #expect(error?.offset == offset)
    }

    @Test func invalidUTF8IsRefusedAtItsByte() {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0x61, 0xC3, 0x28, 0x22]) }
        #expect(error?.offset == 2)
        #expect(error?.expected == "UTF-8")
    }

    @Test func depthIsBounded() throws {
        let deep = { (depth: Int) in
            Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
        }
        _ = try JSONValue(parsing: deep(JSONScanner.maximumDepth))
        #expect(throws: JSONError.self) { try JSONValue(parsing: deep(JSONScanner.maximumDepth + 1)) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: deep(100_000)) }
    }

    @Test(arguments: [("9223372036854775807", Int.max), ("-9223372036854775808", Int.min)])
    func integersKeepAllTheirBits(_ text: String, _ value: Int) throws {
        #expect(try JSONValue(parsing: Array(text.utf8)).int == value)
    }

    @Test func numbersOutOfRangeAreNoNumbers() throws {
        #expect(try JSONValue(parsing: Array("9223372036854775808".utf8)).int == nil)
        #expect(try JSONValue(parsing: Array("1e400".utf8)).double == nil)
        #expect(try JSONValue(parsing: Array("12.0".utf8)).int == nil)
    }

    /// Only where Python's are asked for, and with their text.
    @Test(arguments: ["NaN", "Infinity", "-Infinity"]) func pythonsNumbersKeepTheirText(_ word: String) throws {
        let text = Array("[0.0, \(word)]".utf8)
        #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
        let value = try JSONValue(parsing: text, in: "config.json", asPython: true)
        #expect(value.compactText == "[0.0,\(word)]")
        #expect(value.array?[1].int == nil && value.array?[1].double == nil && value.array?[1].string == nil)
        for wrong in ["\(word)x", "+\(word)", word.lowercased(), String(word.dropLast())] {
            #expect(throws: CheckpointError.self, "\(wrong)") {
                try JSONValue(parsing: Array("[\(wrong)]".utf8), in: "config.json", asPython: true)
            }
        }
    }

    @Test func canonicalTextSortsMembers() throws {
        let value = try JSONValue(parsing: Array(#"{"é":1,"z":{"b":1,"a":2},"Z":3}"#.utf8))
        #expect(value.canonicalText == #"{"Z":3,"z":{"a":2,"b":1},"é":1}"#)
    }

    /// The examples of RFC 8785, 3.2.2 and 3.2.3.
    @Test(arguments: [
        (
            #"""
            {
              "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
              "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
              "literals": [null, true, false]
            }
            """#,
            #"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#
                + #""string":"€$\u000f\nA'B\"\\\\\"/"}"#
        ),
        (
            #"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#,
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}"
        ),
        ("[18446744073709551615, 18446744073709551616]", "[18446744073709551615,18446744073709552000]"),
        ("[1.0, -0, 100e-2, 12345678901234567890, 9007199254740993]", "[1,0,1,12345678901234567890,9007199254740993]"),
    ])
    func canonicalTextIsThatOfRFC8785(_ text: String, _ canonical: String) throws {
        #expect(try JSONValue(parsing: Array(text.utf8)).canonicalText == canonical)
    }

    /// RFC 8785, appendix B.
    @Test(
        arguments: [
            (0x0000_0000_0000_0001, "5e-324"), (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"), (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"), (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"), (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"), (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"), (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"), (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5557, "333333333.33333343"), (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] as [(UInt64, String)])
    func doublesAreSpelledAsInRFC8785(_ bits: UInt64, _ text: String) {
        #expect(JSONValue(Double(bitPattern: bits)).canonicalText == text)
    }

    @Test(arguments: [(0.1, "0.1"), (1.0, "1"), (-2.5e-9, "-2.5e-09"), (1e300, "1e+300"), (.nan, "\"NaN\"")])
    func doublesAreWrittenShortestAndReadBack(_ value: Double, _ text: String) throws {
        #expect(JSONValue(value).compactText == text)
        if value.isFinite { #expect(try JSONValue(parsing: Array(text.utf8)).double == value) }
    }
}
