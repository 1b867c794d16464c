import AssayModels
import AssayTensors
import Testing

/// The same bits for any number of threads, any batch, any dispatch level, whoever watches.
@Suite struct BitsTests {
    static let models = ["gpt2", "bert", "modernbert", "deberta"]

    private func model(_ name: String) throws -> Model {
        switch name {
        case "gpt2": try MadeUpModel.gpt2()
        case "bert": try MadeUpModel.bert()
        case "modernbert": try MadeUpModel.modernBERT()
        default: try MadeUpModel.deberta()
        }
    }

    private func tokens(_ name: String) throws -> TokenBatch {
        let length = 150
        let ids = (0..<2).map { MadeUpModel.ids(length, seed: UInt64($0 + 1)) }
        // The second sequence has padding before, between and behind.
        let mask = (0..<length).map { $0 < 9 || $0 == 70 || $0 > 140 ? 0 : 1 }
        return try TokenBatch(inputIDs: ids, attentionMask: [[Int](repeating: 1, count: length), mask])
    }

    @Test(arguments: models, Profile.allCases)
    func threadsChangeNothing(_ name: String, _ profile: Profile) throws {
        let model = try model(name)
        let tokens = try tokens(name)
        let one = try Trace(model, tokens, RunSettings(profile: profile, threads: 1))
        for threads in [2, 3, 8] {
            let trace = try Trace(model, tokens, RunSettings(profile: profile, threads: threads))
            #expect(trace == one, "\(threads) threads")
        }
    }

    @Test(arguments: models, Profile.allCases)
    func dispatchLevelsChangeNothing(_ name: String, _ profile: Profile) throws {
        let model = try model(name)
        let tokens = try TokenBatch(inputIDs: [MadeUpModel.ids(70, seed: 3)])
        let levels = DispatchLevel.allCases.filter(\.isAvailable)
        let first = try Trace(model, tokens, RunSettings(profile: profile, threads: 2, level: levels[0]))
        for level in levels.dropFirst() {
            let trace = try Trace(model, tokens, RunSettings(profile: profile, threads: 2, level: level))
            #expect(trace == first, "\(level) against \(levels[0])")
        }
    }

    /// Sequences of 100, 37 and 1 tokens, padded on a side to 110, against each alone.
    @Test(arguments: models, [true, false])
    func batchAndPaddingChangeNothing(_ name: String, _ isPaddedLeft: Bool) throws {
        let model = try model(name)
        let length = 110
        let sequences = [100, 37, 1].map { MadeUpModel.ids($0, seed: UInt64($0)) }
        func padded(_ values: [Int], _ filler: Int) -> [Int] {
            let padding = [Int](repeating: filler, count: length - values.count)
            return isPaddedLeft ? padding + values : values + padding
        }
        let batch = try TokenBatch(
            inputIDs: sequences.map { padded($0, 5) },
            attentionMask: sequences.map { padded([Int](repeating: 1, count: $0.count), 0) },
            positionIDs: sequences.map { padded(Array($0.indices), 3) })
        for profile in Profile.allCases {
            let settings = RunSettings(profile: profile, threads: 2)
            let together = try Trace(model, batch, settings)
            for (index, sequence) in sequences.enumerated() {
                let alone = try Trace(model, TokenBatch(inputIDs: [sequence]), settings)
                let first = isPaddedLeft ? length - sequence.count : 0
                for tap in alone.taps where tap.name != "pooler" || !isPaddedLeft {
                    let whole = try #require(together[tap.name])
                    let width = tap.bytes.count / (tap.name == "pooler" ? 1 : sequence.count)
                    let row = tap.name == "pooler" ? index : index * length + first
                    let found = whole.bytes[row * width..<row * width + tap.bytes.count]
                    #expect(found.elementsEqual(tap.bytes), "\(profile) \(tap.name) of sequence \(index)")
                }
            }
        }
    }

    @Test(arguments: Profile.allCases)
    func prefixGivesTheFirstRowsOfTheWhole(_ profile: Profile) throws {
        let model = try MadeUpModel.gpt2()
        let ids = MadeUpModel.ids(140, seed: 9)
        let settings = RunSettings(profile: profile, threads: 2)
        let whole = try Trace(model, TokenBatch(inputIDs: [ids]), settings)
        for count in [1, 63, 64, 65, 128] {
            let prefix = try Trace(model, TokenBatch(inputIDs: [Array(ids[..<count])]), settings)
            for tap in prefix.taps {
                #expect(whole[tap.name]?.bytes.starts(with: tap.bytes) == true, "\(tap.name) of \(count)")
            }
        }
    }

    @Test(arguments: models, Profile.allCases)
    func observingChangesNothing(_ name: String, _ profile: Profile) throws {
        let runner = try BlockRunner(
            model(name), tokens: tokens(name), settings: RunSettings(profile: profile, threads: 2))
        let all = try Trace(runner)
        let few = try Trace(runner, taps: TapPattern("layers.1.out,logits"))
        #expect(few.taps.map(\.name) == ["layers.1.out", "logits"])
        for tap in few.taps { #expect(all[tap.name] == tap, "\(tap.name)") }
        var state = try runner.embed()
        for layer in 0..<runner.layerCount { state = try runner.block(layer, [state])[0] }
        #expect(bytes(state) == all["layers.1.out"]?.bytes)
    }

    /// A comparison runs a block on two states at once.
    @Test(arguments: models, Profile.allCases)
    func statesOfOneCallDoNotTouchEachOther(_ name: String, _ profile: Profile) throws {
        let runner = try BlockRunner(
            model(name), tokens: tokens(name), settings: RunSettings(profile: profile, threads: 2))
        let first = try runner.embed()
        let second = try runner.block(0, [first])[0]
        let together = try runner.block(1, [first, second])
        #expect(bytes(together[0]) == bytes(try runner.block(1, [first])[0]))
        #expect(bytes(together[1]) == bytes(try runner.block(1, [second])[0]))
        let features = try runner.finish(together)
        try runner.forEachLogits(features) { rows, logits in
            try runner.forEachLogits([features[1]]) { otherRows, other in
                if rows == otherRows { #expect(bytes(logits[1]) == bytes(other[0])) }
            }
        }
    }

    /// A state of another profile is widened exactly or rounded.
    @Test func statesMoveBetweenProfiles() throws {
        let model = try MadeUpModel.gpt2()
        let tokens = try tokens("gpt2")
        let fast = try BlockRunner(model, tokens: tokens, settings: RunSettings(profile: .fast32))
        let exact = try BlockRunner(model, tokens: tokens, settings: RunSettings(profile: .ref64))
        let state = try fast.embed()
        let widened = try state.withNumbers { numbers in
            guard case .float32(let values) = numbers else { fatalError("fast32 gives float32") }
            let doubles = values.map(Double.init)
            return try doubles.withUnsafeBufferPointer {
                try HiddenState(rowCount: state.rowCount, featureCount: state.featureCount, copying: .float64($0))
            }
        }
        #expect(bytes(try exact.block(0, [state])[0]) == bytes(try exact.block(0, [widened])[0]))
        #expect(bytes(try fast.block(0, [widened])[0]) == bytes(try fast.block(0, [state])[0]))
        #expect(try exact.block(0, [state])[0].precision == .float64)
    }

    private func bytes(_ state: HiddenState) -> [UInt8] { state.withNumbers { Array($0.bytes) } }
}
