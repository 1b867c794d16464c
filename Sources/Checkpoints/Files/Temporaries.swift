import Synchronization
import SystemPackage

/// The staged outputs of this process that are not published, so that an interrupted run can remove them.
///
/// This is process-wide because a signal is.
public enum Temporaries {
    private static let paths = Mutex<Set<FilePath>>([])

    package static func add(_ path: FilePath) { paths.withLock { _ = $0.insert(path) } }

    /// - Returns: whether it was still known, and so is the caller's to remove.
    @discardableResult
    package static func forget(_ path: FilePath) -> Bool { paths.withLock { $0.remove(path) != nil } }

    /// Removes all of them; for the moment before the process ends.
    public static func removeAll() {
        let all = paths.withLock { Array($0) }
        for path in all where forget(path) { SystemCall.removeTree(path) }
    }
}
