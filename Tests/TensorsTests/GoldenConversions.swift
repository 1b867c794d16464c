import AssayCheckpoints
import AssayTensors
import SystemPackage

/// The tables of fixtures/golden/conversions, made by torch, ml_dtypes and numpy (fixtures/make/golden_conversions.py).
struct GoldenConversions: Sendable {
    private var bytes: [UInt8]
    private var header: JSONObject
    private var dataStart: Int

    static let shared = try! GoldenConversions()

    private init() throws {
        var path = FilePath(#filePath)
        for _ in 0..<3 { path.removeLastComponent() }
        path.append("fixtures/golden/conversions/conversions.safetensors")
        let bytes = try Self.contents(of: path)
        let headerCount = (0..<8).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
        dataStart = 8 + headerCount
        header = try JSONValue(parsing: Array(bytes[8..<dataStart])).object!
        self.bytes = bytes
    }

    private static func contents(of path: FilePath) throws -> [UInt8] {
        let file = try FileDescriptor.open(path, .readOnly)
        return try file.closeAfter {
            let count = Int(try file.seek(offset: 0, from: .end))
            return try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                while filled < count {
                    let rest = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
                    let read = try file.read(fromAbsoluteOffset: Int64(filled), into: rest)
                    precondition(read > 0, "\(path) ends early")
                    filled += read
                }
            }
        }
    }

    /// One table: bit patterns or codes as unsigned integers of its own width, widened to 64 bits.
    func table(_ name: String) -> [UInt64] {
        let entry = header[name]!.object!
        let width = ["U8": 1, "U16": 2, "U32": 4, "U64": 8][entry["dtype"]!.string!]!
        let offsets = entry["data_offsets"]!.array!.map { dataStart + $0.int! }
        return stride(from: offsets[0], to: offsets[1], by: width).map { start in
            (0..<width).reduce(0) { $0 | UInt64(bytes[start + $1]) << UInt64(8 * $1) }
        }
    }
}

/// A floating-point type under the name that the golden tables give it.
struct GoldenType: Sendable, CustomStringConvertible {
    var name: String
    var type: ElementType
    /// Bits of the magnitude: all but the sign.
    var magnitudeBits: Int
    /// What becomes of finite values beyond the largest.
    var beyond: Beyond = .infinity

    enum Beyond { case infinity, saturation, notANumber }

    var description: String { name }

    static let rounded = [
        GoldenType(name: "bf16", type: .bf16, magnitudeBits: 15),
        GoldenType(name: "f16", type: .f16, magnitudeBits: 15),
        GoldenType(name: "f8_e4m3fn", type: .f8e4m3, magnitudeBits: 7, beyond: .saturation),
        GoldenType(name: "f8_e5m2", type: .f8e5m2, magnitudeBits: 7),
        GoldenType(name: "f8_e4m3fnuz", type: .f8e4m3fnuz, magnitudeBits: 7, beyond: .notANumber),
        GoldenType(name: "f8_e5m2fnuz", type: .f8e5m2fnuz, magnitudeBits: 7, beyond: .notANumber),
    ]

    static let widenedOnly = [
        GoldenType(name: "f8_e8m0fnu", type: .f8e8m0, magnitudeBits: 8),
        GoldenType(name: "f6_e2m3", type: .f6e2m3, magnitudeBits: 5),
        GoldenType(name: "f6_e3m2", type: .f6e3m2, magnitudeBits: 5),
        GoldenType(name: "f4_e2m1", type: .f4, magnitudeBits: 3),
    ]

    /// Every code of the type in order, as float32 values.
    var values: [Float] { GoldenConversions.shared.table("widen.\(name)").map { Float(bitPattern: UInt32($0)) } }
}
