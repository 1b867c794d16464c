import SystemPackage

/// An error that is one sentence a person can act on, and the exit code that goes with it.
public protocol AssayError: Error, Sendable, CustomStringConvertible {
    var exitStatus: ExitStatus { get }
}

/// A file is invalid or damaged: which file, where in it, what was expected, what was found.
public struct CheckpointError: AssayError, Equatable {
    public enum Place: Equatable, Sendable, CustomStringConvertible {
        case file
        case byte(Int)
        /// A part of the file's own structure: "header", "index", "attribute 'x'".
        case part(String)
        case tensor(String)

        public var description: String {
            switch self {
            case .file: "file"
            case .byte(let offset): "byte \(offset)"
            case .part(let name): name
            case .tensor(let name): "tensor '\(name.escapedForDisplay)'"
            }
        }
    }

    public var file: FilePath
    public var place: Place
    public var expected: String
    public var found: String

    public init(_ file: FilePath, _ place: Place, expected: String, found: String) {
        self.file = file
        self.place = place
        self.expected = expected
        self.found = found
    }

    public var exitStatus: ExitStatus { .invalidFile }

    public var description: String {
        let site = place == .file ? "" : "\(place): "
        return "\(file.forDisplay): \(site)expected \(expected), found \(found.cutForDisplay)"
    }
}

/// Structure differs from what was expected: tensors missing, extra or misshapen, a configuration that contradicts
/// itself, an architecture that is not known.
public struct StructureError: AssayError, Equatable {
    public var sentence: String
    public init(_ sentence: String) { self.sentence = sentence }
    public var exitStatus: ExitStatus { .structureDiffers }
    public var description: String { sentence }
}

/// The request cannot be carried out as it stands: an output that exists, a type that the target cannot hold.
public struct UsageError: AssayError, Equatable {
    public var sentence: String
    public init(_ sentence: String) { self.sentence = sentence }
    public var exitStatus: ExitStatus { .usage }
    public var description: String { sentence }
}

/// The system refused: the operation, the path, and the system's own words.
public struct SystemError: AssayError, Equatable {
    public var operation: String
    public var path: FilePath
    public var errno: Errno
    /// What could be done about it, where we know.
    public var advice: String?

    /// - Parameter path: what is under construction is called by what it is to become.
    public init(_ operation: String, _ path: FilePath, _ errno: Errno, advice: String? = nil) {
        self.operation = operation
        self.path = Temporaries.destination(of: path)
        self.errno = errno
        self.advice = advice ?? Self.usualAdvice(errno)
    }

    private static func usualAdvice(_ code: Errno) -> String? {
        switch code {
        case .noSpace: "free some space, or write to another disk"
        case .permissionDenied: "check who owns it and its permissions"
        case .fileTooLarge: "raise the file size limit (ulimit -f)"
        case .tooManyOpenFiles: "allow more of them (ulimit -n)"
        default: nil
        }
    }

    public var exitStatus: ExitStatus { .systemFailed }
    public var description: String {
        "\(path.forDisplay): cannot \(operation): \(errno)" + (advice.map { "; \($0)" } ?? "")
    }
}

extension BinaryInteger {
    /// "1 byte", "2 bytes": as sentences count them.
    package var inBytes: String { self == 1 ? "1 byte" : "\(self) bytes" }
}

extension String {
    /// Longer names are cut where people see them; JSON has them whole.
    private static let shownByteCount = 1000
    /// A sentence is no longer, whatever a file makes it tell of: a thousand values where two were expected.
    private static let foundByteCount = 4000

    /// The text with control characters (and what could disguise a line on a terminal) written as `\u001b`, so that a
    /// name from a file can be printed anywhere; what would take more than 1000 bytes is cut, visibly.
    public var escapedForDisplay: String { escaped(atMost: Self.shownByteCount) }

    /// What is said of a file, escaped already, above 4000 bytes cut, visibly.
    fileprivate var cutForDisplay: String {
        utf8.count > Self.foundByteCount ? escaped(atMost: Self.foundByteCount) : self
    }

    /// Whether it is printable ASCII throughout, each byte a character that is shown as it is.
    package var isPlain: Bool {
        // Without a way out of the loop it takes many bytes at a time.
        let isPlain = utf8.withContiguousStorageIfAvailable { bytes in
            bytes.reduce(UInt8(0)) { $0 | ($1 &- 0x20 > 0x7E - 0x20 ? 1 : 0) } == 0
        }
        return isPlain ?? utf8.allSatisfy { (0x20...0x7E).contains($0) }
    }

    /// The same without a limit.
    package var escaped: String { escaped(atMost: .max) }

    /// - Parameter limit: of what is shown, in bytes, without the words that tell of the cut.
    private func escaped(atMost limit: Int) -> String {
        let byteCount = utf8.count
        if byteCount <= limit, isPlain || !unicodeScalars.contains(where: \.needsEscape) { return self }
        var result = ""
        for scalar in unicodeScalars {
            let shown = scalar.needsEscape ? scalar.escape : String(scalar)
            guard shown.utf8.count <= limit - result.utf8.count else { return result + "... (\(byteCount.inBytes))" }
            result += shown
        }
        return result
    }
}

extension String {
    /// A name or key as text shows it where no quotes stand around it: escaped, and `''` where it is empty.
    public var shownAsName: String { isEmpty ? "''" : escapedForDisplay }
}

extension [String] {
    /// The first `count` names, escaped, and how many there are where that is more: "a, b, ... (7 in all)".
    package func listed(first count: Int) -> String {
        let rest = self.count > count ? ", ... (\(self.count) in all)" : ""
        return prefix(count).map(\.escapedForDisplay).joined(separator: ", ") + rest
    }
}

extension Unicode.Scalar {
    /// Control characters, line separators, and the marks that reorder or hide text.
    var needsEscape: Bool {
        switch value {
        case 0...0x1F, 0x7F...0x9F, 0xAD, 0x61C, 0x180E, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x2069, 0xFEFF,
            0xFFF9...0xFFFB, 0xE0001...0xE007F:
            true
        default: false
        }
    }

    /// "\u001b", "\u{e0041}"
    fileprivate var escape: String {
        let hex = String(value, radix: 16)
        return value <= 0xFFFF ? "\\u" + String(repeating: "0", count: 4 - hex.count) + hex : "\\u{\(hex)}"
    }
}

extension FilePath {
    /// The path as messages show it: control characters escaped, never cut, as its end tells which file it is; '' where it
    /// is empty.
    public var forDisplay: String { isEmpty ? "''" : string.escaped }
}
