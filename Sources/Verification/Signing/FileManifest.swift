import AssayCheckpoints
import AssayFormats
import AssayTensors
import SystemPackage

/// The digests of all files of a model, as OpenSSF model signing signs them: `formats/model-signing.md`.
public struct FileManifest: Sendable, Equatable {
    /// The file or folder; it binds nothing.
    public var name: String
    public var resources: [Resource]
    public var serialization: Serialization

    /// A file, or a range of its bytes.
    public struct Resource: Sendable, Equatable {
        /// Relative to the folder; "." where the model is a single file.
        public var file: String
        /// Nil for the whole file.
        public var range: Range<Int>?
        public var digest: Digest
    }

    /// Which files belong to it, and how their digests are taken.
    public struct Serialization: Sendable, Equatable {
        /// Whether every file is one resource, or cut into ranges of one size.
        public var isInRanges = false
        /// Whether links are followed; otherwise there may be none.
        public var allowsLinks = false
        /// Files and folders that do not belong to it, with all in them.
        public var ignoredPaths: [String] = []
    }

    /// The name of a model that is a single file.
    static let ownName = "."
    /// What the package ignores unasked, and the signature where it puts it.
    static let usualIgnoredPaths = [".git", ".gitattributes", ".github", ".gitignore", signatureName]
    /// The name that the package gives a signature.
    public static let signatureName = "model.sig"

    static let predicateType = "https://model_signing/signature/v1.0"

    /// SHA-256 of all digests, one behind the other.
    public var rootDigest: Digest {
        var hasher = DigestHasher()
        for resource in resources { resource.digest.bytes.withUnsafeBytes { hasher.update($0) } }
        return hasher.finalize()
    }

    /// The statement that is signed.
    public var json: JSONValue {
        [
            "_type": .string(Certificate.statementType),
            "subject": [["name": .string(name), "digest": ["sha256": .string("\(rootDigest)")]]],
            "predicateType": .string(Self.predicateType),
            "predicate": [
                "serialization": [
                    "method": "files", "hash_type": "sha256", "allow_symlinks": .bool(serialization.allowsLinks),
                    "ignore_paths": .array(serialization.ignoredPaths.map { .string($0) }),
                ],
                "resources": .array(
                    resources.map {
                        ["name": .string($0.file), "digest": .string("\($0.digest)"), "algorithm": "sha256"]
                    }),
            ],
        ]
    }
}

extension FileManifest {
    /// Takes the digests of all files of a checkpoint's folder, or of the file that it is, in the order of the package: by
    /// the components of their paths.
    ///
    /// - Throws: `UsageError` where it is some files of a folder; `CheckpointError` where there is what is neither file
    ///   nor folder; `SystemError`.
    public init(of checkpoint: Checkpoint, threads: Int) throws {
        let root = try checkpoint.signedRoot()
        var serialization = Serialization(ignoredPaths: Self.usualIgnoredPaths)
        let tree = try ModelFiles(in: root)
        serialization.allowsLinks = !tree.links.isEmpty
        let files = tree.files.filter { !serialization.ignores($0) }
        let digests = ResultSlots<Digest>(count: files.count)
        try Parallel.forEach(files.count, threads: threads) {
            digests.set($0, try InputFile(tree.path(of: files[$0])).digest())
        }
        name = try SystemCall.resolved(root).lastComponent?.string ?? "/"
        resources = zip(files, digests.all).map { Resource(file: $0, range: nil, digest: $1) }
        self.serialization = serialization
    }

    /// Does something with all files of a checkpoint.
    ///
    /// - Parameter checkpoint: nil where it does not matter whether they change.
    /// - Throws: `SystemError` where one was changed meanwhile, or came or went; else what `body` throws.
    public static func whileUnchanged<R>(_ checkpoint: Checkpoint?, _ body: () throws -> R) throws -> R {
        guard let checkpoint else { return try body() }
        let root = try checkpoint.signedRoot()
        let before = try ModelFiles(in: root)
        let statuses = try before.files.map { try SystemCall.status(before.path(of: $0)) }
        let result = try body()
        guard try ModelFiles(in: root).files == before.files else {
            throw SystemError(
                "trust what was read", root, .ioError, advice: "files came or went while it was read")
        }
        for (file, status) in zip(before.files, statuses) {
            try SystemCall.requireUnchanged(before.path(of: file), since: status)
        }
        return result
    }

    /// Checks, before the work, that a manifest of a checkpoint can be written. It may take the place of a manifest that
    /// nobody signed, and of nothing else.
    ///
    /// - Throws: `UsageError`.
    public static func check(_ output: FilePath, of checkpoint: Checkpoint, overwrite: Bool) throws {
        let root = try SystemCall.resolved(checkpoint.signedRoot())
        guard try !SystemCall.resolvedAsFarAsItExists(output).starts(with: root) else {
            throw UsageError("\(output.forDisplay): lies in what the manifest is of; put it beside that")
        }
        try checkpoint.refuse(output: output)
        try StagedOutput.check(output, isFolder: false, overwrite: overwrite, replaceable: NameSet())
        guard try SystemCall.status(output) != nil, (try? read(output))?.isSigned ?? true else { return }
        throw UsageError("\(output.forDisplay): is in the way of the manifest and is none itself; name another place")
    }

    /// Writes the statement to a file that appears when it is complete.
    ///
    /// - Throws: `UsageError` where the file exists and is not to be replaced; `SystemError`.
    public func write(to path: FilePath, overwrite: Bool) throws {
        let staged = try StagedOutput(path, isFolder: false, overwrite: overwrite)
        let output = try OutputFile(creating: staged.staging)
        try output.write(at: 0, Array((json.canonicalText + "\n").utf8))
        try output.synchronize()
        try staged.publish()
    }
}

extension Checkpoint {
    /// What a manifest speaks of: the folder, or the only file.
    ///
    /// - Throws: `UsageError` where it is neither, but some files of a folder.
    func signedRoot() throws(UsageError) -> FilePath {
        guard folder != nil || (index == nil && files.count == 1) else {
            throw UsageError(
                "\(path.forDisplay): is in several files, and a manifest is of all files in their folder; name the folder"
            )
        }
        return folder ?? path
    }
}

extension FileManifest.Serialization {
    /// Whether a file, or a folder that it lies in, does not belong to the model.
    func ignores(_ file: String) -> Bool {
        ignoredPaths.contains { path in
            ExactName(path) == ExactName(file) || file.utf8.starts(with: (path + "/").utf8)
        }
    }
}

/// Everything in the folder of a model, hidden files too.
struct ModelFiles {
    private let root: FilePath
    /// Regular files, and links to such, relative to the folder, sorted by the components of their paths; "." alone where
    /// the model is a file.
    private(set) var files: [String] = []
    /// Links to whatever. Those to folders are not followed.
    private(set) var links: [String] = []

    /// - Throws: `CheckpointError` where there is what is neither file nor folder; `SystemError`.
    init(in root: FilePath) throws {
        self.root = root
        guard try SystemCall.status(root)?.kind == .folder else {
            files = [FileManifest.ownName]
            if try SystemCall.status(root, followingLinks: false)?.kind == .link { links = files }
            return
        }
        try walk("")
        files.sort { Self.components($0).lexicographicallyPrecedes(Self.components($1)) }
    }

    func path(of file: String) -> FilePath {
        file == FileManifest.ownName ? root : root.pushing(FilePath(file))
    }

    private mutating func walk(_ start: String) throws {
        var folders = [start]
        while let folder = folders.popLast() {
            for name in try SystemCall.names(in: folder.isEmpty ? root : path(of: folder)) {
                let name = folder.isEmpty ? name : "\(folder)/\(name)"
                let isLink = try SystemCall.status(path(of: name), followingLinks: false)?.kind == .link
                if isLink { links.append(name) }
                switch try SystemCall.status(path(of: name))?.kind {
                case .file: files.append(name)
                case .folder: if !isLink { folders.append(name) }
                default:
                    throw CheckpointError(
                        path(of: name), .file, expected: "a file or a folder, as a manifest knows no others",
                        found: "something else")
                }
            }
        }
    }

    private static func components(_ file: String) -> [ExactName] {
        file.split(separator: "/").map { ExactName(String($0)) }
    }
}
