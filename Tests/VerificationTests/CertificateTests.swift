import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayVerification

@Suite struct Certificates {
    /// Converts a file of two tensors and gives its certificate.
    private func certificate(_ folder: TemporaryFolder, to type: ElementType?) throws -> Certificate {
        let header =
            #"{"__metadata__":{"t":"a"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"I8","shape":[3],"data_offsets":[8,11]}}"#
        let file = try folder.write(
            "source.safetensors", SafetensorsBytes.file(header, data: [0, 0, 128, 63, 0, 0, 0, 64, 1, 2, 3]))
        var options = ConversionOptions(destination: folder.path.appending("made.safetensors"))
        options.overwrite = true
        let finished = try ConversionPlan.convert(try Checkpoint.open(file), options, to: type).run()
        let certificate = try #require(try Certificate(of: finished, operation: "convert", tool: "assay test"))
        try CertificateFile.publish(finished, certificate)
        return certificate
    }

    /// The certificate of a plain copy.
    func plain() throws -> Certificate { try certificate(try TemporaryFolder(), to: nil) }

    @Test(arguments: [nil, ElementType.bf16]) func comeBackFromTheirFile(_ type: ElementType?) throws {
        let folder = try TemporaryFolder()
        let certificate = try certificate(folder, to: type)
        let path = folder.path.appending("made.safetensors.certificate.json")
        let read = try Certificate(reading: path)
        #expect(read == certificate)
        #expect(read.fileBytes == (try TestFiles.bytes(path)))
    }

    @Test func stateDigestsThatAnybodyCanRecompute() throws {
        let folder = try TemporaryFolder()
        let certificate = try certificate(folder, to: nil)
        // sha256sum of the bytes 00 00 80 3f 00 00 00 40, and of 01 02 03.
        let golden = [
            "a": "b9c80b5adeca450753a16950c3cc655d271f7bef7a485bc83f112b72fef21d37",
            "b": "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81",
        ]
        for (name, digest) in golden {
            #expect("\(try #require(certificate.destinationTensors.first { $0.info.name == name }).digest)" == digest)
        }
        // "t" is a second name of "a": the file's metadata says so.
        #expect(certificate.sourceTensors.map(\.info.name).sorted() == ["a", "b", "t"])
    }

    @Test(arguments: [
        (#""urn:assay:certificate:1""#, #""urn:other""#, "predicateType"),
        (#""sha256":"0"#, #""sha256":"x"#, "tensors"),
        (#""name":"tensor:a""#, #""name":"tensor:c""#, "subject"),
        (#""arithmeticVersion":1"#, #""arithmeticVersion":1.5"#, "arithmeticVersion"),
        (#""kind":"file""#, #""kind":"folder""#, "subject"),
        (#""files":[{"metadata"#, #""files":[{"name":"../x"},{"metadata"#, "files[0]"),
        (#""metadataDigest":""#, #""metadataDigest":"x"#, "files[0]"),
        (#""metadataDigest":""#, #""sha256":null,"metadataDigest":""#, "files[0]"),
        (#""https://in-toto.io/Statement/v1""#, #""https://in-toto.io/Statement/v9""#, "_type"),
        (#""operation":"convert""#, #""operation":"pray""#, "operation"),
        (#""outputs":["a"]"#, #""outputs":["a"],"overflowed":"none""#, "transforms"),
        (#""outputs":["a"]"#, #""outputs":["a"],"overflowed":0"#, "transforms[0].overflowed: expected nothing"),
        (#""source":"a""#, #""source":"a","sources":["b"]"#, "transforms[0].sources: expected nothing of this kind"),
        (#""source":"a""#, #""source":"a","mapping":7"#, "transforms[0]"),
        (
            #""name":"a","sha256""#, #""aliasOf":7,"name":"a","sha256""#,
            "aliasOf: expected nothing of this kind there, found the"
        ),
        (
            #""metadataDigest":""#, #""file":"x","metadataDigest":""#,
            "files[0].file: expected nothing of this kind there"
        ),
        (#""transforms":"#, #""metadataEdits":[],"transforms":"#, "metadataEdits: expected nothing of this kind there"),
        (#""transforms":"#, #""comparisons":[],"transforms":"#, "comparisons: expected nothing of this kind there"),
        (#""reread":true"#, #""reread":true,"set":1"#, "checks.set: expected nothing of this kind there"),
        ("{", "[", "byte"), (#"{"_type""#, #"{"payload":"e30=","_type""#, "an envelope that somebody signed"),
    ])
    func damagedOnesAreRefused(_ old: String, _ new: String, _ place: String) throws {
        let folder = try TemporaryFolder()
        _ = try certificate(folder, to: nil)
        let path = folder.path.appending("made.safetensors.certificate.json")
        var text = String(decoding: try TestFiles.bytes(path), as: UTF8.self)
        let found = try #require(text.indices.first { text[$0...].hasPrefix(old) })
        text.replaceSubrange(found..<text.index(found, offsetBy: old.count), with: new)
        try TestFiles.write(Array(text.utf8), to: path)
        let error = #expect(throws: CheckpointError.self) { try Certificate(reading: path) }
        #expect(error?.description.contains(place) == true, "\(error?.description ?? "")")
    }

    /// What later versions say beside what this one knows.
    @Test(arguments: [
        (#""source":"a""#, #""source":"a","noise":1"#, "predicate.transforms[0].noise"),
        (#""reread":true"#, #""reread":true,"evaluated":"MMLU""#, "predicate.checks.evaluated"),
        (#""predicate":{"#, #""verifiedBy":"me","predicate":{"#, "verifiedBy"),
        (#""predicate":{"#, #""predicate":{"remark":{"name":1},"#, "predicate.remark"),
    ])
    func membersOfOtherVersionsAreNamed(_ old: String, _ new: String, _ place: String) throws {
        let folder = try TemporaryFolder()
        _ = try certificate(folder, to: nil)
        let path = folder.path.appending("made.safetensors.certificate.json")
        let pieces = String(decoding: try TestFiles.bytes(path), as: UTF8.self).split(
            separator: old, maxSplits: 1, omittingEmptySubsequences: false)
        try #require(pieces.count == 2)
        try TestFiles.write(Array(pieces.joined(separator: new).utf8), to: path)
        #expect(try Certificate(reading: path).unknownMembers == [place])
    }

    /// From hashlib: sha256 of `assay-metadata/1`, a newline, and the lines `["a\"","2"]`, `["b","é"]`.
    @Test func metadataHasOneDigestInAnyOrder() {
        let golden = "41d1420c0103290ff4bd6d6fca1978aac680f87d36d13cfef47a95e51e76099a"
        let entries: [(key: String, value: String)] = [("b", "é"), ("a\"", "2")]
        #expect("\(MetadataDigest.of(entries))" == golden)
        #expect("\(MetadataDigest.of(entries.reversed()))" == golden)
        #expect(MetadataDigest.of([]) != MetadataDigest.of([("", "")]))
    }
}

@Suite struct Statements {
    @Test func holdOnlyWhereSomethingWasLookedAt() {
        var statement = VerifiedStatement("it is so", checked: 0)
        #expect(statement.result == .notChecked)
        statement.add("missing", [String](), .structureDiffers)
        #expect(statement.findings.isEmpty)
        statement.checkedCount = 3
        #expect(statement.result == .holds)
        statement.add("cannot be repeated", ["a"], nil)
        #expect(statement.result == .notChecked)
    }

    @Test(
        arguments: [
            ([.structureDiffers], VerifiedStatement.Result.fails(.structureDiffers)),
            ([.numbersDiffer, nil], VerifiedStatement.Result.fails(.numbersDiffer)),
            ([.numbersDiffer, .structureDiffers, .invalidFile], VerifiedStatement.Result.fails(.invalidFile)),
        ] as [([AssayCheckpoints.ExitStatus?], VerifiedStatement.Result)])
    func failByTheGravestFinding(_ statuses: [AssayCheckpoints.ExitStatus?], _ result: VerifiedStatement.Result) {
        var statement = VerifiedStatement("it is so", checked: 3)
        for status in statuses { statement.add("found", ["a"], status) }
        #expect(statement.result == result)
    }

    @Test func togetherAreVerifiedOnlyWhereEachHolds() {
        func report(_ counts: [Int]) -> VerificationReport {
            VerificationReport(
                contentDigest: Digest.of(""), certificates: [],
                statements: counts.map { VerifiedStatement("it is so", checked: $0) })
        }
        #expect(report([1, 2]).exitStatus == .done)
        #expect(report([1, 0]).exitStatus == .structureDiffers)
        #expect(report([]).exitStatus == .structureDiffers)
    }
}

@Suite struct CertifiedTensorsOfACheckpoint {
    private let a = Certificate.Tensor(info: tensor("a"), digest: Digest.of("1"))
    private let b = Certificate.Tensor(info: tensor("b"), digest: Digest.of("2"))

    private static func tensor(_ name: String, _ dimensions: [Int] = [2]) -> TensorInfo {
        TensorInfo(name: name, elementType: .f32, shape: Shape(dimensions)!)!
    }

    private func findings(_ infos: [TensorInfo], _ digests: [String]) throws -> [String: [String]] {
        var certificate = try Certificates().plain()
        certificate.destinationTensors = [a, b]
        let tensors = DigestedTensors(infos, digests.map { Digest.of($0) })
        let findings = CertifiedTensors(tensors: tensors, certificate: certificate).check().findings
        return Dictionary(uniqueKeysWithValues: findings.map { ($0.what, $0.items.map(\.name)) })
    }

    @Test func areFoundWhateverIsWrongWithThem() throws {
        #expect(try findings([Self.tensor("b"), Self.tensor("a")], ["2", "1"]) == [:])
        #expect(try findings([Self.tensor("a"), Self.tensor("b")], ["1", "3"]) == ["other bytes": ["b"]])
        #expect(try findings([Self.tensor("a")], ["1"]) == ["missing": ["b"]])
        #expect(
            try findings([Self.tensor("a"), Self.tensor("b"), Self.tensor("c")], ["1", "2", "3"])
                == ["not in the certificate": ["c"]])
        #expect(
            try findings([Self.tensor("a", [1, 2]), Self.tensor("b")], ["1", "2"])
                == ["of another shape or type": ["a"]])
        #expect(
            try findings([Self.tensor("a"), Self.tensor("c")], ["1", "2"]) == ["under another name": ["b (as c)"]])
        #expect(
            try findings([Self.tensor("a"), Self.tensor("c")], ["1", "3"])
                == ["missing": ["b"], "not in the certificate": ["c"]])
    }
}
