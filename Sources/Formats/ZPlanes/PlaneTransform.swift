import AssayCKernels
import AssayTensors

/// How the elements of a chunk are divided into planes. The names stand in the index.
enum PlaneTransform: String, CaseIterable, Sendable {
    /// One plane: the bytes as they are.
    case none
    /// Plane k holds byte k of every component, the lowest first.
    case bytes
    /// The same, after each component was rotated left by one bit: the sign is lowest, the exponent topmost.
    case rotatedBytes = "rotated-bytes"
    /// Exponent and top mantissa bit as a rank; sign and the next six mantissa bits packed; the lower bytes.
    case ranks

    /// Whether chunks of an element type can be divided so.
    func applies(to type: ElementType) -> Bool {
        switch self {
        case .none: true
        case .bytes: type.componentByteCount > 1
        case .rotatedBytes: type.componentByteCount > 1 && (type.isFloating || type == .c64)
        case .ranks: type == .bf16 || type == .f32 || type == .c64
        }
    }

    /// The bytes of each plane of a chunk.
    ///
    /// - Precondition: the transform applies, and the chunk is whole elements.
    func planeByteCounts(ofChunk byteCount: Int, _ type: ElementType) -> [Int] {
        let width = type.componentByteCount
        let count = byteCount / width
        switch self {
        case .none: return [byteCount]
        case .bytes, .rotatedBytes: return Array(repeating: count, count: width)
        case .ranks: return [count, ck_rest_byte_count(count)] + Array(repeating: count, count: width - 2)
        }
    }

    /// The transform that suits a type best.
    static func preferred(for type: ElementType) -> PlaneTransform {
        [.ranks, .rotatedBytes, .bytes].first { $0.applies(to: type) } ?? .none
    }

    /// Planes whose values repeat in numbers but not in sequences, where a search for matches only costs time.
    func isExponents(_ plane: Int, _ type: ElementType) -> Bool {
        switch self {
        case .none: type.isFloating || type == .i8
        case .bytes: false
        case .rotatedBytes: plane == type.componentByteCount - 1
        case .ranks: plane == 0
        }
    }
}

extension ElementType {
    /// Bytes of what an element is made of: 4 for complex numbers of 8; 1 for types below a byte.
    var componentByteCount: Int { self == .c64 ? 4 : max(1, bitCount / 8) }
}

/// The pairs (exponent and top mantissa bit) that the ranks of a chunk stand for, as runs of consecutive ones.
struct PairRuns: Sendable, Equatable {
    /// First pair and number of pairs, alternately.
    let flat: [UInt16]

    /// - Returns: nil where the runs are no table: ascending, not empty, at most 256 of the 512 pairs.
    init?(_ flat: [UInt16]) {
        guard flat.count.isMultiple(of: 2) else { return nil }
        var table = ck_pair_table()
        guard ck_pair_table_make(&table, flat, flat.count / 2) != 0 else { return nil }
        self.flat = flat
    }

    var table: ck_pair_table {
        var table = ck_pair_table()
        _ = ck_pair_table_make(&table, flat, flat.count / 2)
        return table
    }

    /// The table for some components: 0 and the range of the other pairs, which needs no look-up; only where that is
    /// too long, the pairs that occur.
    ///
    /// - Returns: nil where more than 256 pairs occur.
    init?(
        of components: UnsafePointer<UInt8>, count: Int, width: Int, _ kernels: UnsafePointer<ck_planes>
    ) {
        let range = kernels.pointee.pair_range(components, count, CInt(width))
        guard range.greatest > 0 else {
            self.init([0, 1])
            return
        }
        if range.greatest - range.least_nonzero < 255 {
            self.init([0, 1, range.least_nonzero, range.greatest - range.least_nonzero + 1])
            return
        }
        var seen = [UInt8](repeating: 0, count: Int(CK_PAIRS))
        kernels.pointee.pairs_seen(&seen, components, count, CInt(width))
        var flat: [UInt16] = []
        for pair in seen.indices where seen[pair] != 0 {
            if pair > 0, seen[pair - 1] != 0 { flat[flat.count - 1] += 1 } else { flat += [UInt16(pair), 1] }
        }
        self.init(flat)
    }
}
