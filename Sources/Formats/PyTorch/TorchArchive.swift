import AssayCheckpoints
import SystemPackage

/// The zip form: `FOLDER/data.pkl` names storages that lie in `FOLDER/data/KEY`.
struct TorchArchive {
    static let pickleName = "data.pkl"
    static let versionNames = ["version", ".data/version"]
    static let byteOrderName = "byteorder"
    /// Metadata of other formats: a JSON list of pairs. PyTorch passes it over.
    static let metadataName = "assay.metadata.json"
    private static let maximumVersion = 10
    private static let maximumMetadataByteCount = 256 << 20

    /// What a small member is read for may take dozens of times its bytes in memory, so that not every ratio of deflate is
    /// believed: pickles of real checkpoints have 3 to 6, long lists of one number more. Stored members have 1.
    private static func believedByteCount(of member: ZipMember) -> Int {
        16 * min(member.storedByteCount, PickleStream.maximumByteCount) + 1 << 20
    }

    /// Values take more memory than the bytes that they are made of: pickles of real checkpoints have about one for each byte
    /// as deflated, or for two as they are.
    private static func believedValueCount(of member: ZipMember) -> Int {
        2 * min(member.storedByteCount, PickleStream.maximumByteCount) + 1 << 20
    }

    let folder: String
    let isBigEndian: Bool
    let pickle: PickleStream
    private let archive: ZipArchive

    /// - Throws: `CheckpointError` where a part is missing, or the archive is a program (TorchScript).
    init(_ file: InputFile) throws {
        let archive = try ZipArchive(file)
        let pickles = archive.members.indices.filter { Self.isPickle(archive.members[$0].name) }
        let names = pickles.map { archive.members[$0].name }
        guard pickles.count == 1 else {
            throw CheckpointError(
                file.path, .part("archive"), expected: "one member FOLDER/\(Self.pickleName)",
                found: pickles.isEmpty ? "none" : names.prefix(3).map(\.escapedForDisplay).joined(separator: ", "))
        }
        let folder = String(names[0].dropLast(Self.pickleName.count))
        let source = Self.source(of: pickles[0], in: archive)
        // First of all: damage shall not be taken for a name that is not allowed.
        if source.byteCount <= PickleStream.maximumByteCount { try (source as? CheckedSource)?.check() }
        let member = archive.members[pickles[0]]
        pickle = PickleStream(
            source, maximumByteCount: Self.believedByteCount(of: member),
            maximumValueCount: Self.believedValueCount(of: member))
        try Self.refuseAmbiguousNames(archive)
        try Self.refuseProgram(archive, folder)
        try Self.checkVersion(archive, folder)
        isBigEndian = try Self.isBigEndian(archive, folder)
        self.archive = archive
        self.folder = folder
    }

    /// A member's bytes. PyTorch compares no checksum, and saves 0 where it is told to take none (`set_crc32_options`) or to
    /// leave room for data that comes later (`skip_data`); every other one is that of what was saved.
    private static func source(of position: Int, in archive: ZipArchive) -> any ByteSource {
        archive.source(of: position, isChecked: archive.members[position].checksum != 0)
    }

    /// Whether a name is that of the pickle in a folder, which lies in none.
    private static func isPickle(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count == 2 && parts[1] == pickleName
    }

    /// PyTorch looks members up without regard to the case of ASCII letters, so that of two names that differ in nothing else
    /// it may take the other member.
    private static func refuseAmbiguousNames(_ archive: ZipArchive) throws {
        var names = NameSet()
        for member in archive.members {
            let lower = member.name.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
            guard names.insert(String(decoding: lower, as: UTF8.self)) else {
                throw CheckpointError(
                    archive.file.path, member.place, expected: "names that differ not only in upper and lower case",
                    found: "another member of this name")
            }
        }
    }

    private static func refuseProgram(_ archive: ZipArchive, _ folder: String) throws {
        guard
            let member = archive.members.first(where: {
                $0.name == folder + "constants.pkl" || $0.name.hasPrefix(folder + "code/")
            })
        else { return }
        throw CheckpointError(
            archive.file.path, member.place, expected: "tensors and plain data",
            found: "a TorchScript program; load it with torch.jit.load and save its state_dict() with torch.save")
    }

    /// The text of a small member, or nil.
    private static func text(_ name: String, of archive: ZipArchive) throws -> String? {
        guard let position = archive.position(of: name) else { return nil }
        let source = Self.source(of: position, in: archive)
        guard source.byteCount <= 64 else { return "" }
        return String(decoding: try source.bytes(0..<source.byteCount), as: UTF8.self)
    }

    /// A number with white space around it, as PyTorch reads it.
    private static func number(_ text: String) -> Int? {
        let words = text.split(whereSeparator: \.isWhitespace)
        return words.count == 1 ? Int(words[0]) : nil
    }

    private static func checkVersion(_ archive: ZipArchive, _ folder: String) throws {
        let texts = try versionNames.compactMap { try text(folder + $0, of: archive) }
        guard let number = texts.first.flatMap(number), (1...maximumVersion).contains(number) else {
            throw CheckpointError(
                archive.file.path, .member(folder + versionNames[0]),
                expected: "a version from 1 to \(maximumVersion)",
                found: texts.first.map { "'\($0.prefix(20).description.escapedForDisplay)'" } ?? "no such member")
        }
    }

    private static func isBigEndian(_ archive: ZipArchive, _ folder: String) throws -> Bool {
        switch try text(folder + byteOrderName, of: archive) {
        case nil, "little"?: return false
        case "big"?: return true
        case let other?:
            throw CheckpointError(
                archive.file.path, .member(folder + byteOrderName),
                expected: "little or big", found: "'\(other.prefix(20).description.escapedForDisplay)'")
        }
    }

    /// The bytes of a storage. A key only ever selects a member of the archive.
    func storage(_ storage: TorchStorage) throws -> any ByteSource {
        let name = "\(folder)data/\(storage.key)"
        let place = CheckpointError.Place.member(name)
        guard let position = archive.position(of: name) else {
            throw CheckpointError(
                archive.file.path, place, expected: "a storage the pickle asks for", found: "no such member")
        }
        let source = Self.source(of: position, in: archive)
        guard storage.byteCount == source.byteCount else {
            throw CheckpointError(
                archive.file.path, place,
                expected: "\(storage.count) elements of \(storage.elementByteCount.inBytes), as the pickle says",
                found: "\(source.byteCount.inBytes)")
        }
        return source
    }

    /// What Assay wrote beside the pickle.
    func metadata() throws -> [(key: String, value: String)] {
        guard let position = archive.position(of: folder + Self.metadataName) else { return [] }
        let source = Self.source(of: position, in: archive)
        let place = archive.members[position].place
        func refuse(_ found: String) -> CheckpointError {
            CheckpointError(archive.file.path, place, expected: "a JSON list of pairs of texts", found: found)
        }
        let limit = min(Self.maximumMetadataByteCount, Self.believedByteCount(of: archive.members[position]))
        guard source.byteCount <= limit else {
            throw refuse("\(source.byteCount.inBytes), where at most \(limit) are read")
        }
        let value: JSONValue
        do {
            value = try JSONValue(parsing: source.bytes(0..<source.byteCount))
        } catch let error as JSONError {
            throw refuse("\(error.found) at byte \(error.offset)")
        }
        guard let pairs = value.array else { throw refuse(value.kind) }
        return try pairs.map { value in
            guard let pair = MetadataPairs.pair(value) else { throw refuse(value.kind) }
            return pair
        }
    }
}
