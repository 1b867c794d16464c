import AssayCheckpoints
import AssayTestSupport
import Testing

@testable import AssayFormats

/// A broken file, the words its refusal must say, and the nearest file that is accepted.
struct SafetensorsRejection: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var bytes: [UInt8]
    var words: [String]
    var twin: [UInt8]

    init(_ name: String, _ bytes: [UInt8], _ words: [String], twin: [UInt8]) {
        testDescription = name
        self.bytes = bytes
        self.words = words
        self.twin = twin
    }
}

private typealias Bytes = SafetensorsBytes
private let good = Bytes.file(Bytes.entry(), data: Bytes.zeros(8))
private let two =
    #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#
private let goodTwo = Bytes.file(two, data: Bytes.zeros(8))
private let empty = Bytes.file("{}")

/// The header of `good` with something replaced.
private func altered(_ old: String, _ new: String, data: Int = 8) -> [UInt8] {
    let header = Bytes.entry()
    let range = header.firstRange(of: old)!
    return Bytes.file(header.replacingCharacters(in: range, with: new), data: Bytes.zeros(data))
}

extension String {
    fileprivate func firstRange(of part: String) -> Range<String.Index>? {
        indices.first { self[$0...].hasPrefix(part) }.map { $0..<index($0, offsetBy: part.count) }
    }
    fileprivate func replacingCharacters(in range: Range<String.Index>, with new: String) -> String {
        String(self[..<range.lowerBound]) + new + String(self[range.upperBound...])
    }
}

private let rejections: [SafetensorsRejection] =
    (1..<8).map { count in
        SafetensorsRejection(
            "S01 file of \(count) bytes", Array(good.prefix(count)),
            ["byte 0", "8 bytes of header length", "a file of \(count) byte"],
            twin: good)
    } + [
        .init(
            "S02 length 2^64-1", Bytes.file(Array("{}".utf8), length: .max), ["byte 0", "at most 100000000"],
            twin: empty),
        .init(
            "S02 length 2^63", Bytes.file(Array("{}".utf8), length: 1 << 63), ["byte 0", "9223372036854775808"],
            twin: empty),
        .init(
            "S02 length one too many", Bytes.file(Array("{}".utf8), length: 3), ["ends inside the file", "3"],
            twin: empty),
        .init("S04 length 0", Bytes.file([]), ["at least 2 bytes"], twin: empty),
        .init("S04 length 1", Bytes.file("{"), ["at least 2 bytes"], twin: empty),
        .init("S04 a list", Bytes.file("[]"), ["begins with '{'", "0x5b"], twin: empty),
        .init("S04 null", Bytes.file("null"), ["begins with '{'"], twin: empty),
        .init("S04 a string", Bytes.file("\"xx\""), ["begins with '{'"], twin: empty),
        .init("S05 leading space", Bytes.file(" {}"), ["begins with '{'", "0x20"], twin: Bytes.file("{}   ")),
        .init(
            "S05 byte order mark", Bytes.file([0xEF, 0xBB, 0xBF] + Array("{}".utf8)), ["begins with '{'", "0xef"],
            twin: empty),
        .init("S05 UTF-16", Bytes.file([0x7B, 0, 0x7D, 0]), ["byte 9"], twin: empty),
        .init(
            "S06 invalid UTF-8", Bytes.file(Array("{\"".utf8) + [0xFF] + Array("\":1}".utf8)), ["byte 10", "UTF-8"],
            twin: Bytes.file(#"{"é":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)),
        .init(
            "S06 lone surrogate", Bytes.file(#"{"\ud800":1}"#), ["byte 10", "surrogates", "d800"],
            twin: Bytes.file(#"{"\ud83d\ude00":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)),
        .init(
            "S07 nested 100,000 deep",
            Bytes.file("{\"a\":{\"shape\":" + String(repeating: "[", count: 100_000) + "}"), ["an integer"], twin: good),
        .init("S08 trailing comma", Bytes.file("{\"a\":1,}"), ["an object"], twin: empty),
        .init("S08 trailing comma in a tensor", altered("[0,8]", "[0,8],"), ["a key in quotes"], twin: good),
        .init("S08 comment", Bytes.file("{/* */}"), ["a key in quotes"], twin: empty),
        .init("S08 NaN", altered("[2]", "NaN"), ["an array"], twin: good),
        .init(
            "S08 text behind the brace", Bytes.file("{} x"), ["the end of the text", "'x'"], twin: Bytes.file("{}  ")),
        .init(
            "S09 the same name twice",
            Bytes.file(
                #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[2,2],"data_offsets":[4,8]}}"#,
                data: Bytes.zeros(8)), ["tensor 'a'", "once", "second time"], twin: goodTwo),
        .init(
            "S10 metadata with a number", Bytes.file(#"{"__metadata__":{"a":1}}"#), ["a string"],
            twin: Bytes.file(#"{"__metadata__":{"a":"1"}}"#)),
        .init("S10 metadata with a list", Bytes.file(#"{"__metadata__":{"a":[]}}"#), ["a string"], twin: empty),
        .init("S10 metadata is a list", Bytes.file(#"{"__metadata__":[]}"#), ["an object"], twin: empty),
        .init("S10 metadata twice", Bytes.file(#"{"__metadata__":{},"__metadata__":{}}"#), ["once"], twin: empty),
        .init("S11 unknown dtype", altered("F32", "F7"), ["tensor 'a'", "F32", "BF16", "'F7'"], twin: good),
        .init("S11 dtype is a number", altered(#""F32""#, "7"), ["a string"], twin: good),
        .init(
            "S11 dtype missing", Bytes.file(#"{"a":{"shape":[2],"data_offsets":[0,8]}}"#, data: Bytes.zeros(8)),
            ["no dtype"], twin: good),
        .init(
            "S11 dtype twice", altered(#""dtype":"F32""#, #""dtype":"F32","dtype":"F32""#), ["'dtype' once"], twin: good
        ),
        .init("S11 unknown dtype, and offsets wrong", altered("F32", "F7", data: 2), ["F7"], twin: good),
        .init("S12 one offset", altered("[0,8]", "[0]"), ["[begin, end]", "1 numbers"], twin: good),
        .init("S12 three offsets", altered("[0,8]", "[0,4,8]"), ["[begin, end]", "3 numbers"], twin: good),
        .init("S12 reversed", altered("[0,8]", "[8,0]"), ["begin before they end"], twin: good),
        .init("S12 negative", altered("[0,8]", "[-8,0]"), ["not negative"], twin: good),
        .init("S12 fractional", altered("[0,8]", "[0,8.0]"), ["integer", "8.0"], twin: good),
        .init("S12 exponent", altered("[0,8]", "[0,8e0]"), ["integer", "8e0"], twin: good),
        .init("S12 negative zero", altered("[0,8]", "[-0,8]"), ["not negative", "-0"], twin: good),
        .init("S12 2^64", altered("[0,8]", "[0,18446744073709551616]"), ["integer of 64 bits"], twin: good),
        .init("S12 negative dimension", altered("[2]", "[-2]"), ["not negative"], twin: good),
        .init("S12 dimension in quotes", altered("[2]", "[\"2\"]"), ["an integer"], twin: good),
        .init("S13 one byte short", Array(good.dropLast()), ["1 byte less"], twin: good),
        .init(
            "S14 overlap of one byte",
            Bytes.file(two.replacingCharacters(in: two.firstRange(of: "[4,8]")!, with: "[3,7]"), data: Bytes.zeros(7)),
            ["tensor 'b'", "'a' ends", "overlap"], twin: goodTwo),
        .init(
            "S14 identical ranges",
            Bytes.file(two.replacingCharacters(in: two.firstRange(of: "[4,8]")!, with: "[0,4]"), data: Bytes.zeros(4)),
            ["'a'", "'b'", "overlap"], twin: goodTwo),
        .init(
            "S15 hole of one byte",
            Bytes.file(two.replacingCharacters(in: two.firstRange(of: "[4,8]")!, with: "[5,9]"), data: Bytes.zeros(9)),
            ["tensor 'b'", "a hole of 1 byte that belongs to no tensor"], twin: goodTwo),
        .init("S15 bytes behind the last tensor", good + [0], ["1 byte more", "truncate -s -1"], twin: good),
        .init(
            "S16 shape larger than its bytes", altered("[2]", "[1000,1000]"), ["span 4000000 bytes", "8"], twin: good),
        .init("S17 product 2^66", altered("[2]", "[8589934592,8589934592]"), ["63 bits"], twin: good),
        .init("S17 2^63 - 1 elements", altered("[2]", "[9223372036854775807]"), ["fits 63 bits"], twin: good),
        .init(
            "S17 overflow beside a zero", altered("[2]", "[0,9223372036854775807,9223372036854775807]"), ["63 bits"],
            twin: Bytes.file(Bytes.entry("F32", "[0,3,4]", "[0,0]"))),
        .init(
            "S17 70,000 dimensions",
            altered("[2]", "[" + Array(repeating: "1", count: 70_000).joined(separator: ",") + "]"),
            ["at most 64 dimensions", "70000"], twin: good),
        .init(
            "S20 odd number of F4", Bytes.file(Bytes.entry("F4", "[3]", "[0,2]"), data: Bytes.zeros(2)),
            ["whole bytes"],
            twin: Bytes.file(Bytes.entry("F4", "[4]", "[0,2]"), data: Bytes.zeros(2))),
        .init(
            "S20 three F6", Bytes.file(Bytes.entry("F6_E2M3", "[3]", "[0,3]"), data: Bytes.zeros(3)), ["whole bytes"],
            twin: Bytes.file(Bytes.entry("F6_E3M2", "[4]", "[0,3]"), data: Bytes.zeros(3))),
        .init(
            "S23 a Git LFS pointer",
            Array("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n".utf8),
            ["Git LFS pointer", "git lfs pull"],
            twin: good),
        .init("S23 an HTML page", Array("<!DOCTYPE html><html></html>".utf8), ["HTML page", "download"], twin: good),
        .init("an empty file", [], ["an empty file"], twin: good),
        .init("a text file", Array("hello, this is a text\n".utf8), ["a text file"], twin: good),
    ]

@Suite struct SafetensorsRejections {
    @Test(arguments: rejections) func brokenFileIsRefusedInOneSentence(_ rejection: SafetensorsRejection) throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("broken.safetensors", rejection.bytes)
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(file) }
        let sentence = error?.description ?? ""
        #expect(sentence.hasPrefix(file.string), "\(sentence)")
        #expect(!sentence.contains("\n"))
        for word in rejection.words { #expect(sentence.contains(word), "\(sentence)") }
        let twin = try folder.write("good.safetensors", rejection.twin)
        try EveryCommand.mustRefuse(file, words: rejection.words, twin: twin)
    }

    @Test(arguments: rejections) func itsNearestNeighbourIsAccepted(_ rejection: SafetensorsRejection) throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("good.safetensors", rejection.twin)
        _ = try Checkpoint.open(file)
    }

    @Test func everyCommandTakesTheNeighbours() throws {
        let folder = try TemporaryFolder()
        for bytes in Set(rejections.map(\.twin)) {
            try EveryCommand.mustAccept(folder.write("good.safetensors", bytes))
        }
    }

    @Test func headerAboveTheCapIsRefusedBeforeItIsRead() throws {
        // S03: sparse, so that only the numbers are large.
        let folder = try TemporaryFolder()
        for (length, isAccepted) in [(100_000_001, false), (100_000_000, true)] {
            let path = folder.path.appending("large-\(length).safetensors")
            let output = try OutputFile(creating: path)
            try output.setLength(8 + length)
            try output.write(at: 0, (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array("{}".utf8))
            if isAccepted {
                // The rest must be white space; what is read of the hole are zeros.
                let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
                #expect(error?.description.contains("the end of the text") == true)
            } else {
                let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
                #expect(error?.description.contains("at most 100000000") == true)
                let twin = try folder.write("good.safetensors", good)
                let words = ["at most 100000000", "100000001"]
                try EveryCommand.mustRefuse(path, words: words, twin: twin)
            }
        }
    }

    /// S15: what is in front of the bytes too many is shown.
    @Test func theHeaderOfAFileWithARestIsShown() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("rest.safetensors", goodTwo + [1, 2, 3])
        for options in [[], ["--json"], ["--stats"], ["--digest"]] {
            let outcome = try AssayTool.run(["inspect", file.string] + options)
            #expect(outcome.exitCode == 3 && outcome.errors.contains("3 bytes more"), "\(outcome.errors)")
            #expect(outcome.output.contains("rest.safetensors") && outcome.output.contains("U8"), "\(outcome.output)")
        }
    }

    /// Data that is aligned to nothing, entries in another order than the data, and many of them.
    @Test func oddButLegalHeadersAreAccepted() throws {
        let folder = try TemporaryFolder()
        let turned =
            #"{"b":{"dtype":"F64","shape":[1],"data_offsets":[1,9]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
        let path = try folder.write("a.safetensors", Bytes.file(turned, data: Bytes.zeros(9)))
        try EveryCommand.mustAccept(path)
        let many = (0..<100_000).map { #""t\#($0)":{"dtype":"U8","shape":[1],"data_offsets":[\#($0),\#($0 + 1)]}"# }
        let large = try folder.write(
            "b.safetensors", Bytes.file("{\(many.joined(separator: ","))}", data: Bytes.zeros(100_000)))
        #expect(try Checkpoint.open(large).contents.tensors.count == 100_000)
    }

    /// Flips, cuts and splices of headers: read whole or refused, never a crash.
    @Test(arguments: ["all-types", "names", "tied", "scalars-and-zero-size"])
    func damagedHeadersNeverTrap(_ name: String) throws {
        let path = TestFiles.fixtures.appending("golden").appending("safetensors").appending(name + ".safetensors")
        let bytes = try TestFiles.bytes(path)
        let headerByteCount = Int(bytes.number(0, UInt64.self))
        let header = Array(bytes[8..<8 + headerByteCount])
        let folder = try TemporaryFolder()
        try Mutations.forEach(of: header, count: 1500, seed: 23) { damaged in
            let file = try folder.write(
                "x.safetensors", Bytes.file(damaged, data: Array(bytes[(8 + headerByteCount)...])))
            do {
                let reader = try Checkpoint.open(file).reader
                for index in reader.contents.tensors.indices { _ = try reader.digest(of: index) }
            } catch is CheckpointError {
            }
        }
        // The length too.
        try Mutations.run(Array(bytes.prefix(4000)), named: "x.safetensors", count: 300, seed: 29)
    }
}
