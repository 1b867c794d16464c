import SystemPackage

/// The library that stands between the built `assay` and the C library, and lets calls fail: `Tests/Faults/faults.c`,
/// compiled once a run by the C compiler that belongs to the toolchain.
public enum FaultLibrary {
    private static let folder = Result { () throws -> TemporaryFolder in try TemporaryFolder() }

    private static let library = Result { () throws -> FilePath in
        let source = TestFiles.fixtures.removingLastComponent().appending("Tests").appending("Faults")
            .appending("faults.c")
        let library = try folder.get().path.appending("faults.so")
        let arguments = ["-O1", "-shared", "-fPIC", "-o", library.string, source.string]
        let code = try (try? Program.run(["clang"] + arguments)) ?? Program.run(["cc"] + arguments)
        guard code == 0 else { throw Errno.invalidArgument }
        return library
    }

    /// The settings under which `assay` runs with it.
    ///
    /// - Parameters:
    ///   - folder: only calls about what lies in it are counted, recorded and made to fail.
    ///   - orders: which call is to do what, as `faults.c` describes it: "17=fail 28".
    ///   - log: a file that gets the record.
    ///   - threads: how many the process gets beside its first; nil for any.
    public static func environment(
        under folder: FilePath, _ orders: [String] = [], log: FilePath? = nil, inChild: Bool = false,
        threads: Int? = nil
    ) throws -> [String: String] {
        var environment = [
            "LD_PRELOAD": try library.get().string, "FAULTS_UNDER": folder.string,
            "FAULTS_ORDERS": orders.joined(separator: ","),
        ]
        environment["FAULTS_LOG"] = log?.string
        environment["FAULTS_THREADS"] = threads.map(String.init)
        if inChild { environment["FAULTS_CHILD"] = "1" }
        return environment
    }
}

/// One call of the system as it was recorded.
public struct RecordedCall: Sendable {
    /// Counted from 1 among those that concern the folder.
    public var number: Int
    /// "pwrite"; "create", "open" and "openForWriting" are what open(2) was called for.
    public var name: String
    /// The path, as it was given, or as the descriptor's file is called; both of a call that takes two.
    public var paths: [FilePath]
    /// Of the open file; for a call about a path, of the folder it lies in.
    public var inode: Int
    /// What else was asked: offset and length, or the inodes that a path named before and after.
    public var numbers: (Int, Int)
    public var result: Int
    public var errno: Errno
    /// What was written.
    public var data: [UInt8]

    /// All calls of a log.
    public static func all(in log: FilePath) throws -> [RecordedCall] {
        var bytes = try TestFiles.bytes(log)[...]
        var calls: [RecordedCall] = []
        while let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
            let fields = String(decoding: bytes[..<end], as: UTF8.self)
                .split(separator: "\t", omittingEmptySubsequences: false)
            let numbers = fields.map { Int($0) ?? 0 }
            let data = bytes[(end + 1)...].prefix(numbers[8])
            calls.append(
                RecordedCall(
                    number: numbers[0], name: String(fields[1]),
                    paths: fields[2].split(separator: "\u{B}").map { FilePath(String($0)) }, inode: numbers[3],
                    numbers: (numbers[4], numbers[5]), result: numbers[6], errno: Errno(rawValue: CInt(numbers[7])),
                    data: Array(data)))
            bytes = bytes[(end + 1)...].dropFirst(data.count)
        }
        return calls
    }
}
