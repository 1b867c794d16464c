import AssayCheckpoints
import AssayTensors

/// What the index of a file says.
struct ZPlanesIndex: Sendable {
    /// The only codec so far: every plane is a zstd frame.
    static let codec = "zstd"

    var contentDigest: Digest
    var metadata: [(key: String, value: String)]
    var header: KeptHeader?
    /// Aliases behind what they name.
    var tensors: [Entry]

    /// Where the header of another format is kept, verbatim.
    struct KeptHeader: Sendable, Equatable {
        var formatName: String
        var range: Range<Int>
        var textByteCount: Int
    }

    struct Entry: Sendable {
        var info: TensorInfo
        var digest: Digest
        var storage: Storage
    }

    enum Storage: Sendable, Equatable {
        case chunks(ChunkList)
        /// The bytes of an earlier tensor, by position.
        case sameAs(Int)
    }

    /// The chunks of a tensor: they follow one another in the file, from `offset` on.
    struct ChunkList: Sendable, Equatable {
        var offset: Int
        /// Bytes that every chunk but the last stands for.
        var chunkByteCount: Int
        var records: [ChunkRecord]
        /// Where each chunk begins in the file, and where the last one ends.
        private(set) var borders: [Int]

        /// - Returns: nil where the sums overflow.
        init?(offset: Int, chunkByteCount: Int, records: [ChunkRecord]) {
            var borders = [offset]
            for record in records {
                var end = borders.last!
                for count in record.frameByteCounts {
                    let (sum, overflow) = end.addingReportingOverflow(count)
                    guard !overflow else { return nil }
                    end = sum
                }
                borders.append(end)
            }
            self.offset = offset
            self.chunkByteCount = chunkByteCount
            self.records = records
            self.borders = borders
        }

        /// The bytes of the file that hold it.
        var extent: Range<Int> { offset..<borders.last! }
        func range(of chunk: Int) -> Range<Int> { borders[chunk]..<borders[chunk + 1] }
    }

    // MARK: Writing

    /// The index as JSON, compact.
    var text: String {
        var text = "{\"zplanes\":\(ZPlanes.version),\"codec\":\"\(Self.codec)\",\"content_digest\":\"\(contentDigest)\""
        if !metadata.isEmpty {
            let members = metadata.map { JSONValue.quoted($0.key) + ":" + JSONValue.quoted($0.value) }
            text += ",\"metadata\":{" + members.joined(separator: ",") + "}"
        }
        if let header {
            text +=
                ",\"header\":{\"format\":\(JSONValue.quoted(header.formatName)),\"offset\":\(header.range.lowerBound)"
            text += ",\"size\":\(header.range.count),\"text_size\":\(header.textByteCount)}"
        }
        text += ",\"tensors\":["
        for (index, entry) in tensors.enumerated() {
            if index > 0 { text += "," }
            write(entry, to: &text)
        }
        return text + "]}"
    }

    private func write(_ entry: Entry, to text: inout String) {
        text += "{\"name\":\(JSONValue.quoted(entry.info.name)),\"type\":\"\(entry.info.elementType.name)\",\"shape\":["
        text += entry.info.shape.dimensions.map(String.init).joined(separator: ",")
        text += "],\"sha256\":\"\(Base64.encode(entry.digest.bytes))\""
        switch entry.storage {
        case .sameAs(let position):
            text += ",\"same_as\":\(JSONValue.quoted(tensors[position].info.name))"
            if let target = entry.info.aliasOf { text += ",\"alias_of\":\(JSONValue.quoted(target))" }
            text += "}"
        case .chunks(let list):
            text += ",\"chunk_size\":\(list.chunkByteCount),\"offset\":\(list.offset),\"chunks\":["
            text += list.records.map(Self.text).joined(separator: ",") + "]}"
        }
    }

    private static func text(_ record: ChunkRecord) -> String {
        let sizes = record.frameByteCounts.map(String.init).joined(separator: ",")
        let runs = record.runs.map { ",[" + $0.flat.map(String.init).joined(separator: ",") + "]" } ?? ""
        return "[\"\(record.transform.rawValue)\",[\(sizes)],\"\(record.check.hexadecimal)\"\(runs)]"
    }
}

extension UInt64 {
    /// 16 lower-case digits.
    var hexadecimal: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// - Returns: nil where the text is not 16 lower-case digits.
    init?(hexadecimal text: String) {
        guard let value = UInt64(text, radix: 16), value.hexadecimal == text else { return nil }
        self = value
    }
}

/// Base64 without padding (RFC 4648, section 4): digests in the index.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let value = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for digit in 0...group.count { text.append(alphabet[Int(value >> UInt32(18 - 6 * digit) & 63)]) }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// What each character stands for; 64: nothing.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 64, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()

    /// - Returns: nil where the text is not what `encode` would write.
    static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for character in text.utf8 {
            let digit = values[Int(character)]
            guard digit < 64 else { return nil }
            bits = bits << 6 | UInt32(digit)
            bitCount += 6
            guard bitCount >= 8 else { continue }
            bitCount -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
        }
        return encode(bytes) == text ? bytes : nil
    }
}
