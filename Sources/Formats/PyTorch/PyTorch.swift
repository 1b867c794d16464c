import AssayCheckpoints
import AssayTensors

/// PyTorch's files: a zip archive of a pickle and storages (since 1.6), and the stream that came before. The page is
/// `formats/pytorch.md`.
public enum PyTorch: CheckpointFormat {
    public static let name = "pytorch"
    public static let fileExtensions = [".bin", ".pt", ".pth"]
    public static let weightsFileName = "pytorch_model.bin"

    /// What trainers save beside the weights.
    public static func holdsNoWeights(_ fileName: String) -> Bool {
        let stems = ["optimizer", "scheduler", "scaler", "training_args", "rng_state", "random_states"]
        return stems.contains { fileName.hasPrefix($0 + ".") || fileName.hasPrefix($0 + "_") }
    }

    public static let capabilities = FormatCapabilities(
        elementTypes: Set(TorchType.names.keys), holdsAliases: true, holdsMetadata: true, storesDigests: false)

    /// An archive with a pickle in it, or a pickle of binary protocol.
    public static func recognizes(_ file: InputFile) throws -> Bool {
        let prefix = try file.prefix(2)
        if prefix.count == 2, prefix[0] == PickleMachine.Operation.proto.rawValue, (1...5).contains(prefix[1]) {
            return true
        }
        return try ZipArchive.holds(file) {
            $0 == TorchArchive.pickleName || $0.hasSuffix("/" + TorchArchive.pickleName)
        }
    }

    public static func open(_ file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader {
        let isArchive = try file.prefix(2) == Array("PK".utf8)
        return try isArchive ? TorchReader(archive: file) : TorchReader(stream: file)
    }

    public static func makeWriter(
        _ plan: WritePlan, _ output: OutputFile, _ options: WritingOptions
    ) throws -> any CheckpointWriter {
        try TorchWriter(plan, output)
    }
}
