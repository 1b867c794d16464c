import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

/// How a tensor lies in its file, and how its dimensions are counted, is nothing to its figures.
@Suite struct DiffOfLayouts {
    /// More than fits into the blocks that are compared at a time.
    private static let (rowCount, columnCount) = (1200, 1000)

    /// Some numbers; `changed` has others here and there.
    private static func values(_ changed: Bool) -> [Float] {
        var random = SeededRandom(seed: 5)
        return (0..<rowCount * columnCount).map { index in
            let value = Float(random.next(below: 2001)) / 1000 - 1
            return changed && index % 99_991 == 1234 ? value + 0.5 : value
        }
    }

    /// A file of NumPy's, one row after the other or one column after the other.
    private static func array(
        _ values: [Float], isWide: Bool, byColumns: Bool, in folder: TemporaryFolder, _ name: String
    ) throws -> String {
        let order = byColumns ? "True" : "False"
        var header =
            "{'descr': '<f\(isWide ? 8 : 4)', 'fortran_order': \(order), 'shape': (\(rowCount), \(columnCount)), }"
        header += String(repeating: " ", count: 117 - header.utf8.count) + "\n"
        let turned =
            byColumns
            ? (0..<values.count).map { values[$0 % rowCount * columnCount + $0 / rowCount] } : values
        let data = isWide ? turned.map(Double.init).withUnsafeBytes { Array($0) } : turned.withUnsafeBytes { Array($0) }
        try SystemCall.makeFolder(folder.path.appending(name))
        let bytes: [UInt8] =
            [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0] + Array(header.utf8) + data
        return try folder.write("\(name)/w.npy", bytes).string
    }

    /// What is said of the only weight, but for its shape.
    private static func figures(_ a: String, _ b: String) throws -> JSONObject {
        let weights = try assayJSON("diff", a, b).object?["weights"]?.array
        var weight = try #require(weights?.first?.object)
        weight["shape"] = nil
        return weight
    }

    @Test(arguments: [false, true]) func columnsAndRowsGiveTheSameBits(_ isWide: Bool) throws {
        let folder = try TemporaryFolder()
        var paths: [String] = []
        for (name, changed, byColumns) in [
            ("a", false, false), ("b", true, false), ("c", false, true), ("d", true, true),
        ] {
            paths.append(
                try Self.array(Self.values(changed), isWide: isWide, byColumns: byColumns, in: folder, name))
        }
        let plain = try Self.figures(paths[0], paths[1])
        #expect(plain["beyondRounding"]?.object?["count"]?.int == 12)
        #expect(plain["beyondRounding"]?.object?["first"]?.int == 1234)
        for (a, b) in [(0, 3), (2, 1), (2, 3)] {
            #expect(try JSONValue.object(Self.figures(paths[a], paths[b])).isSame(as: .object(plain)), "\(a), \(b)")
        }
    }

    /// Dimensions behind the first are counted like rows where a row would be all there is.
    @Test(arguments: [ElementType.f32, .bf16]) func leadingDimensionsAreRows(_ type: ElementType) throws {
        let folder = try TemporaryFolder()
        func file(_ name: String, _ shape: [Int], changed: Bool, _ type: ElementType) throws -> String {
            var checkpoint = MemoryCheckpoint()
            if type == .f32 {
                checkpoint.set("w", shape, Self.values(changed))
            } else {
                let halves = Self.values(changed).flatMap { value in
                    [
                        UInt8(truncatingIfNeeded: value.bitPattern >> 16),
                        UInt8(truncatingIfNeeded: value.bitPattern >> 24),
                    ]
                }
                checkpoint.set("w", type, shape, halves)
            }
            let path = folder.path.appending(name)
            try checkpoint.write(to: path)
            return path.string
        }
        let rows = try Self.figures(
            file("a.safetensors", [Self.rowCount, Self.columnCount], changed: false, .f32),
            file("b.safetensors", [Self.rowCount, Self.columnCount], changed: true, type))
        for shape in [[2, 600, 1000], [2, 3, 200, 1000]] {
            let deep = try Self.figures(
                file("c.safetensors", shape, changed: false, .f32), file("d.safetensors", shape, changed: true, type))
            #expect(JSONValue.object(deep).isSame(as: .object(rows)), "\(shape)")
        }
    }
}
