import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

/// The table of formats against features in the README: every cell is tried, and the table is what came of it.
@Suite struct FormatTable {
    private let work: TemporaryFolder
    private let source: Checkpoint
    private static let reading = ReadingOptions(hdf5Helper: AssayTool.path, threads: 2)

    init() throws {
        work = try TemporaryFolder()
        source = try Self.everything(in: work.path.appending("everything.zplanes"))
    }

    /// A tensor of every element type, called as the type is; a second name; a line of metadata. zplanes holds it all.
    private static func everything(in path: FilePath) throws -> Checkpoint {
        var random = SeededRandom(seed: 23)
        var data = ElementType.allCases.map { type -> [UInt8] in
            (0..<type.byteCount(of: Shape([4, 256])!)!).map { _ in
                type == .bool ? UInt8.random(in: 0...1, using: &random) : .random(in: 0...255, using: &random)
            }
        }
        var tensors = ElementType.allCases.map {
            TensorInfo(name: $0.name, elementType: $0, shape: Shape([4, 256])!)!
        }
        tensors.append(TensorInfo(name: "again", elementType: .f32, shape: Shape([4, 256])!, aliasOf: "F32")!)
        let plan = WritePlan(tensors: tensors, metadata: [("note", "täble")])
        let writer = try ZPlanes.makeWriter(plan, try OutputFile(creating: path), WritingOptions())
        for (index, bytes) in data.enumerated() {
            try bytes.withUnsafeBytes { try writer.write(index, 0..<$0.count, $0) { try $0() } }
        }
        data.append(data[ElementType.allCases.firstIndex(of: .f32)!])
        try writer.finish(digests: data.map { $0.withUnsafeBytes { Digest.of($0) } })
        return try Checkpoint.open(path, reading)
    }

    private func plan(_ format: any CheckpointFormat.Type, _ names: [String], _ number: Int) throws -> ConversionPlan {
        let name = "\(number)" + format.fileExtensions[0]
        var options = ConversionOptions(destination: work.path.appending(name))
        options.include = NamePatterns(names.map { NamePattern($0) })
        options.reading = Self.reading
        return try ConversionPlan.convert(source, options, to: nil)
    }

    /// Converts some tensors and reads them back: whole, and the end of the last one alone.
    private func converted(
        _ format: any CheckpointFormat.Type, _ names: [String], _ number: Int
    ) throws -> CheckpointContents {
        let plan = try plan(format, names, number)
        try plan.run().publish()
        let reader = try Checkpoint.open(plan.destination, Self.reading).reader
        let original = source.contents.indexByName()
        for (index, info) in reader.contents.tensors.enumerated() {
            let name = format.capabilities.holdsNames ? info.name : names[0]
            let position = try #require(original[name])
            #expect(info.elementType == source.contents.tensors[position].elementType, "\(format.name) \(name)")
            let bytes = try source.reader.bytes(of: position)
            #expect(try reader.bytes(of: index) == bytes, "\(format.name) \(name)")
            let row = info.byteCount / 4
            var part = [UInt8](repeating: 0, count: row)
            try part.withUnsafeMutableBytes { try reader.read(index, 3 * row..<4 * row, into: $0) }
            #expect(part == bytes.suffix(row), "\(format.name) \(name), the last row alone")
        }
        return reader.contents
    }

    /// One format's cells.
    private func column(_ format: any CheckpointFormat.Type) throws -> [(feature: String, cell: String)] {
        let capabilities = format.capabilities
        var held: [ElementType] = []
        for (number, type) in ElementType.allCases.enumerated() {
            do {
                _ = try plan(format, [type.name], number)
                held.append(type)
            } catch is UsageError {}
        }
        #expect(Set(held) == capabilities.elementTypes, "\(format.name)")
        let groups = capabilities.fixedTensorCount == 1 ? held.map { [$0.name] } : [held.map(\.name) + ["again"]]
        let contents = try groups.enumerated().map { try converted(format, $1, 100 + $0) }
        #expect(contents.reduce(0) { $0 + $1.tensors.count } == groups.joined().count)
        // Which of the two is the second one, formats see differently.
        let pair = [["again", "F32"], ["F32", "again"]]
        let hasAlias = contents.contains { $0.tensors.contains { pair.contains([$0.name, $0.aliasOf ?? ""]) } }
        #expect(hasAlias == capabilities.holdsAliases, "\(format.name)")
        let hasMetadata = contents.allSatisfy { $0.metadata.contains { $0 == ("note", "täble") } }
        #expect(hasMetadata == capabilities.holdsMetadata, "\(format.name)")
        #expect((contents[0].storedDigests != nil) == capabilities.storesDigests, "\(format.name)")
        func yes(_ holds: Bool) -> String { holds ? "yes" : "–" }
        return [
            ("read", "yes"), ("written", "yes"), ("in a stream", "yes"), ("single tensors", "yes"),
            ("metadata", yes(hasMetadata)), ("two names, one tensor", yes(hasAlias)),
            ("tensors in a file", capabilities.fixedTensorCount.map { "\($0)" } ?? "any"),
            ("in several files", capabilities.numbersParts ? "numbered" : "by index"),
            ("tensors without elements", yes(capabilities.holdsEmptyTensors)),
            ("dimensions", "\(capabilities.maximumRank)"),
            ("SHA-256 inside", yes(capabilities.storesDigests)),
            ("compressed", capabilities.compresses ? "yes" : capabilities.deflates ? "`--deflate`" : "–"),
        ] + ElementType.allCases.map { ($0.name, yes(held.contains($0))) }
    }

    /// Element types with the same cells share a row.
    private static func rows(_ columns: [[(feature: String, cell: String)]]) -> [(features: [String], cells: [String])]
    {
        var rows: [(features: [String], cells: [String])] = []
        for index in columns[0].indices {
            let (feature, cells) = (columns[0][index].feature, columns.map { $0[index].cell })
            let isType = ElementType(rawValue: feature) != nil
            let same = rows.firstIndex { isType && $0.cells == cells && ElementType(rawValue: $0.features[0]) != nil }
            if let same { rows[same].features.append(feature) } else { rows.append(([feature], cells)) }
        }
        return rows
    }

    @Test func inTheReadmeIsWhatWasTried() throws {
        let columns = try FormatRegistry.all.map { try column($0) }
        var text = "| | " + FormatRegistry.all.map { $0.name }.joined(separator: " | ") + " |\n"
        text += "|---|" + String(repeating: "---|", count: columns.count) + "\n"
        for (features, cells) in Self.rows(columns) {
            text += "| \(features.joined(separator: ", ")) | \(cells.joined(separator: " | ")) |\n"
        }
        let found = try Readme.section(madeBy: "FormatTableTests") { _ in text }
        #expect(
            Readme.isWritten || found == text, "ASSAY_WRITE_TABLES=1 scripts/test --filter FormatTable writes it anew")
    }
}
