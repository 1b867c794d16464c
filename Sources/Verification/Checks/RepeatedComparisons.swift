import AssayCheckpoints
import AssayComparison
import AssayConversion
import AssayFormats
import AssayModels

/// The comparisons that a certificate records, done again where the reference and the tokens are at hand.
struct RepeatedComparisons {
    let checkpoint: Checkpoint
    let records: [ComparisonRecord]
    /// What they are about where that is not this checkpoint, but more or less than it: "the whole folder".
    let scope: String?
    let threads: Int

    /// - Parameter tokens: what the models are fed; nil where none are at hand.
    /// - Throws: `UsageError` where no comparison is over these tokens.
    func check(
        against source: Checkpoint?, tokens: TokenBatch?
    ) throws -> (statements: [VerifiedStatement], unchecked: [UncheckedStatement]) {
        if let tokens, !records.contains(where: { $0.tokensDigest == tokens.digest }) {
            throw UsageError(
                "\(tokens.source.forDisplay): the certificate records no comparison over these tokens, whose digest is"
                    + " \(tokens.digest)")
        }
        var (statements, unchecked) = ([VerifiedStatement](), [UncheckedStatement]())
        /// What nobody asked for fails nothing; what these tokens ask for does.
        func leave(_ record: ComparisonRecord, _ missing: [String]) {
            guard let tokens, record.tokensDigest == tokens.digest else {
                return unchecked.append(UncheckedStatement(statement: Self.sentence(record), missing: missing))
            }
            var statement = VerifiedStatement(Self.sentence(record), checked: 0, "tap")
            statement.add("it takes", missing, nil)
            statements.append(statement)
        }
        if let scope {
            for record in records { leave(record, [scope]) }
            return (statements, unchecked)
        }
        let reference = try records.isEmpty ? nil : source.map { try ComparisonRecord.Reference($0, threads: threads) }
        for record in records {
            let missing = Self.missing(record, reference, tokens)
            if missing.isEmpty, let source {
                statements.append(try again(record, source, tokens))
            } else {
                leave(record, missing)
            }
        }
        return (statements, unchecked)
    }

    /// "it differs from gpt2 by storage (fast32, over tokens 12ab...)"
    private static func sentence(_ record: ComparisonRecord) -> String {
        "the recorded comparison with \(record.referenceName.escapedForDisplay) (\(record.profile.rawValue)"
            + (record.tokensDigest.map { ", over tokens \("\($0)".prefix(12))..." } ?? ", weights only")
            + ") found \(record.differenceClass)"
    }

    private static func missing(
        _ record: ComparisonRecord, _ reference: ComparisonRecord.Reference?, _ tokens: TokenBatch?
    ) -> [String] {
        var missing: [String] = []
        let isSame =
            reference?.contentDigest == record.referenceDigest
            && reference?.configuration == record.referenceConfiguration
        if !isSame {
            missing.append(
                "--against a checkpoint whose content digest is \(record.referenceDigest)"
                    + (record.referenceConfiguration.map { " and whose config.json has the SHA-256 \($0)" } ?? ""))
        }
        if let digest = record.tokensDigest, tokens?.digest != digest {
            missing.append("--tokens whose digest is \(digest)")
        }
        if record.arithmeticVersion != Arithmetic.version {
            missing.append("a version of assay with arithmetic \(record.arithmeticVersion)")
        }
        return missing
    }

    private func again(
        _ record: ComparisonRecord, _ source: Checkpoint, _ tokens: TokenBatch?
    ) throws -> VerifiedStatement {
        var options = ComparisonOptions(threads: threads)
        options.tokens = record.tokensDigest == nil ? nil : tokens
        options.profile = record.profile
        options.limit = record.limit
        let result = try Comparison(ComparisonSide(source), ComparisonSide(checkpoint), options).run()
        let reference = ComparisonRecord.Reference(name: "", contentDigest: record.referenceDigest)
        let found = ComparisonRecord(result, reference, tool: "")
        var statement = VerifiedStatement(
            "\(Self.sentence(record)); done again, it gives these very figures",
            checked: max(1, result.taps?.count ?? result.weights?.count ?? 0), result.taps == nil ? "weight" : "tap")
        if !found.figures.isSame(as: record.figures) {
            let names = record.differences(from: found)
            statement.add("other figures", names.isEmpty ? ["comparison"] : names, .invalidFile)
        }
        return statement
    }
}

extension ComparisonSide {
    /// - Throws: as `init(_:configuration:configurationFile:name:)`.
    public init(_ checkpoint: Checkpoint) throws {
        try self.init(
            checkpoint.reader, configuration: ModelConfiguration.read(of: checkpoint),
            configurationFile: checkpoint.folder.map { $0.appending("config.json").forDisplay } ?? "",
            name: checkpoint.path.forDisplay)
    }
}
