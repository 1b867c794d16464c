import AssayCheckpoints
import Synchronization
import SystemPackage

/// Where the bytes of parts are: in the file, in its shards, stored or in seekable zstd frames. Shards and seek tables are
/// opened when something of them is asked for.
final class ZTensorSources: Sendable {
    private let file: InputFile
    private let shards: NameMap<ZTensorManifest.Shard>
    private let inflater: FrameInflater
    private let opened = Mutex(Opened())

    private struct Opened {
        var shards = NameMap<InputFile>()
        var frames: [FrameKey: InflatedFrames] = [:]
    }

    /// What frames of zTensor must be.
    private static let rules = InflatedFrames.Rules(
        maximumContentByteCount: 16 << 20, areEqual: true, haveChecksums: true)
    static let encoding = "zt.zstd-seekable/1"

    init(_ file: InputFile, _ manifest: ZTensorManifest, threads: Int) {
        self.file = file
        shards = NameMap(manifest.shards.map { ($0.name, $0) })
        inflater = FrameInflater(threads: threads)
    }

    /// Fills `buffer` with the bytes of a part from `offset` on, once decoded.
    ///
    /// - Throws: `CheckpointError`; `StructureError` where a shard is missing; `SystemError`.
    func read(
        _ part: ZTensorManifest.Part, of tensor: String, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        guard !buffer.isEmpty else { return }
        let source = try part.shard.map { try shard($0) } ?? file
        switch part.encoding {
        case nil: try source.read(at: part.blob.lowerBound + offset, into: buffer)
        case Self.encoding?: try frames(part, of: tensor, in: source).read(at: offset, into: buffer)
        case let other?:
            throw CheckpointError(
                file.path, .tensor(tensor), expected: "an encoding that is known (\(Self.encoding))",
                found: "'\(other.escapedForDisplay)'")
        }
    }

    // MARK: Frames

    private struct FrameKey: Hashable {
        var shard: ExactName?
        var offset: Int
    }

    private func frames(
        _ part: ZTensorManifest.Part, of tensor: String, in source: InputFile
    ) throws -> InflatedFrames {
        let key = FrameKey(shard: part.shard.map { ExactName($0) }, offset: part.blob.lowerBound)
        if let frames = opened.withLock({ $0.frames[key] }) { return frames }
        let frames = try InflatedFrames(
            source, part.blob, Self.rules, place: .tensor(tensor), inflater: inflater)
        guard frames.byteCount == part.byteCount else {
            throw CheckpointError(
                source.path, .tensor(tensor), expected: "\(part.byteCount.inBytes) once decoded, as the manifest says",
                found: "a seek table of \(frames.byteCount)")
        }
        return opened.withLock { opened in
            let first = opened.frames[key] ?? frames
            opened.frames[key] = first
            return first
        }
    }

    // MARK: Shards

    /// Where a shard is looked for: `model-NAME.zt` beside `model.zt`.
    static func path(ofShard name: String, of root: FilePath) -> FilePath {
        let fileName = root.lastComponent?.string ?? ""
        let suffix = ZTensor.fileExtensions[0]
        let stem = fileName.hasSuffix(suffix) ? String(fileName.dropLast(suffix.count)) : fileName
        return root.removingLastComponent().appending("\(stem)-\(name)\(suffix)")
    }

    private func shard(_ name: String) throws -> InputFile {
        if let found = opened.withLock({ $0.shards[name] }) { return found }
        guard let shard = shards[name] else {
            throw CheckpointError(
                file.path, .part("manifest"), expected: "shard '\(name.escapedForDisplay)'", found: "none")
        }
        let path = Self.path(ofShard: name, of: file.path)
        guard try SystemCall.status(path) != nil else {
            throw StructureError(
                "\(file.path.forDisplay): shard '\(name.escapedForDisplay)' is missing: expected \(path.forDisplay), \(shard.byteCount.inBytes)"
                    + " of the digest \(shard.digest); put it there")
        }
        let found = try InputFile(path)
        guard found.byteCount == shard.byteCount else {
            throw CheckpointError(
                path, .file,
                expected: "\(shard.byteCount.inBytes), as \(file.path.forDisplay) says of its shard"
                    + " '\(name.escapedForDisplay)'",
                found: "\(found.byteCount): another file, or cut off; download it again")
        }
        // Both ends are checked; what a manifest of its own says is nothing to the root.
        _ = try ZTensorFile.footer(of: found)
        return opened.withLock { opened in
            let first = opened.shards[name] ?? found
            opened.shards[name] = first
            return first
        }
    }
}
