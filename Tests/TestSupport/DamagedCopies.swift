/// Files made from good ones by what damage, carelessness and malice do: bits flip, parts are missing, doubled, moved, taken
/// from another file, or lengthened, and numbers become others.
///
/// Half of all places are borders of what looks like a field, so that whole names, numbers and records are hit.
public struct DamagedCopies: Sendable {
    private var random: SeededRandom
    private let bases: [[UInt8]]
    private let borders: [[Int]]

    /// - Parameters:
    ///   - bases: the good files, each of at least one byte.
    ///   - seed: the same seed gives the same files.
    public init(of bases: [[UInt8]], seed: UInt64) {
        self.bases = bases
        borders = bases.map(Self.borders)
        random = SeededRandom(seed: seed)
    }

    /// The next file, and which good one it was made from.
    public mutating func next() -> (bytes: [UInt8], base: Int) {
        let base = random.next(below: bases.count)
        var bytes = bases[base]
        for _ in 0..<random.next(below: 3) + 1 where !bytes.isEmpty { change(&bytes, of: base) }
        return (bytes, base)
    }

    /// Where text, zeros and other bytes meet, and behind every mark of JSON.
    private static func borders(_ bytes: [UInt8]) -> [Int] {
        func kind(_ byte: UInt8) -> Int { byte == 0 ? 0 : byte < 0x20 || byte >= 0x7F ? 1 : 2 }
        let marks = Array("{}[]:,\"\n".utf8)
        return [0]
            + bytes.indices.dropFirst().filter {
                kind(bytes[$0]) != kind(bytes[$0 - 1]) || marks.contains(bytes[$0 - 1])
            }
    }

    private mutating func place(in bytes: [UInt8], of base: Int) -> Int {
        guard Bool.random(using: &random) else { return random.next(below: bytes.count) }
        return min(borders[base].randomElement(using: &random)!, bytes.count - 1)
    }

    private mutating func range(in bytes: [UInt8], of base: Int) -> Range<Int> {
        let (a, b) = (place(in: bytes, of: base), place(in: bytes, of: base))
        // Long ranges leave little of a file.
        return min(
            a, b)..<(Bool.random(using: &random) ? max(a, b) : min(min(a, b) + 1 + random.next(below: 16), bytes.count))
    }

    private mutating func change(_ bytes: inout [UInt8], of base: Int) {
        let place = place(in: bytes, of: base)
        switch random.next(below: 10) {
        case 0: bytes[place] ^= 1 << UInt8(random.next(below: 8))
        case 1: bytes[place] = UInt8(truncatingIfNeeded: random.next())
        case 2: bytes.removeLast(bytes.count - place)
        case 3: bytes.removeSubrange(range(in: bytes, of: base))
        case 4:
            let field = Array(bytes[range(in: bytes, of: base)])
            bytes.insert(contentsOf: field, at: place)
        case 5:
            let range = range(in: bytes, of: base)
            bytes.replaceSubrange(range, with: random.bytes(range.count))
        case 6:
            let other = random.next(below: bases.count)
            bytes.insert(contentsOf: bases[other][range(in: bases[other], of: other)], at: place)
        case 7:
            bytes.insert(
                contentsOf: [UInt8](repeating: Bool.random(using: &random) ? 0 : 0x20, count: random.next(below: 600)),
                at: place)
        case 8: setNumber(&bytes, at: place)
        default: setDigits(&bytes, from: place)
        }
    }

    private static let numbers: [UInt64] = [
        0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 40, 1 << 61,
        1 << 62,
        .max >> 1, 1 << 63, .max - 31, .max,
    ]

    /// Puts a number of 1 to 8 bytes, of either byte order, where one may stand.
    private mutating func setNumber(_ bytes: inout [UInt8], at place: Int) {
        let width = [1, 2, 4, 8].randomElement(using: &random)!
        var number = Self.numbers.randomElement(using: &random)!
        if Bool.random(using: &random) { number = number &+ UInt64(bytes.count) }
        let isBig = random.next(below: 4) == 0
        for index in 0..<width where place + index < bytes.count {
            bytes[place + index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * (isBig ? width - 1 - index : index)))
        }
    }

    private static let texts = [
        "0", "1", "-1", "4.0", "1e2", "4294967296", "9223372036854775807", "18446744073709551616", "007", "",
    ]

    /// Writes another number in the place of the digits behind a place.
    private mutating func setDigits(_ bytes: inout [UInt8], from place: Int) {
        func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }
        guard let begin = bytes[place...].firstIndex(where: isDigit) else { return }
        let end = bytes[begin...].firstIndex { !isDigit($0) } ?? bytes.endIndex
        bytes.replaceSubrange(begin..<end, with: Array(Self.texts.randomElement(using: &random)!.utf8))
    }
}

/// Good files of every format, small, to be damaged.
public struct DamagedFormat: Sendable {
    /// "safetensors".
    public var format: String
    /// In `fixtures`.
    public var files: [String]

    public static let all: [DamagedFormat] = [
        DamagedFormat(
            "safetensors", "golden/safetensors", "all-types.safetensors", "metadata.safetensors", "names.safetensors",
            "scalars-and-zero-size.safetensors", "tied.safetensors"),
        DamagedFormat(
            "gguf", "golden/gguf", "metadata.gguf", "quantized.gguf", "big-endian.gguf", "alignment-8.gguf",
            "version-2.gguf"),
        DamagedFormat(
            "pytorch", "golden/pytorch", "zip-all-types.pt", "zip-views.pt", "zip-nested.pt", "zip64.pt", "deflated.pt",
            "stream-all-types.pt", "stream-views.pt"),
        DamagedFormat("npy", "golden/numpy", "fortran.npy", "row-major.npy", "version-2.npy", "big-endian-complex.npy"),
        DamagedFormat(
            "npz", "golden/numpy", "all-types.npz", "all-types-deflated.npz", "zip64-deflated.npz", "shapes.npz"),
        DamagedFormat("ztensor", "golden/ztensor", "seekable.zt", "sparse.zt"),
        DamagedFormat("zplanes", "zplanes", "golden.zplanes"),
        DamagedFormat(
            "safetensors.zst", "golden/seekable-zstd", "checksums.safetensors.zst",
            "checksums-in-table.safetensors.zst", "uneven.safetensors.zst", "streamed.safetensors.zst"),
        DamagedFormat(
            "hdf5", "golden/hdf5", "small-floats.h5", "layouts.h5", "attributes.h5", "groups.h5", "chunked.h5",
            "v110-attributes.h5", "v110-chunked.h5", "lzf.h5"),
        DamagedFormat("keras", "golden/keras", "keras3-narrow.keras"),
    ]

    init(_ format: String, _ folder: String, _ names: String...) {
        self.format = format
        files = names.map { "\(folder)/\($0)" }
    }

    /// The bytes of each.
    public func bytes() throws -> [[UInt8]] {
        try files.map { try TestFiles.bytes(TestFiles.fixtures.appending($0)) }
    }

    /// What a file made from one of them is called.
    public func name(of base: Int) -> String { String(files[base].split(separator: "/").last!) }
}
