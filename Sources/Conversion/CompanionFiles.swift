import AssayCheckpoints
import AssayFormats
import SystemPackage

/// The files of a model folder beside its weights: configuration, tokenizer, generation settings.
public struct CompanionFiles: Sendable {
    /// Names of files that are copied.
    public let copied: [String]
    /// Names of what stays behind: other weights, indices, certificates, folders.
    public let left: [String]
    private let folder: FilePath?
    /// The new text of `config.json`, where it changes.
    private let configuration: String?

    static let configurationName = "config.json"
    static let certificateName = "certificate.json"

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

    /// - Parameter changes: members that `config.json` gets.
    init(of source: Checkpoint, changes: [(key: String, value: JSONValue)]) throws {
        guard let folder = source.folder else {
            self = try CompanionFiles(leaving: nil)
            return
        }
        var copied: [String] = []
        var left: [String] = []
        for name in try SystemCall.names(in: folder) where !name.hasPrefix(".") {
            let isFile = try SystemCall.status(folder.appending(name))?.kind == .file
            if isFile && !Self.isWeight(name) && name != Self.certificateName {
                copied.append(name)
            } else if !source.files.contains(folder.appending(name)), source.index != folder.appending(name) {
                left.append(try Self.shown(name, in: folder))
            }
        }
        self.copied = copied
        self.left = left
        self.folder = folder
        configuration = try changes.isEmpty ? nil : Self.configuration(in: folder, changes)
    }

    /// A name as reports show it: "1_Pooling/" for a folder, which stays behind with all that is in it.
    private static func shown(_ name: String, in folder: FilePath) throws -> String {
        try SystemCall.status(folder.appending(name))?.kind == .folder ? name + "/" : name
    }

    private static func isWeight(_ name: String) -> Bool {
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

    /// Writes them into a folder under construction.
    func write(into target: FilePath) throws {
        guard let folder else { return }
        for name in copied {
            let output = try OutputFile(creating: target.appending(name))
            if name == Self.configurationName, let configuration {
                try output.write(at: 0, Array(configuration.utf8))
            } else {
                try InputFile(folder.appending(name)).forEachPiece { try output.write(at: $0, $1) }
            }
            try output.synchronize()
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
        guard try SystemCall.status(path) != nil else { return nil }
        let value = try JSONValue(reading: InputFile(path), "a configuration", atMost: maximumByteCount)
        guard let object = value.object else {
            throw CheckpointError(path, .file, expected: "a JSON object", found: value.kind)
        }
        return object
    }
}
