import AssayCheckpoints
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// A folder for one test, removed with everything in it.
public final class TemporaryFolder: Sendable {
    public let path: FilePath

    public init() throws {
        var template = Array("/tmp/assay-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    deinit { SystemCall.removeTree(path) }

    /// Writes a file into it.
    @discardableResult
    public func write(_ name: String, _ bytes: [UInt8]) throws -> FilePath {
        let file = path.appending(name)
        try TestFiles.write(bytes, to: file)
        return file
    }

    public var names: [String] { (try? SystemCall.names(in: path)) ?? [] }
}

/// Plain files, whole.
public enum TestFiles {
    public static func bytes(_ path: FilePath) throws -> [UInt8] {
        let file = try InputFile(path)
        return try file.bytes(0..<file.byteCount)
    }

    public static func write(_ bytes: [UInt8], to path: FilePath) throws {
        SystemCall.removeIfPresent(path)
        let output = try OutputFile(creating: path)
        try output.write(at: 0, bytes)
    }

    /// The project's `fixtures` folder.
    public static let fixtures: FilePath = FilePath(#filePath).removingLastComponent().removingLastComponent()
        .removingLastComponent().appending("fixtures")
}
