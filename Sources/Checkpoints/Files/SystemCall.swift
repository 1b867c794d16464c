import AssayCSystem
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// The one edge where the system is called for files: -1 becomes a typed error, EINTR is retried, short reads and
/// writes are continued.
package enum SystemCall {
    /// What kind of thing a path names.
    package enum Kind: Sendable {
        case file, folder, link, other

        /// For sentences.
        package var words: String {
            switch self {
            case .file: "a file"
            case .folder: "a folder"
            case .link: "a symbolic link"
            case .other: "a pipe, a socket or a device"
            }
        }
    }

    package struct Status: Sendable, Equatable {
        package var kind: Kind
        package var byteCount: Int
        package var device: UInt64
        package var inode: UInt64
        package var mode: UInt32
        package var modifiedSeconds: Int
        package var modifiedNanoseconds: Int
        /// When its bytes or anything of it (names, mode, owner, times) changed last. Nobody can set it. No part of `==`, as the
        /// mode is none: neither tells of the bytes.
        package var changedSeconds: Int
        package var changedNanoseconds: Int
        private let linkCount: UInt64
        private let owner: UInt32
        private let group: UInt32

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
            linkCount = UInt64(raw.st_nlink)
            owner = UInt32(raw.st_uid)
            group = UInt32(raw.st_gid)
        }

        /// Whether something changed that is neither a name, the mode nor the owner: bytes, where the time of their change was
        /// set back.
        fileprivate func wasChangedUnseen(since before: Status) -> Bool {
            (changedSeconds, changedNanoseconds) != (before.changedSeconds, before.changedNanoseconds)
                && (mode, linkCount, owner, group) == (before.mode, before.linkCount, before.owner, before.group)
        }

        /// The same file, not written to in between.
        package static func == (a: Status, b: Status) -> Bool {
            a.kind == b.kind && a.byteCount == b.byteCount && a.isSameFile(as: b)
                && a.modifiedSeconds == b.modifiedSeconds && a.modifiedNanoseconds == b.modifiedNanoseconds
        }
    }

    /// Runs a call until it is not interrupted; -1 becomes the error.
    @discardableResult
    static func retrying<T: SignedInteger>(
        _ operation: String, _ path: FilePath, _ call: () -> T
    ) throws(SystemError) -> T {
        while true {
            let result = call()
            if result != -1 { return result }
            let code = Errno(rawValue: errno)
            if code == .interrupted { continue }
            throw SystemError(operation, path, code)
        }
    }

    /// Runs a call that gives nothing where it fails, until it is not interrupted.
    private static func retryingForResult<T>(
        _ operation: String, _ path: FilePath, _ call: () -> T?
    ) throws(SystemError) -> T {
        while true {
            if let result = call() { return result }
            let code = Errno(rawValue: errno)
            if code != .interrupted { throw SystemError(operation, path, code) }
        }
    }

    /// The status of what a path leads to (links followed), or nil where nothing is there: nothing has a name that is too
    /// long for the file system either.
    package static func status(_ path: FilePath, followingLinks: Bool = true) throws(SystemError) -> Status? {
        var raw = stat()
        do {
            try retrying("look at it", path) {
                path.withPlatformString { followingLinks ? stat($0, &raw) : lstat($0, &raw) }
            }
        } catch {
            switch error.errno {
            case .noSuchFileOrDirectory, .notDirectory, .fileNameTooLong: return nil
            default: throw error
            }
        }
        return Status(raw)
    }

    package static func status(of descriptor: CInt, _ path: FilePath) throws(SystemError) -> Status {
        var raw = stat()
        try retrying("look at it", path) { fstat(descriptor, &raw) }
        return Status(raw)
    }

    /// What was read of a file must be what was opened: the same file, of the same size and time of change.
    ///
    /// - Parameter before: its status at that time.
    package static func requireUnchanged(_ path: FilePath, since before: Status?) throws(SystemError) {
        let now = try status(path)
        if now == before {
            guard let now, let before, now.wasChangedUnseen(since: before) else { return }
        }
        throw SystemError(
            "trust what was read", path, now == nil ? .noSuchFileOrDirectory : .ioError,
            advice: now == nil ? "it vanished meanwhile" : "it was changed while it was read")
    }

    /// Opens for reading, without waiting for the other end of a pipe or device.
    package static func openForReading(_ path: FilePath) throws(SystemError) -> CInt {
        try retrying("open it", path) { path.withPlatformString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) } }
    }

    /// Opens a file that exists for writing to it.
    package static func openForWriting(_ path: FilePath) throws(SystemError) -> CInt {
        try retrying("open it for writing", path) { path.withPlatformString { open($0, O_RDWR | O_CLOEXEC) } }
    }

    /// Requires that files can be made in a folder.
    ///
    /// - Parameter path: of the one that is to be, which the error names.
    static func requireWritable(_ folder: FilePath, for path: FilePath) throws(SystemError) {
        try retrying("write into its folder", path) { folder.withPlatformString { access($0, W_OK | X_OK) } }
        // To flush its entries it is opened.
        try retrying("read its folder, to flush it to the disk", path) {
            folder.withPlatformString { access($0, R_OK) }
        }
    }

    /// Creates a file that must not exist yet.
    package static func create(_ path: FilePath) throws(SystemError) -> CInt {
        try Temporaries.making { () throws(SystemError) -> CInt in try make(path) }
    }

    /// Creates a file beside another that loses its name at once, and so is gone with the process.
    static func createUnnamed(beside path: FilePath) throws(SystemError) -> CInt {
        try Temporaries.making { () throws(SystemError) -> CInt in
            let name = StagedOutput.temporaryPath(for: path)
            let descriptor = try make(name, for: path)
            removeIfPresent(name)
            return descriptor
        }
    }

    private static func make(_ path: FilePath, for known: FilePath? = nil) throws(SystemError) -> CInt {
        try retrying("create it", known ?? path) {
            path.withPlatformString {
                open($0, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666 & Temporaries.permissions(of: path))
            }
        }
    }

    /// Opens a file that processes lock, and makes it where it is missing.
    package static func openLock(_ path: FilePath) throws(SystemError) -> CInt {
        try Temporaries.making { () throws(SystemError) -> CInt in
            try retrying("open it", path) {
                path.withPlatformString { open($0, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666) }
            }
        }
    }

    /// Locks an open file, as long as this process has it open.
    ///
    /// - Returns: false where another process has it.
    package static func lock(_ descriptor: CInt, _ path: FilePath) throws(SystemError) -> Bool {
        do {
            try retrying("lock it", path) { flock(descriptor, LOCK_EX | LOCK_NB) }
            return true
        } catch {
            guard error.errno == .wouldBlock else {
                throw SystemError(
                    error.operation, path, error.errno,
                    advice: "the file system may have no locks; leave --resume out")
            }
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
            let count = try retrying("write \((bytes.count - done).inBytes) at byte \(offset + done)", path) {
                pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            guard count > 0 else { throw SystemError("write", path, .ioError) }
            done += count
        }
    }

    /// Flushes to the disk. A failure is final: the system may have dropped the bytes, so it is never tried again, but where
    /// it was interrupted before it could fail.
    package static func synchronize(_ descriptor: CInt, _ path: FilePath) throws(SystemError) {
        try retrying("flush it to the disk", path) { fsync(descriptor) }
    }

    /// Flushes a folder's entries, so that a rename in it survives a power loss.
    package static func synchronizeFolder(_ path: FilePath) throws(SystemError) {
        let descriptor = try openFolder(path)
        defer { close(descriptor) }
        do {
            try retrying("flush the folder", path) { fsync(descriptor) }
        } catch {
            // Some file systems cannot flush a folder and say so; there is nothing else to be done there.
            guard error.errno == .invalidArgument else { throw error }
        }
    }

    /// Flushes the entries of a folder under construction and of all folders in it.
    package static func synchronizeTree(_ path: FilePath) throws(SystemError) {
        for name in try names(in: path) where try status(path.appending(name), followingLinks: false)?.kind == .folder {
            try synchronizeTree(path.appending(name))
        }
        try synchronizeFolder(path)
    }

    private static func openFolder(_ path: FilePath) throws(SystemError) -> CInt {
        try retrying("open the folder", path) {
            path.withPlatformString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        }
    }

    /// Waits until no other process holds the folder locked, and locks it. Locks are a courtesy among processes of ours, who
    /// are done in a moment: who holds one for long is none of them at work, and may be waiting for us.
    ///
    /// - Parameter patience: how many times 10 ms to wait.
    /// - Returns: nil where it is not locked: somebody else keeps it so, or the file system has no locks.
    static func lockFolder(_ folder: FilePath, patience: Int = 1000) -> CInt? {
        guard let descriptor = try? openFolder(folder) else { return nil }
        for _ in 0..<patience {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return descriptor }
            guard errno == EWOULDBLOCK || errno == EINTR else { break }
            usleep(10_000)
        }
        close(descriptor)
        return nil
    }

    static func unlock(_ descriptor: CInt) { close(descriptor) }

    /// Sets the permissions of a file or folder, and waits until the disk has them.
    static func setMode(_ path: FilePath, _ mode: UInt32) throws(SystemError) {
        let descriptor = try openForReading(path)
        defer { close(descriptor) }
        try retrying("set its permissions", path) { fchmod(descriptor, mode) }
        try synchronize(descriptor, path)
    }

    package static func setLength(_ descriptor: CInt, _ byteCount: Int, _ path: FilePath) throws(SystemError) {
        try retrying("make it \(byteCount.inBytes) long", path) { ftruncate(descriptor, off_t(byteCount)) }
    }

    /// Renames; without `replacing`, fails where the destination exists, even when it appeared a moment ago.
    package static func rename(
        _ source: FilePath, to destination: FilePath, replacing: Bool
    ) throws(SystemError) {
        // What was made is called by the name that it is to have.
        let operation =
            Temporaries.destination(of: source) == destination
            ? "rename what was made to that" : "rename it to \(destination.forDisplay)"
        try retrying(operation, source) {
            source.withPlatformString { from in
                destination.withPlatformString { to in
                    replacing ? Glibc.rename(from, to) : csystem_rename_without_replacing(from, to)
                }
            }
        }
    }

    /// Exchanges a finished output with what it replaces, in one step, without a moment in which that is missing. Where the
    /// file system cannot do that, there is such a moment.
    static func exchange(_ staging: FilePath, _ destination: FilePath) throws(SystemError) {
        do {
            try retrying("exchange what was made with what is there", staging) {
                staging.withPlatformString { from in
                    destination.withPlatformString { to in csystem_exchange(from, to) }
                }
            }
        } catch {
            guard error.errno == .invalidArgument || error.errno == .noFunction else { throw error }
            try exchangeByRenaming(staging, destination)
        }
    }

    private static func exchangeByRenaming(_ staging: FilePath, _ destination: FilePath) throws(SystemError) {
        let aside = StagedOutput.asidePath(for: destination)
        try rename(destination, to: aside, replacing: false)
        do {
            try rename(staging, to: destination, replacing: false)
        } catch {
            try rename(aside, to: destination, replacing: false)
            throw error
        }
        do {
            try rename(aside, to: staging, replacing: false)
        } catch {
            try rename(destination, to: staging, replacing: false)
            try rename(aside, to: destination, replacing: false)
            throw error
        }
    }

    /// - Parameters:
    ///   - destination: what it is to become; then it is removed where the process is interrupted.
    ///   - mode: of what stands there; nobody may look into it who may not look into that.
    package static func makeFolder(
        _ path: FilePath, temporaryFor destination: FilePath? = nil, mode: UInt32? = nil
    ) throws(SystemError) {
        try Temporaries.making { () throws(SystemError) in
            let permissions = Temporaries.permissions(replacing: mode)
            try retrying("create the folder", path) { path.withPlatformString { mkdir($0, permissions) } }
            if let destination { Temporaries.add(path, for: destination, mode: mode) }
        }
    }

    /// The absolute path without links that a path leads to.
    package static func resolved(_ path: FilePath) throws(SystemError) -> FilePath {
        let found = try retryingForResult("find it", path) { path.withPlatformString { realpath($0, nil) } }
        defer { free(found) }
        return FilePath(platformString: found)
    }

    /// What a path names: where that is a link, the file or folder that it leads to; else the path as it is.
    package static func followed(_ path: FilePath) throws(SystemError) -> FilePath {
        try status(path, followingLinks: false)?.kind == .link ? resolved(path) : path
    }

    /// The same for what may not exist yet: links are followed as far as the path exists.
    package static func resolvedAsFarAsItExists(_ path: FilePath) throws(SystemError) -> FilePath {
        var place = path.settled()
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
        _ = try? retrying("remove it", path) { path.withPlatformString { remove($0) } }
    }

    /// Removes a folder and all in it, never following links out of it.
    package static func removeTree(_ path: FilePath) {
        if let status = try? status(path, followingLinks: false), status.kind == .folder {
            // What nobody may write into cannot be emptied.
            if status.mode & 0o700 != 0o700 { _ = path.withPlatformString { chmod($0, 0o700) } }
            for name in (try? names(in: path)) ?? [] { removeTree(path.appending(name)) }
        }
        removeIfPresent(path)
    }

    /// Whether a file system begins there, which cannot be renamed.
    static func isMountPoint(_ path: FilePath) -> Bool { path.withPlatformString { csystem_is_mount_point($0) } != 0 }

    /// Opens standard input, output and error where the caller closed them, so that no file of ours gets their numbers, and
    /// what is printed does not go into it. What is written there fails.
    package static func occupyStandardDescriptors() {
        for number in 0...2 as ClosedRange<CInt> where fcntl(number, F_GETFD) == -1 && errno == EBADF {
            _ = open("/dev/null", O_RDONLY)
        }
    }

    /// A checkpoint may have thousands of shards, each open as long as it is read: takes as many descriptors as are allowed to
    /// whoever asks for them.
    package static func allowManyDescriptors() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, 1 << 16))
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// The names in a folder, sorted by their bytes.
    package static func names(in folder: FilePath) throws(SystemError) -> [String] {
        let stream = try retryingForResult("list the folder", folder) { folder.withPlatformString { opendir($0) } }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            // Null is the end as well as a failure.
            errno = 0
            guard let entry = readdir(stream) else {
                if errno == EINTR { continue }
                break
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw SystemError("list the folder", folder, Errno(rawValue: errno)) }
        return names.sorted { ExactName($0) < ExactName($1) }
    }

    /// Everything in a folder and the folders in it that is no folder itself, or that is not looked into: links to folders,
    /// and folders more than `depth` deep.
    ///
    /// - Parameter hidden: whether hidden names are in it; else they are left out with all below them.
    /// - Returns: names relative to the folder, "1_Pooling/config.json", each folder's behind one another; `isFile` says
    ///   whether it is, or leads to, a regular file.
    package static func tree(
        in folder: FilePath, depth: Int = 8, hidden: Bool = false
    ) throws(SystemError) -> [(name: String, isFile: Bool)] {
        var found: [(name: String, isFile: Bool)] = []
        for name in try names(in: folder) where hidden || !name.hasPrefix(".") {
            let path = folder.appending(name)
            if depth > 0, try status(path, followingLinks: false)?.kind == .folder {
                for inner in try tree(in: path, depth: depth - 1, hidden: hidden) {
                    found.append(("\(name)/\(inner.name)", inner.isFile))
                }
            } else {
                found.append((name, try status(path)?.kind == .file))
            }
        }
        return found
    }

    /// Bytes that this user may still write to the file system that holds a path; nil where it does not say.
    package static func freeByteCount(at path: FilePath) -> Int? {
        var raw = statvfs()
        guard path.withPlatformString({ statvfs($0, &raw) }) == 0 else { return nil }
        return freeByteCount(of: raw)
    }

    /// File systems in memory may say that they have no blocks at all, where nothing limits them.
    static func freeByteCount(of system: statvfs) -> Int? {
        guard system.f_blocks != 0 else { return nil }
        let (bytes, overflow) = UInt64(system.f_bavail).multipliedReportingOverflow(by: UInt64(system.f_frsize))
        return overflow ? nil : Int(exactly: bytes)
    }

    /// Reserves disk space, so that a full disk is noticed before the work; file systems that cannot are let be.
    package static func reserve(_ descriptor: CInt, _ byteCount: Int, _ path: FilePath) throws(SystemError) {
        guard byteCount > 0 else { return }
        try retrying("reserve \(byteCount.inBytes)", path) { csystem_reserve(descriptor, off_t(byteCount)) }
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
