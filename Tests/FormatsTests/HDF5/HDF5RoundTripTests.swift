import AssayCheckpoints
import AssayFormats
import AssayTensors
import SystemPackage
import Testing

@Suite struct HDF5RoundTripTests {
    /// Every element type in every odd shape; sub-byte types only in shapes that fill whole bytes.
    static func everything() -> (WritePlan, [[UInt8]]) {
        var random = SeededRandom(seed: 20_261)
        let shapes: [[Int]] = [
            [], [1], [0], [3, 0, 5], [7], [8], [4, 12], [2, 1, 3, 4], [1, 1, 4096], [3, 1000, 4],
            [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4],
        ]
        var tensors: [TensorInfo] = []
        var data: [[UInt8]] = []
        for type in ElementType.allCases {
            for (number, shape) in shapes.enumerated() {
                let name = number % 2 == 0 ? "\(type.name).\(number)" : "\(type.name)/group/\(number)"
                guard let info = TensorInfo(name: name, elementType: type, shape: Shape(shape)!) else { continue }
                tensors.append(info)
                data.append(random.bytes(info.byteCount))
            }
        }
        return (WritePlan(tensors: tensors, metadata: [("format", "pt")]), data)
    }

    @Test(arguments: [nil, 1, 12] as [Int?])
    func everyTypeAndShapeComesBack(_ level: Int?) throws {
        let folder = try ScratchFolder()
        let (plan, data) = Self.everything()
        try HDF5Tests.write(plan, data, to: folder.file("a.h5"), deflateLevel: level)
        let reader = try HDF5Tests.open(folder.file("a.h5"))
        #expect(reader.contents.warnings == [])
        #expect(reader.contents.metadata.map(\.key) == ["format"])
        let index = reader.contents.indexByName()
        #expect(index.count == plan.tensors.count)
        for (tensor, bytes) in zip(plan.tensors, data) {
            let position = try #require(index[tensor.name])
            #expect(reader.contents.tensors[position] == tensor)
            #expect(try HDF5Tests.bytes(reader, position) == bytes, "\(tensor.name)")
            #expect(try HDF5Tests.bytes(reader, position, target: 24) == bytes, "\(tensor.name) in small pieces")
        }
    }
}
