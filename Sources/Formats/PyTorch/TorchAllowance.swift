import AssayCheckpoints
import SystemPackage

/// How much the tensors of a file may stand for beyond what is stored. Strides of 0, and views that overlap, mean the same
/// bytes many times over, so that a small file could ask for any work and any disk.
struct TorchAllowance {
    /// Bytes that are left for repetition inside views: as many as are stored, and some more.
    private var repeatable: Int
    /// Bytes that are left for all views together: every stored byte may stand in several, and some more.
    private var viewable: Int

    private static let freeByteCount = 256 << 20
    private static let viewsOfEveryByte = 16

    /// - Parameter storedByteCounts: of the storages, each once.
    init(_ storedByteCounts: some Sequence<Int>) {
        let stored = storedByteCounts.reduce(0, Self.sum)
        repeatable = Self.sum(stored, Self.freeByteCount)
        let (views, overflow) = stored.multipliedReportingOverflow(by: Self.viewsOfEveryByte)
        viewable = overflow ? .max : Self.sum(views, Self.freeByteCount)
    }

    private static func sum(_ a: Int, _ b: Int) -> Int {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : sum
    }

    /// Takes what a view needs; another name of one that was taken needs nothing.
    ///
    /// - Throws: `CheckpointError` where too little is left.
    mutating func take(_ info: TensorInfo, ofStored storedByteCount: Int, _ path: FilePath) throws {
        let beyond = max(0, info.byteCount - storedByteCount)
        guard beyond <= repeatable, info.byteCount <= viewable else {
            let (left, what) =
                beyond > repeatable
                ? (repeatable, "bytes that it repeats") : (viewable, "bytes, as a view of what others view")
            throw CheckpointError(
                path, .tensor(info.name),
                expected:
                    "at most \(left) \(what), which is what tensors before it left; 'clone()' tensors before they are saved",
                found: "\(info.byteCount.inBytes) of a storage of \(storedByteCount)")
        }
        repeatable -= beyond
        viewable -= info.byteCount
    }
}
