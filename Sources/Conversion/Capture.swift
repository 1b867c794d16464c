import AssayCheckpoints
import AssayFormats
import AssayModels
import AssayTensors
import SystemPackage

/// Writes the taps of a forward pass into one file while it runs, in the format that its extension names.
///
/// The file holds each tap as float32 (float64 under ref64), [batch, time, features], in forward order, and the tokens
/// themselves; its metadata names the model, the profile, the arithmetic version and the tokens' digest. The page is
/// `formats/taps.md`.
public enum Capture {
    /// Runs a model and captures what the pattern names.
    ///
    /// - Parameters:
    ///   - source: what the model is read from, which must not change meanwhile.
    ///   - progress: called after each step of the pass.
    ///   - observe: sees the same taps; for figures on the way.
    public static func run(
        _ runner: BlockRunner, taps pattern: TapPattern, to destination: FilePath, overwrite: Bool,
        source: Checkpoint? = nil, progress: () -> Void = {}, observe: (TapValues) throws -> Void = { _ in }
    ) throws {
        try pattern.requireMatches(among: runner.model.tapNames)
        let taps = ForwardPass.plannedTaps(of: runner, taps: pattern)
        let tokens = try tokenTensors(runner.tokens)
        let plan = try plan(for: runner, taps, tokens.map(\.info))
        let format = try format(for: destination)
        try format.capabilities.check(plan, formatName: format.name)
        let staged = try StagedOutput(destination, isFolder: false, overwrite: overwrite)
        let output = try OutputFile(creating: staged.staging)
        let writer = try format.makeWriter(plan, output, WritingOptions())
        let positions = Dictionary(uniqueKeysWithValues: taps.enumerated().map { ($1.name, $0) })
        func pass() throws {
            try ForwardPass.run(runner, taps: pattern, progress: progress) { values in
                try write(values, positions[values.tap.name]!, writer)
                try observe(values)
            }
        }
        try source?.whileUnchanged(pass) ?? pass()
        for (index, (_, bytes)) in tokens.enumerated() {
            try bytes.withUnsafeBytes {
                try writer.write(taps.count + index, 0..<$0.count, $0, inTurn: { try $0() })
            }
        }
        try writer.finish(digests: [])
        try output.synchronize()
        try staged.publish()
    }

    /// Whether a format takes rows as they come (one that stores digests must be given whole pieces, and them) and the
    /// metadata that says what the taps are.
    private static func takesCaptures(_ format: any CheckpointFormat.Type) -> Bool {
        !format.capabilities.storesDigests && format.capabilities.holdsMetadata
    }

    /// The formats that a capture can be written in, as help and messages list them.
    public static var formatNames: String { FormatRegistry.names(where: takesCaptures) }

    /// The format that a file's name calls for.
    ///
    /// - Throws: `UsageError` where it calls for none that takes a capture.
    public static func format(for destination: FilePath) throws(UsageError) -> any CheckpointFormat.Type {
        if let format = try FormatRegistry.format(forOutput: destination), takesCaptures(format) { return format }
        let known = FormatRegistry.all.filter(takesCaptures).flatMap { $0.fileExtensions }.joined(separator: ", ")
        throw UsageError("\(destination.forDisplay): expected the name of a file with \(known) for a capture")
    }

    private static func write(_ values: TapValues, _ position: Int, _ writer: any CheckpointWriter) throws {
        let bytes = values.values.bytes
        let rowByteCount = bytes.count / max(values.rows.count, 1)
        let start = values.rows.lowerBound * rowByteCount
        try writer.write(position, start..<start + bytes.count, bytes, inTurn: { try $0() })
    }

    private static func plan(
        for runner: BlockRunner, _ taps: [PlannedTap], _ tokens: [TensorInfo]
    ) throws -> WritePlan {
        let type: ElementType = runner.settings.profile.precision == .float64 ? .f64 : .f32
        let infos = try taps.map { tap in
            guard let shape = Shape(tap.shape), let info = TensorInfo(name: tap.name, elementType: type, shape: shape)
            else {
                throw UsageError("tap '\(tap.name)': is too large for a file")
            }
            return info
        }
        return WritePlan(
            tensors: infos + tokens,
            metadata: [
                ("assay.capture", "1"),
                ("assay.model", runner.model.name.split(separator: "/").last.map { String($0) } ?? ""),
                ("assay.profile", runner.settings.profile.rawValue),
                ("assay.arithmeticVersion", "\(Arithmetic.version)"),
                ("assay.tokens", "\(runner.tokens.digest)"),
            ], keepsOrder: true)
    }

    /// The ids and the masks that were given, [batch, time], int64, and the numbers, float32 where that is exact.
    private static func tokenTensors(_ tokens: TokenBatch) throws -> [(info: TensorInfo, bytes: [UInt8])] {
        let lists = tokens.members.compactMap { name, rows -> (info: TensorInfo, bytes: [UInt8])? in
            guard let shape = Shape([rows.count, rows[0].count]),
                let info = TensorInfo(name: name, elementType: .i64, shape: shape)
            else { return nil }
            let bytes = rows.joined().flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
            return (info, bytes)
        }
        guard let features = tokens.features, let shape = Shape(features.shape) else { return lists }
        let type: ElementType = if case .float64 = features.numbers { .f64 } else { .f32 }
        let info = TensorInfo(name: features.kind.member.rawValue, elementType: type, shape: shape)
        return lists + (info.map { [($0, features.bytes)] } ?? [])
    }
}
