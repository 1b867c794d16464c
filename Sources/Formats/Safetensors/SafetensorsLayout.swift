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
        if let original = plan.originalHeader, original.formatName == Safetensors.name,
            let header = try? SafetensorsHeader(parsing: original.bytes, output.path), describes(header, plan)
        {
            return (header.entries, header.bytes)
        }
        return try newLayout(for: plan)
    }

    /// Whether a kept header is a header of exactly this plan.
    private static func describes(_ header: SafetensorsHeader, _ plan: WritePlan) -> Bool {
        let stored = plan.tensors.filter { $0.aliasOf == nil }
        guard header.entries.count == stored.count else { return false }
        let infos = NameMap(stored.map { ($0.name, $0) })
        guard header.entries.allSatisfy({ infos[$0.info.name] == $0.info }) else { return false }
        let wanted = NameMap(metadata(of: plan))
        return header.metadata.count == wanted.count && header.metadata.allSatisfy { wanted[$0.key] == $0.value }
    }

    private static func newLayout(for plan: WritePlan) throws -> Layout {
        var ordered = plan.tensors.filter { $0.aliasOf == nil }
        if !plan.keepsOrder {
            ordered.sort {
                let (a, b) = (rank($0.elementType), rank($1.elementType))
                return a != b ? a > b : $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
            }
        }
        var end = 0
        let entries = try ordered.map { info in
            let begin = end
            end = try FilePlace.padded(begin, adding: info.byteCount)
            return SafetensorsHeader.Entry(info: info, range: begin..<end)
        }
        let header = text(entries, metadata: metadata(of: plan))
        guard header.count <= SafetensorsHeader.maximumByteCount else {
            throw UsageError(
                "safetensors holds a header of at most \(SafetensorsHeader.maximumByteCount) bytes, this one would have"
                    + " \(header.count); use another format or --shard-size")
        }
        return (entries, header)
    }

    /// Where an element type stands in the library's own ordering; larger comes first in the file.
    private static func rank(_ type: ElementType) -> Int { ElementType.allCases.firstIndex(of: type)! }

    /// The plan's metadata and its aliases. Where nothing says which framework wrote the file, it is PyTorch's
    /// orientation that the names follow, and transformers refuses files that do not say so.
    private static func metadata(of plan: WritePlan) -> [(String, String)] {
        var metadata: [(String, String)] = plan.metadata.map { ($0.key, $0.value) }
        if plan.originalHeader == nil, !metadata.contains(where: { $0.0 == "format" }) {
            metadata.append(("format", "pt"))
        }
        for tensor in plan.tensors {
            if let target = tensor.aliasOf { metadata.append((tensor.name, target)) }
        }
        return metadata
    }

    private static func text(_ entries: [SafetensorsHeader.Entry], metadata: [(String, String)]) -> [UInt8] {
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
        // Padded so that the data is aligned for every element type.
        while bytes.count % 8 != 0 { bytes.append(UInt8(ascii: " ")) }
        return bytes
    }
}
