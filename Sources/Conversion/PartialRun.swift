import AssayCheckpoints
import AssayFormats
import AssayTensors
import Synchronization
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// What a run with `--resume` keeps for the next, should it be interrupted: the folder `DST.assay-partial` beside its
/// destination, locked while it works.
///
///     run.json         what the run is (PartialRunIdentity)
///     output/          what is made; no more of an interrupted run is kept than the files that were finished
///     finished/N.json  of the plan's file N, finished: its SHA-256, and what its steps found (KeptFile)
///     complete.json    the inode of what is about to take the destination's place, by which it is known there
///     lock
///
/// What is kept is a whole file of the destination, never a part of one. Dropped before a file is finished, it leaves
/// nothing behind.
public final class PartialRun: Sendable {
    public let folder: FilePath
    /// Whether an earlier run finished, and was interrupted after the destination was in its place.
    public let isPublished: Bool
    /// Names of files that were finished, and damaged since.
    public let damaged: [String]
    private let lock: CInt
    private let kept: Mutex<[Int: KeptFile]>

    /// Names of finished files that are kept.
    public var keptNames: [String] { kept.withLock { $0.values.map(\.outcome.file.name).sorted() } }

    public static func folder(for destination: FilePath) -> FilePath {
        destination.settled().beside(".assay-partial")
    }

    /// Goes on with what an earlier run of the same plan left.
    ///
    /// - Parameter run: what this run is.
    /// - Returns: nil where there is nothing to go on with.
    /// - Throws: `UsageError` where it was another run, its source has changed, or another process is at work;
    ///   `CheckpointError` where its own files are damaged.
    public static func found(for plan: ConversionPlan, _ run: PartialRunIdentity) throws -> PartialRun? {
        let folder = folder(for: plan.destination)
        try StagedOutput.requireName(folder, of: "the name of the folder that --resume keeps")
        guard let status = try SystemCall.status(folder, followingLinks: false) else { return nil }
        guard status.kind == .folder else {
            throw UsageError("\(folder.forDisplay): is in the way of what an interrupted run keeps; move it away")
        }
        try requireKinds(in: folder)
        let lock = try takeLock(in: folder)
        do {
            // One that was killed before it had said what it is has done nothing yet.
            guard let earlier = try PartialRunIdentity.read(in: folder) else {
                try requireOurs(folder)
                removeAll(but: [lockName], in: folder)
                return PartialRun(folder, lock: lock)
            }
            try run.requireSame(as: earlier, in: folder)
            return try PartialRun(folder, lock: lock, plan, sourceWasTouched: run.wasTouched(since: earlier))
        } catch {
            close(lock)
            throw error
        }
    }

    /// Begins one where nothing is there yet.
    public static func begun(for plan: ConversionPlan) throws -> PartialRun {
        let folder = folder(for: plan.destination)
        // Removed on failure only once it is locked: until then another run may be the one that works in it.
        let mode = try SystemCall.status(plan.destination)?.mode
        // A file that others may read may lie in a folder that they may look into.
        try SystemCall.makeFolder(folder, mode: mode.map { $0 | ($0 & 0o444) >> 2 })
        do {
            return try PartialRun(folder, lock: takeLock(in: folder))
        } catch {
            // Nothing happens where it is not empty.
            SystemCall.removeIfPresent(folder)
            throw error
        }
    }

    private init(_ folder: FilePath, lock: CInt) {
        self.folder = folder
        self.lock = lock
        isPublished = false
        damaged = []
        kept = Mutex([:])
        Temporaries.add(folder)
    }

    /// - Parameter sourceWasTouched: whether what was read must be read again, to see whether it is still the same.
    private init(_ folder: FilePath, lock: CInt, _ plan: ConversionPlan, sourceWasTouched: Bool) throws {
        self.folder = folder
        self.lock = lock
        let finished = try KeptFile.read(in: folder.appending(Self.finishedName), plan)
        if sourceWasTouched { try Self.requireSameSource(finished, plan, folder) }
        isPublished =
            try finished.count == plan.files.count && Self.isComplete(plan.destination, by: folder)
            && Self.intact(finished, plan, in: plan.destination).count == finished.count
            && Self.holdsSideFiles(plan)
        let place = isPublished ? plan.destination : folder.appending(Self.outputName)
        let kept = try isPublished ? finished : Self.intact(finished, plan, in: place)
        damaged = finished.keys.filter { kept[$0] == nil }.sorted().map { plan.files[$0].name }
        self.kept = Mutex(kept)
        if kept.isEmpty { Temporaries.add(folder) }
        if !isPublished { Self.removeAll(but: kept.values.map(\.outcome.file.name), in: place) }
    }

    deinit {
        Temporaries.remove(folder)
        close(lock)
    }

    static let outputName = "output"
    private static let completeName = "complete.json"
    private static let finishedName = "finished"
    private static let lockName = "lock"
    /// All that lies in the folder, but for what is being staged there.
    private static let parts: [(name: String, kind: SystemCall.Kind)] = [
        (outputName, .folder), (finishedName, .folder), (completeName, .file), (lockName, .file),
        (PartialRunIdentity.fileName, .file),
    ]

    // MARK: Work

    /// Where the destination is to be made: the file, or the folder for its files.
    func place(of plan: ConversionPlan) throws -> FilePath {
        if isPublished { return plan.destination.settled() }
        let output = folder.appending(Self.outputName)
        for path in [output, folder.appending(Self.finishedName)] where try SystemCall.status(path) == nil {
            try SystemCall.makeFolder(path)
        }
        // What is finished is to be found after a power loss too.
        try SystemCall.synchronizeFolder(folder)
        try SystemCall.synchronizeFolder(folder.folder)
        return plan.isFolder ? output : output.appending(plan.files[0].name)
    }

    /// Writes down what the run is, before it does anything.
    public func begin(_ run: PartialRunIdentity) throws {
        try Self.write(run.json, to: folder.appending(PartialRunIdentity.fileName))
    }

    /// What an earlier run made of the plan's file `index`.
    func file(_ index: Int) -> KeptFile? { kept.withLock { $0[index] } }

    /// Makes a file of the destination, which is removed where that fails, and writes down that it is finished.
    func make(
        _ index: Int, at path: FilePath, _ cache: CacheAllowance?, _ body: () throws -> WrittenFile
    ) throws -> WrittenFile {
        Temporaries.add(path)
        defer { Temporaries.remove(path) }
        let written = try body()
        let file = KeptFile(outcome: written, digest: try InputFile(path, cache: cache).digest())
        try SystemCall.synchronizeFolder(path.removingLastComponent())
        try Self.write(file.json, to: folder.appending(Self.finishedName).appending("\(index).json"))
        kept.withLock { $0[index] = file }
        Temporaries.forget(path)
        // From here on there is something to go on with.
        Temporaries.forget(folder)
        return written
    }

    /// Writes down that what lies at `place` is all that was to be made. The inode stays when it is renamed; nothing else
    /// tells it from an older destination with the same weights.
    func complete(at place: FilePath) throws {
        guard !isPublished, let status = try SystemCall.status(place, followingLinks: false) else { return }
        try Self.write(["inode": .string("\(status.inode)")], to: folder.appending(Self.completeName))
    }

    /// Whether the destination is what the folder's run made.
    private static func isComplete(_ destination: FilePath, by folder: FilePath) throws -> Bool {
        let path = folder.appending(completeName)
        guard let found = try SystemCall.status(destination.settled(), followingLinks: false),
            try SystemCall.status(path)?.kind == .file
        else { return false }
        let value = try? JSONValue(reading: InputFile(path), "what a run made", atMost: 1 << 10)
        return value?.object?["inode"]?.string == "\(found.inode)"
    }

    /// Removes all that is kept, after the destination and its certificate are in their places.
    func remove() {
        // First what it says of itself: what an interrupted removal leaves is nothing to go on with. Where that cannot be
        // flushed, all is in its place nevertheless.
        SystemCall.removeIfPresent(folder.appending(PartialRunIdentity.fileName))
        try? SystemCall.synchronizeFolder(folder)
        Temporaries.add(folder)
        Temporaries.remove(folder)
    }

    // MARK: Checks

    /// Before anything in it is followed or made: under our names may be links that lead out of it.
    private static func requireKinds(in folder: FilePath) throws {
        for (name, kind) in parts {
            let path = folder.appending(name)
            guard let found = try SystemCall.status(path, followingLinks: false)?.kind else { continue }
            guard found == kind else {
                throw UsageError(
                    "\(path.forDisplay): expected \(kind.words) of an interrupted run, found \(found.words); move"
                        + " \(folder.forDisplay) away")
            }
        }
        // Nothing is put into what may be somebody else's.
        let marks = [PartialRunIdentity.fileName, lockName]
        if try marks.allSatisfy({ try SystemCall.status(folder.appending($0)) == nil }) { try requireOurs(folder) }
    }

    /// - Throws: `UsageError` where another process is at work in the folder.
    private static func takeLock(in folder: FilePath) throws -> CInt {
        let path = folder.appending(lockName)
        let descriptor = try SystemCall.openLock(path)
        do {
            // The one that had it may have removed it when it was done.
            guard try SystemCall.lock(descriptor, path),
                try SystemCall.status(path)?.isSameFile(as: SystemCall.status(of: descriptor, path)) == true
            else {
                throw UsageError(
                    "\(folder.forDisplay): another run is at work on this destination; wait until it is done")
            }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// A folder that says nothing of itself is taken only where it could be one of ours.
    private static func requireOurs(_ folder: FilePath) throws {
        let own = NameSet(parts.map(\.name))
        guard let stranger = try SystemCall.names(in: folder).first(where: { !own.contains($0) && !isStaged($0) })
        else {
            return
        }
        throw UsageError(
            "\(folder.forDisplay): holds '\(stranger.escapedForDisplay)' and nothing of an interrupted run; move it away"
        )
    }

    /// Whether a name is one of `StagedOutput`'s own.
    private static func isStaged(_ name: String) -> Bool { name.hasPrefix(".") && name.hasSuffix(".assay-partial") }

    /// Those whose files are in the destination (under construction, or in its place), byte for byte as they were made.
    private static func intact(
        _ finished: [Int: KeptFile], _ plan: ConversionPlan, in place: FilePath
    ) throws -> [Int: KeptFile] {
        let isWhole = !plan.isFolder && place == plan.destination
        let files = Array(finished)
        let intact = ResultSlots<Bool>(count: files.count)
        try Parallel.forEach(files.count, threads: plan.options.threads) { index in
            let (file, digest) = (files[index].value.outcome.file, files[index].value.digest)
            let path = isWhole ? place : place.appending(file.name)
            let status = try SystemCall.status(path, followingLinks: false)
            let isSameSize = status?.kind == .file && status?.byteCount == file.byteCount
            intact.set(index, try isSameSize && InputFile(path, cache: plan.options.reading.cache).digest() == digest)
        }
        return Dictionary(uniqueKeysWithValues: zip(files, intact.all).filter(\.1).map { ($0.0.key, $0.0.value) })
    }

    /// Whether the destination holds the files beside those of tensors, as this run would make them.
    private static func holdsSideFiles(_ plan: ConversionPlan) throws -> Bool {
        try plan.sideFiles.allSatisfy { file in
            let path = plan.destination.settled().appending(file.name)
            guard try SystemCall.status(path, followingLinks: false)?.kind == .file else { return false }
            return try InputFile(path).digest() == file.digest()
        }
    }

    /// - Throws: `UsageError` where a tensor of the source is no longer what it was when it was read.
    private static func requireSameSource(
        _ finished: [Int: KeptFile], _ plan: ConversionPlan, _ folder: FilePath
    ) throws {
        for (index, file) in finished {
            for (step, result) in zip(plan.files[index].steps, file.outcome.steps) {
                guard let known = result.sourceDigest else {
                    throw PartialRunIdentity.refusal(
                        folder,
                        "the source was touched since it was begun, and no digests were taken by which to tell"
                            + " whether it is the same")
                }
                guard try known != plan.source.reader.digest(of: step.source) else { continue }
                throw PartialRunIdentity.refusal(
                    folder, "tensor '\(result.source.escapedForDisplay)' of the source has changed since it was read")
            }
        }
    }

    private static func removeAll(but names: [String], in folder: FilePath) {
        let kept = NameSet(names)
        for name in (try? SystemCall.names(in: folder)) ?? [] where !kept.contains(name) {
            SystemCall.removeTree(folder.appending(name))
        }
    }

    private static func write(_ value: JSONValue, to path: FilePath) throws {
        let staged = try StagedOutput(path, isFolder: false, overwrite: true)
        let output = try OutputFile(creating: staged.staging)
        try output.write(at: 0, Array((value.compactText + "\n").utf8))
        try output.synchronize()
        try staged.publish()
    }
}
