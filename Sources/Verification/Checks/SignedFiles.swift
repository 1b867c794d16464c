import AssayCheckpoints
import AssayFormats
import AssayTensors
import SystemPackage

/// The manifest of files that a signature speaks of.
public struct SignatureOnHand: Sendable {
    public let path: FilePath
    let manifest: FileManifest
    let isSigned: Bool

    /// - Throws: `CheckpointError` where it is none, or contradicts itself; `SystemError`.
    public init(reading path: FilePath) throws {
        self.path = path
        (manifest, isSigned) = try FileManifest.read(path)
    }

    /// The one that lies in a model folder under the usual name; nil where there is none.
    public static func find(for checkpoint: Checkpoint) throws -> SignatureOnHand? {
        guard let folder = checkpoint.folder else { return nil }
        let path = folder.appending(FileManifest.signatureName)
        return try SystemCall.status(path)?.kind == .file ? SignatureOnHand(reading: path) : nil
    }
}

/// The files of a model, held against the manifest that was signed.
struct SignedFiles {
    let checkpoint: Checkpoint
    let signature: SignatureOnHand
    let threads: Int

    private var manifest: FileManifest { signature.manifest }
    private var label: String { (signature.path.lastComponent?.string ?? "").escapedForDisplay }

    /// - Parameter isAlone: whether nothing else says anything of the tensors.
    func check(isAlone: Bool) throws -> VerifiedStatement {
        let tree = try ModelFiles(in: checkpoint.signedRoot())
        let (there, signed) = (NameSet(tree.files), NameSet(manifest.resources.map(\.file)))
        let present = manifest.resources.filter { there.contains($0.file) }
        let digests = try digests(of: present, tree)
        var statement = VerifiedStatement(
            "the files are those of the manifest in \(label)", checked: present.count,
            manifest.serialization.isInRanges ? "range" : "file", remark: "root digest \(manifest.rootDigest)")
        let wrong = zip(present, digests).compactMap { resource, found in
            found == resource.digest
                ? nil : VerifiedStatement.Item(name: resource.label, found: found, expected: resource.digest)
        }
        let others = try tree.files.filter {
            try !signed.contains($0) && !belongsNot($0, tree)
        }
        statement.add("other bytes", wrong, .invalidFile)
        statement.add("missing", manifest.resources.filter { !there.contains($0.file) }.map(\.label), .structureDiffers)
        statement.add("not in the manifest", others, .structureDiffers)
        statement.add("not whole in the manifest", try cut(present, tree), .structureDiffers)
        if isAlone { statement.add("tensors of which it does not speak", try unsigned(tree), nil) }
        if !manifest.serialization.allowsLinks {
            statement.add("links, which the manifest does not allow", tree.links, .structureDiffers)
        }
        return statement
    }

    /// Files of tensors that the manifest leaves out by a rule.
    private func unsigned(_ tree: ModelFiles) throws -> [String] {
        let own = try checkpoint.files.compactMap { try SystemCall.status($0) }
        return try tree.files.filter { manifest.serialization.ignores($0) }.filter { file in
            let status = try SystemCall.status(tree.path(of: file))
            return own.contains { own in status.map { own.isSameFile(as: $0) } ?? false }
        }
    }

    /// Whether a file does not belong to the model: it is ignored, is the signature itself, or has no bytes of which a
    /// manifest of ranges could speak.
    private func belongsNot(_ file: String, _ tree: ModelFiles) throws -> Bool {
        if manifest.serialization.ignores(file) { return true }
        guard let status = try SystemCall.status(tree.path(of: file)) else { return false }
        if manifest.serialization.isInRanges, status.byteCount == 0 { return true }
        return try SystemCall.status(signature.path)?.isSameFile(as: status) ?? false
    }

    /// Nil where a range lies beyond the end of its file.
    private func digests(of resources: [FileManifest.Resource], _ tree: ModelFiles) throws -> [Digest?] {
        let slots = ResultSlots<Digest?>(count: resources.count)
        try Parallel.forEach(resources.count, threads: threads) { index in
            let (path, range) = (tree.path(of: resources[index].file), resources[index].range)
            slots.set(index, try range.map { try Self.digest(of: $0, path) } ?? InputFile(path).digest())
        }
        return slots.all
    }

    private static func digest(of range: Range<Int>, _ path: FilePath) throws -> Digest? {
        let file = try InputFile(path)
        guard range.upperBound <= file.byteCount else { return nil }
        return try InputFile(path, holding: FileRange(file: file, range: range)).digest()
    }

    /// Files of which the ranges leave bytes out.
    private func cut(_ resources: [FileManifest.Resource], _ tree: ModelFiles) throws -> [String] {
        guard manifest.serialization.isInRanges else { return [] }
        let ranges = Dictionary(grouping: resources) { ExactName($0.file) }
        return try ranges.filter { name, resources in
            try resources.compactMap(\.range).unbrokenEnd < SystemCall.status(tree.path(of: name.text))?.byteCount ?? 0
        }.keys.sorted().map(\.text)
    }

    /// What is not looked at here.
    ///
    /// - Throws: `CheckpointError` where there is what is neither file nor folder; `SystemError`.
    func notes() throws -> [String] {
        let usual = FileManifest.Serialization(ignoredPaths: FileManifest.usualIgnoredPaths)
        let ignored = try ModelFiles(in: checkpoint.signedRoot()).files.filter {
            manifest.serialization.ignores($0) && !usual.ignores($0)
        }
        let signed =
            signature.isSigned
            ? "who signed \(label) is not checked here; 'model_signing verify' does that"
            : "\(label) holds a manifest without a signature"
        return [signed] + (ignored.isEmpty ? [] : ["\(label) does not speak of \(ignored.listed(first: 5))"])
    }
}
