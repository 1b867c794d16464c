import AssayCheckpoints
import AssayFormats
import SystemPackage

/// The files of a model folder beside its weights: configuration, tokenizer, generation settings, and modules in inner
/// folders.
public struct CompanionFiles: Sendable {
    /// Names of files that are copied, relative to the folder.
    public let copied: [String]
    /// Names of what stays behind: other weights, indices, certificates, folders.
    public let left: [String]
    private let folder: FilePath?
    /// Whether the destination will look like a model folder.
    var holdsConfiguration: Bool { copied.contains(Self.configurationName) }
    /// The files that are copied, where they are read.
    var sources: [FilePath] { folder.map { folder in copied.map { folder.appending($0) } } ?? [] }
    /// The new text of `config.json`, where it changes.
    private let configuration: String?

    package static let configurationName = "config.json"
    package static let certificateName = StagedOutput.certificateName
    /// What follows the name of a file in that of its certificate.
    package static let certificateSuffix = ".certificate.json"
    /// A signature of OpenSSF model signing, which is of these very files.
    static let signatureName = "model.sig"

    /// None, because the destination is a file.
    init(leaving folder: FilePath?) throws {
        copied = []
        left =
            try folder.map { folder in
                try SystemCall.names(in: folder).filter { !Self.isWeight($0) && !$0.hasPrefix(".") }
                    .map { try Self.shown($0, in: folder) }
            } ?? []
        self.folder = nil
        configuration = nil
    }

    /// Files of the folder and its inner folders come along, weights excepted: of those only what `modules.json` (of
    /// sentence-transformers) makes a part of the model.
    ///
    /// - Parameters:
    ///   - changes: members that `config.json` gets.
    ///   - destination: what is made; it may lie in the folder, and is none of its files.
    package init(
        of source: Checkpoint, changes: [(key: String, value: JSONValue)], for destination: FilePath
    ) throws {
        guard let folder = source.folder else {
            self = try CompanionFiles(leaving: nil)
            return
        }
        let modules = try Self.modules(of: folder)
        let own = try Self.outputs(in: folder, of: destination)
        let tree = try SystemCall.tree(in: folder)
        // What was converted into the folder before is no part of it.
        let made = NameSet(
            tree.compactMap { file in
                Self.innerFolder(of: file.name).flatMap { file.name == "\($0)/\(Self.certificateName)" ? $0 : nil }
            })
        var copied: [String] = []
        var left: [String] = []
        for (name, isFile) in tree where !own(name) {
            let inner = Self.innerFolder(of: name)
            func isIn(_ folders: NameSet) -> Bool { inner.map { folders.contains($0) } ?? false }
            let isPart = !isIn(made) && (!Self.isWeight(name) || isIn(modules))
            // Texts for people may be missing.
            if !isFile, isPart, !name.lowercased().hasSuffix(".md") {
                try Self.refuseDanglingLink(folder.appending(name))
            }
            let isOwn = Self.isCertificate(name) || name == Self.signatureName || Checkpoint.isUnfinished(name)
            if isFile, isPart, !isOwn {
                copied.append(name)
            } else if !source.files.contains(folder.appending(name)), source.index != folder.appending(name) {
                left.append(name)
            }
        }
        self.copied = copied
        self.left = Self.joined(left, unless: NameSet(copied.compactMap { Self.innerFolder(of: $0) }))
        self.folder = folder
        configuration = try changes.isEmpty ? nil : Self.configuration(in: folder, changes)
    }

    /// A folder of links, as hubs keep them, of which a file was not downloaded or was removed.
    package static func refuseDanglingLink(_ path: FilePath) throws {
        guard try SystemCall.status(path, followingLinks: false)?.kind == .link, try SystemCall.status(path) == nil
        else { return }
        throw CheckpointError(
            path, .file, expected: "what the link leads to",
            found: "nothing; download it again, or remove the link where it is not needed")
    }

    /// Whether a file in the folder is what is made, or is kept of a run that makes it.
    private static func outputs(in folder: FilePath, of destination: FilePath) throws -> (String) -> Bool {
        let (root, place) = try (SystemCall.resolved(folder), SystemCall.resolvedAsFarAsItExists(destination))
        guard place != root, place.starts(with: root) else { return { _ in false } }
        let inside = FilePath(root: nil, place.components.dropFirst(root.components.count))
        let both = [inside, PartialRun.folder(for: inside)]
        return { name in both.contains { FilePath(name).starts(with: $0) } }
    }

    /// Whether a file of the folder is a certificate: of it, or of a file of weights, which is made anew.
    private static func isCertificate(_ name: String) -> Bool {
        name == certificateName || name.hasSuffix(certificateSuffix) && innerFolder(of: name) == nil
    }

    /// "1_Pooling" of "1_Pooling/config.json"; nil of a name that stands in the folder itself.
    private static func innerFolder(of name: String) -> String? {
        name.utf8.firstIndex(of: UInt8(ascii: "/")).map { String(name[..<$0]) }
    }

    /// What stays behind as reports show it: "onnx/" for a folder of which nothing comes along.
    private static func joined(_ left: [String], unless kept: NameSet) -> [String] {
        var seen = NameSet()
        return left.compactMap { name in
            guard let inner = innerFolder(of: name), !kept.contains(inner) else { return name }
            return seen.insert(inner) ? inner + "/" : nil
        }
    }

    /// The inner folders that are modules of the model, with weights of their own: "2_Dense".
    private static func modules(of folder: FilePath) throws -> NameSet {
        let path = folder.appending("modules.json")
        guard try SystemCall.status(path)?.kind == .file else { return NameSet() }
        let value = try JSONValue(
            reading: InputFile(path), "a list of modules", atMost: ModelConfiguration.maximumByteCount)
        return NameSet((value.array ?? []).compactMap { $0.object?["path"]?.string })
    }

    /// A name as reports show it: "1_Pooling/" for a folder, which stays behind with all that is in it.
    private static func shown(_ name: String, in folder: FilePath) throws -> String {
        try SystemCall.status(folder.appending(name))?.kind == .folder ? name + "/" : name
    }

    static func isWeight(_ name: String) -> Bool {
        let lowered = name.lowercased()
        return FormatRegistry.format(forFileName: lowered) != nil || lowered.hasSuffix(ShardIndex.fileSuffix)
            || UnwrittenFormat.format(forFileName: lowered) != nil
    }

    private static func configuration(
        in folder: FilePath, _ changes: [(key: String, value: JSONValue)]
    ) throws -> String? {
        guard var configuration = try ModelConfiguration.read(in: folder) else { return nil }
        for (key, value) in changes { configuration[key] = value }
        return JSONValue.object(configuration).prettyText + "\n"
    }

    /// What the destination folder gets.
    var files: [SideFile] {
        guard let folder else { return [] }
        return copied.map { name in
            if name == Self.configurationName, let configuration {
                return SideFile(name: name, content: .text(configuration))
            }
            return SideFile(name: name, content: .copy(of: folder.appending(name)))
        }
    }
}

/// The `config.json` of a model folder.
public enum ModelConfiguration {
    /// Larger than any model's.
    static let maximumByteCount = 16 << 20

    /// That of a model folder; nil where the checkpoint is none, or has none.
    ///
    /// - Throws: As for a folder.
    public static func read(of checkpoint: Checkpoint) throws -> JSONObject? {
        try checkpoint.folder.flatMap { try read(in: $0) }
    }

    /// - Returns: nil where the folder has none.
    /// - Throws: `CheckpointError` where it is no JSON object.
    public static func read(in folder: FilePath) throws -> JSONObject? {
        let path = folder.appending(CompanionFiles.configurationName)
        guard try SystemCall.status(path) != nil else {
            try CompanionFiles.refuseDanglingLink(path)
            return nil
        }
        // transformers writes and reads it with Python's json.
        let value = try JSONValue(
            reading: InputFile(path), "a configuration", atMost: maximumByteCount, asPython: true)
        guard let object = value.object else {
            throw CheckpointError(path, .file, expected: "a JSON object", found: value.kind)
        }
        return object
    }
}
