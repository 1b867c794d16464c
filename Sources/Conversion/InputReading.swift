import AssayCheckpoints
import AssayFormats
import AssayModels
import SystemPackage

/// The file that says what a model is fed: JSON with token ids, or a file of tensors with ids, mel spectrograms or pixels.
public enum InputReading {
    /// - Throws: `CheckpointError` where the file is neither; `SystemError` where it cannot be read.
    public static func read(_ path: FilePath, _ options: ReadingOptions = ReadingOptions()) throws -> TokenBatch {
        guard try holdsTensors(path) else { return try TokensFile.read(path) }
        return try TokenBatch(Checkpoint.open(path, options).reader, source: path)
    }

    /// Whether a file is of a format of tensors, or is called so.
    private static func holdsTensors(_ path: FilePath) throws -> Bool {
        if FormatRegistry.format(forFileName: path.lastComponent?.string ?? "") != nil { return true }
        let file = try InputFile(path)
        return try FormatRegistry.all.contains { try $0.recognizes(file) }
    }
}
