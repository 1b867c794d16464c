import AssayCheckpoints
import AssayTensors
import SystemPackage

/// A finished file of an interrupted run, and what its steps found: all that the rest of the run needs to know of it.
struct KeptFile: Sendable {
    var outcome: WrittenFile
    /// SHA-256 of the whole file.
    var digest: Digest

    private static let maximumByteCount = 1 << 30

    /// What lies in a folder for the files of a plan, by their positions; what cannot be read is made again.
    static func read(in folder: FilePath, _ plan: ConversionPlan) throws -> [Int: KeptFile] {
        var files: [Int: KeptFile] = [:]
        for (index, file) in plan.files.enumerated() {
            let path = folder.appending("\(index).json")
            guard try SystemCall.status(path)?.kind == .file else { continue }
            let value = try? JSONValue(
                reading: InputFile(path), "what is known of a finished file", atMost: maximumByteCount)
            files[index] = value.flatMap { KeptFile($0, file, plan) }
        }
        return files
    }

    var json: JSONValue {
        var object = JSONObject([
            ("sha256", .string("\(digest)")), ("byteCount", JSONValue(outcome.file.byteCount)),
            ("steps", .array(outcome.steps.map(\.keptJSON))),
        ])
        object["digests"] = outcome.file.digests.map { .array($0.map { .string("\($0)") }) }
        object[Self.recordKey] = Self.digest(of: object)
        return .object(object)
    }

    /// What the record says of itself, so that nobody goes on with a damaged one.
    private static let recordKey = "recordDigest"

    private static func digest(of object: JSONObject) -> JSONValue {
        .string("\(Digest.of(JSONValue.object(object).canonicalText))")
    }

    /// - Returns: nil where it does not speak of the plan's file.
    private init?(_ value: JSONValue, _ file: ConversionPlan.PlannedFile, _ plan: ConversionPlan) {
        guard var object = value.object, let record = object[Self.recordKey] else { return nil }
        object[Self.recordKey] = nil
        guard record == Self.digest(of: object),
            let digest = object["sha256"]?.string.flatMap({ Digest(hexadecimal: $0) }),
            let byteCount = object["byteCount"]?.int, let steps = object["steps"]?.array,
            steps.count == file.steps.count
        else { return nil }
        let digests = object["digests"]?.array?.compactMap { $0.string.flatMap { Digest(hexadecimal: $0) } }
        guard plan.takesDigests ? digests?.count == file.plan.tensors.count : digests == nil else { return nil }
        let found = zip(file.steps, steps).compactMap { step, value in
            ConversionOutcome.Step(step, plan.source.contents.tensors[step.source], kept: value)
        }
        guard found.count == steps.count else { return nil }
        self.digest = digest
        outcome = WrittenFile(
            file: .init(name: file.name, tensors: file.plan.tensors, digests: digests, byteCount: byteCount),
            steps: found)
    }

    init(outcome: WrittenFile, digest: Digest) {
        self.outcome = outcome
        self.digest = digest
    }
}

extension ConversionOutcome.Step {
    /// What the plan does not know.
    fileprivate var keptJSON: JSONValue {
        var object = JSONObject([
            ("overflowed", JSONValue(findings.tally.overflowed)),
            ("underflowed", JSONValue(findings.tally.underflowed)),
        ])
        object["sourceDigest"] = sourceDigest.map { .string("\($0)") }
        object["quantization"] = findings.quantization.map { .object($0) }
        return .object(object)
    }

    fileprivate init?(_ step: any TensorStep, _ source: TensorInfo, kept value: JSONValue) {
        let counts = 0...source.shape.elementCount
        guard let object = value.object, let overflowed = object["overflowed"]?.int, counts.contains(overflowed),
            let underflowed = object["underflowed"]?.int, counts.contains(underflowed)
        else { return nil }
        var findings = StepFindings()
        findings.tally = ConversionTally(overflowed: overflowed, underflowed: underflowed)
        findings.quantization = object["quantization"]?.object
        self.init(
            source: source.name, sourceDigest: object["sourceDigest"]?.string.flatMap { Digest(hexadecimal: $0) },
            transform: step.transform, outputs: step.outputs.map(\.name), findings: findings)
    }
}
