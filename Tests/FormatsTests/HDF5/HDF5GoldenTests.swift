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

    // MARK: Attributes

    /// Every attribute of every object as h5py reads it: text of the root as metadata, all others under the foreign key.
    @Test func goodFilesGiveTheirAttributes() throws {
        var count = 0
        for (name, entry) in try #require(try Self.manifest()["good"]?.object).members {
            let entry = try #require(entry.object)
            guard entry["libhdf5_at_least"]?.string == "1.10" else { continue }
            let metadata = try HDF5Tests.open(Self.folder.appending(name)).contents.metadata
            let text = NameMap(metadata.map { ($0.key, $0.value) })
            let foreign = try text[CheckpointContents.foreignKey].map {
                try #require(try JSONValue(parsing: Array($0.utf8)).object?["hdf5"]?.object)
            }
            var objects = [("/", entry["attributes"]?.object ?? JSONObject())]
            objects += (entry["groups"]?.object?.members ?? []).map { ("/\($0.key)/", $0.value.object ?? JSONObject()) }
            objects += (entry["datasets"]?.object?.members ?? []).map {
                ("/\($0.key)", $0.value.object?["attributes"]?.object ?? JSONObject())
            }
            for (path, attributes) in objects {
                for (key, expected) in attributes.members where !key.hasPrefix("assay_") {
                    let place = "\(name): '\(key)' of \(path)"
                    let expected = try #require(expected.object)
                    if path == "/", let value = text[key] {
                        #expect(value == expected["value"]?.string, "\(place)")
                    } else {
                        // A second link to an object has its attributes under the first.
                        guard let found = foreign?[path]?.object?[key]?.object else {
                            #expect(entry["aliases"]?.array?.isEmpty == false, "\(place)")
                            continue
                        }
                        try check(found, expected, place)
                    }
                    count += 1
                }
            }
        }
        #expect(count > 150)
    }

    private func check(_ found: JSONObject, _ expected: JSONObject, _ place: String) throws {
        #expect(found["shape"] == expected["shape"], "\(place)")
        let name = try #require(found["type"]?.string)
        let value = try #require(found["value"])
        guard let values = expected["value"], values != .null else { return #expect(value == .null, "\(place)") }
        guard let type = ElementType(name: name) else {
            #expect(name.hasPrefix("string") && expected["type"]?.string == "string", "\(place)")
            return #expect(elements(value) == elements(values), "\(place)")
        }
        #expect(name == expected["type"]?.string, "\(place)")
        let list = elements(values)
        if let hexadecimal = value.object?["hex"]?.string {
            #expect(list.count > 256, "\(place)")
            let bytes = list.flatMap { value in
                withUnsafeBytes(of: word(value, type).littleEndian) { Array($0.prefix(type.bitCount / 8)) }
            }
            #expect(hexadecimal == bytes.hexadecimal, "\(place)")
        } else {
            let found = value.array ?? [value]
            #expect(found.map { word($0, type) } == list.map { word($0, type) }, "\(place)")
        }
    }

    /// Those of lists in lists one behind the other.
    private func elements(_ value: JSONValue) -> [JSONValue] { value.array.map { $0.flatMap(elements) } ?? [value] }

    /// The bits of a number as JSON has it, in a word.
    private func word(_ value: JSONValue, _ type: ElementType) -> UInt64 {
        if let bool = value.bool { return bool ? 1 : 0 }
        guard case .number(let number) = value else { return .max }
        return switch type {
        case .f16: UInt64(Float16(number.double ?? .nan).bitPattern)
        case .f32: UInt64(Float(number.double ?? .nan).bitPattern)
        case .f64: (number.double ?? .nan).bitPattern
        default: Int64(number.text).map { UInt64(bitPattern: $0) } ?? UInt64(number.text) ?? .max
        }
    }
}
