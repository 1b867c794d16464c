import AssayCKernels
import AssayCZstd
import AssayCheckpoints
import SystemPackage

/// One plane as one zstd frame.
enum PlaneFrame {
    /// Below this, everything is tried: the time does not matter and the bytes of a header do.
    private static let smallByteCount = 16 << 10
    /// An unevenness that promises to save about 0.6 % of a plane; less is not worth the time to read it back.
    private static let worthwhileUnevenness: UInt32 = 1056 + 64
    /// Half of the bytes are the same: prefix codes of at least one bit lose to repeated sequences.
    private static let dominatedUnevenness: UInt32 = 1024 * 128

    /// Writes the smallest frame that can be had at speed: one repeated byte, compressed, or stored.
    ///
    /// - Parameters:
    ///   - frame: room for `czstd_frame_bound` of the plane.
    ///   - isExponents: whether a search for matches is useless.
    /// - Returns: the frame's bytes.
    static func encode(
        _ plane: UnsafeRawBufferPointer, into frame: UnsafeMutableRawBufferPointer, isExponents: Bool,
        _ context: OpaquePointer
    ) throws -> Int {
        let bytes = plane.baseAddress!.assumingMemoryBound(to: UInt8.self)
        let out = frame.baseAddress!.assumingMemoryBound(to: UInt8.self)
        if czstd_is_constant(bytes, plane.count) != 0 { return czstd_repeat(out, bytes, plane.count) }
        let unevenness = ck_unevenness(bytes, plane.count)
        let isSmall = plane.count <= smallByteCount
        guard isSmall || unevenness > worthwhileUnevenness else { return czstd_store(out, bytes, plane.count) }
        let isEntropyAlone = isExponents && !isSmall && unevenness < dominatedUnevenness
        var count = isEntropyAlone ? czstd_prefix(out, bytes, plane.count) : 0
        if count == 0 {
            let effort = isSmall ? CZSTD_SMALL : isEntropyAlone ? CZSTD_ENTROPY : CZSTD_FAST
            count = czstd_compress(context, effort, out, frame.count, bytes, plane.count)
        }
        guard ZSTD_isError(count) == 0 else {
            throw SystemError("compress \(plane.count) bytes", "memory", .noMemory, advice: "use fewer --threads")
        }
        return count < czstd_stored_byte_count(plane.count) ? count : czstd_store(out, bytes, plane.count)
    }

    /// What is wrong with a frame, in words.
    struct Fault: Error, Equatable {
        var expected: String
        var found: String
    }

    /// Decodes a frame into exactly the bytes of `plane`.
    ///
    /// - Parameter isVouchedFor: the frame's bytes were verified before; else its checksum is.
    static func decode(
        _ frame: UnsafeRawBufferPointer, isVouchedFor: Bool, into plane: UnsafeMutableRawBufferPointer,
        _ context: OpaquePointer
    ) throws(Fault) {
        var said: UInt64 = 0
        let fault = czstd_decode(
            context, isVouchedFor ? 1 : 0, plane.baseAddress!.assumingMemoryBound(to: UInt8.self), plane.count,
            frame.baseAddress!.assumingMemoryBound(to: UInt8.self), frame.count, &said)
        guard fault != CZSTD_FINE else { return }
        throw Fault(fault, contentByteCount: plane.count, frameByteCount: frame.count, said: said)
    }
}

extension PlaneFrame.Fault {
    init(_ fault: czstd_fault, contentByteCount: Int, frameByteCount: Int, said: UInt64) {
        switch fault {
        case CZSTD_SKIPPABLE: self.init(expected: "a zstd frame", found: "a skippable frame")
        case CZSTD_WINDOW: self.init(expected: "a window of at most \(1 << 27) bytes", found: "one of \(said)")
        case CZSTD_DICTIONARY: self.init(expected: "a frame without a dictionary", found: "one that needs a dictionary")
        case CZSTD_NO_SIZE: self.init(expected: "a frame that says its content size", found: "one that does not")
        case CZSTD_OTHER_SIZE:
            self.init(expected: "a frame of \(contentByteCount) bytes of content", found: "one of \(said)")
        case CZSTD_NO_CHECKSUM: self.init(expected: "a frame with a checksum", found: "one without")
        case CZSTD_OTHER_LENGTH:
            self.init(expected: "a frame \(frameByteCount) bytes long", found: "one of another length")
        case CZSTD_BLOCKS: self.init(expected: "blocks that can be decoded", found: "damaged ones")
        case CZSTD_CHECKSUM: self.init(expected: "bytes that match the frame's checksum", found: "others")
        default: self.init(expected: "a zstd frame", found: "something else")
        }
    }
}
