import AssayCheckpoints
import AssayFormats
import SystemPackage

/// What a conversion's destination is: which format, a file or a folder, in how many files.
struct Destination {
    let format: any CheckpointFormat.Type
    let isFolder: Bool
    /// What the weights are called in a folder.
    let weightsFileName: String
    private let fileName: String
    private let shardByteCount: Int?

    /// A destination with a format's extension is a file; without one it is what the source is, a folder for a folder. What
    /// ends with a slash is a folder.
    init(_ options: ConversionOptions, _ source: Checkpoint) throws {
        let path = options.destination.settled()
        guard let name = path.lastComponent?.string else {
            throw UsageError("\(options.destination.forDisplay): this names no file that could be written")
        }
        let byExtension = try options.formatByName()
        format = try Self.format(options, byExtension, source)
        isFolder =
            byExtension == nil && (options.namesFolder || source.folder != nil || options.shardByteCount != nil)
        if isFolder, !options.namesFolder { try Self.refuseExtension(of: path) }
        if let shards = options.shardByteCount {
            guard shards > 0 else { throw UsageError("--shard-size: must be above zero") }
            guard isFolder else {
                throw UsageError(
                    "--shard-size: shards are written into a folder; name one as the destination, and the format with --to"
                )
            }
        }
        if byExtension == nil, source.folder == nil, !isFolder, options.formatName == nil {
            throw UsageError(
                "\(options.destination.forDisplay): the name does not tell the format (\(FormatRegistry.extensions));"
                    + " give it with --to")
        }
        weightsFileName = Self.weightsFileName(format, source)
        fileName = isFolder ? weightsFileName : name
        shardByteCount = options.shardByteCount
    }

    /// Names that libraries other than transformers look for: adapters (PEFT), and parts of pipelines (diffusers).
    static let keptStems = ["adapter_model", "diffusion_pytorch_model"]

    private static func weightsFileName(_ format: any CheckpointFormat.Type, _ source: Checkpoint) -> String {
        let name = source.folder == nil ? "" : source.files.first?.lastComponent?.string ?? ""
        let stem = keptStems.first { name.hasPrefix($0 + ".") || name.hasPrefix($0 + "-") }
        return stem.map { $0 + format.weightsFileName.drop { $0 != "." } } ?? format.weightsFileName
    }

    /// A folder is not made under a name that seems to be a file's.
    private static func refuseExtension(of path: FilePath) throws {
        guard let suffix = seemingExtension(of: path.lastComponent?.string ?? ""),
            try SystemCall.status(path)?.kind != .folder
        else { return }
        throw UsageError(
            "\(path.forDisplay): '\(suffix.escapedForDisplay)' is the extension of no format"
                + " (\(FormatRegistry.extensions)); end the name with '/' where a folder is meant")
    }

    /// ".xyz" of "model.xyz": a letter, then letters and digits. What follows the dot of a version ("Qwen2.5",
    /// "llama-3.1-8b") is none.
    private static func seemingExtension(of name: String) -> String? {
        guard let dot = name.lastIndex(of: "."), dot > name.startIndex else { return nil }
        let suffix = name[name.index(after: dot)...]
        guard let first = suffix.first, first.isLetter, suffix.allSatisfy({ $0.isLetter || $0.isNumber }) else {
            return nil
        }
        return "." + suffix
    }

    private static func format(
        _ options: ConversionOptions, _ byExtension: (any CheckpointFormat.Type)?, _ source: Checkpoint
    ) throws -> any CheckpointFormat.Type {
        guard let name = options.formatName else {
            // A folder without --to keeps the format it has.
            return byExtension ?? FormatRegistry.format(named: source.contents.formatName)!
        }
        guard let format = FormatRegistry.format(named: name) else {
            throw UsageError(
                UnwrittenFormat.format(named: name).map { "--to: \(FormatRegistry.refusal(of: $0))" }
                    ?? "--to: '\(name.escapedForDisplay)' is no format that is known; choose one of"
                    + " \(FormatRegistry.names())")
        }
        if let byExtension, byExtension.name != format.name {
            throw UsageError(
                "\(options.destination.forDisplay): the extension says \(byExtension.name), but \(format.name) is to be"
                    + " written; name a file with \(format.fileExtensions.joined(separator: " or ")), or a folder")
        }
        return format
    }

    /// The name of a destination of one file without its extension.
    var stem: String { format.stem(of: fileName) }

    typealias File = (name: String, steps: [any TensorStep], aliases: [TensorInfo])

    /// The files: one, or as many as the shard size asks for, filled in the source's order. An alias stays with what it
    /// names.
    func split(_ steps: [any TensorStep], _ aliases: [TensorInfo]) -> [File] {
        guard let shardByteCount else { return [(fileName, steps, aliases)] }
        var groups: [[any TensorStep]] = [[]]
        var filled = 0
        for step in steps {
            let byteCount = step.outputs.reduce(0) { $0 + $1.byteCount }
            if filled > 0, filled + byteCount > shardByteCount {
                groups.append([])
                filled = 0
            }
            groups[groups.count - 1].append(step)
            filled += byteCount
        }
        guard groups.count > 1 else { return [(fileName, steps, aliases)] }
        return groups.enumerated().map { index, group in
            let names = NameSet(group.flatMap { $0.outputs.map(\.name) })
            return (shardName(index, of: groups.count), group, aliases.filter { names.contains($0.aliasOf!) })
        }
    }

    private func shardName(_ index: Int, of count: Int) -> String {
        let suffix = format.fileExtensions[0]
        return PartName(
            stem: String(fileName.dropLast(suffix.count)), number: index, count: count, suffix: suffix
        ).text
    }
}
