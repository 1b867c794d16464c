import ArgumentParser
import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayModels
import SystemPackage

/// What models are run on, and how exactly.
struct InputOptions: ParsableArguments {
    @Option(
        name: .long,
        help:
            "A tokens file: a JSON list of lists or an object with input_ids, or a file of tensors (ids, pixels, mel).",
        completion: .file())
    var tokens: String?

    @Option(
        name: .long, help: "A text file instead, cut into tokens by the model's own tokenizer (diff: A's).",
        completion: .file())
    var text: String?

    @Option(
        name: .long,
        help: "For models with a memory (Transformer-XL): positions of a segment; the whole sequence unless given.")
    var segmentLength: Int?

    @Option(
        name: .long, help: "Positions that are remembered between segments; as many as the model says unless given.")
    var memoryLength: Int?

    @Option(name: .long, help: "fast32, ref32 or ref64: how exactly to compute.")
    var profile: Profile?

    var chosenProfile: Profile { profile ?? .fast32 }

    func validate() throws {
        if tokens != nil, text != nil { throw ValidationError("--tokens and --text exclude each other") }
        for (name, length, least) in [("--segment-length", segmentLength, 1), ("--memory-length", memoryLength, 0)] {
            guard let length, !(least...TokenBatch.longestSegment).contains(length) else { continue }
            throw ValidationError(
                "\(name): a whole number from \(least) to \(TokenBatch.longestSegment), not \(length)")
        }
    }

    /// Refuses to write over the input.
    ///
    /// - Throws: `UsageError`.
    func refuse(output: String) throws { try Self.refuse([tokens, text], output: output) }

    /// Refuses to write over what is read beside the checkpoints.
    ///
    /// - Parameter inputs: paths, as they were given.
    /// - Throws: `UsageError`.
    static func refuse(_ inputs: [String?], output: String) throws {
        guard let target = try SystemCall.status(FilePath(argument: output)) else { return }
        for input in inputs.compactMap({ $0 }) {
            guard try SystemCall.status(FilePath(argument: input))?.isSameFile(as: target) == true else { continue }
            throw UsageError(
                "\(FilePath(argument: output).forDisplay): is the input itself (\(FilePath(argument: input).forDisplay)); name another file"
            )
        }
    }

    /// The tokens, or the text cut by the tokenizer in the model's folder; nil where neither was given.
    ///
    /// - Throws: `UsageError` where there is text and no model that could cut it.
    func batch(
        for model: Model?, tokenizerIn folder: FilePath, _ reading: ReadingOptions
    ) throws -> TokenBatch? {
        let segments = TokenBatch.Segments(length: segmentLength, memoryLength: memoryLength)
        if segments != TokenBatch.Segments(), let model, !model.spec.hasMemory {
            throw UsageError(
                "--segment-length, --memory-length: \(model.spec.architecture) remembers nothing between segments")
        }
        if let tokens {
            return try InputReading.read(FilePath(existing: tokens, of: "--tokens"), reading).cut(into: segments)
        }
        guard let text else {
            guard segments == TokenBatch.Segments() else {
                throw UsageError("--segment-length, --memory-length: say nothing without --tokens FILE or --text FILE")
            }
            return nil
        }
        guard let model else {
            throw UsageError("\(folder.forDisplay): --text needs a model folder with a tokenizer")
        }
        let path = try FilePath(existing: text, of: "--text")
        return try TextInput.batch(path, for: model.spec, tokenizerIn: folder).cut(into: segments)
    }
}

extension Profile: ExpressibleByArgument {}
