import AssayCZstd
import AssayCheckpoints

/// What is wrong with a zstd frame, in words.
struct ZstdFault: Error, Equatable {
    var expected: String
    var found: String
}

extension ZstdFault {
    init(_ fault: czstd_fault, contentByteCount: Int, frameByteCount: Int, said: UInt64) {
        switch fault {
        case CZSTD_SKIPPABLE: self.init(expected: "a zstd frame", found: "a skippable frame")
        case CZSTD_WINDOW: self.init(expected: "a window of at most \(1 << 27) bytes", found: "one of \(said)")
        case CZSTD_DICTIONARY: self.init(expected: "a frame without a dictionary", found: "one that needs a dictionary")
        case CZSTD_NO_SIZE: self.init(expected: "a frame that says its content size", found: "one that does not")
        case CZSTD_OTHER_SIZE:
            self.init(expected: "a frame of \(contentByteCount.inBytes) of content", found: "one of \(said)")
        case CZSTD_NO_CHECKSUM: self.init(expected: "a frame with a checksum", found: "one without")
        case CZSTD_OTHER_LENGTH:
            self.init(expected: "a frame \(frameByteCount.inBytes) long", found: "one of another length")
        case CZSTD_BLOCKS: self.init(expected: "blocks that can be decoded", found: "damaged ones")
        case CZSTD_CHECKSUM: self.init(expected: "bytes that match the frame's checksum", found: "others")
        default: self.init(expected: "a zstd frame", found: "something else")
        }
    }
}

/// Contexts of libzstd, to be freed by who makes them.
enum ZstdContext {
    /// What helps where every thread has contexts of its own.
    static let fewerThreads = "use fewer --threads"

    /// - Throws: `SystemError` where memory is short.
    static func compressing(advice: String? = fewerThreads) throws -> OpaquePointer {
        guard let context = ZSTD_createCCtx() else { throw shortage(advice) }
        return context
    }

    /// - Throws: `SystemError` where memory is short.
    static func decompressing(advice: String? = fewerThreads) throws -> OpaquePointer {
        guard let context = ZSTD_createDCtx() else { throw shortage(advice) }
        return context
    }

    /// Checks what `czstd_compress` gave for some bytes.
    ///
    /// - Throws: `SystemError` where it failed, which is for want of memory.
    static func check(_ result: Int, compressing byteCount: Int, advice: String? = fewerThreads) throws {
        guard ZSTD_isError(result) == 0 else {
            throw SystemError("compress \(byteCount.inBytes)", "memory", .noMemory, advice: advice)
        }
    }

    private static func shortage(_ advice: String?) -> SystemError {
        SystemError("make a zstd context", "memory", .noMemory, advice: advice)
    }
}
