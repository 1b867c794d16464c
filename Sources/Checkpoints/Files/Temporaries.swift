import Synchronization
import SystemPackage

/// The staged outputs of this process that are not published, so that an interrupted run can remove them.
///
/// This is process-wide because a signal is.
public enum Temporaries {
    private struct Temporary {
        /// What it is to become.
        var destination: FilePath
        /// Of what it replaces.
        var mode: UInt32?
    }

    private static let paths = Mutex<[FilePath: Temporary]>([:])
    /// Held while outputs take their places.
    private static let publishing = Mutex(())
    /// Held while a file or folder is made or removed.
    private static let making = Mutex(())

    /// - Parameters:
    ///   - destination: what it is to become, where that is known.
    ///   - mode: of what stands there; nobody may read it meanwhile who may not read that.
    package static func add(_ path: FilePath, for destination: FilePath? = nil, mode: UInt32? = nil) {
        paths.withLock { $0[path] = Temporary(destination: destination ?? path, mode: mode) }
    }

    /// What others than the owner may do with it at most.
    static func permissions(of path: FilePath) -> UInt32 {
        permissions(replacing: paths.withLock { $0[path]?.mode })
    }

    /// The same of what takes the place of something with a mode.
    static func permissions(replacing mode: UInt32?) -> UInt32 { mode.map { $0 & 0o777 | 0o700 } ?? 0o777 }

    /// What has its place, or is kept for another run.
    package static func forget(_ path: FilePath) { paths.withLock { _ = $0.removeValue(forKey: path) } }

    /// The file by the name that people know: a file under construction by what it is to become.
    static func destination(of path: FilePath) -> FilePath {
        for (name, temporary) in paths.withLock({ $0 }) where path.starts(with: name) {
            var rest = path
            _ = rest.removePrefix(name)
            return rest.isEmpty ? temporary.destination : temporary.destination.pushing(rest)
        }
        return path
    }

    /// Removes what is no longer needed, with all in it, where nobody else did; the process does not end in the middle of it.
    package static func remove(_ path: FilePath) {
        making.withLock { _ in
            if paths.withLock({ $0.removeValue(forKey: path) }) != nil { SystemCall.removeTree(path) }
        }
    }

    /// Does what is not to be cut short by the end of the process.
    static func uninterrupted<R>(_ body: () throws -> R) throws -> R {
        var result: Result<R, any Error>?
        publishing.withLock { _ in result = Result { () throws -> R in try body() } }
        return try result!.get()
    }

    /// Makes a file or folder, unless the process is about to end: it would lie there for good.
    @discardableResult
    static func making<R>(_ body: () throws(SystemError) -> R) throws(SystemError) -> R {
        var result: Result<R, SystemError>?
        making.withLock { _ in result = Result { () throws(SystemError) -> R in try body() } }
        return try result!.get()
    }

    /// Removes all of them and ends the process. Outputs that are just taking their places do so before that; nothing new
    /// is made, and whoever else would end the process waits.
    public static func removeAll(then leave: () -> Never) -> Never {
        publishing.withLock { _ -> Never in
            making.withLock { _ -> Never in
                for path in paths.withLock({ $0.keys }) { SystemCall.removeTree(path) }
                leave()
            }
        }
    }
}
