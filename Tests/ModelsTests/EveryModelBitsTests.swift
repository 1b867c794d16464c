import AssayTensors
import Testing

@testable import AssayModels

/// The same bits, tried on every golden model: threads and dispatch levels, alone or in a batch, token by token.
@Suite struct EveryModelBitsTests {
    @Test(arguments: Golden.all) func threadsAndLevelsChangeNothing(_ golden: Golden) throws {
        let (model, tokens) = (try golden.model(), try golden.tokens())
        let levels = DispatchLevel.allCases.filter(\.isAvailable)
        for profile in Profile.allCases {
            let first = try Trace(model, tokens, RunSettings(profile: profile, threads: 1, level: levels[0]))
            for level in levels.dropFirst() {
                let other = try Trace(model, tokens, RunSettings(profile: profile, threads: 3, level: level))
                #expect(other == first, "\(profile) \(level)")
            }
        }
    }

    @Test(arguments: Golden.all) func aSequenceAloneIsAsInItsBatch(_ golden: Golden) throws {
        let (model, tokens) = (try golden.model(), try golden.tokens())
        // Texts are compared with all images.
        guard tokens.batchCount > 1, model.spec.head?.comparesStacks != true else { return }
        let settings = RunSettings(profile: .fast32, threads: 2)
        let together = try Trace(model, tokens, settings)
        for sequence in 0..<tokens.batchCount {
            for tap in try Trace(model, tokens.part(sequence..<sequence + 1), settings).taps {
                let count = tap.bytes.count
                let own = together[tap.name]?.bytes[sequence * count..<(sequence + 1) * count]
                #expect(own?.elementsEqual(tap.bytes) == true, "\(tap.name) of sequence \(sequence)")
            }
        }
    }

    /// What stands behind a token changes nothing of it: the whole at once is what one token after the other gives.
    @Test(arguments: Golden.all) func allAtOnceIsTokenByToken(_ golden: Golden) throws {
        let (model, tokens) = (try golden.model(), try golden.tokens().part(0..<1))
        let attention = model.spec.blocks[0].attention
        // Stretched rotations that depend on how long the text is are other ones for each length, as in transformers.
        let isOfLength: Bool =
            switch attention.rotary?.scaling {
            case .dynamic, .longRope: true
            default: false
            }
        let own = tokens.part(for: model.spec.stacks.last!.role)
        guard attention.isCausal, !isOfLength, own.attentionMask == nil else { return }
        let settings = RunSettings(profile: .fast32, threads: 1)
        let whole = try Trace(model, tokens, settings)
        for count in 1..<max(own.length, 2) {
            let part = try tokens.cut(to: min(count, own.length))
            // What is made of a whole text is another for each.
            for tap in try Trace(model, part, settings).taps where tap.shape.count == 3 {
                #expect(whole[tap.name]?.bytes.starts(with: tap.bytes) == true, "\(tap.name) of \(count)")
            }
        }
    }
}

extension TokenBatch {
    /// The first tokens of the last stack; an encoder reads all.
    fileprivate func cut(to count: Int) throws -> TokenBatch {
        let segments = segments ?? Segments()
        if let decoder {
            return try TokenBatch(
                inputIDs: inputIDs, attentionMask: attentionMask, features: features,
                decoder: .init(inputIDs: decoder.inputIDs.map { Array($0[..<count]) }))
        }
        return try TokenBatch(
            inputIDs: inputIDs.map { Array($0[..<count]) }, tokenTypeIDs: tokenTypeIDs?.map { Array($0[..<count]) },
            positionIDs: positionIDs?.map { Array($0[..<count]) }
        ).cut(into: segments)
    }
}
