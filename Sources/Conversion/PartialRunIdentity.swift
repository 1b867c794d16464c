import AssayCheckpoints
import AssayTensors
import SystemPackage

/// What tells one run from another: a run goes on only with what the very same run made.
public struct PartialRunIdentity: Sendable {
    /// The tool's name and version.
    private let tool: String
    /// The command line, for people: other options that give the same plan are the same run.
    private let command: String
    /// Every file of the source: its place and what tells whether it was changed.
    fileprivate let source: [SourceFile]
    /// Of all that decides what the destination's bytes are.
    private let plan: Digest

    fileprivate struct SourceFile: Equatable {
        var path: String
        var byteCount: Int
        /// When its bytes were changed: seconds and nanoseconds.
        var modified: [Int]
        /// When it was touched in any way, which its bytes need not show.
        var changed: [Int]
    }

    static let fileName = "run.json"
    private static let maximumByteCount = 1 << 30

    public init(of plan: ConversionPlan, tool: String, command: String) throws {
        self.tool = tool
        self.command = command
        // Of what was opened, which need not be what lies there by now.
        let opened = Array(zip(plan.source.files, plan.source.statuses))
        let files = try opened + plan.otherSourceFiles.map { ($0, try SystemCall.status($0)) }
        source = try files.map { path, status in
            guard let status else { throw SystemError("look at it", path, .noSuchFileOrDirectory) }
            return SourceFile(
                path: try SystemCall.resolved(path).string, byteCount: status.byteCount,
                modified: [status.modifiedSeconds, status.modifiedNanoseconds],
                changed: [status.changedSeconds, status.changedNanoseconds])
        }
        self.plan = Self.digest(of: plan)
    }

    // MARK: Comparison

    /// - Throws: `UsageError` that says what differs and what to do.
    func requireSame(as earlier: PartialRunIdentity, in folder: FilePath) throws(UsageError) {
        guard tool == earlier.tool else {
            throw Self.refusal(
                folder, "was begun by \(earlier.tool.escapedForDisplay), and this is \(tool)",
                remedy: "finish it with that version")
        }
        guard source.map(\.path) == earlier.source.map(\.path) else {
            throw Self.refusal(
                folder, "was begun from other files ('\(earlier.command.escapedForDisplay)')",
                remedy: "give the source with which it was begun")
        }
        for (now, before) in zip(source, earlier.source)
        where now.byteCount != before.byteCount || now.modified != before.modified {
            throw Self.refusal(folder, "\(FilePath(now.path).forDisplay) of the source has changed since it was begun")
        }
        guard plan == earlier.plan else {
            throw Self.refusal(
                folder, "was begun with other options ('\(earlier.command.escapedForDisplay)')",
                remedy: "give the same")
        }
    }

    /// Whether a file of the source was touched so that its bytes may or may not be others.
    func wasTouched(since earlier: PartialRunIdentity) -> Bool { source != earlier.source }

    static func refusal(_ folder: FilePath, _ reason: String, remedy: String? = nil) -> UsageError {
        UsageError(
            "\(folder.forDisplay): \(reason); \(remedy.map { "\($0), or " } ?? "")remove that folder to begin anew")
    }

    // MARK: The plan

    /// Threads and memory are no part of it: the same bytes come out with any.
    private static func digest(of plan: ConversionPlan) -> Digest {
        var hasher = DigestHasher()
        func add(_ parts: [String]) {
            hasher.update(JSONValue.array(parts.map { .string($0) }).compactText + "\n")
        }
        add([
            plan.format.name, "\(plan.isFolder)", "\(plan.options.writing.deflateLevel ?? 0)",
            "\(plan.options.takesDigests || plan.options.verifies)",
        ])
        for file in plan.files {
            add(["file", file.name, file.plan.part.map { "\($0.number) \($0.count)" } ?? ""])
            for step in file.steps {
                let outputs = step.outputs.map(\.name)
                let origin = JSONObject(plan.origin(of: step.source).members(outputs: outputs))
                add(["step", JSONValue.object(origin).compactText, step.transform] + outputs)
            }
            for tensor in file.plan.tensors {
                add([tensor.name, tensor.elementType.name, "\(tensor.shape)", tensor.aliasOf ?? ""])
            }
            for (key, value) in file.plan.metadata { add(["metadata", key, value]) }
            if let header = file.plan.originalHeader {
                add(["header", header.formatName, header.bytes.withUnsafeBytes { "\(Digest.of($0))" }])
            }
        }
        for edit in plan.metadataEdits { add(["edit", edit.key] + (edit.value.map { [$0] } ?? [])) }
        for (name, rule) in plan.dropped { add(["dropped", name, rule]) }
        return hasher.finalize()
    }

    // MARK: JSON

    var json: JSONValue {
        [
            "tool": .string(tool), "command": .string(command), "plan": .string("\(plan)"),
            "source": .array(
                source.map { file in
                    [
                        "path": .string(file.path), "byteCount": JSONValue(file.byteCount),
                        "modified": .array(file.modified.map { JSONValue($0) }),
                        "changed": .array(file.changed.map { JSONValue($0) }),
                    ]
                }),
        ]
    }

    /// - Returns: nil where the folder says nothing of itself.
    /// - Throws: `CheckpointError` where what it says cannot be read.
    static func read(in folder: FilePath) throws -> PartialRunIdentity? {
        let path = folder.appending(fileName)
        guard try SystemCall.status(path) != nil else { return nil }
        let kind = "what a run says of itself (remove the folder \(folder.forDisplay) to begin anew)"
        let bytes = try JSONValue.bytes(of: InputFile(path), kind, atMost: maximumByteCount)
        guard let value = try? JSONValue(parsing: bytes), let identity = PartialRunIdentity(value) else {
            throw CheckpointError(path, .file, expected: kind, found: "something else")
        }
        return identity
    }

    private init?(_ value: JSONValue) {
        guard let object = value.object, let tool = object["tool"]?.string,
            let command = object["command"]?.string,
            let plan = object["plan"]?.string.flatMap({ Digest(hexadecimal: $0) }),
            let source = object["source"]?.array?.map({ SourceFile($0) }), source.allSatisfy({ $0 != nil })
        else { return nil }
        self.tool = tool
        self.command = command
        self.plan = plan
        self.source = source.map { $0! }
    }
}

extension PartialRunIdentity.SourceFile {
    fileprivate init?(_ value: JSONValue) {
        guard let object = value.object, let path = object["path"]?.string, let byteCount = object["byteCount"]?.int,
            let modified = object["modified"]?.array?.compactMap(\.int),
            let changed = object["changed"]?.array?.compactMap(\.int)
        else { return nil }
        self.init(path: path, byteCount: byteCount, modified: modified, changed: changed)
    }
}
