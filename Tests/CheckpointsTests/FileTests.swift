import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayCheckpoints

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct StagedOutputs {
    private func stage(_ path: FilePath, overwrite: Bool = false, publish: Bool = true, _ text: String) throws {
        let staged = try StagedOutput(path, isFolder: false, overwrite: overwrite)
        let output = try OutputFile(creating: staged.staging)
        try output.write(at: 0, Array(text.utf8))
        if publish { try staged.publish() }
    }

    @Test func appearWhenTheyArePublished() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("x")
        let staged = try StagedOutput(path, isFolder: false, overwrite: false)
        _ = try OutputFile(creating: staged.staging)
        #expect(try SystemCall.status(path) == nil)
        try staged.publish()
        #expect(folder.names == ["x"])
    }

    @Test func leaveNothingBehindWhenDropped() throws {
        let folder = try TemporaryFolder()
        try stage(folder.path.appending("x"), publish: false, "half")
        #expect(folder.names.isEmpty)
        do {
            let staged = try StagedOutput(folder.path.appending("d"), isFolder: true, overwrite: false)
            _ = try OutputFile(creating: staged.staging.appending("inner"))
        }
        #expect(folder.names.isEmpty)
    }

    @Test func doNotReplaceUnasked() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("x", [1])
        let error = #expect(throws: UsageError.self) { try stage(path, "new") }
        #expect(error?.sentence.contains("--overwrite") == true)
        #expect(try TestFiles.bytes(path) == [1])
        try stage(path, overwrite: true, "new")
        #expect(try TestFiles.bytes(path) == Array("new".utf8))
        #expect(folder.names == ["x"])
    }

    @Test func noticeADestinationThatAppearsMeanwhile() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("x")
        let staged = try StagedOutput(path, isFolder: false, overwrite: false)
        _ = try OutputFile(creating: staged.staging)
        try folder.write("x", [7])
        #expect(throws: UsageError.self) { try staged.publish() }
        #expect(try TestFiles.bytes(path) == [7])
    }

    @Test func ofKilledRunsAreRecognised() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("x")
        // Process 2^22 is above what Linux gives out by default; process 1 is always there.
        try folder.write(".x.4194304-abc.assay-partial", [])
        try folder.write(".x.1-abc.assay-partial", [])
        try folder.write(".y.4194304-abc.assay-partial", [])
        #expect(StagedOutput.leftovers(of: path) == [folder.path.appending(".x.4194304-abc.assay-partial")])
        // What stood there before is no leftover: it may be the only one.
        try folder.write(".x.4194304-abc.assay-previous", [])
        #expect(StagedOutput.leftovers(of: path).count == 1)
        #expect(StagedOutput.previous(of: path) == [folder.path.appending(".x.4194304-abc.assay-previous")])
    }

    /// A file whose permissions change meanwhile is the same file.
    @Test func areNotDisturbedByPermissions() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("x", [1])
        let before = try SystemCall.status(path)
        try SystemCall.setMode(path, 0o600)
        try SystemCall.requireUnchanged(path, since: before)
    }

    /// Text is followed where it is right, the system where it is not.
    @Test func lieWhereTheSystemSays() throws {
        let folder = try TemporaryFolder()
        let root = try SystemCall.resolved(folder.path)
        for name in ["a", "a/b", "c"] { try SystemCall.makeFolder(root.pushing(FilePath(name))) }
        try SystemCall.link(root.appending("link"), to: root.pushing("a/b"))
        for (given, meant) in [
            ("x", "x"), ("./x/", "x"), ("a/../x", "x"), ("a/b/../../c/./x", "c/x"), ("link/x", "link/x"),
            ("link/../x", "a/x"), ("c/../link/../x", "a/x"), ("link/../../x", "x"), ("link/..", "a"),
            ("none/../x", "none/../x"),
        ] {
            #expect(root.pushing(FilePath(given)).settled() == root.pushing(FilePath(meant)), "\(given)")
        }
        #expect(FilePath("../../x").settled() == "../../x")
        #expect(FilePath("x/.").settled() == "x")
    }

    /// Whoever keeps the folder locked is not waited for, for good.
    @Test func doNotWaitForGood() throws {
        let folder = try TemporaryFolder()
        let held = try #require(SystemCall.lockFolder(folder.path))
        #expect(SystemCall.lockFolder(folder.path, patience: 3) == nil)
        SystemCall.unlock(held)
        let again = try #require(SystemCall.lockFolder(folder.path, patience: 3))
        SystemCall.unlock(again)
    }

    /// Where there is no limit, or no number that could be one, none is known.
    @Test func takeWhatTheSystemSaysOfItsSpace() throws {
        var system = statvfs()
        #expect(SystemCall.freeByteCount(of: system) == nil)
        system.f_blocks = 10
        system.f_frsize = 4096
        system.f_bavail = 3
        #expect(SystemCall.freeByteCount(of: system) == 3 * 4096)
        system.f_bavail = .max
        #expect(SystemCall.freeByteCount(of: system) == nil)
        system.f_frsize = 1
        #expect(SystemCall.freeByteCount(of: system) == nil)
    }

    @Test func areRemovedWhateverTheirPermissions() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("d")
        try SystemCall.makeFolder(path)
        try TestFiles.write([1], to: path.appending("x"))
        try SystemCall.setMode(path, 0o555)
        SystemCall.removeTree(path)
        #expect(folder.names.isEmpty)
    }

    @Test func replaceAFolderWhole() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("d")
        try SystemCall.makeFolder(path)
        try TestFiles.write([1], to: path.appending("config.json"))
        do {
            #expect(throws: UsageError.self) { try StagedOutput(path, isFolder: true, overwrite: true) }
            let staged = try StagedOutput(
                path, isFolder: true, overwrite: true, replaceable: NameSet(["config.json"]))
            _ = try OutputFile(creating: staged.staging.appending("new"))
            try staged.publish()
        }
        #expect(try SystemCall.names(in: path) == ["new"])
        #expect(folder.names == ["d"])
    }

    @Test func refuseLinksAndMissingFolders() throws {
        let folder = try TemporaryFolder()
        let target = try folder.write("target", [1])
        try SystemCall.link(folder.path.appending("link"), to: target)
        #expect(throws: UsageError.self) { try stage(folder.path.appending("link"), overwrite: true, "x") }
        #expect(try TestFiles.bytes(target) == [1])
        let error = #expect(throws: UsageError.self) { try stage(folder.path.appending("no/such"), "x") }
        #expect(error?.sentence.contains("does not exist") == true)
    }
}

@Suite struct Messages {
    @Test(arguments: [
        ("plain", "plain"), ("a\u{1B}[31mb", "a\\u001b[31mb"), ("a\r\n\t\u{0}", "a\\u000d\\u000a\\u0009\\u0000"),
        ("\u{202E}x", "\\u202ex"), ("é", "é"), ("\u{9B}", "\\u009b"),
        ("\u{61C}x", "\\u061cx"), ("x\u{E0041}\u{E007F}", "x\\u{e0041}\\u{e007f}"), ("\u{E0100}", "\u{E0100}"),
    ])
    func showControlCharactersEscaped(_ name: String, _ shown: String) {
        #expect(name.escapedForDisplay == shown)
        let error = CheckpointError("f", .tensor(name), expected: "x", found: "y")
        #expect(error.description == "f: tensor '\(shown)': expected x, found y")
    }

    @Test func areNoLongerThanAPersonReads() {
        let list = String(repeating: "a tuple, ", count: 1000)
        let error = CheckpointError("f", .file, expected: "x", found: list)
        #expect(error.description.utf8.count < 4200)
        #expect(error.description.hasSuffix("a tuple, a tu... (9000 bytes)"), "\(error.description.suffix(100))")
        // A name is cut by what is shown of it, never inside what stands for one character.
        let name = String(repeating: "\u{1B}", count: 500)
        #expect(name.escapedForDisplay == String(repeating: "\\u001b", count: 166) + "... (500 bytes)")
        #expect(String(repeating: "é", count: 500).escapedForDisplay.utf8.count == 1000)
        #expect(String(repeating: "é", count: 501).escapedForDisplay.hasSuffix("éé... (1002 bytes)"))
    }
}

@Suite struct Digests {
    @Test func agreeWithTheStandardsVectors() {
        // FIPS 180-4, examples of SHA-256.
        #expect("\(Digest.of("abc"))" == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect("\(Digest.of(""))" == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    @Test func comeBackFromTheirText() {
        let digest = Digest.of("x")
        #expect(Digest(hexadecimal: "\(digest)") == digest)
        #expect(Digest(hexadecimal: "\(digest)".uppercased()) == nil)
        #expect(Digest(hexadecimal: "ab") == nil)
    }
}
