import Testing

@testable import AssayCheckpoints

/// XXH3 against the xxhash library for Python (4.1.0): `xxh3_64_intdigest` of the first bytes of `i * 131 + i / 8 * 7`.
@Suite struct XXH3Tests {
    private static let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 * 131 + ($0 >> 3) * 7) }
    private static let goldens: [(count: Int, hash: UInt64)] = [
        (0, 0x2D06800538D394C2), (1, 0xC44BDFF4074EECDB), (2, 0x433CE72A5F67AE52), (3, 0x6811538B444FC6DC),
        (4, 0xED503340C589A28B), (7, 0xCF5C76090B0BCA8F), (8, 0xE5B43AB074C9C13B), (9, 0xA3276679DF581EFF),
        (16, 0x451CF66C0FA60009), (17, 0x29851388142D2337), (32, 0xE61429CFDE0D9841), (33, 0x479D8D6D8B5F775B),
        (64, 0x773D95C8AF5811C1), (65, 0x4B8EDCC873D36DDB), (96, 0x2A5A1BCDBC6B0C49), (97, 0x3B7B1DD2F15EC815),
        (128, 0xB41ABDFF6D44246B), (129, 0x6680A0C4C01BDE23), (144, 0xEB380F68FA04141B), (200, 0xCC84C36103BC69EF),
        (240, 0x9539EDD1B0684727), (241, 0x8905098D125921A8), (255, 0xF643DD6576C9AB18), (256, 0xB596EECC0032330E),
        (257, 0xA73B734900C2BC41), (320, 0x46A292817D07A44D), (321, 0x4FC691B827A3F405), (512, 0x4BCAA148D6FDCE1A),
        (1023, 0x196B08986E74EAC3), (1024, 0x8158224971A7B846), (1025, 0x8AA3500BCC2800B0), (1088, 0x8D548593A651E343),
        (1089, 0xF034E8A798EABCD3), (2048, 0x16D9C5D543ED61DD), (4199, 0x85072E351C13FDE8),
    ]

    @Test(arguments: [1, 7, 64, 256, 300, 5000]) func piecesOfAnySizeGiveTheLibrarysHash(_ step: Int) {
        for (count, hash) in Self.goldens {
            var hasher = XXH3()
            Self.bytes.withUnsafeBytes { bytes in
                for start in stride(from: 0, to: count, by: step) {
                    hasher.update(UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + step, count)]))
                    // Looking on the way changes nothing.
                    _ = hasher.finalize()
                }
            }
            #expect(hasher.finalize() == hash, "\(count) bytes")
        }
    }
}
