import AssayCheckpoints
import AssayFormats
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

/// Files made by h5py (`fixtures/make/golden_hdf5.py`) and what its manifest says of them.
@Suite struct HDF5GoldenTests {
    static let folder = TestFiles.fixtures.appending("golden").appending("hdf5")

    static func manifest() throws -> JSONObject {
        try #require(try JSONValue(parsing: TestFiles.bytes(folder.appending("manifest.json"))).object)
    }

    @Test func goodFilesGiveTheirTensors() throws {
        let good = try #require(try Self.manifest()["good"]?.object)
        #expect(!good.members.isEmpty)
        for (name, entry) in good.members {
            let entry = try #require(entry.object)
            // What needs a newer libhdf5 than the one linked is refused in a sentence; below.
            guard entry["libhdf5_at_least"]?.string == "1.10" else { continue }
            try check(name, entry)
        }
    }

    private func check(_ name: String, _ entry: JSONObject) throws {
        let reader = try HDF5Tests.open(Self.folder.appending(name))
        let index = reader.contents.indexByName()
        let datasets = try #require(entry["datasets"]?.object)
        #expect(Set(index.keys) == Set(datasets.members.map(\.key)), "\(name)")
        for (path, dataset) in datasets.members {
            let position = try #require(index[path], "\(name): \(path)")
            let info = reader.contents.tensors[position]
            let dataset = try #require(dataset.object)
            #expect(info.elementType.name == dataset["type"]?.string, "\(name): \(path)")
            #expect(info.shape.dimensions == dataset["shape"]?.array?.compactMap(\.int), "\(name): \(path)")
            let bytes = try HDF5Tests.bytes(reader, position)
            let expected = dataset["sha256"]?.string ?? ""
            #expect(try Self.digest(bytes, info, dataset).description == expected, "\(name): \(path)")
            #expect(try HDF5Tests.bytes(reader, position, target: 1) == bytes, "\(name): \(path) in small pieces")
        }
        for names in entry["aliases"]?.array ?? [] {
            let positions = (names.array ?? []).compactMap { index[$0.string ?? ""] }
            let targets = Set(positions.map { reader.contents.tensors[$0].aliasOf ?? reader.contents.tensors[$0].name })
            #expect(positions.count == names.array?.count && targets.count == 1, "\(name): \(names.compactText)")
        }
        for null in entry["null"]?.array ?? [] {
            #expect(reader.contents.warnings.contains("'/\(null.string ?? "")' has a null dataspace and is left out"))
        }
    }

    /// The manifest digests codes one a byte where a type has fewer bits than that.
    private static func digest(_ bytes: [UInt8], _ info: TensorInfo, _ dataset: JSONObject) throws -> Digest {
        let bits = info.elementType.bitCount
        guard bits < 8 else { return bytes.withUnsafeBytes { Digest.of($0) } }
        let codes = (0..<info.shape.elementCount).map { element -> UInt8 in
            let first = element * bits
            let low = Int(bytes[first / 8]) >> (first % 8)
            let high = first / 8 + 1 < bytes.count ? Int(bytes[first / 8 + 1]) << (8 - first % 8) : 0
            return UInt8((low | high) & ((1 << bits) - 1))
        }
        return codes.withUnsafeBytes { Digest.of($0) }
    }
}
