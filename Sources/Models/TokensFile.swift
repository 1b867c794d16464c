import AssayCheckpoints
import SystemPackage

/// A tokens file: a list of lists of token ids, or an object with `input_ids` and, where the model takes them,
/// `attention_mask`, `token_type_ids`, `position_ids`, `decoder_input_ids` and `decoder_attention_mask`; for models with a memory
/// `segment_length` and `memory_length`, a number each.
public enum TokensFile {
    /// More bytes than any batch that could be run takes.
    static let maximumByteCount = 1 << 28

    /// - Throws: `CheckpointError` where the file is no tokens file; `SystemError` where it cannot be read.
    public static func read(_ path: FilePath) throws -> TokenBatch {
        let file = try InputFile(path)
        guard file.byteCount <= maximumByteCount else {
            throw CheckpointError(
                path, .file, expected: "at most \(maximumByteCount) bytes of tokens", found: "\(file.byteCount)")
        }
        return try parse(file.bytes(0..<file.byteCount), path)
    }

    /// - Throws: `CheckpointError`.
    public static func parse(_ bytes: [UInt8], _ path: FilePath) throws -> TokenBatch {
        let value = try JSONValue(parsing: bytes, in: path)
        if value.array != nil { return try TokenBatch(inputIDs: lists(value, .inputIDs, path), source: path) }
        guard let object = value.object else {
            throw CheckpointError(
                path, .file, expected: "a list of lists of token ids, or an object with input_ids", found: value.kind)
        }
        var members: [TokenBatch.Member: [[Int]]] = [:]
        for (key, value) in object.members {
            guard let member = TokenBatch.Member(rawValue: key), member.features == nil else {
                let known = TokenBatch.Member.allCases.filter { $0.features == nil }
                    .map(\.rawValue).joined(separator: ", ")
                throw CheckpointError(path, .file, expected: "only \(known)", found: "'\(key.escapedForDisplay)'")
            }
            members[member] =
                switch member {
                case .segmentLength, .memoryLength: [[try number(value, member, path)]]
                default: try lists(value, member, path)
                }
        }
        guard let inputIDs = members[.inputIDs] else {
            throw CheckpointError(path, .file, expected: "input_ids", found: "no such member")
        }
        return try TokenBatch(
            inputIDs: inputIDs, attentionMask: members[.attentionMask], tokenTypeIDs: members[.tokenTypeIDs],
            positionIDs: members[.positionIDs],
            decoder: try TokenBatch.DecoderTokens(
                ids: members[.decoderInputIDs], attentionMask: members[.decoderAttentionMask], source: path),
            source: path
        ).cut(
            into: TokenBatch.Segments(
                length: members[.segmentLength]?[0][0], memoryLength: members[.memoryLength]?[0][0]))
    }

    private static func number(
        _ value: JSONValue, _ member: TokenBatch.Member, _ path: FilePath
    ) throws(CheckpointError) -> Int {
        guard let number = value.int else {
            throw CheckpointError(path, .part(member.rawValue), expected: "a whole number", found: value.kind)
        }
        return number
    }

    private static func lists(
        _ value: JSONValue, _ member: TokenBatch.Member, _ path: FilePath
    ) throws(CheckpointError) -> [[Int]] {
        func error(_ found: String) -> CheckpointError {
            CheckpointError(path, .part(member.rawValue), expected: "lists of whole numbers", found: found)
        }
        guard let outer = value.array else { throw error(value.kind) }
        var result: [[Int]] = []
        for element in outer {
            guard let inner = element.array else { throw error(element.kind) }
            var numbers: [Int] = []
            numbers.reserveCapacity(inner.count)
            for number in inner {
                guard let number = number.int else { throw error(number.kind) }
                numbers.append(number)
            }
            result.append(numbers)
        }
        return result
    }
}
