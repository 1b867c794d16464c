import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayQuantization
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayVerification

/// What was made of a source, with a certificate that a test makes say something else.
struct Made {
    let folder: TemporaryFolder
    let isFolder: Bool
    var source: FilePath { folder.path.appending("source.safetensors") }
    var target: FilePath { folder.path.appending(isFolder ? "made" : "made.safetensors") }
    var certificate: FilePath { CertificateFile.path(for: target, isFolder: isFolder) }

    /// - Parameter shards: the most bytes a file; nil for one file.
    init(
        _ source: MemoryCheckpoint = Self.plain, shards: Int? = nil,
        _ plan: (Checkpoint, ConversionOptions) throws -> ConversionPlan = { try .convert($0, $1, to: nil) }
    ) throws {
        folder = try TemporaryFolder()
        isFolder = shards != nil
        try source.write(to: folder.path.appending("source.safetensors"))
        var options = ConversionOptions(destination: target)
        (options.shardByteCount, options.namesFolder) = (shards, isFolder)
        if isFolder { options.formatName = "safetensors" }
        let finished = try plan(try Checkpoint.open(self.source), options).run()
        let quantizes = finished.outcome.steps.contains { $0.findings.quantization != nil }
        try CertificateFile.publish(
            finished,
            try Certificate(of: finished, operation: quantizes ? "quantize" : "convert", tool: "assay test"))
    }

    /// With "n" beside them.
    static var withMore: MemoryCheckpoint {
        var checkpoint = plain
        checkpoint.set("n", .u8, [1], [0xC1])
        return checkpoint
    }

    /// "a" and "b", and "t", a second name of "a".
    static var plain: MemoryCheckpoint {
        var checkpoint = MemoryCheckpoint(metadata: [("t", "a")])
        checkpoint.set("a", .u8, [4], [0xA1, 0xA2, 0xA3, 0xA4])
        checkpoint.set("b", .u8, [4], [0xB1, 0xB2, 0xB3, 0xB4])
        return checkpoint
    }

    /// Two rows of two.
    static var square: MemoryCheckpoint {
        var checkpoint = MemoryCheckpoint()
        checkpoint.set("w", .u8, [2, 2], [0xE1, 0xE2, 0xE3, 0xE4])
        return checkpoint
    }

    /// Floats, "l.weight" can be quantized; "huge" is beyond float16.
    static var weights: MemoryCheckpoint {
        var checkpoint = MemoryCheckpoint()
        checkpoint.set("huge", [2], [1, 1e6])
        checkpoint.set("l.weight", [4, 64], (0..<256).map { Float($0 * 37 % 101) - 50 })
        return checkpoint
    }

    /// With the bytes of "a" in the place of those of "b", which is said to be a second name of it.
    ///
    /// - Parameter change: what else is forged.
    static func withSecondName(_ change: (inout Certificate) throws -> Void) throws -> Made {
        let made = try Made()
        let bytes: [UInt8] = [0xA1, 0xA2, 0xA3, 0xA4]
        try made.alter([0xB1, 0xB2, 0xB3, 0xB4], bytes)
        try made.forge {
            $0.destinationTensors[$0.index("b")].info.aliasOf = "a"
            $0.destinationTensors[$0.index("b")].digest = .of(bytes)
            try change(&$0)
        }
        return made
    }

    func forge(_ change: (inout Certificate) throws -> Void) throws {
        var forged = try Certificate(reading: certificate)
        try change(&forged)
        try TestFiles.write(forged.fileBytes, to: certificate)
    }

    /// Puts other bytes in the place of some, wherever they stand in what was made.
    func alter(_ old: [UInt8], _ new: [UInt8]) throws {
        var bytes = try TestFiles.bytes(target)
        let start = try #require(bytes.indices.first { bytes[$0...].starts(with: old) })
        bytes.replaceSubrange(start..<start + old.count, with: new)
        try TestFiles.write(bytes, to: target)
    }

    /// The exit status, and all words of what was found, or of the error.
    func verify(against: Bool = true) throws -> (status: AssayCheckpoints.ExitStatus, words: String) {
        let checkpoint = try Checkpoint.open(target)
        do {
            var evidence = Verifier.Evidence(certificate: try CertificateOnHand.find(for: checkpoint))
            evidence.source = against ? try Checkpoint.open(source) : nil
            let report = try Verifier(checkpoint, ConversionOptions(destination: "")).verify(evidence)
            let found = report.statements.flatMap(\.findings).map { "\($0.what): \($0.items.map(\.name))" }
            return (report.exitStatus, (found + report.unchecked.map(\.statement)).joined(separator: "\n"))
        } catch let error as any AssayError {
            return (error.exitStatus, error.description)
        }
    }
}

extension Certificate {
    /// The position of a tensor of the destination.
    fileprivate func index(_ name: String) -> Int { destinationTensors.firstIndex { $0.info.name == name }! }
}

extension Digest {
    fileprivate static func of(_ bytes: [UInt8]) -> Digest { bytes.withUnsafeBytes { of($0) } }
}

/// A way to make a certificate untrue that its own digests do not tell, and what must be said of it.
struct Forgery: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var status: AssayCheckpoints.ExitStatus
    var words: String
    var make: @Sendable () throws -> Made

    /// One that takes no more than another certificate of a plain copy.
    static func forging(
        _ description: String, _ status: AssayCheckpoints.ExitStatus, _ words: String,
        _ change: @escaping @Sendable (inout Certificate) throws -> Void
    ) -> Forgery {
        making(description, status, words) {
            let made = try Made()
            try made.forge(change)
            return made
        }
    }

    static func making(
        _ description: String, _ status: AssayCheckpoints.ExitStatus, _ words: String,
        _ make: @escaping @Sendable () throws -> Made
    ) -> Forgery {
        Forgery(testDescription: description, status: status, words: words, make: make)
    }
}

private let cast = { @Sendable (source: Checkpoint, options: ConversionOptions) in
    try ConversionPlan.convert(source, options, to: .f16)
}

private let halved = { @Sendable (source: Checkpoint, options: ConversionOptions) in
    let rules = #"{"assayMap":1,"rules":[{"from":"w","to":["top","bottom"],"axis":0}]}"#
    let path = options.destination.removingLastComponent().appending("map.json")
    try TestFiles.write(Array(rules.utf8), to: path)
    return try ConversionPlan.convert(source, options, to: nil, map: TensorMap(reading: path))
}

private let noted: MemoryCheckpoint = {
    var checkpoint = MemoryCheckpoint(metadata: [("note", "yes")])
    checkpoint.set("a", .u8, [4], [0xA1, 0xA2, 0xA3, 0xA4])
    return checkpoint
}()

private let leavingOut = { @Sendable (source: Checkpoint, options: ConversionOptions) in
    var options = options
    options.exclude = [NamePattern("n*")]
    return try ConversionPlan.convert(source, options, to: nil)
}

private let quantized = { @Sendable (source: Checkpoint, options: ConversionOptions) in
    var options = options
    options.include = [NamePattern("l.weight")]
    let scheme = Scheme.integers(SchemeRegistry.scheme(named: "int8")!)
    return try ModelQuantization(source, configuration: nil, scheme, options, quantization: QuantizationOptions()).plan
}

@Suite struct ForgedCertificates {
    private static let forgeries: [Forgery] = [
        .making("another tensor's bytes as a second name", .invalidFile, #"other bytes: ["b"]"#) {
            try Made.withSecondName { $0.transforms.removeAll { $0.outputs == ["b"] } }
        },
        .making("no transform, and a second name", .invalidFile, "transforms: expected for each tensor") {
            let made = try Made()
            let bytes: [UInt8] = [7, 7, 7, 7]
            try made.alter([0xB1, 0xB2, 0xB3, 0xB4], bytes)
            try made.forge {
                $0.destinationTensors[$0.index("b")].digest = .of(bytes)
                $0.transforms = []
                $0.sourceTensors.removeAll { $0.info.name != "t" }
                $0.dropped = ["a", "b"].map { Certificate.Drop(name: $0, rule: "--exclude x") }
            }
            return made
        },
        .making("no transform, and no second name", .invalidFile, "found none for 'b'") {
            var source = Made.plain
            source.remove("a")
            let made = try Made(source)
            try made.forge {
                ($0.transforms, $0.sourceTensors) = ([], [])
                $0.dropped = [Certificate.Drop(name: "b", rule: "--exclude x")]
            }
            return made
        },
        .making(
            "a second name with another tensor of that name in the source", .structureDiffers, #"went nowhere: ["b"]"#
        ) {
            try Made.withSecondName {
                let index = $0.transforms.firstIndex { $0.outputs == ["b"] }!
                $0.transforms[index].origin.sources = ["a"]
            }
        },
        .forging("joined and cut at once", .invalidFile, "transforms[0]") { $0.joinAndCut(0..<4) },
        .forging("joined and cut in the middle", .invalidFile, "transforms[0]") { $0.joinAndCut(2..<6) },
        .forging("renamed along an axis", .invalidFile, "transforms[0]") {
            $0.transforms = [
                .init(origin: .init(sources: ["a"], arrangement: .init(axis: 7)), outputs: ["b"], operation: "copy")
            ]
        },
        .forging("joined along no axis", .invalidFile, "transforms[0]") {
            $0.transforms = [.init(origin: .init(sources: ["a", "b"]), outputs: ["a"], operation: "copy")]
        },
        .forging("cut along no axis", .invalidFile, "transforms[0]") {
            let origin = TensorOrigin(sources: ["a"], arrangement: .init(slice: 0..<4))
            $0.transforms = [.init(origin: origin, outputs: ["a"], operation: "copy")]
        },
        .forging("made twice", .invalidFile, "found two for 'a'") { certificate in
            certificate.transforms.append(certificate.transforms.first { $0.outputs == ["a"] }!)
        },
        .forging("something else made", .invalidFile, "found one that made something else, 'nothing'") {
            $0.transforms[0].outputs = ["nothing"]
        },
        .forging("another format", .invalidFile, "made.safetensors (safetensors, not gguf)") {
            $0.destinationFormat = "gguf"
        },
        .forging("arithmetic of no version", .invalidFile, "arithmeticVersion: expected a whole number above 0") {
            $0.arithmeticVersion = -1
        },
        .forging("done by nothing", .structureDiffers, "this version cannot repeat") {
            $0.transforms[0].operation = ""
        },
        .forging("done by a comma", .structureDiffers, "this version cannot repeat") {
            $0.transforms[0].operation = ","
        },
        .forging("a file of which nothing is said", .invalidFile, "files[0]") { $0.files[0].metadataDigest = nil },
        .forging("a file of unknown metadata", .invalidFile, "the metadataDigest of the only file") {
            $0.files[0].metadataDigest = nil
            $0.files[0].digest = .of([])
        },
        .forging("a source tensor that nobody used", .structureDiffers, #"missing: ["bogus"]"#) {
            $0.sourceTensors.append($0.sourceTensors[0])
            $0.sourceTensors[$0.sourceTensors.count - 1].info.name = "bogus"
        },
        .forging("a source tensor that nobody used, of other bytes", .invalidFile, #"other bytes: ["b"]"#) {
            $0.transforms.removeAll { $0.outputs == ["b"] }
            $0.destinationTensors.remove(at: $0.index("b"))
            let index = $0.sourceTensors.firstIndex { $0.info.name == "b" }!
            $0.sourceTensors[index].digest = .of([])
        },
        .forging("a tensor twice", .invalidFile, "destination.tensors: expected each name once, found 'a' again") {
            $0.destinationTensors.append($0.destinationTensors[$0.index("a")])
        },
        .forging("a source tensor twice", .invalidFile, "source.tensors: expected each name once") {
            $0.sourceTensors.append($0.sourceTensors[0])
        },
        .forging("an operation that is none", .invalidFile, "operation: expected convert or quantize") {
            $0.operation = "pray"
        },
        .forging("a file that a single one lies in", .invalidFile, "no 'file' for any") {
            $0.destinationTensors[0].file = "made.safetensors"
        },
        .making("tensors in each other's files", .invalidFile, "in another file than the certificate says") {
            let made = try Made(shards: 4)
            try made.forge {
                let (a, b) = ($0.index("a"), $0.index("b"))
                ($0.destinationTensors[a].file, $0.destinationTensors[b].file) =
                    ($0.destinationTensors[b].file, $0.destinationTensors[a].file)
            }
            return made
        },
        .making("a tensor in another folder", .invalidFile, "found 'a' in '../../etc/passwd'") {
            let made = try Made(shards: 4)
            try made.forge { $0.destinationTensors[$0.index("a")].file = "../../etc/passwd" }
            return made
        },
        .making("a tensor in no file", .invalidFile, "found 'a' in none") {
            let made = try Made(shards: 4)
            try made.forge { $0.destinationTensors[$0.index("a")].file = nil }
            return made
        },
        .making("a count of what overflowed", .invalidFile, #"other figures: ["huge"]"#) {
            let made = try Made(Made.weights, cast)
            try made.forge { certificate in
                let index = try #require(certificate.transforms.firstIndex { $0.overflowed == 1 })
                certificate.transforms[index].overflowed = 0
            }
            return made
        },
        .forging("a count of what became zero", .invalidFile, #"other figures: ["a"]"#) { certificate in
            let index = certificate.transforms.firstIndex { $0.outputs == ["a"] }!
            certificate.transforms[index].underflowed = 1
        },
        .making("how well a weight was quantized", .invalidFile, #"other figures: ["l.weight_packed"]"#) {
            let made = try Made(Made.weights, quantized)
            try made.forge { certificate in
                let index = try #require(certificate.transforms.firstIndex { $0.quantization != nil })
                certificate.transforms[index].quantization?["sqnrDecibels"] = 999
            }
            return made
        },
        .forging("a second name of nothing", .invalidFile, "source.tensors: expected second names of tensors that are")
        {
            $0.sourceTensors[0].info.aliasOf = "zz"
        },
        .forging("a second name of itself", .invalidFile, "'b' as one of 'b'") {
            $0.destinationTensors[$0.index("b")].info.aliasOf = "b"
        },
        .forging("a second name of other bytes", .invalidFile, "'b' as one of 'a'") {
            $0.destinationTensors[$0.index("b")].info.aliasOf = "a"
        },
        .forging("what was done", .invalidFile, "operation: expected 'convert', as no transform quantizes") {
            $0.operation = "quantize"
        },
        .making("that nothing was quantized", .invalidFile, "operation: expected 'quantize', as transforms do") {
            let made = try Made(Made.weights, quantized)
            try made.forge { $0.operation = "convert" }
            return made
        },
        .forging("a drop of what was converted", .invalidFile, "dropped: expected tensors that nothing was made of") {
            $0.dropped = [Certificate.Drop(name: "a", rule: "--exclude a")]
        },
        .forging("a drop of what never was", .structureDiffers, #"and not there: ["nowhere"]"#) {
            $0.dropped = [Certificate.Drop(name: "nowhere", rule: "--exclude n*")]
        },
        .making("a drop said twice", .invalidFile, "dropped: expected each name once, found 'n' again") {
            let made = try Made(Made.withMore, leavingOut)
            try made.forge { $0.dropped += $0.dropped }
            return made
        },
        .making("a row and a column for all", .structureDiffers, #"went nowhere in part: ["w"]"#) {
            let made = try Made(Made.square, halved)
            try made.alter([0xE3, 0xE4], [0xE2, 0xE4])
            try made.forge { certificate in
                certificate.destinationTensors[certificate.index("bottom")].digest = .of([0xE2, 0xE4])
                let index = certificate.transforms.firstIndex { $0.outputs == ["bottom"] }!
                certificate.transforms[index].origin.arrangement = .init(axes: [1, 0], axis: 0, slice: 1..<2)
            }
            return made
        },
        .making("that metadata was not changed", .structureDiffers, #"other values: ["note"]"#) {
            let made = try Made(noted) { source, options in
                var options = options
                options.metadataEdits = [MetadataEdit(key: "note", value: "no")]
                return try .convert(source, options, to: nil)
            }
            try made.forge { $0.metadataEdits = [] }
            return made
        },
        .making("that metadata was changed", .structureDiffers, #"other values: ["note"]"#) {
            let made = try Made(noted)
            try made.forge { $0.metadataEdits = [MetadataEdit(key: "note", value: "no")] }
            return made
        },
        .forging("that metadata was added", .structureDiffers, #"not as the certificate says: ["licence"]"#) {
            $0.metadataEdits = [MetadataEdit(key: "licence", value: "MIT")]
        },
        .forging("a change of what is not there", .structureDiffers, #"do not fit its metadata: ["licence"]"#) {
            $0.metadataEdits = [MetadataEdit(key: "licence", value: nil)]
        },
        .forging("how well nothing was quantized", .invalidFile, #"other figures: ["a"]"#) { certificate in
            let index = certificate.transforms.firstIndex { $0.outputs == ["a"] }!
            certificate.transforms[index].quantization = JSONObject([("relativeL2", 0)])
        },
    ]

    @Test(arguments: forgeries) func areFound(_ forgery: Forgery) throws {
        let (status, words) = try forgery.make().verify()
        #expect(status == forgery.status, "\(words)")
        #expect(words.contains(forgery.words), "\(words)")
    }

    /// What is forged above holds as it was made.
    @Test func holdUnlessTheyAreForged() throws {
        let made = try [
            Made(), Made(shards: 4), Made(Made.weights, cast),
            Made(Made.weights, quantized), Made(Made.withMore, leavingOut), Made(Made.square, halved),
        ]
        for made in made {
            let (status, words) = try made.verify()
            #expect(status == .done, "\(words)")
        }
    }

    /// Several beside the files of one checkpoint say of a source's tensor what the others say.
    @Test(arguments: [[0xA1, 0xA2, 0xA3, 0xA4], [0xA1, 0xA2, 0xA3, 0xA5]] as [[UInt8]])
    func doNotContradictEachOther(_ bytes: [UInt8]) throws {
        let folder = try TemporaryFolder()
        var files: [String: String] = [:]
        for (number, name) in ["a", "b"].enumerated() {
            let made = try Made { source, options in
                var options = options
                options.include = [NamePattern(name)]
                return try .convert(source, options, to: nil)
            }
            try made.forge { certificate in
                guard name == "b" else { return }
                let info = try #require(TensorInfo(name: "a", elementType: .u8, shape: Shape([4])!))
                certificate.sourceTensors.append(.init(info: info, digest: .of(bytes)))
                certificate.dropped.removeAll { $0.name == "a" }
            }
            let file = "model-0000\(number + 1)-of-00002.safetensors"
            files[name] = file
            try folder.write(file, TestFiles.bytes(made.target))
            try folder.write(file + ".certificate.json", TestFiles.bytes(made.certificate))
        }
        let map = JSONValue.object(JSONObject(files.map { ($0.key, .string($0.value)) }))
        let index: JSONValue = ["metadata": ["total_size": 8], "weight_map": map]
        try folder.write("model.safetensors.index.json", Array(index.canonicalText.utf8))
        let checkpoint = try Checkpoint.open(folder.path)
        guard bytes.last == 0xA5 else {
            return #expect(try CertificateOnHand.find(for: checkpoint)?.documents.count == 2)
        }
        let error = #expect(throws: CheckpointError.self) { try CertificateOnHand.find(for: checkpoint) }
        #expect(
            error?.description.contains("says of 'a', found another digest") == true, "\(String(describing: error))")
    }

    @Test func areNotAbsentWhereALinkLeadsNowhere() throws {
        let made = try Made()
        let bytes = try TestFiles.bytes(made.certificate)
        let elsewhere = try made.folder.write("elsewhere.json", bytes)
        SystemCall.removeIfPresent(made.certificate)
        try SystemCall.link(made.certificate, to: elsewhere)
        #expect(try made.verify().status == .done)
        SystemCall.removeIfPresent(elsewhere)
        let (status, words) = try made.verify()
        #expect(status == .invalidFile && words.contains("expected what the link leads to"), "\(words)")
    }

    /// Its tensors are what counts.
    @Test func sayWhichFormatTheSourceHad() throws {
        let made = try Made()
        try made.forge { $0.sourceFormat = "gguf" }
        let checkpoint = try Checkpoint.open(made.target)
        var evidence = Verifier.Evidence(certificate: try CertificateOnHand.find(for: checkpoint))
        evidence.source = try Checkpoint.open(made.source)
        let report = try Verifier(checkpoint, ConversionOptions(destination: "")).verify(evidence)
        #expect(report.exitStatus == .done)
        #expect(
            report.notes == ["the certificate calls the source gguf, \(made.source.forDisplay) is safetensors"],
            "\(report.notes)")
    }

    /// One spelling of "é" is not the other, though Swift's strings are equal.
    @Test func haveSubjectsOfTheSameBytes() throws {
        var source = MemoryCheckpoint()
        source.set("\u{E9}", .u8, [2], [1, 2])
        let made = try Made(source)
        #expect(try made.verify().status == .done)
        let text = String(decoding: try TestFiles.bytes(made.certificate), as: UTF8.self)
        let forged = text.split(separator: "tensor:\u{E9}", omittingEmptySubsequences: false)
            .joined(separator: "tensor:e\u{301}")
        try TestFiles.write(Array(forged.utf8), to: made.certificate)
        let (status, words) = try made.verify()
        #expect(status == .invalidFile && words.contains("subject: expected"), "\(words)")
    }

    /// What is over and done cannot be seen from the files; it is said that nobody looked.
    @Test(arguments: [false, true]) func areSaidToClaimMoreThanCanBeSeen(_ against: Bool) throws {
        let made = try Made(Made.withMore, leavingOut)
        try made.forge {
            $0.metadataEdits = [MetadataEdit(key: "licence", value: "MIT"), MetadataEdit(key: "x", value: nil)]
            $0.arithmeticVersion = 99
        }
        let (status, words) = try made.verify(against: against)
        // The source's metadata, changed that way, would be others.
        #expect(status == (against ? .structureDiffers : .done))
        for claim in [
            "licence set to MIT, x removed", "tensors were dropped by rule: 1 (--exclude n*)", "read again",
            "it was made with arithmetic version 99, this is",
        ] {
            #expect(words.contains(claim), "\(words)")
        }
        #expect(words.contains("the recorded transforms of") == !against)
    }
}

extension Certificate {
    /// "a" as a part of "a" and "b" together.
    fileprivate mutating func joinAndCut(_ slice: Range<Int>) {
        let origin = TensorOrigin(sources: ["a", "b"], arrangement: .init(axis: 0, slice: slice))
        transforms = [.init(origin: origin, outputs: ["a"], operation: "copy")]
        destinationTensors.removeAll { $0.info.name != "a" }
    }
}

/// Manifests that leave out what they should speak of.
@Suite struct PartialManifests {
    @Test func areSaidToLeaveFilesOut() throws {
        let folder = try TemporaryFolder()
        let model = folder.path.appending("model")
        try SystemCall.makeFolder(model)
        try Made.plain.write(to: model.appending("model.safetensors"))
        try TestFiles.write(Array("{}".utf8), to: model.appending("config.json"))
        let checkpoint = try Checkpoint.open(model)
        var manifest = try FileManifest(of: checkpoint, threads: 1)
        manifest.resources.removeAll { $0.file == "model.safetensors" }
        manifest.serialization.ignoredPaths.append("model.safetensors")
        let path = folder.path.appending("manifest.json")
        try manifest.write(to: path, overwrite: false)
        var evidence = Verifier.Evidence()
        evidence.signature = try SignatureOnHand(reading: path)
        let report = try Verifier(checkpoint, ConversionOptions(destination: "")).verify(evidence)
        // Nothing else speaks of the tensors.
        #expect(report.exitStatus == .structureDiffers)
        #expect(report.statements.flatMap(\.findings).map(\.what) == ["tensors of which it does not speak"])
        #expect(report.statements.flatMap(\.findings).flatMap(\.items).map(\.name) == ["model.safetensors"])
        #expect(report.notes.contains("manifest.json does not speak of model.safetensors"), "\(report.notes)")
        // A rule that is none is no rule.
        let text = String(decoding: try TestFiles.bytes(path), as: UTF8.self)
        for wrong in [#""ignore_paths":"model.safetensors""#, #""ignore_paths":[7]"#] {
            let pieces = text.split(separator: #""ignore_paths":["#, maxSplits: 1)
            let rest = pieces[1].split(separator: "]", maxSplits: 1)[1]
            try TestFiles.write(Array((pieces[0] + wrong + rest).utf8), to: path)
            let error = #expect(throws: CheckpointError.self) { try SignatureOnHand(reading: path) }
            #expect(error?.description.contains("ignore_paths: expected a list of paths") == true)
        }
    }
}
