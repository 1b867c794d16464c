import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

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
