import AssayCheckpoints
import SystemPackage

/// The name of one of several files: `NAME-00002-of-00003.gguf`.
public struct PartName: Sendable, Equatable {
    /// What stands before the numbers, and the extension behind them, with its dot.
    public var (stem, suffix): (String, String)
    /// From 0 on; the name counts from 1.
    public var number: Int
    public var count: Int

    private static let minimumDigitCount = 5

    public init(stem: String, number: Int, count: Int, suffix: String) {
        (self.stem, self.number, self.count, self.suffix) = (stem, number, count, suffix)
    }

    /// - Returns: nil where a file's name is not of this form.
    public init?(_ fileName: String) {
        let pieces = fileName.split(separator: "-", omittingEmptySubsequences: false)
        guard pieces.count >= 4, pieces[pieces.count - 2] == "of" else { return nil }
        let last = pieces[pieces.count - 1]
        let dot = last.firstIndex(of: ".") ?? last.endIndex
        guard let number = Self.number(pieces[pieces.count - 3]), let count = Self.number(last[..<dot]) else {
            return nil
        }
        self.init(
            stem: pieces.dropLast(3).joined(separator: "-"), number: number - 1, count: count,
            suffix: String(last[dot...]))
    }

    /// The name of a file that has others beside it; nil where it is the only one, or its name is not of this form.
    static func ofSeveral(_ fileName: String) -> PartName? {
        PartName(fileName).flatMap { $0.count > 1 ? $0 : nil }
    }

    private static func number(_ text: Substring) -> Int? {
        guard text.count >= minimumDigitCount, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(text)
    }

    public var text: String { "\(stem)-\(Self.digits(number + 1))-of-\(Self.digits(count))\(suffix)" }

    private static func digits(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, minimumDigitCount - text.count)) + text
    }

    /// The files of all parts, in order; they must be there.
    ///
    /// - Parameters:
    ///   - part: what the file at `path` says of itself.
    ///   - suffix: the extension of its format, for the message.
    /// - Throws: `StructureError` where the file's name says otherwise, or a file is missing.
    static func paths(of path: FilePath, _ part: CheckpointPart, suffix: String) throws -> [FilePath] {
        let fileName = path.lastComponent?.string ?? ""
        guard var name = PartName(fileName), name.number == part.number, name.count == part.count else {
            let expected = PartName(stem: "NAME", number: part.number, count: part.count, suffix: suffix).text
            throw StructureError(
                "\(path.forDisplay): the file says that it is part \(part.number + 1) of \(part.count); expected a name"
                    + " like \(expected), found '\(fileName.escapedForDisplay)'")
        }
        let paths = (0..<part.count).map { number in
            name.number = number
            return path.removingLastComponent().appending(name.text)
        }
        try ShardedReader.requirePresent(paths, of: path)
        return paths
    }
}
