import AssayCHDF5
import AssayCheckpoints
import Synchronization
import SystemPackage

/// The edge where libhdf5 is called inside this process, for writing only. The library is not made for threads, so
/// every call runs under one lock.
enum HDF5Library {
    private static let lock = Mutex<Bool>(false)

    /// Runs `body` with the library to itself.
    static func withLibrary<R>(_ body: () throws -> R) throws -> R {
        try lock.withLock { isReady in
            if !isReady {
                chdf5_lock_down()
                isReady = true
            }
            chdf5_silence()
            return try body()
        }
    }

    static func forgetFailure() { _ = errorText() }

    /// Whether a call failed since the last question.
    static var hasFailed: Bool { chdf5_has_failed() != 0 }

    /// The innermost message of the library's first failure since the last question.
    static func errorText() -> String {
        var text = [CChar](repeating: 0, count: 200)
        chdf5_error_text(&text, text.count)
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// An identifier of libhdf5, given back when it goes out of scope.
struct HDF5Identifier: ~Copyable {
    let raw: hid_t

    /// - Returns: nil for the negative numbers with which the library reports a failure.
    init?(_ raw: hid_t) {
        guard raw >= 0 else { return nil }
        self.raw = raw
    }

    deinit { H5Idec_ref(raw) }
}
