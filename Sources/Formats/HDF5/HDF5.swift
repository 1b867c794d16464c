import AssayCheckpoints
import AssayTensors
import SystemPackage

/// HDF5: any tree of numeric datasets as tensors named by their paths, by itself or in Keras' archives. `formats/hdf5.md`
/// has the rules.
public enum HDF5: CheckpointFormat {
    public static let name = "hdf5"
    public static let fileExtensions = [".h5", ".hdf5"]
    public static let readExtensions = fileExtensions + [".keras"]
    public static let capabilities = FormatCapabilities(
        maximumRank: 32, holdsAliases: true, holdsMetadata: true, storesDigests: false, deflates: true,
        objection: objection)

    private static let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]

    private static let latestSuperblockVersion = 3

    public static func recognizes(_ file: InputFile) throws -> Bool {
        guard let offset = try signatureOffset(in: file) else { return try KerasArchive.recognizes(file) }
        // What stands before it is anybody's, but another format's file is that.
        return try offset == 0 || !FormatRegistry.all.contains { try $0.name != name && $0.recognizes(file) }
    }

    /// The signature stands at the start, or behind a user block of 512 bytes times a power of two.
    private static func signatureOffset(in file: InputFile) throws -> Int? {
        let places = [0] + (9..<63).map { 1 << $0 }
        return try places.prefix { $0 <= file.byteCount - signature.count }
            .first { try file.bytes($0..<$0 + signature.count) == signature }
    }

    public static func open(_ file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader {
        guard let program = options.hdf5Helper else {
            throw UsageError(
                "\(file.path.forDisplay): HDF5 is read with the help of a process of its own; name its program in"
                    + " ReadingOptions.hdf5Helper")
        }
        guard try KerasArchive.recognizes(file) else { return try reader(of: file, program, options) }
        let archive = try KerasArchive(file)
        return try archive.withWeights { try reader(of: $0, in: archive, program, options) }
    }

    private static func reader(
        of file: InputFile, in archive: KerasArchive? = nil, _ program: FilePath, _ options: ReadingOptions
    ) throws -> HDF5Reader {
        try checkVersion(of: file)
        return try reader(of: file, in: archive, by: program, options) { take in
            try HDF5Helper(program: program).list(file, take)
        }
    }

    /// - Parameter listing: calls back with what the helper says of the file, piece by piece; it is believed in nothing.
    static func reader(
        of file: InputFile, in archive: KerasArchive? = nil, by program: FilePath, _ options: ReadingOptions,
        listing: (_ take: (UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws -> HDF5Reader {
        do {
            var parser = HDF5ListingParser(file)
            try listing { try parser.take($0) }
            return try reader(of: file, in: archive, parser.finish(), options)
        } catch let error as JSONError {
            throw malformed(program, file, error.offset, error.expected, error.found)
        } catch let error as HDF5ListingParser.Malformed {
            throw malformed(program, file, error.offset, error.expected, error.found)
        }
    }

    /// Superblocks of later versions are no damage: libhdf5 would say only that it finds none.
    private static func checkVersion(of file: InputFile) throws {
        guard let offset = try signatureOffset(in: file), offset + signature.count < file.byteCount else { return }
        let version = try file.bytes(offset + signature.count..<offset + signature.count + 1)[0]
        guard version > latestSuperblockVersion else { return }
        throw CheckpointError(
            file.path, .part("superblock"), expected: "a version from 0 to \(latestSuperblockVersion)",
            found: "version \(version), which is not read yet; write the file with an earlier format, as h5py does"
                + " with libver='v110'")
    }

    private static func malformed(
        _ program: FilePath, _ file: InputFile, _ offset: Int, _ expected: String, _ found: String
    ) -> CheckpointError {
        CheckpointError(
            file.path, .part("listing by \(program.forDisplay)"), expected: "\(expected) at byte \(offset)",
            found: found)
    }

    private static func reader(
        of file: InputFile, in archive: KerasArchive?, _ structure: HDF5Structure, _ options: ReadingOptions
    ) throws -> HDF5Reader {
        try checkPaths(of: structure, file)
        var checker = HDF5LayoutChecker(file: file)
        var tensors = try structure.datasets.map { try checker.tensor($0) }
        try checker.checkOverlaps(tensors)
        // In the order of the data; what has none comes last, by name.
        tensors.sort {
            ($0.firstOffset ?? .max, $0.info.name) < ($1.firstOffset ?? .max, $1.info.name)
        }
        try addAliases(structure.aliases, to: &tensors, file)
        let warnings = try structure.warnings + KerasNames.check(structure, of: file) + (archive?.warnings ?? [])
        var contents = CheckpointContents(
            formatName: name, tensors: tensors.map(\.info), metadata: HDF5Metadata.metadata(of: structure),
            fileByteCount: archive?.byteCount ?? file.byteCount, warnings: warnings)
        contents.details = archive?.details ?? []
        contents.tellMetadataApart()
        return HDF5Reader(file, in: archive?.weights, contents, tensors, threads: options.threads)
    }

    /// Damaged groups may hold a name twice, and a listing is believed in nothing.
    private static func checkPaths(of structure: HDF5Structure, _ file: InputFile) throws {
        var seen = NameSet()
        let datasets = structure.datasets.map(\.path) + structure.aliases.map(\.path)
        for path in datasets + structure.groups.map(\.path) where path != "/" {
            let isPath = isPath(path)
            guard isPath, seen.insert(objectName(ofPath: path)) else {
                throw CheckpointError(
                    file.path, .part("object '\(path.escapedForDisplay)'"), expected: "a path of its own",
                    found: isPath ? "it twice" : "one that is none")
            }
        }
    }

    /// Whether it is the path of an object: "/" of the root, with a final slash of a group.
    static func isPath(_ path: String) -> Bool {
        path == "/" || path.unicodeScalars.first == "/" && objection(objectName(ofPath: path)) == nil
    }

    /// A path without the slashes that it begins and, of a group, ends with.
    private static func objectName(ofPath path: String) -> String {
        let scalars = path.unicodeScalars
        return String(scalars.last == "/" ? scalars.dropFirst().dropLast() : scalars.dropFirst())
    }

    private static func addAliases(
        _ aliases: [(path: String, target: String)], to tensors: inout [HDF5Tensor], _ file: InputFile
    ) throws {
        let positions = NameMap(tensors.enumerated().map { ($1.info.name, $0) })
        for alias in aliases {
            let name = Self.name(ofPath: alias.path)
            let target = Self.name(ofPath: alias.target)
            // A second link to a dataset that was left out is left out too.
            guard let position = positions[target] else { continue }
            var tensor = tensors[position]
            tensor.info.name = name
            tensor.info.aliasOf = target
            tensors.append(tensor)
        }
    }

    public static func joined(_ key: String, _ values: [String]) -> String? {
        key == CheckpointContents.foreignKey ? HDF5Metadata.joined(values) : nil
    }

    public static func makeWriter(
        _ plan: WritePlan, _ output: OutputFile, _ options: WritingOptions
    ) throws -> any CheckpointWriter {
        try checkPaths(plan)
        return try HDF5Writer(plan, output, deflateLevel: options.deflateLevel)
    }

    // MARK: Names

    /// A path without the slash that it begins with. Not without its first character: a combining mark behind the slash is
    /// part of that.
    static func name(ofPath path: String) -> String { String(path.unicodeScalars.dropFirst()) }

    /// transformers' index of TensorFlow shards has the model's name before every path.
    public static func nameInShard(ofIndexed name: String) -> String? {
        name.utf8.firstIndex(of: UInt8(ascii: "/")).map { String(name[name.utf8.index(after: $0)...]) }
    }

    @Sendable private static func objection(_ name: String) -> String? {
        if name.isEmpty { return "is empty" }
        if name.utf8.contains(0) { return "contains a NUL" }
        // Not of characters: to libhdf5 a slash with a combining mark behind it is a slash.
        let parts = name.unicodeScalars.split(separator: "/", omittingEmptySubsequences: false).map { String($0) }
        if parts.contains("") { return "has a '/' at an end, or two in a row" }
        if parts.contains(".") || parts.contains("..") { return "has a part that is '.' or '..'" }
        if parts.count > HDF5Limits.depth + 1 { return "has more than \(HDF5Limits.depth + 1) parts" }
        return nil
    }

    /// A path is a dataset or a group, not both.
    private static func checkPaths(_ plan: WritePlan) throws {
        let names = NameSet(plan.tensors.map(\.name))
        for tensor in plan.tensors {
            for slash in tensor.name.unicodeScalars.indices where tensor.name.unicodeScalars[slash] == "/" {
                let group = String(tensor.name[..<slash])
                guard !names.contains(group) else {
                    throw UsageError(
                        "tensors '\(group.escapedForDisplay)' and '\(tensor.name.escapedForDisplay)': hdf5 cannot hold"
                            + " both, a path is a dataset or a group")
                }
            }
        }
    }
}
