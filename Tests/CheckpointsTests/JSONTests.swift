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

    @Test func canonicalTextSortsByBytes() throws {
        let value = try JSONValue(parsing: Array(#"{"é":1,"z":{"b":1,"a":2},"Z":3}"#.utf8))
        #expect(value.canonicalText == #"{"Z":3,"z":{"a":2,"b":1},"é":1}"#)
    }

    @Test(arguments: [(0.1, "0.1"), (1.0, "1"), (-2.5e-9, "-2.5e-09"), (1e300, "1e+300"), (.nan, "\"NaN\"")])
    func doublesAreWrittenShortestAndReadBack(_ value: Double, _ text: String) throws {
        #expect(JSONValue(value).compactText == text)
        if value.isFinite { #expect(try JSONValue(parsing: Array(text.utf8)).double == value) }
    }
}
