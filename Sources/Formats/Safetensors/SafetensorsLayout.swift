import AssayCheckpoints
import AssayTensors

/// Where things lie in a safetensors file that is to be written: as the format's own library has it (wider element types
/// first, then by name), unless the plan brings the header of the file that these tensors came from.
enum SafetensorsLayout {
    static func makeWriter(_ plan: WritePlan, _ output: OutputFile) throws -> FlatWriter {
        let (entries, header) = try layout(for: plan, output)
        let dataStart = 8 + header.count
        let begins = NameMap(entries.map { ($0.info.name, dataStart + $0.range.lowerBound) })
        return try FlatWriter(
            header: UInt64(header.count).littleEndianBytes + header,
            offsets: plan.tensors.map { $0.aliasOf == nil ? begins[$0.name] : nil },
            byteCount: dataStart + (entries.last?.range.upperBound ?? 0), output)
    }

    private typealias Layout = (entries: [SafetensorsHeader.Entry], header: [UInt8])

    private static func layout(for plan: WritePlan, _ output: OutputFile) throws -> Layout {
        guard let original = plan.originalHeader, original.formatName == Safetensors.name,
            let header = try? SafetensorsHeader(parsing: original.bytes, output.path), holdsTensors(of: plan, header)
        else { return try newLayout(for: plan) }
        return (header.entries, try text(keeping: header, plan))
    }

    /// The header of a file that holds the same tensors in the same places: where the metadata is the same too, the very
    /// same one, else as long as it is, if that suffices.
    ///
    /// - Throws: `UsageError` where it is longer than the format allows.
    static func text(keeping header: SafetensorsHeader, _ plan: WritePlan) throws -> [UInt8] {
        let pairs = try metadata(of: plan)
        let wanted = NameMap(pairs)
        let isSame =
            header.metadata.count == wanted.count
            && header.metadata.allSatisfy { wanted[$0.key].map { ExactName($0) } == ExactName($0.value) }
        return isSame
            ? header.bytes : try text(header.entries, metadata: pairs, atLeast: header.bytes.count)
    }

    /// Whether a kept header lists exactly the plan's tensors.
    private static func holdsTensors(of plan: WritePlan, _ header: SafetensorsHeader) -> Bool {
        let stored = plan.tensors.filter { $0.aliasOf == nil }
        guard header.entries.count == stored.count else { return false }
        let infos = NameMap(stored.map { ($0.name, $0) })
        return header.entries.allSatisfy { infos[$0.info.name] == $0.info }
    }

    private static func newLayout(for plan: WritePlan) throws -> Layout {
        var ordered = plan.tensors.filter { $0.aliasOf == nil }
        if !plan.keepsOrder {
            ordered.sort {
                let (a, b) = (rank($0.elementType), rank($1.elementType))
                return a != b ? a > b : ExactName($0.name) < ExactName($1.name)
            }
        }
        var end = 0
        let entries = try ordered.map { info in
            let begin = end
            end = try FilePlace.padded(begin, adding: info.byteCount)
            return SafetensorsHeader.Entry(info: info, range: begin..<end)
        }
        return (entries, try text(entries, metadata: metadata(of: plan)))
    }

    /// Where an element type stands in the library's own ordering; larger comes first in the file.
    private static func rank(_ type: ElementType) -> Int { ElementType.allCases.firstIndex(of: type)! }

    /// The plan's metadata and its aliases. Where nothing says which framework wrote the file, it is PyTorch's
    /// orientation that the names follow, and transformers refuses files that do not say so.
    ///
    /// - Throws: `UsageError` where an entry would be read as an alias.
    private static func metadata(of plan: WritePlan) throws -> [(String, String)] {
        var metadata: [(String, String)] = plan.metadata.map { ($0.key, $0.value) }
        let names = NameSet(plan.tensors.map(\.name))
        // A second name of a second name is none.
        let owners = NameSet(plan.tensors.filter { $0.aliasOf == nil }.map(\.name))
        if let (key, value) = metadata.first(where: {
            $0.0 != "format" && owners.contains($0.1) && !names.contains($0.0)
        }) {
            throw UsageError(
                "metadata '\(key.escapedForDisplay)': its text is the name of a tensor, '\(value.escapedForDisplay)', which"
                    + " safetensors takes as a second name of that tensor; leave it out with --remove-metadata")
        }
        if plan.originalHeader == nil, !metadata.contains(where: { $0.0 == "format" }),
            !plan.removedMetadata.contains("format")
        {
            metadata.append(("format", "pt"))
        }
        for tensor in plan.tensors {
            if let target = tensor.aliasOf { metadata.append((tensor.name, target)) }
        }
        return metadata
    }

    private static func text(
        _ entries: [SafetensorsHeader.Entry], metadata: [(String, String)], atLeast byteCount: Int = 0
    ) throws -> [UInt8] {
        var parts: [String] = []
        if !metadata.isEmpty {
            let members = metadata.map { "\(JSONValue.quoted($0.0)):\(JSONValue.quoted($0.1))" }
            parts.append("\"\(SafetensorsHeader.metadataKey)\":{\(members.joined(separator: ","))}")
        }
        for entry in entries {
            let shape = entry.info.shape.dimensions.map(String.init).joined(separator: ",")
            parts.append(
                "\(JSONValue.quoted(entry.info.name)):{\"dtype\":\"\(entry.info.elementType.name)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(entry.range.lowerBound),\(entry.range.upperBound)]}")
        }
        var bytes = Array("{\(parts.joined(separator: ","))}".utf8)
        // Padded so that the data is aligned for every element type, unless it is to stay where it is.
        let length = bytes.count <= byteCount ? byteCount : (bytes.count + 7) / 8 * 8
        bytes += [UInt8](repeating: UInt8(ascii: " "), count: length - bytes.count)
        guard bytes.count <= SafetensorsHeader.maximumByteCount else {
            throw UsageError(
                "safetensors holds a header of at most \(SafetensorsHeader.maximumByteCount) bytes, this one would have"
                    + " \(bytes.count); use another format or --shard-size")
        }
        return bytes
    }
}
