import AssayCSystem
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// The one edge where the system is called for files: -1 becomes a typed error, EINTR is retried, short reads and
/// writes are continued.
package enum SystemCall {
    /// What kind of thing a path names.
    package enum Kind: Sendable { case file, folder, link, other }

    package struct Status: Sendable, Equatable {
        package var kind: Kind
        package var byteCount: Int
        package var device: UInt64
        package var inode: UInt64
        package var mode: UInt32
        package var modifiedSeconds: Int
        package var modifiedNanoseconds: Int
        /// When its bytes or anything of it (name, owner, times) changed last. Nobody can set it; no part of `==`.
        package var changedSeconds: Int
        package var changedNanoseconds: Int

        /// Whether both are one file, whatever it is called.
        package func isSameFile(as other: Status) -> Bool { device == other.device && inode == other.inode }

        init(_ raw: stat) {
            switch raw.st_mode & S_IFMT {
            case S_IFREG: kind = .file
            case S_IFDIR: kind = .folder
            case S_IFLNK: kind = .link
            default: kind = .other
            }
            byteCount = Int(raw.st_size)
            device = UInt64(raw.st_dev)
            inode = UInt64(raw.st_ino)
            mode = UInt32(raw.st_mode)
            modifiedSeconds = raw.st_mtim.tv_sec
            modifiedNanoseconds = raw.st_mtim.tv_nsec
            changedSeconds = raw.st_ctim.tv_sec
            changedNanoseconds = raw.st_ctim.tv_nsec
        }

        /// The same file, not written to in between.
        package static func == (a: Status, b: Status) -> Bool {
            a.kind == b.kind && a.byteCount == b.byteCount && a.isSameFile(as: b) && a.mode == b.mode
                && a.modifiedSeconds == b.modifiedSeconds && a.modifiedNanoseconds == b.modifiedNanoseconds
        }
    }

    /// Runs a call until it is not interrupted; -1 becomes the error.
    @discardableResult
    static func retrying<T: SignedInteger>(
        _ operation: String, _ path: FilePath, advice: String? = nil, _ call: () -> T
    ) throws(SystemError) -> T {
        while true {
            let result = call()
            if result != -1 { return result }
            let code = Errno(rawValue: errno)
            if code == .interrupted { continue }
            throw SystemError(operation, path, code, advice: advice ?? Self.advice(for: code))
        }
    }

    private static func advice(for code: Errno) -> String? {
        switch code {
        case .noSpace: "free some space, or write to another disk"
        case .permissionDenied: "check who owns it and its permissions"
        case .fileTooLarge: "raise the file size limit (ulimit -f)"
        default: nil
        }
    }

    /// The status of what a path leads to (links followed), or nil where nothing is there.
    package static func status(_ path: FilePath, followingLinks: Bool = true) throws(SystemError) -> Status? {
        var raw = stat()
        let result = path.withPlatformString { followingLinks ? stat($0, &raw) : lstat($0, &raw) }
        if result == 0 { return Status(raw) }
        let code = Errno(rawValue: errno)
        if code == .noSuchFileOrDirectory || code == .notDirectory { return nil }
        throw SystemError("look at it", path, code, advice: advice(for: code))
    }

    package static func status(of descriptor: CInt, _ path: FilePath) throws(SystemError) -> Status {
        var raw = stat()
        try retrying("look at it", path) { fstat(descriptor, &raw) }
        return Status(raw)
    }

    /// Opens for reading, without waiting for the other end of a pipe or device.
    package static func openForReading(_ path: FilePath) throws(SystemError) -> CInt {
        try retrying("open it", path) { path.withPlatformString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) } }
    }

    /// Opens a file that exists for writing to it.
    package static func openForWriting(_ path: FilePath) throws(SystemError) -> CInt {
        try retrying("open it for writing", path) { path.withPlatformString { open($0, O_RDWR | O_CLOEXEC) } }
    }

    /// Creates a file that must not exist yet.
    package static func create(_ path: FilePath) throws(SystemError) -> CInt {
        try retrying("create it", path) {
            path.withPlatformString { open($0, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666) }
        }
    }

    /// Opens a file that processes lock, and makes it where it is missing.
    package static func openLock(_ path: FilePath) throws(SystemError) -> CInt {
        try retrying("open it", path) { path.withPlatformString { open($0, O_RDWR | O_CREAT | O_CLOEXEC, 0o666) } }
    }

    /// Locks an open file, as long as this process has it open.
    ///
    /// - Returns: false where another process has it.
    package static func lock(_ descriptor: CInt, _ path: FilePath) throws(SystemError) -> Bool {
        do {
            try retrying("lock it", path, advice: "the file system may have no locks; leave --resume out") {
                flock(descriptor, LOCK_EX | LOCK_NB)
            }
            return true
        } catch {
            guard error.errno == .wouldBlock else { throw error }
            return false
        }
    }

    /// Fills `buffer` from `offset` on; the count is short only at the end of the file.
    package static func read(
        _ descriptor: CInt, at offset: Int, into buffer: UnsafeMutableRawBufferPointer, _ path: FilePath
    ) throws(SystemError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try retrying("read it at byte \(offset + done)", path) {
                pread(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    package static func write(
        _ descriptor: CInt, at offset: Int, _ bytes: UnsafeRawBufferPointer, _ path: FilePath
    ) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            let count = try retrying("write \(bytes.count - done) bytes at byte \(offset + done)", path) {
                pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            guard count > 0 else { throw SystemError("write", path, .ioError) }
            done += count
        }
    }

    /// Flushes to the disk. A failure is final: the system may have dropped the bytes, so it is never retried.
    package static func synchronize(_ descriptor: CInt, _ path: FilePath) throws(SystemError) {
        guard fsync(descriptor) == 0 else {
            throw SystemError("flush it to the disk", path, Errno(rawValue: errno))
        }
    }

    /// Flushes a folder's entries, so that a rename in it survives a power loss.
    package static func synchronizeFolder(_ path: FilePath) throws(SystemError) {
        let descriptor = try retrying("open the folder", path) {
            path.withPlatformString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        }
        defer { close(descriptor) }
        // Some file systems cannot flush a folder and say EINVAL; there is nothing else to be done there.
        guard fsync(descriptor) == 0 || errno == EINVAL else {
            throw SystemError("flush the folder", path, Errno(rawValue: errno))
        }
    }

    package static func setLength(_ descriptor: CInt, _ byteCount: Int, _ path: FilePath) throws(SystemError) {
        try retrying("make it \(byteCount) bytes long", path) { ftruncate(descriptor, off_t(byteCount)) }
    }

    /// Renames; without `replacing`, fails where the destination exists, even when it appeared a moment ago.
    package static func rename(
        _ source: FilePath, to destination: FilePath, replacing: Bool
    ) throws(SystemError) {
        try retrying("rename it to \(destination.forDisplay)", source) {
            source.withPlatformString { from in
                destination.withPlatformString { to in
                    replacing ? Glibc.rename(from, to) : csystem_rename_without_replacing(from, to)
                }
            }
        }
    }

    /// Exchanges two names in one step, so that a folder is replaced without a moment in which it is missing.
    package static func exchange(_ a: FilePath, _ b: FilePath) throws(SystemError) {
        try retrying("exchange it with \(b.forDisplay)", a) {
            a.withPlatformString { from in
                b.withPlatformString { to in csystem_exchange(from, to) }
            }
        }
    }

    package static func makeFolder(_ path: FilePath) throws(SystemError) {
        try retrying("create the folder", path) { path.withPlatformString { mkdir($0, 0o777) } }
    }

    /// The absolute path without links that a path leads to.
    package static func resolved(_ path: FilePath) throws(SystemError) -> FilePath {
        guard let found = path.withPlatformString({ realpath($0, nil) }) else {
            throw SystemError("find it", path, Errno(rawValue: errno))
        }
        defer { free(found) }
        return FilePath(platformString: found)
    }

    /// The same for what may not exist yet: links are followed as far as the path exists.
    package static func resolvedAsFarAsItExists(_ path: FilePath) throws(SystemError) -> FilePath {
        var place = path.lexicallyNormalized()
        var rest: [FilePath.Component] = []
        while let last = place.lastComponent {
            guard try status(place) == nil else { break }
            rest.append(last)
            place.removeLastComponent()
        }
        return try resolved(place.isEmpty ? "." : place).appending(rest.reversed())
    }

    /// Makes a symbolic link.
    package static func link(_ path: FilePath, to target: FilePath) throws(SystemError) {
        try retrying("create the link", path) {
            path.withPlatformString { path in target.withPlatformString { symlink($0, path) } }
        }
    }

    /// Removes a file, or an empty folder. Absence is no error.
    package static func removeIfPresent(_ path: FilePath) {
        _ = path.withPlatformString { remove($0) }
    }

    /// Removes a folder and all in it, never following links out of it.
    package static func removeTree(_ path: FilePath) {
        if let names = try? names(in: path), (try? status(path, followingLinks: false))?.kind == .folder {
            for name in names { removeTree(path.appending(name)) }
        }
        removeIfPresent(path)
    }

    /// The names in a folder, sorted by their bytes.
    package static func names(in folder: FilePath) throws(SystemError) -> [String] {
        guard let stream = folder.withPlatformString({ opendir($0) }) else {
            throw SystemError("list the folder", folder, Errno(rawValue: errno))
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted { ExactName($0) < ExactName($1) }
    }

    /// Everything in a folder and the folders in it that is no folder itself, or that is not looked into: links to folders,
    /// and folders more than `depth` deep. Hidden names are left out, with all below them.
    ///
    /// - Returns: names relative to the folder, "1_Pooling/config.json", each folder's behind one another; `isFile` says
    ///   whether it is, or leads to, a regular file.
    package static func tree(
        in folder: FilePath, depth: Int = 8
    ) throws(SystemError) -> [(name: String, isFile: Bool)] {
        var found: [(name: String, isFile: Bool)] = []
        for name in try names(in: folder) where !name.hasPrefix(".") {
            let path = folder.appending(name)
            if depth > 0, try status(path, followingLinks: false)?.kind == .folder {
                for inner in try tree(in: path, depth: depth - 1) {
                    found.append(("\(name)/\(inner.name)", inner.isFile))
                }
            } else {
                found.append((name, try status(path)?.kind == .file))
            }
        }
        return found
    }

    /// Bytes that this user may still write to the file system that holds a path.
    package static func freeByteCount(at path: FilePath) -> Int? {
        var raw = statvfs()
        guard path.withPlatformString({ statvfs($0, &raw) }) == 0 else { return nil }
        let (bytes, overflow) = Int(raw.f_bavail).multipliedReportingOverflow(by: Int(raw.f_frsize))
        return overflow ? nil : bytes
    }

    /// Reserves disk space, so that a full disk is noticed before the work; file systems that cannot are let be.
    package static func reserve(_ descriptor: CInt, _ byteCount: Int, _ path: FilePath) throws(SystemError) {
        guard byteCount > 0 else { return }
        try retrying("reserve \(byteCount) bytes", path) { csystem_reserve(descriptor, off_t(byteCount)) }
    }

    /// Drops the pages of a range of a file from the cache; those that are not on the disk yet begin to be written.
    ///
    /// - Parameter byteCount: 0 for all from `offset` on.
    package static func dropFromCache(_ descriptor: CInt, from offset: Int = 0, _ byteCount: Int = 0) {
        _ = posix_fadvise(descriptor, off_t(offset), off_t(byteCount), POSIX_FADV_DONTNEED)
    }

    /// Tells the system that a range of a file will be read once, front to back.
    package static func adviseSequential(_ descriptor: CInt) {
        _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
    }
}
