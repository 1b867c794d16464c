import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// Faults can be forced only where the system is called, so it is called for files in one place.
@Suite struct SystemEdge {
    /// Where the system may be called: the edge, the C below it, the pipes of the HDF5 helper, and the terminal.
    private static let places = [
        "Checkpoints/Files/", "CSystem/", "CHDF5/driver.c", "Formats/HDF5/HDF5Helper.swift",
        "Formats/HDF5/HDF5Listing.swift", "Reporting/Terminal.swift",
    ]
    private static let calls: Set<String> = [
        "open", "openat", "creat", "fopen", "pread", "pwrite", "preadv", "pwritev", "readv", "writev", "fread",
        "fwrite",
        "fsync", "fdatasync", "ftruncate", "truncate", "fallocate", "posix_fallocate", "rename", "renameat",
        "renameat2",
        "unlink", "unlinkat", "rmdir", "mkdir", "mmap", "opendir", "readdir", "stat", "lstat", "fstat", "symlink",
        "copy_file_range", "sendfile", "FileManager", "FileHandle", "FileDescriptor",
    ]

    @Test func isTheOnlyOneForFiles() throws {
        let sources = TestFiles.fixtures.removingLastComponent().appending("Sources")
        let files = try SystemCall.tree(in: sources).map(\.name).filter { name in
            [".swift", ".c", ".h"].contains { name.hasSuffix($0) } && !Self.places.contains { name.hasPrefix($0) }
        }
        #expect(files.count > 200)
        for name in files {
            let text = String(decoding: try TestFiles.bytes(sources.pushing(FilePath(name))), as: UTF8.self)
            for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                for call in Self.called(in: String(line)) { Issue.record("\(name):\(number + 1): \(call)") }
            }
        }
    }

    /// Names of the list that are called on nothing, or by the module's name.
    private static func called(in line: String) -> [String] {
        guard !line.contains("func "), !line.trimmedOfSpaces.hasPrefix("//") else { return [] }
        var found: [String] = []
        var (word, wordBefore) = ("", "")
        var before: Character = " "
        for character in line {
            if character.isLetter || character.isNumber || character == "_" {
                word.append(character)
                continue
            }
            // Nothing of the system's throws.
            if character == "(", calls.contains(word), before != ".", wordBefore != "try" { found.append(word) }
            if word == "Glibc", character == "." { found.append("Glibc.") }
            before = character
            if !word.isEmpty { wordBefore = word }
            word = ""
        }
        return found
    }

    @Test(
        arguments: [
            ("let file = open(path, O_RDONLY)", ["open"]), ("try file.open(path)", []),
            ("Glibc.write(1, a, b)", ["Glibc."]),
            ("// open(x)", []), ("static func open(_ path: FilePath)", []),
            ("if (pread(a, b, c, d)) fsync(a);", ["pread", "fsync"]),
        ] as [(String, [String])]) func isSeenWhereItIsCrossed(_ line: String, _ calls: [String])
    {
        #expect(Self.called(in: line) == calls)
    }
}

extension String {
    fileprivate var trimmedOfSpaces: Substring { drop { $0 == " " } }
}
