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
    /// The path of the file, for messages.
    public let source: FilePath

    public var batchCount: Int { inputIDs.count }
    public var length: Int { inputIDs[0].count }

    /// - Parameter source: what messages call the tokens.
    /// - Throws: `CheckpointError` where there is no token, or the lists are not rectangular and of one shape.
    public init(
        inputIDs: [[Int]], attentionMask: [[Int]]? = nil, tokenTypeIDs: [[Int]]? = nil, positionIDs: [[Int]]? = nil,
        source: FilePath = "tokens"
    ) throws(CheckpointError) {
        self.source = source
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
                .tokenTypeIDs, expected: "none, as \(spec.architecture) has no token types; leave the member out",
                found: "some")
        }
        try check(.tokenTypeIDs, tokenTypeIDs, below: spec.embedding.tokenTypeCount, "type_vocab_size")
    }

    /// SHA-256 of the UTF-8 text `assay-tokens/1` and then one line a member that says more than its default, in the
    /// order `input_ids`, `attention_mask`, `token_type_ids`, `position_ids`: a compact JSON array of the member's name
    /// and its lists. The same for the same tokens however the file is written.
    public var digest: Digest {
        var text = "assay-tokens/1\n"
        for (member, lists) in [
            (Member.inputIDs, inputIDs), (.attentionMask, attentionMask), (.tokenTypeIDs, nonzeroTokenTypeIDs),
            (.positionIDs, positionIDs),
        ] {
            guard let lists else { continue }
            let rows = lists.map { "[" + $0.map(String.init).joined(separator: ",") + "]" }.joined(separator: ",")
            text += "[\"\(member.rawValue)\",[\(rows)]]\n"
        }
        return Digest.of(text)
    }

    // MARK: Private

    /// Positions that the longest sequence takes.
    private func positionsTaken(_ positions: LearnedPositions?) -> Int {
        guard case .placesOfTokens(let padding) = positions?.counting else { return length }
        return inputIDs.map { ids in ids.count { $0 != padding } }.max() ?? 0
    }

    enum Member: String, CaseIterable {
        case inputIDs = "input_ids"
        case attentionMask = "attention_mask"
        case tokenTypeIDs = "token_type_ids"
        case positionIDs = "position_ids"
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
        CheckpointError(source, .part(member.rawValue), expected: expected, found: found)
    }
}
