import AssayCKernels
import AssayCZstd
import AssayCheckpoints

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
        try ZstdContext.check(count, compressing: plane.count)
        return count < czstd_stored_byte_count(plane.count) ? count : czstd_store(out, bytes, plane.count)
    }

    /// Decodes a frame into exactly the bytes of `plane`.
    ///
    /// - Parameter isVouchedFor: the frame's bytes were verified before; else its checksum is.
    static func decode(
        _ frame: UnsafeRawBufferPointer, isVouchedFor: Bool, into plane: UnsafeMutableRawBufferPointer,
        _ context: OpaquePointer
    ) throws(ZstdFault) {
        var said: UInt64 = 0
        let fault = czstd_decode(
            context, isVouchedFor ? 1 : 0, plane.baseAddress!.assumingMemoryBound(to: UInt8.self), plane.count,
            frame.baseAddress!.assumingMemoryBound(to: UInt8.self), frame.count, &said)
        guard fault != CZSTD_FINE else { return }
        throw ZstdFault(fault, contentByteCount: plane.count, frameByteCount: frame.count, said: said)
    }
}
