import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

#if canImport(Glibc)
    import Glibc
#endif

/// A listing is input like any other: a helper that was taken over by a file can say what it likes.
@Suite struct HDF5ListingTests {
    struct Claim: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var lines: [String]
        /// What follows "expected", or nil where the listing is right.
        var sentence: String?

        init(_ description: String, _ lines: [String], _ sentence: String?) {
            testDescription = description
            self.lines = lines
            self.sentence = sentence
        }
    }

    private static let i32 =
        #""type":{"class":"integer","size":4,"order":"little","precision":32,"offset":0,"signed":true}"#

    private static func dataset(_ path: String, _ shape: String, _ rest: String) -> String {
        #"{"dataset":"\#(path)",\#(i32),"shape":\#(shape),\#(rest),"attributes":{}}"#
    }

    private static func chunked(_ chunk: String, _ offsets: String, _ sizes: String, filters: String = "[]") -> String {
        #""stored":16,"chunk":\#(chunk),"filters":\#(filters),"offsets":\#(offsets),"sizes":\#(sizes),"masks":[0,0]"#
    }

    /// About a file of 1000 bytes.
    static let claims: [Claim] = [
        Claim("contiguous", [dataset("/x", "[4]", #""stored":16,"contiguous":984"#)], nil),
        Claim(
            "one byte too far", [dataset("/x", "[4]", #""stored":16,"contiguous":985"#)],
            "tensor 'x': expected 16 bytes at byte 985 inside the file, found a file of 1000 bytes"),
        Claim(
            "a place that overflows", [dataset("/x", "[4]", #""stored":16,"contiguous":9223372036854775807"#)],
            "tensor 'x': expected 16 bytes at byte 9223372036854775807 inside the file, found a file of 1000 bytes"),
        Claim(
            "a negative place", [dataset("/x", "[4]", #""stored":16,"contiguous":-16"#)],
            "tensor 'x': expected 16 bytes at byte -16 inside the file, found a file of 1000 bytes"),
        Claim(
            "fewer bytes stored", [dataset("/x", "[4]", #""stored":12,"contiguous":0"#)],
            "tensor 'x': expected 16 bytes stored, found 12"),
        Claim(
            "bytes stored nowhere", [dataset("/x", "[4]", #""stored":16,"contiguous":null"#)],
            "tensor 'x': expected a place for 16 bytes stored, found none"),
        Claim(
            "side by side",
            [
                dataset("/x", "[4]", #""stored":16,"contiguous":0"#),
                dataset("/y", "[4]", #""stored":16,"contiguous":16"#),
            ], nil),
        Claim(
            "one byte shared",
            [
                dataset("/x", "[4]", #""stored":16,"contiguous":0"#),
                dataset("/y", "[4]", #""stored":16,"contiguous":15"#),
            ], "tensor 'y': expected stored bytes of its own, found byte 15 in 'x' too"),
        Claim(
            "one name twice",
            [
                dataset("/x", "[4]", #""stored":16,"contiguous":0"#),
                dataset("/x", "[4]", #""stored":16,"contiguous":16"#),
            ], "object '/x': expected a path of its own, found it twice"),
        Claim(
            "a group and a dataset of one name",
            [dataset("/x", "[4]", #""stored":16,"contiguous":0"#), #"{"group":"/x/","empty":true,"attributes":{}}"#],
            "object '/x/': expected a path of its own, found it twice"),
        Claim(
            "a path that is none", [dataset("/a/../x", "[4]", #""stored":16,"contiguous":0"#)],
            "object '/a/../x': expected a path of its own, found one that is none"),
        Claim(
            "compact data of another size", [dataset("/x", "[4]", #""stored":3,"compact":"010203""#)],
            "tensor 'x': expected 16 bytes of compact data, found 3"),
        Claim("compact data", [dataset("/x", "[1]", #""stored":4,"compact":"01020304""#)], nil),
        Claim(
            "a fill value of another size", [dataset("/x", "[1]", #""stored":0,"contiguous":null,"fill":"0102""#)],
            "tensor 'x': expected a fill value of 4 bytes, found 2"),
        Claim(
            "a type that would speak to a terminal",
            [
                #"{"dataset":"/x","type":{"class":"flo\t","size":4},"shape":[1],"stored":4,"contiguous":0,"attributes":{}}"#
            ],
            "tensor 'x': expected plain integers or floating-point numbers, found the type 'flo\\u0009' of 4 bytes"),
        Claim("two chunks", [dataset("/x", "[4]", chunked("[2]", "[0,8]", "[8,8]"))], nil),
        Claim(
            "a chunk missing from the table", [dataset("/x", "[6]", chunked("[2]", "[0,8]", "[8,8]"))],
            "tensor 'x': expected places of 3 chunks, found 2"),
        Claim(
            "a chunk that is too short", [dataset("/x", "[4]", chunked("[2]", "[0,8]", "[8,7]"))],
            "tensor 'x': expected 8 bytes stored of chunk [2], found 7"),
        Claim(
            "a chunk outside the file", [dataset("/x", "[4]", chunked("[2]", "[0,993]", "[8,8]"))],
            "tensor 'x': expected chunk [2] of 8 bytes at byte 993 inside the file, found a file of 1000 bytes"),
        Claim(
            "a chunk of negative size", [dataset("/x", "[4]", chunked("[2]", "[0,8]", "[8,-8]"))],
            "tensor 'x': expected chunk [2] of -8 bytes at byte 8 inside the file, found a file of 1000 bytes"),
        Claim(
            "chunks that share a byte", [dataset("/x", "[4]", chunked("[2]", "[0,7]", "[8,8]"))],
            "tensor 'x': expected stored bytes of its own, found two chunks that share byte 7"),
        Claim(
            "a chunk dimension of zero", [dataset("/x", "[4]", chunked("[0]", "[0,8]", "[8,8]"))],
            "tensor 'x': expected chunks of at most 1073741824 bytes, found chunks of [0]"),
        Claim(
            "a chunk of 2^62 elements", [dataset("/x", "[4]", chunked("[4611686018427387904]", "[0]", "[8]"))],
            "tensor 'x': expected chunks of at most 1073741824 bytes, found chunks of [4611686018427387904]"),
        Claim(
            "another rank of chunks", [dataset("/x", "[4]", chunked("[2,2]", "[0,8]", "[8,8]"))],
            "tensor 'x': expected chunks of at most 1073741824 bytes, found chunks of [2, 2]"),
        Claim(
            "the same filter twice",
            [
                dataset(
                    "/x", "[4]",
                    chunked("[2]", "[0,8]", "[8,8]", filters: #"[[1,"deflate",[1]],[1,"deflate",[1]]]"#))
            ], "tensor 'x': expected the filters deflate, LZF, shuffle and fletcher32 alone, found one of them twice"),
        Claim(
            "a shuffle of other elements",
            [dataset("/x", "[4]", chunked("[2]", "[0,8]", "[8,8]", filters: #"[[2,"shuffle",[0]]]"#))],
            "tensor 'x': expected the filters deflate, LZF, shuffle and fletcher32 alone, found a shuffle of 0-byte elements"
                + " over 4-byte ones"),
        Claim(
            "a chunk that deflate cannot have made so small",
            [
                dataset(
                    "/x", "[20000000]",
                    chunked("[10000000]", "[0,8]", "[8,8]", filters: #"[[1,"deflate",[1]]]"#))
            ], "tensor 'x': expected chunk [0] of 40000000 bytes to be stored, found 8 bytes"),
        Claim(
            "more than there is", [dataset("/x", "[4194305]", #""stored":0,"contiguous":null"#)],
            "tensor 'x': expected the declared data to be stored, found 16777220 bytes declared and 0 stored"),
        Claim("fill values to the limit", [dataset("/x", "[4194304]", #""stored":0,"contiguous":null"#)], nil),
    ]

    @Test(arguments: claims)
    func everyNumberIsCheckedAgainstTheFile(_ claim: Claim) throws {
        let folder = try TemporaryFolder()
        let lines =
            [#"{"group":"/","empty":false,"attributes":{}}"#] + claim.lines + ["{\"end\":\(claim.lines.count + 1)}"]
        let listing = try folder.write("listing", Array((lines.joined(separator: "\n") + "\n").utf8))
        let file = try folder.write("a.h5", [UInt8](repeating: 1, count: 1000))
        let helper = try HDF5Tests.standIn("exec cat '\(listing)'", in: folder)
        do {
            let reader = try HDF5Tests.open(file, ReadingOptions(hdf5Helper: helper))
            for index in reader.contents.tensors.indices { _ = try HDF5Tests.bytes(reader, index) }
            #expect(claim.sentence == nil)
        } catch let error as CheckpointError {
            #expect(error.description == claim.sentence.map { "\(file): \($0)" })
        }
    }

    @Test(arguments: [
        "", "{}", "[]", "{\"end\":1}", "{\"end\":0}\n{\"end\":1}", "{\"dataset\":7}", "{\"nonsense\":1}\n{\"end\":1}",
    ])
    func whatIsNoListingIsRefused(_ text: String) throws {
        let folder = try TemporaryFolder()
        let file = try InputFile(folder.write("a.h5", [UInt8](repeating: 1, count: 1000)))
        #expect(throws: (any Error).self) {
            var parser = HDF5ListingParser(file)
            try Array((text + "\n").utf8).withUnsafeBytes { try parser.take($0) }
            _ = try parser.finish()
        }
    }

    @Test(arguments: [
        #"{"error":["a\u001b[2J","b\n","c\u0007"]}"#, #"{"\u001b[2J":1}"#, #"{"warning":"\u001b[2J"}"#,
    ])
    func whatAHelperSaysCanBeShown(_ line: String) throws {
        let file = InputFile("a.h5", holding: NoBytes())
        let listing = Array("\(line)\n{\"end\":1}\n".utf8)
        do {
            let reader = try HDF5.reader(of: file, by: "helper", ReadingOptions()) { take in
                // However the pipe cuts it.
                for byte in listing { try [byte].withUnsafeBytes(take) }
            }
            #expect(reader.contents.warnings == ["\\u001b[2J"])
        } catch {
            #expect(!"\(error)".unicodeScalars.contains { $0.value < 0x20 }, "\(error)")
        }
    }

    private struct NoBytes: ByteSource {
        let byteCount = 0
        func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) {}
    }

    /// What lies before and behind it in the file is nothing to it, wherever it is cut off.
    @Test(arguments: [0, 8, 9, 40, 96, 512, 4000, .max]) func aRangeIsListedAsAFileByItself(_ limit: Int) throws {
        let folder = try TemporaryFolder()
        let bytes = try HDF5BadInputTests.golden("types.h5")
        let count = min(limit, bytes.count)
        let outer = try InputFile(folder.write("outer", [UInt8](repeating: 7, count: 100) + bytes + bytes))
        let range = InputFile(FileRange(file: outer, range: 100..<100 + count))
        let alone = try InputFile(folder.write("alone", Array(bytes[..<count])))
        let helper = HDF5Helper(program: AssayTool.path)
        let listing = try helper.listing(of: range)
        #expect(try listing == helper.listing(of: alone))
        #expect(String(decoding: listing, as: UTF8.self).contains("\"end\":") == (count == bytes.count))
    }
}
