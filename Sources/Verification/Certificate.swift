import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayModels
import AssayTensors
import SystemPackage

/// The record of a conversion: digests of every tensor on both sides, the transform between them, the checks made.
///
/// It is an in-toto statement (version 1): the subjects are what was made, the predicate is ours and described in
/// `formats/certificate.md`. It holds no time, host, path or thread count, so the same conversion gives the same
/// certificate anywhere.
public struct Certificate: Sendable, Equatable {
    public static let statementType = "https://in-toto.io/Statement/v1"
    public static let predicateType = "urn:assay:certificate:1"
    /// What may have been done.
    static let operations = ["convert", "quantize"]

    /// One side's tensor.
    public struct Tensor: Sendable, Equatable {
        public var info: TensorInfo
        public var digest: Digest
        /// The file of a destination folder that holds it.
        public var file: String?
    }

    /// One file of the destination.
    public struct File: Sendable, Equatable {
        /// Relative to the folder; of a single file the destination's name.
        public var name: String
        /// Of a file of tensors.
        public var metadataDigest: Digest?
        /// SHA-256 of the whole file: always of one without tensors, of the others where it was asked for.
        public var digest: Digest?
    }

    /// One step: which source tensors became which destination tensors, and how.
    public struct Transform: Sendable, Equatable {
        /// The tensors, and what was done to them by a map before the operation.
        public var origin: TensorOrigin
        public var outputs: [String]
        /// "copy", "cast F32 to BF16".
        public var operation: String
        public var overflowed = 0
        public var underflowed = 0
        public var quantization: JSONObject?
    }

    public struct Drop: Sendable, Equatable {
        public var name: String
        public var rule: String
    }

    public var tool: String
    public var arithmeticVersion: Int
    public var operation: String
    public var sourceName: String
    public var sourceFormat: String
    public var sourceTensors: [Tensor]
    public var destinationName: String
    public var destinationFormat: String
    /// Whether it is a folder, with other files beside those of the tensors.
    public var isFolder: Bool
    public var destinationTensors: [Tensor]
    public var files: [File]
    public var transforms: [Transform]
    public var dropped: [Drop]
    /// Changes of the metadata, in order: by request, and of what was no longer true.
    public var metadataEdits: [MetadataEdit]
    /// Whether the destination was read again and compared before it was published.
    public var wasReread: Bool
    /// What `diff` found, where it was asked to put it here.
    public var comparisons: [ComparisonRecord] = []
    /// Members that this version does not know: written again, it would lack them.
    var unknownMembers: [String] = []

    public var sourceContentDigest: Digest { ContentDigest.of(sourceTensors.map(\.info), sourceTensors.map(\.digest)) }
    public var destinationContentDigest: Digest {
        ContentDigest.of(destinationTensors.map(\.info), destinationTensors.map(\.digest))
    }

    public static func == (a: Certificate, b: Certificate) -> Bool { a.fileBytes == b.fileBytes }

    /// - Throws: `UsageError` where something of it would be lost, were it written again.
    func requireWritable(_ path: FilePath) throws(UsageError) {
        guard unknownMembers.isEmpty else {
            throw UsageError(
                "\(path.forDisplay): would have to be written again, and holds members that this version does not know"
                    + " (\(unknownMembers.listed(first: 3))); use the version that made it, or move it away")
        }
    }
}

extension Certificate {
    /// Makes the certificate of a finished conversion that took digests.
    ///
    /// - Parameter digestsWholeFiles: whether SHA-256 of the files of tensors is taken too.
    /// - Returns: nil where it did not.
    /// - Throws: `SystemError` where the written files cannot be read.
    public init?(
        of finished: FinishedConversion, operation: String, tool: String, digestsWholeFiles: Bool = false
    ) throws {
        let (plan, outcome) = (finished.plan, finished.outcome)
        let source = plan.mapping?.source ?? plan.source
        var destination: [Tensor] = []
        for file in outcome.files {
            guard let digests = file.digests else { return nil }
            let name = plan.isFolder ? file.name : nil
            destination += zip(file.tensors, digests).map { Tensor(info: $0, digest: $1, file: name) }
        }
        self.tool = tool
        arithmeticVersion = Arithmetic.version
        self.operation = operation
        sourceName = plan.source.path.lastComponent?.string ?? "/"
        sourceFormat = source.contents.formatName
        sourceTensors = Self.sourceTensors(plan, outcome)
        destinationName = plan.destination.settled().lastComponent?.string ?? "/"
        destinationFormat = plan.format.name
        destinationTensors = destination
        isFolder = plan.isFolder
        files = try Self.files(of: finished, digestsWholeFiles: digestsWholeFiles)
        transforms = Self.transforms(plan, outcome)
        dropped = plan.dropped.map { Drop(name: $0.name, rule: $0.rule) }
        metadataEdits = plan.metadataEdits
        wasReread = outcome.wasVerified
    }

    /// The written files: what `config.json` became, not what it was.
    private static func files(of finished: FinishedConversion, digestsWholeFiles: Bool) throws -> [File] {
        let plan = finished.plan
        let weights = try zip(finished.stagedFiles, finished.outcome.files).map { staged, file in
            let (name, path) = staged
            let metadata =
                try file.metadata ?? plan.format.open(InputFile(path), plan.options.reading).contents.metadata
            return File(
                name: name, metadataDigest: MetadataDigest.of(metadata),
                digest: digestsWholeFiles ? try InputFile(path).digest() : nil)
        }
        return weights + finished.outcome.sideFiles.map { File(name: $0.name, digest: $0.digest) }
    }

    private static func transforms(_ plan: ConversionPlan, _ outcome: ConversionOutcome) -> [Transform] {
        let positions = plan.source.contents.indexByName()
        let steps = outcome.steps.map { step in
            Transform(
                origin: plan.origin(of: positions[step.source]!), outputs: step.outputs, operation: step.transform,
                overflowed: step.findings.tally.overflowed, underflowed: step.findings.tally.underflowed,
                quantization: step.findings.quantization)
        }
        guard plan.mapping != nil else { return steps }
        // Where names were changed, those of second names are part of the mapping.
        let operations = NameMap(outcome.steps.flatMap { step in step.outputs.map { ($0, step.transform) } })
        let aliases = outcome.files.flatMap(\.tensors).filter { $0.aliasOf != nil }
        return steps
            + aliases.map { alias in
                Transform(
                    origin: plan.origin(of: positions[alias.name]!), outputs: [alias.name],
                    operation: operations[alias.aliasOf!]!)
            }
    }

    /// The tensors that were read, and the aliases of those.
    private static func sourceTensors(_ plan: ConversionPlan, _ outcome: ConversionOutcome) -> [Tensor] {
        let digests =
            plan.mapping == nil
            ? NameMap(outcome.steps.compactMap { step in step.sourceDigest.map { (step.source, $0) } })
            : outcome.mappedDigests
        let dropped = NameSet(plan.dropped.map(\.name))
        return (plan.mapping?.source ?? plan.source).contents.tensors.compactMap { info in
            guard !dropped.contains(info.name) else { return nil }
            return (digests[info.name] ?? info.aliasOf.flatMap { digests[$0] }).map { Tensor(info: info, digest: $0) }
        }
    }
}
