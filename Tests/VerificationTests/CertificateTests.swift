import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayTensors
import AssayTestSupport
import AssayVerification
import SystemPackage
import Testing

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
        let certificate = try #require(Certificate(of: finished, operation: "convert", tool: "assay test"))
        try CertificateFile.publish(finished, certificate)
        return certificate
    }

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
        ("{", "[", "byte"),
    ])
    func damagedOnesAreRefused(_ old: String, _ new: String, _ place: String) throws {
        let folder = try TemporaryFolder()
        _ = try certificate(folder, to: nil)
        let path = folder.path.appending("made.safetensors.certificate.json")
        var text = String(decoding: try TestFiles.bytes(path), as: UTF8.self)
        guard let found = text.indices.first(where: { text[$0...].hasPrefix(old) }) else { return }
        text.replaceSubrange(found..<text.index(found, offsetBy: old.count), with: new)
        try TestFiles.write(Array(text.utf8), to: path)
        let error = #expect(throws: CheckpointError.self) { try Certificate(reading: path) }
        #expect(error?.description.contains(place) == true, "\(error?.description ?? "")")
    }
}
