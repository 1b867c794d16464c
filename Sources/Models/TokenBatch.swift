import AssayCheckpoints
import SystemPackage

/// What a model is fed: token ids of some sequences of one length with what goes along with them, or numbers, or both.
public struct TokenBatch: Sendable, Equatable {
    /// Sequences by positions; every sequence has the same length, at least 1. None where numbers are read instead.
    public let inputIDs: [[Int]]
    /// What the stack is fed that reads no tokens; nil for none.
    public let features: InputFeatures?
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
    /// Positions that a stack makes of the numbers.
    private var featureLength = 0

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

    public var batchCount: Int { inputIDs.isEmpty ? features?.batchCount ?? 0 : inputIDs.count }
    /// Positions of a sequence. Of numbers only the stack knows that reads them: 0 but for its part.
    public var length: Int { inputIDs.first?.count ?? featureLength }

    /// - Parameter source: what messages call the tokens.
    /// - Throws: `CheckpointError` where there is neither token nor number, or the lists are not rectangular and of one
    ///   shape.
    public init(
        inputIDs: [[Int]] = [], attentionMask: [[Int]]? = nil, tokenTypeIDs: [[Int]]? = nil,
        positionIDs: [[Int]]? = nil, features: InputFeatures? = nil, decoder: DecoderTokens? = nil,
        source: FilePath = "tokens"
    ) throws(CheckpointError) {
        try self.init(
            inputIDs: inputIDs, attentionMask: attentionMask, tokenTypeIDs: tokenTypeIDs, positionIDs: positionIDs,
            features: features, decoder: decoder, source: source, memberPrefix: "")
        guard let decoder else { return }
        let own = try TokenBatch(decoder, source: source)
        guard own.batchCount == batchCount else {
            throw own.error(.inputIDs, expected: "\(batchCount) sequences", found: "\(own.batchCount)")
        }
    }

    private init(_ decoder: DecoderTokens, source: FilePath) throws(CheckpointError) {
        try self.init(
            inputIDs: decoder.inputIDs, attentionMask: decoder.attentionMask, tokenTypeIDs: nil, positionIDs: nil,
            features: nil, decoder: nil, source: source, memberPrefix: "decoder_")
    }

    private init(
        inputIDs: [[Int]], attentionMask: [[Int]]?, tokenTypeIDs: [[Int]]?, positionIDs: [[Int]]?,
        features: InputFeatures?, decoder: DecoderTokens?, source: FilePath, memberPrefix: String
    ) throws(CheckpointError) {
        self.source = source
        self.features = features
        self.memberPrefix = memberPrefix
        self.decoder = decoder
        self.inputIDs = inputIDs
        self.attentionMask = attentionMask?.allSatisfy { $0.allSatisfy { $0 == 1 } } == true ? nil : attentionMask
        self.tokenTypeIDs = tokenTypeIDs
        self.positionIDs = positionIDs?.allSatisfy { $0.elementsEqual($0.indices) } == true ? nil : positionIDs
        if inputIDs.isEmpty, features != nil {
            try requireNone([
                (.attentionMask, attentionMask), (.tokenTypeIDs, tokenTypeIDs), (.positionIDs, positionIDs),
            ])
            return
        }
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

    /// Refuses what goes along with tokens where there are none.
    private func requireNone(_ members: [(Member, [[Int]]?)]) throws(CheckpointError) {
        for (member, lists) in members where lists != nil {
            throw error(member, expected: "input_ids beside it", found: "no such member")
        }
    }

    /// The most that a segment, or what is remembered between two, may have.
    public static let longestSegment = ConfigurationReader.largestSize

    /// The same tokens in segments; what is nil stays as it is.
    ///
    /// - Throws: `CheckpointError` where a segment has no position, or what is remembered is fewer than none.
    public func cut(into segments: Segments) throws(CheckpointError) -> TokenBatch {
        for (member, length, least) in [
            (Member.segmentLength, segments.length, 1), (.memoryLength, segments.memoryLength, 0),
        ] {
            guard let length, !(least...Self.longestSegment).contains(length) else { continue }
            throw error(
                member, expected: "a whole number from \(least) to \(Self.longestSegment)", found: "\(length)")
        }
        var result = self
        let all = Segments(
            length: segments.length ?? self.segments?.length,
            memoryLength: segments.memoryLength ?? self.segments?.memoryLength)
        result.segments = all == Segments() ? nil : all
        return result
    }

    /// What a stack is fed.
    public func part(for stack: StackSpec) -> TokenBatch {
        var part = part(for: stack.role)
        part.featureLength = stack.embedding.features?.positionCount ?? 0
        return part
    }

    /// What the stack with a role is fed; of how many positions numbers become it does not know.
    public func part(for role: StackSpec.Role) -> TokenBatch {
        switch role {
        case .only, .encoder: self
        // They were checked when the whole was made.
        case .decoder: decoder.flatMap { try? TokenBatch($0, source: source) } ?? self
        case .text: features == nil ? self : (try? without(features: true)) ?? self
        case .vision: inputIDs.isEmpty ? self : (try? without(features: false)) ?? self
        }
    }

    /// The tokens alone, or the numbers alone.
    private func without(features isWithout: Bool) throws(CheckpointError) -> TokenBatch {
        if !isWithout { return try TokenBatch(features: features, source: source) }
        return try TokenBatch(
            inputIDs: inputIDs, attentionMask: attentionMask, tokenTypeIDs: tokenTypeIDs, positionIDs: positionIDs,
            source: source)
    }

    /// Some of the sequences.
    public func part(_ sequences: Range<Int>) throws(CheckpointError) -> TokenBatch {
        if sequences == 0..<batchCount { return self }
        func part(_ lists: [[Int]]?) -> [[Int]]? { lists.map { Array($0[sequences]) } }
        var features: InputFeatures?
        if let whole = self.features { features = try whole.part(sequences, source: source) }
        var result = try TokenBatch(
            inputIDs: inputIDs.isEmpty ? [] : Array(inputIDs[sequences]), attentionMask: part(attentionMask),
            tokenTypeIDs: part(tokenTypeIDs), positionIDs: part(positionIDs), features: features,
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

    /// What to say of sequences that are longer than a model was made for and all the same can be run; nil for nothing.
    public func noteOfLength(for spec: TransformerSpec) -> String? {
        guard !spec.hasMemory else { return nil }
        for stack in spec.stacks where part(for: stack.role).length > stack.contextLength {
            return "\(source): sequences of \(part(for: stack.role).length) positions, more than the"
                + " \(stack.contextLength) that \(spec.architecture) was made for"
        }
        return nil
    }

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
        try checkKinds(spec)
        for stack in spec.stacks {
            if let features = stack.embedding.features {
                try check(against: features, spec.architecture)
            } else {
                try part(for: stack.role).check(against: stack, spec.architecture)
            }
        }
        try checkSegments(spec)
    }

    /// Requires tokens where some stack reads them, and numbers where some does, and nothing that none reads.
    private func checkKinds(_ spec: TransformerSpec) throws(CheckpointError) {
        let wanted = spec.stacks.lazy.compactMap(\.embedding.features).first
        if let features, features.kind != wanted?.kind {
            let reads = wanted.map { "\($0.kind.noun), \($0.kind.member.rawValue)" } ?? "tokens"
            throw error(
                features.kind.member, expected: "no such member, as \(spec.architecture) reads \(reads)", found: "some")
        }
        if let wanted, features == nil {
            throw error(
                wanted.kind.member,
                expected: "\(wanted.described) in a file of tensors, as \(spec.architecture) reads \(wanted.kind.noun)",
                found: "no such member")
        }
        let readsTokens = spec.stacks.contains { $0.embedding.features == nil && $0.role != .decoder }
        guard inputIDs.isEmpty == readsTokens else { return }
        throw error(
            .inputIDs,
            expected: readsTokens
                ? "token ids, as \(spec.architecture) reads tokens"
                : "no such member, as \(spec.architecture) reads \(wanted?.kind.noun ?? "no tokens")",
            found: readsTokens ? "no such member" : "some")
    }

    /// Requires the shape that a stack reads.
    private func check(against spec: FeatureSpec, _ architecture: String) throws(CheckpointError) {
        guard let features, features.shape != spec.shape(batchCount: features.batchCount) else { return }
        throw error(
            spec.kind.member, expected: "\(spec.described), as \(architecture) reads them", found: "\(features.shape)")
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

    /// The lists that say more than their default, by their members' names.
    public var members: [(name: String, lists: [[Int]])] {
        let all: [(name: String, lists: [[Int]]?)] = [
            (Member.inputIDs.rawValue, inputIDs.isEmpty ? nil : inputIDs),
            (Member.attentionMask.rawValue, attentionMask),
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
    /// `decoder_attention_mask`, `segment_length`, `memory_length` (`[[n]]` each): a compact JSON array of the member's name
    /// and its lists; then one for `input_features` or `pixel_values`: name, type, shape, and the SHA-256 of the row-major
    /// little-endian bytes, in float32 where that is exact, else in float64. The same for the same input however the file
    /// is written.
    public var digest: Digest {
        var text = "assay-tokens/1\n"
        for (name, lists) in members {
            let rows = lists.map { "[" + $0.map(String.init).joined(separator: ",") + "]" }.joined(separator: ",")
            text += "[\"\(name)\",[\(rows)]]\n"
        }
        if let features {
            let shape = features.shape.map(String.init).joined(separator: ",")
            text += "[\"\(features.kind.member.rawValue)\",\"\(features.typeName)\",[\(shape)],"
            text += "\"\(features.digest)\"]\n"
        }
        return Digest.of(text)
    }

    /// "2 × 7 tokens", "2 images of [3, 224, 224]", "1 spectrogram of [80, 3000], 1 × 4 tokens".
    public var summary: String {
        let tokens = inputIDs.isEmpty ? decoder?.inputIDs : inputIDs
        let parts = [features?.summary, tokens.map { "\($0.count) × \($0[0].count) tokens" }]
        return parts.compactMap { $0 }.joined(separator: ", ")
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
        case inputFeatures = "input_features"
        case pixelValues = "pixel_values"

        /// What the numbers are, of a member that holds numbers.
        var features: FeatureSpec.Kind? { FeatureSpec.Kind.allCases.first { $0.member == self } }
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
