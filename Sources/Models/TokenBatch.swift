import AssayCheckpoints
import SystemPackage

/// Token ids of some sequences of one length, with what goes along with them.
public struct TokenBatch: Sendable, Equatable {
    /// Sequences by positions; every sequence has the same length, at least 1.
    public let inputIDs: [[Int]]
    /// Whether a position is read (1) or padding (0); nil where nothing is padding.
    public let attentionMask: [[Int]]?
    /// Kinds of tokens, as they were given; nil stands for all 0 where the model has kinds.
    public let tokenTypeIDs: [[Int]]?
    /// nil for 0, 1, 2, ..., whatever the mask.
    public let positionIDs: [[Int]]?
    /// What the decoder of an encoder-decoder model is fed; everything else is the encoder's.
    public let decoder: DecoderTokens?
    /// How models with a memory take the sequences; nil for whole, with the memory that the model has.
    public private(set) var segments: Segments?
    /// The path of the file, for messages.
    public let source: FilePath
    /// What stands before the names of members in messages: "decoder_".
    private var memberPrefix = ""

    /// Sequences cut into segments, which a model with a memory takes one after the other.
    public struct Segments: Sendable, Equatable {
        /// Positions of a segment, the last of a sequence may have fewer; nil for all in one.
        public var length: Int?
        /// Positions that are remembered; nil for as many as the model says.
        public var memoryLength: Int?

        public init(length: Int? = nil, memoryLength: Int? = nil) {
            self.length = length
            self.memoryLength = memoryLength
        }
    }

    /// Token ids of a decoder, as many sequences as the encoder's, of a length of their own.
    public struct DecoderTokens: Sendable, Equatable {
        public let inputIDs: [[Int]]
        public let attentionMask: [[Int]]?

        public init(inputIDs: [[Int]], attentionMask: [[Int]]? = nil) {
            self.inputIDs = inputIDs
            self.attentionMask = attentionMask
        }
    }

    public var batchCount: Int { inputIDs.count }
    public var length: Int { inputIDs[0].count }

    /// - Parameter source: what messages call the tokens.
    /// - Throws: `CheckpointError` where there is no token, or the lists are not rectangular and of one shape.
    public init(
        inputIDs: [[Int]], attentionMask: [[Int]]? = nil, tokenTypeIDs: [[Int]]? = nil, positionIDs: [[Int]]? = nil,
        decoder: DecoderTokens? = nil, source: FilePath = "tokens"
    ) throws(CheckpointError) {
        try self.init(
            inputIDs: inputIDs, attentionMask: attentionMask, tokenTypeIDs: tokenTypeIDs, positionIDs: positionIDs,
            decoder: decoder, source: source, memberPrefix: "")
        guard let decoder else { return }
        let own = try TokenBatch(decoder, source: source)
        guard own.batchCount == batchCount else {
            throw own.error(.inputIDs, expected: "\(batchCount) sequences", found: "\(own.batchCount)")
        }
    }

    private init(_ decoder: DecoderTokens, source: FilePath) throws(CheckpointError) {
        try self.init(
            inputIDs: decoder.inputIDs, attentionMask: decoder.attentionMask, tokenTypeIDs: nil, positionIDs: nil,
            decoder: nil, source: source, memberPrefix: "decoder_")
    }

    private init(
        inputIDs: [[Int]], attentionMask: [[Int]]?, tokenTypeIDs: [[Int]]?, positionIDs: [[Int]]?,
        decoder: DecoderTokens?, source: FilePath, memberPrefix: String
    ) throws(CheckpointError) {
        self.source = source
        self.memberPrefix = memberPrefix
        self.decoder = decoder
        self.inputIDs = inputIDs
        self.attentionMask = attentionMask?.allSatisfy { $0.allSatisfy { $0 == 1 } } == true ? nil : attentionMask
        self.tokenTypeIDs = tokenTypeIDs
        self.positionIDs = positionIDs?.allSatisfy { $0.elementsEqual($0.indices) } == true ? nil : positionIDs
        guard let first = inputIDs.first, !first.isEmpty else {
            throw error(.inputIDs, expected: "at least one token", found: "none")
        }
        for (member, lists) in [
            (Member.inputIDs, inputIDs), (.attentionMask, attentionMask), (.tokenTypeIDs, tokenTypeIDs),
            (.positionIDs, positionIDs),
        ] {
            if let lists { try checkShape(member, lists) }
        }
        try checkMask()
    }

    /// The same tokens in segments; what is nil stays as it is.
    ///
    /// - Throws: `CheckpointError` where a segment has no position, or what is remembered is fewer than none.
    public func cut(into segments: Segments) throws(CheckpointError) -> TokenBatch {
        for (member, length, least) in [
            (Member.segmentLength, segments.length, 1), (.memoryLength, segments.memoryLength, 0),
        ] {
            guard let length, !(least...ConfigurationReader.largestSize).contains(length) else { continue }
            throw error(member, expected: "a whole number from \(least) on", found: "\(length)")
        }
        var result = self
        let all = Segments(
            length: segments.length ?? self.segments?.length,
            memoryLength: segments.memoryLength ?? self.segments?.memoryLength)
        result.segments = all == Segments() ? nil : all
        return result
    }

    /// What a stack is fed.
    public func part(for role: StackSpec.Role) -> TokenBatch {
        switch role {
        case .only, .encoder: self
        // It was checked when the whole was made.
        case .decoder: decoder.flatMap { try? TokenBatch($0, source: source) } ?? self
        }
    }

    /// Some of the sequences.
    public func part(_ sequences: Range<Int>) throws(CheckpointError) -> TokenBatch {
        func part(_ lists: [[Int]]?) -> [[Int]]? { lists.map { Array($0[sequences]) } }
        var result = try TokenBatch(
            inputIDs: Array(inputIDs[sequences]), attentionMask: part(attentionMask), tokenTypeIDs: part(tokenTypeIDs),
            positionIDs: part(positionIDs),
            decoder: decoder.map {
                DecoderTokens(inputIDs: Array($0.inputIDs[sequences]), attentionMask: part($0.attentionMask))
            }, source: source)
        result.segments = segments
        return result
    }

    /// Kinds of tokens, where they say more than their default: what a digest and a capture hold.
    public var nonzeroTokenTypeIDs: [[Int]]? {
        tokenTypeIDs.flatMap { $0.allSatisfy { $0.allSatisfy { $0 == 0 } } ? nil : $0 }
    }

    /// What a position may look at within a sequence: `true` for tokens that are read.
    public func isRead(sequence: Int, position: Int) -> Bool { attentionMask?[sequence][position] != 0 }

    /// Requires that ids, lengths and what goes along suit a model.
    ///
    /// - Throws: `CheckpointError` naming the sequence and position.
    public func check(against spec: TransformerSpec) throws(CheckpointError) {
        guard (decoder != nil) == (spec[.decoder] != nil) else {
            let reason = "\(spec.architecture) \(decoder == nil ? "is an encoder and a decoder" : "has no decoder")"
            throw CheckpointError(
                source, .part("decoder_" + Member.inputIDs.rawValue),
                expected: decoder == nil ? "what the decoder is fed, as \(reason)" : "none, as \(reason)",
                found: decoder == nil ? "no such member" : "some")
        }
        for stack in spec.stacks { try part(for: stack.role).check(against: stack, spec.architecture) }
        try checkSegments(spec)
    }

    /// Models with a memory know no padding and no positions; others know no segments.
    private func checkSegments(_ spec: TransformerSpec) throws(CheckpointError) {
        let recurrences = spec.stacks.flatMap(\.blocks.kinds).compactMap(\.attention.recurrence)
        func refuse(_ member: Member, _ reason: String) -> CheckpointError {
            error(member, expected: "none, as \(spec.architecture) \(reason)", found: "some")
        }
        if !spec.hasMemory {
            if segments?.length != nil { throw refuse(.segmentLength, "remembers nothing between segments") }
            if segments?.memoryLength != nil { throw refuse(.memoryLength, "has no memory") }
            return
        }
        if attentionMask != nil { throw refuse(.attentionMask, "knows no padding") }
        if positionIDs != nil { throw refuse(.positionIDs, "knows distances alone") }
        if recurrences.contains(where: \.isSameLength), segments?.memoryLength == 0 {
            throw error(.memoryLength, expected: "at least 1, as a position sees no more (same_length)", found: "0")
        }
    }

    private func check(against spec: StackSpec, _ architecture: String) throws(CheckpointError) {
        // Positions that are turned rather than looked up have no end.
        let positionCount = spec.embedding.positions != nil ? spec.contextLength : ConfigurationReader.largestSize
        let longest = positionsTaken(spec.embedding.positions)
        guard longest <= positionCount else {
            throw error(
                .inputIDs, expected: "at most \(spec.contextLength) tokens a sequence, as the model has positions",
                found: "\(longest)")
        }
        try check(.inputIDs, inputIDs, below: spec.vocabularySize, "vocab_size")
        if let positionIDs {
            let limit = positionCount + (spec.embedding.positions.map { $0.offset - $0.offsetOfGiven } ?? 0)
            try check(.positionIDs, positionIDs, below: limit, "the model's positions")
        }
        guard let tokenTypeIDs else { return }
        // Zeros are something too: such a model would look them up among its tokens and add what it finds.
        guard spec.embedding.tokenTypeCount > 0 else {
            throw error(
                .tokenTypeIDs, expected: "none, as \(architecture) has no token types; leave the member out",
                found: "some")
        }
        try check(.tokenTypeIDs, tokenTypeIDs, below: spec.embedding.tokenTypeCount, "type_vocab_size")
    }

    /// Positions that the longest sequence takes.
    private func positionsTaken(_ positions: LearnedPositions?) -> Int {
        guard case .placesOfTokens(let padding) = positions?.counting else { return length }
        return inputIDs.map { ids in ids.count { $0 != padding } }.max() ?? 0
    }

    /// The members that say more than their default, by their names.
    public var members: [(name: String, lists: [[Int]])] {
        let all: [(name: String, lists: [[Int]]?)] = [
            (Member.inputIDs.rawValue, inputIDs), (Member.attentionMask.rawValue, attentionMask),
            (Member.tokenTypeIDs.rawValue, nonzeroTokenTypeIDs), (Member.positionIDs.rawValue, positionIDs),
            (Member.decoderInputIDs.rawValue, decoder?.inputIDs),
            (Member.decoderAttentionMask.rawValue, decoder.flatMap { _ in part(for: .decoder).attentionMask }),
            (Member.segmentLength.rawValue, segments?.length.map { [[$0]] }),
            (Member.memoryLength.rawValue, segments?.memoryLength.map { [[$0]] }),
        ]
        return all.compactMap { name, lists in lists.map { (name, $0) } }
    }

    /// SHA-256 of the UTF-8 text `assay-tokens/1` and then one line a member that says more than its default, in the
    /// order `input_ids`, `attention_mask`, `token_type_ids`, `position_ids`, `decoder_input_ids`,
    /// `decoder_attention_mask`, `segment_length`, `memory_length` (`[[n]]` each): a compact JSON array of the member's name and its lists. The same for the same tokens
    /// however the file is written.
    public var digest: Digest {
        var text = "assay-tokens/1\n"
        for (name, lists) in members {
            let rows = lists.map { "[" + $0.map(String.init).joined(separator: ",") + "]" }.joined(separator: ",")
            text += "[\"\(name)\",[\(rows)]]\n"
        }
        return Digest.of(text)
    }

    // MARK: Private

    public enum Member: String, CaseIterable {
        case inputIDs = "input_ids"
        case attentionMask = "attention_mask"
        case tokenTypeIDs = "token_type_ids"
        case positionIDs = "position_ids"
        case decoderInputIDs = "decoder_input_ids"
        case decoderAttentionMask = "decoder_attention_mask"
        case segmentLength = "segment_length"
        case memoryLength = "memory_length"
    }

    private func checkShape(_ member: Member, _ lists: [[Int]]) throws(CheckpointError) {
        guard lists.count == batchCount else {
            throw error(member, expected: "\(batchCount) sequences", found: "\(lists.count)")
        }
        for (sequence, list) in lists.enumerated() where list.count != length {
            throw error(
                member, expected: "\(length) numbers in every sequence", found: "\(list.count) in sequence \(sequence)")
        }
    }

    private func checkMask() throws(CheckpointError) {
        guard let attentionMask else { return }
        try check(.attentionMask, attentionMask, below: 2, "a mask of 0 and 1")
        for (sequence, mask) in attentionMask.enumerated() where !mask.contains(1) {
            throw error(
                .attentionMask, expected: "a position that is read in every sequence",
                found: "none in sequence \(sequence)")
        }
    }

    private func check(
        _ member: Member, _ lists: [[Int]], below limit: Int, _ reason: String
    ) throws(CheckpointError) {
        for (sequence, list) in lists.enumerated() {
            guard let position = list.firstIndex(where: { !(0..<limit).contains($0) }) else { continue }
            throw error(
                member, expected: "numbers from 0 to \(limit - 1) (\(reason))",
                found: "\(list[position]) in sequence \(sequence) at position \(position)")
        }
    }

    private func error(_ member: Member, expected: String, found: String) -> CheckpointError {
        CheckpointError(source, .part(memberPrefix + member.rawValue), expected: expected, found: found)
    }
}
