import Testing

@testable import AssayFormats

/// LZF streams by hand; streams of h5py are among the golden files.
@Suite struct LZFTests {
    struct Case: Sendable {
        var stream: [UInt8]
        /// What it gives, or how many bytes are asked for where it is refused.
        var result: [UInt8]
        var found: String?

        init(_ stream: [UInt8], _ result: [UInt8]) {
            self.stream = stream
            self.result = result
        }

        init(_ stream: [UInt8], count: Int, _ found: String) {
            self.stream = stream
            result = [UInt8](repeating: 0, count: count)
            self.found = found
        }
    }

    static let cases: [Case] = [
        Case([], []),
        Case([0, 7], [7]),
        Case([2, 1, 2, 3], [1, 2, 3]),
        // Two bytes and length 1 + 2 from one byte back.
        Case([1, 5, 6, 1 << 5, 0], [5, 6, 6, 6, 6]),
        Case([1, 5, 6, 2 << 5, 1], [5, 6, 5, 6, 5, 6]),
        // A length that continues: 7 + 2 + 4.
        Case([0, 9, 7 << 5, 4, 0], [UInt8](repeating: 9, count: 14)),
        Case([0, 7], count: 2, "one of 1"),
        Case([], count: 1, "one of 0"),
        Case([1, 7, 7], count: 1, "a longer one"),
        Case([0, 9, 7 << 5, 4, 0], count: 13, "a longer one"),
        Case([2, 1, 2], count: 3, "damaged LZF data"),
        Case([1 << 5], count: 3, "damaged LZF data"),
        Case([0, 9, 7 << 5, 4], count: 14, "damaged LZF data"),
        Case([0, 9, 1 << 5, 1], count: 4, "damaged LZF data"),
        Case([0, 9, 1 << 5 | 0x1F, 0xFF], count: 4, "damaged LZF data"),
        Case([1 << 5, 0], count: 3, "damaged LZF data"),
    ]

    @Test(arguments: cases) func streamsAreUnpackedOrRefused(_ case: Case) throws {
        var result = [UInt8](repeating: 0xAA, count: `case`.result.count)
        do {
            try `case`.stream.withUnsafeBytes { stream in
                try result.withUnsafeMutableBytes { try LZF.decompress(stream, into: $0) }
            }
            #expect(`case`.found == nil && result == `case`.result)
        } catch let damage as HDF5FilterPipeline.Damage {
            #expect(damage.found == `case`.found)
        }
    }
}
