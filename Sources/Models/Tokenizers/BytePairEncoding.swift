import AssayCheckpoints
import SystemPackage

/// Byte-level byte-pair encoding as GPT-2 has it: text is cut into words, each word's bytes are merged by rank.
///
/// - Source: Radford et al. 2019 and the `tokenizers` library. Letters, numbers and spaces are those of the Swift
///   library's Unicode tables, which may be newer.
public struct BytePairEncoding: Tokenizer {
    public let prefix: [Int] = []
    public let suffix: [Int] = []

    private let byteIDs: [Int]
    private let merges: [Pair: Merge]
    private let addedTokens: AddedTokens

    private struct Pair: Hashable {
        var first: Int
        var second: Int
    }

    private struct Merge {
        var rank: Int
        var id: Int
    }

    /// - Throws: `StructureError` where the file asks for what this encoding does not do; `CheckpointError` where
    ///   vocabulary and merges contradict each other.
    init(_ file: TokenizerFile) throws {
        try file.require("normalizer", oneOf: [.null])
        try file.require("pre_tokenizer", "type", oneOf: ["ByteLevel"])
        try file.require("pre_tokenizer", "add_prefix_space", oneOf: [false])
        try file.require("pre_tokenizer", "use_regex", oneOf: [true, .null])
        if file.sections["post_processor"]?.object != nil {
            try file.require("post_processor", "type", oneOf: ["ByteLevel"])
        }
        try file.requireModel("dropout", oneOf: [.null])
        try file.requireModel("continuing_subword_prefix", oneOf: [.null, ""])
        try file.requireModel("end_of_word_suffix", oneOf: [.null, ""])
        try file.requireModel("byte_fallback", oneOf: [.null, false])
        try file.requireModel("ignore_merges", oneOf: [.null, false])
        try self.init(
            vocabulary: file.vocabulary, merges: file.merges, addedTokens: file.addedTokens, file.path, file.path)
    }

    /// From `vocab.json` and `merges.txt`.
    init(
        vocabulary: [[UInt8]: Int], _ vocabularyPath: FilePath, merges: [(first: [UInt8], second: [UInt8])],
        _ mergesPath: FilePath
    ) throws {
        let endOfText = "<|endoftext|>"
        let added = vocabulary[Array(endOfText.utf8)].map { [(content: endOfText, id: $0)] } ?? []
        try self.init(vocabulary: vocabulary, merges: merges, addedTokens: added, vocabularyPath, mergesPath)
    }

    private init(
        vocabulary: [[UInt8]: Int], merges: [(first: [UInt8], second: [UInt8])],
        addedTokens: [(content: String, id: Int)], _ vocabularyPath: FilePath, _ mergesPath: FilePath
    ) throws {
        byteIDs = try Self.byteLetters.enumerated().map { byte, letter in
            guard let id = vocabulary[letter] else {
                throw CheckpointError(
                    vocabularyPath, .part("vocabulary"), expected: "a token for every byte",
                    found: "none for byte \(byte)")
            }
            return id
        }
        var table: [Pair: Merge] = [:]
        for (rank, merge) in merges.enumerated() {
            guard let first = vocabulary[merge.first], let second = vocabulary[merge.second],
                let id = vocabulary[merge.first + merge.second]
            else {
                throw CheckpointError(
                    mergesPath, .part("merge \(rank)"), expected: "parts and result in the vocabulary",
                    found: "'\(String(decoding: merge.first + [32] + merge.second, as: UTF8.self).escapedForDisplay)'")
            }
            table[Pair(first: first, second: second)] = Merge(rank: rank, id: id)
        }
        self.merges = table
        self.addedTokens = AddedTokens(addedTokens)
    }

    /// The lines of a `merges.txt`: two parts and a space between; a first line `#version` is passed over.
    static func merges(parsing bytes: [UInt8], _ path: FilePath) throws -> [(first: [UInt8], second: [UInt8])] {
        var result: [(first: [UInt8], second: [UInt8])] = []
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (number, line) in lines.enumerated() {
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            if line.isEmpty || number == 0 && line.starts(with: "#version".utf8) { continue }
            let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }) else {
                throw CheckpointError(
                    path, .part("line \(number + 1)"), expected: "two parts and a space between",
                    found: "'\(String(decoding: line.prefix(60), as: UTF8.self).escapedForDisplay)'")
            }
            result.append((Array(parts[0]), Array(parts[1])))
        }
        return result
    }

    /// What stands for each byte in vocabularies: printable bytes for themselves, the others from U+0100 on, in UTF-8.
    private static let byteLetters: [[UInt8]] = {
        var next: UInt32 = 0x100
        return (UInt32(0)..<256).map { byte in
            let isPrintable = 0x21...0x7E ~= byte || 0xA1...0xAC ~= byte || 0xAE...0xFF ~= byte
            let value = isPrintable ? byte : next
            if !isPrintable { next += 1 }
            return Array(String(Unicode.Scalar(value)!).utf8)
        }
    }()

    public func encode(_ text: String) -> [Int] {
        var ids: [Int] = []
        for piece in addedTokens.split(Array(text.utf8)) {
            switch piece {
            case .token(let id): ids.append(id)
            case .text(let bytes):
                let scalars = Array(String(decoding: bytes, as: UTF8.self).unicodeScalars)
                for word in Self.words(scalars) {
                    var utf8: [UInt8] = []
                    for scalar in scalars[word] { utf8.append(contentsOf: UTF8.encode(scalar)!) }
                    merge(utf8, into: &ids)
                }
            }
        }
        return ids
    }

    // MARK: Words

    /// Cuts as the pattern `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` does.
    static func words(_ text: [Unicode.Scalar]) -> [Range<Int>] {
        let classes = text.map(LetterClass.init)
        var words: [Range<Int>] = []
        var start = 0
        while start < text.count {
            let end = contractionEnd(text, start) ?? runEnd(text, classes, start)
            words.append(start..<end)
            start = end
        }
        return words
    }

    private enum LetterClass {
        case space, letter, number, other

        init(_ scalar: Unicode.Scalar) {
            switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: self = .letter
            case .decimalNumber, .letterNumber, .otherNumber: self = .number
            default: self = scalar.properties.isWhitespace ? .space : .other
            }
        }
    }

    private static func contractionEnd(_ text: [Unicode.Scalar], _ start: Int) -> Int? {
        guard text[start] == "'", start + 1 < text.count else { return nil }
        switch (text[start + 1], start + 2 < text.count ? text[start + 2] : " ") {
        case ("s", _), ("t", _), ("m", _), ("d", _): return start + 2
        case ("r", "e"), ("v", "e"), ("l", "l"): return start + 3
        default: return nil
        }
    }

    /// The end of a run of one class, a space before it included; or of a run of spaces, which leaves its last to the
    /// word behind it.
    private static func runEnd(_ text: [Unicode.Scalar], _ classes: [LetterClass], _ start: Int) -> Int {
        func end(of run: LetterClass, from first: Int) -> Int {
            classes[first...].firstIndex { $0 != run } ?? text.count
        }
        if classes[start] != .space { return end(of: classes[start], from: start) }
        if text[start] == " ", start + 1 < text.count, classes[start + 1] != .space {
            return end(of: classes[start + 1], from: start + 1)
        }
        let last = end(of: .space, from: start)
        return last < text.count && last - start > 1 ? last - 1 : last
    }

    // MARK: Merges

    /// Merges the bytes of a word: always the pair of lowest rank, of equal ones the leftmost.
    private func merge(_ bytes: [UInt8], into ids: inout [Int]) {
        var symbols = bytes.indices.map { Symbol(id: byteIDs[Int(bytes[$0])], previous: $0 - 1, next: $0 + 1) }
        var queue = RankQueue()
        func propose(_ place: Int) {
            guard place >= 0, let merge = merge(at: place, symbols) else { return }
            queue.insert(rank: merge.rank, place: place)
        }
        for place in symbols.indices { propose(place) }
        while let (rank, place) = queue.removeFirst() {
            // Entries are not taken out when their symbols change; they are passed over here.
            guard symbols[place].id >= 0, let merge = merge(at: place, symbols), merge.rank == rank else { continue }
            let gone = symbols[place].next
            symbols[place].id = merge.id
            symbols[place].next = symbols[gone].next
            symbols[gone].id = -1
            if symbols[place].next < symbols.count { symbols[symbols[place].next].previous = place }
            propose(symbols[place].previous)
            propose(place)
        }
        ids += symbols.lazy.map(\.id).filter { $0 >= 0 }
    }

    private struct Symbol {
        /// -1 where it was merged into the one before.
        var id: Int
        var previous: Int
        var next: Int
    }

    private func merge(at place: Int, _ symbols: [Symbol]) -> Merge? {
        let next = symbols[place].next
        guard next < symbols.count else { return nil }
        return merges[Pair(first: symbols[place].id, second: symbols[next].id)]
    }

    /// A heap: the lowest rank first, of equal ones the leftmost place.
    private struct RankQueue {
        private var heap: [(rank: Int, place: Int)] = []

        mutating func insert(rank: Int, place: Int) {
            heap.append((rank, place))
            var child = heap.count - 1
            while child > 0, heap[child] < heap[(child - 1) / 2] {
                heap.swapAt(child, (child - 1) / 2)
                child = (child - 1) / 2
            }
        }

        mutating func removeFirst() -> (rank: Int, place: Int)? {
            guard let first = heap.first else { return nil }
            heap.swapAt(0, heap.count - 1)
            heap.removeLast()
            var parent = 0
            while true {
                let children = [2 * parent + 1, 2 * parent + 2].filter { $0 < heap.count }
                guard let least = children.min(by: { heap[$0] < heap[$1] }), heap[least] < heap[parent] else { break }
                heap.swapAt(least, parent)
                parent = least
            }
            return first
        }
    }
}
