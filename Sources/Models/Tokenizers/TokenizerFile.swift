import AssayCheckpoints
import SystemPackage

/// A `tokenizer.json` of the `tokenizers` library, read but not yet understood.
///
/// Vocabularies are kept by the bytes of their names: Swift's strings compare by canonical equivalence, which takes a
/// composed letter for its decomposed form.
struct TokenizerFile {
    private(set) var path: FilePath
    private(set) var modelType = ""
    private(set) var vocabulary: [[UInt8]: Int] = [:]
    private(set) var merges: [(first: [UInt8], second: [UInt8])] = []
    private(set) var addedTokens: [(content: String, id: Int)] = []
    /// The model's other members.
    private(set) var model: [String: JSONValue] = [:]
    /// The other sections: normalizer, pre_tokenizer, post_processor, ...
    private(set) var sections: [String: JSONValue] = [:]

    /// - Throws: `CheckpointError` where it is no such file.
    init(parsing bytes: [UInt8], _ path: FilePath) throws {
        self.path = path
        var file = self
        do {
            try JSONScanner.scan(bytes) { scanner in
                try scanner.object { scanner, key, _ in
                    if key == "model" { try file.scanModel(&scanner) } else { file.sections[key] = try scanner.value() }
                }
            }
        } catch let error as JSONError {
            throw CheckpointError(path, .byte(error.offset), expected: error.expected, found: error.found)
        }
        self = file
        modelType = model["type"]?.string ?? ""
        try readAddedTokens()
    }

    private mutating func scanModel(_ scanner: inout JSONScanner) throws {
        var file = self
        try scanner.object { scanner, key, _ in
            switch (key, scanner.peekValue()) {
            case ("vocab", "{"): file.vocabulary = try Self.scanVocabulary(&scanner)
            case ("merges", "["): file.merges = try Self.scanMerges(&scanner)
            default: file.model[key] = try scanner.value()
            }
        }
        self = file
    }

    private static func scanVocabulary(_ scanner: inout JSONScanner) throws -> [[UInt8]: Int] {
        var vocabulary: [[UInt8]: Int] = [:]
        try scanner.object { scanner, key, offset in
            let id = try scanner.integer()
            guard (0...Int(Int32.max)).contains(id) else {
                throw JSONError(offset: offset, expected: "token ids from 0 to \(Int32.max)", found: "\(id)")
            }
            guard vocabulary.updateValue(id, forKey: Array(key.utf8)) == nil else {
                throw JSONError(offset: offset, expected: "each token once", found: "'\(key.escapedForDisplay)' again")
            }
        }
        return vocabulary
    }

    /// Both generations: "a b", and ["a", "b"].
    private static func scanMerges(
        _ scanner: inout JSONScanner
    ) throws -> [(first: [UInt8], second: [UInt8])] {
        var merges: [(first: [UInt8], second: [UInt8])] = []
        try scanner.array { scanner, _ in
            let offset = scanner.offset
            var parts: [[UInt8]] = []
            if scanner.peekValue() == "[" {
                try scanner.array { scanner, _ in parts.append(Array(try scanner.string().utf8)) }
            } else {
                parts = try scanner.string().utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
                    .map(Array.init)
            }
            guard parts.count == 2 else {
                throw JSONError(offset: offset, expected: "two parts of a merge", found: "\(parts.count)")
            }
            merges.append((parts[0], parts[1]))
        }
        return merges
    }

    private mutating func readAddedTokens() throws {
        for value in sections["added_tokens"]?.array ?? [] {
            guard let token = value.object, let content = token["content"]?.string, let id = token["id"]?.int, id >= 0
            else {
                throw CheckpointError(
                    path, .part("added_tokens"), expected: "objects with content and id", found: value.kind)
            }
            let isNormalized = token["normalized"]?.bool == true && sections["normalizer"]?.object != nil
            for flag in ["single_word", "lstrip", "rstrip"] where token[flag]?.bool == true {
                throw unsupported("added_tokens: \(flag)", "true", expected: "false")
            }
            guard !isNormalized else { throw unsupported("added_tokens: normalized", "true", expected: "false") }
            // The library gives it the vocabulary's.
            if let known = vocabulary[Array(content.utf8)], known != id {
                throw CheckpointError(
                    path, .part("added_tokens"),
                    expected: "'\(content.escapedForDisplay)' with the vocabulary's id \(known)", found: "\(id)")
            }
            addedTokens.append((content, id))
        }
    }

    /// A `vocab.json`: an object of tokens and ids.
    static func vocabulary(parsing bytes: [UInt8], _ path: FilePath) throws -> [[UInt8]: Int] {
        do {
            return try JSONScanner.scan(bytes) { try scanVocabulary(&$0) }
        } catch let error as JSONError {
            throw CheckpointError(path, .byte(error.offset), expected: error.expected, found: error.found)
        }
    }

    // MARK: Requirements

    func unsupported(_ place: String, _ found: String, expected: String) -> StructureError {
        StructureError("\(path.forDisplay): \(place): expected \(expected), found \(found)")
    }

    /// Requires that a section's member, where it stands, has one of some values.
    func require(
        _ section: String, _ key: String? = nil, oneOf values: [JSONValue]
    ) throws(StructureError) {
        let container = sections[section] ?? .null
        let value = key.map { container.object?[$0] ?? .null } ?? container
        try require(key.map { "\(section).\($0)" } ?? section, value, oneOf: values)
    }

    func requireModel(_ key: String, oneOf values: [JSONValue]) throws(StructureError) {
        try require("model.\(key)", model[key] ?? .null, oneOf: values)
    }

    private func require(_ place: String, _ value: JSONValue, oneOf values: [JSONValue]) throws(StructureError) {
        guard !values.contains(value) else { return }
        let expected = values.map(ConfigurationReader.show).joined(separator: " or ")
        throw StructureError(
            "\(path.forDisplay): \(place): expected \(expected), found \(ConfigurationReader.show(value))")
    }
}
