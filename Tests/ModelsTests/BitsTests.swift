import AssayCheckpoints
import AssayModels
import AssayTensors
import Testing

/// The same bits for any number of threads, any batch, any dispatch level, whoever watches.
@Suite struct BitsTests {
    static let models = ["gpt2", "bert", "gpt3", "bloom", "deepseek", "modernbert", "deberta"]

    private func model(_ name: String) throws -> Model {
        switch name {
        case "gpt2": try MadeUpModel.gpt2()
        case "gpt3": try MadeUpModel.gpt3()
        case "bloom": try MadeUpModel.bloom()
        case "deepseek": try MadeUpModel.deepSeek()
        case "modernbert": try MadeUpModel.modernBERT()
        case "deberta": try MadeUpModel.deberta()
        default: try MadeUpModel.bert()
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

    @Test(arguments: ["gpt2", "gpt3", "bloom"], Profile.allCases)
    func prefixGivesTheFirstRowsOfTheWhole(_ name: String, _ profile: Profile) throws {
        let model = try model(name)
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

    /// A band that no sequence reaches is none, bit for bit; one that is shorter by a token is one.
    @Test(arguments: Profile.allCases)
    func aBandAsLongAsTheSequenceGivesTheDenseResult(_ profile: Profile) throws {
        let tokens = try tokens("gpt3")
        func trace(_ band: Int, _ pattern: JSONValue) throws -> Trace {
            try Trace(MadeUpModel.gpt3(band: band, pattern: pattern), tokens, RunSettings(profile: profile, threads: 2))
        }
        let dense = try trace(1, ["dense"])
        #expect(try trace(tokens.length, ["banded"]) == dense)
        #expect(try trace(1000, ["dense", "banded"]) == dense)
        #expect(try trace(tokens.length - 1, ["banded"]) != dense)
        #expect(try dense == Trace(MadeUpModel.gpt2(), tokens, RunSettings(profile: profile, threads: 2)))
    }

    @Test(arguments: models, Profile.allCases)
    func observingChangesNothing(_ name: String, _ profile: Profile) throws {
        let runner = try BlockRunner(
            model(name), tokens: tokens(name), settings: RunSettings(profile: profile, threads: 2))
        let all = try Trace(runner)
        let few = try Trace(runner, taps: TapPattern("layers.1.out,logits"))
        #expect(few.taps.map(\.name) == ["layers.1.out", "logits"])
        for tap in few.taps { #expect(all[tap.name] == tap, "\(tap.name)") }
        var states: [HiddenState] = []
        for step in runner.steps.dropLast() { states = try runner.advance(step, states) }
        let state = states[0]
        #expect(bytes(state) == all["layers.1.out"]?.bytes)
    }

    /// A comparison runs a block on two states at once.
    @Test(arguments: models, Profile.allCases)
    func statesOfOneCallDoNotTouchEachOther(_ name: String, _ profile: Profile) throws {
        let runner = try BlockRunner(
            model(name), tokens: tokens(name), settings: RunSettings(profile: profile, threads: 2))
        let (embed, finish) = (ForwardStep.embed(stack: 0), ForwardStep.finish(stack: 0))
        func block(_ layer: Int) -> ForwardStep { .block(stack: 0, layer: layer) }
        let first = try runner.advance(embed, [])[0]
        let second = try runner.advance(block(0), [first])[0]
        let together = try runner.advance(block(1), [first, second])
        #expect(bytes(together[0]) == bytes(try runner.advance(block(1), [first])[0]))
        #expect(bytes(together[1]) == bytes(try runner.advance(block(1), [second])[0]))
        let features = try runner.advance(finish, together)
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
        let block = ForwardStep.block(stack: 0, layer: 0)
        let state = try fast.advance(.embed(stack: 0), [])[0]
        let widened = try state.withNumbers { numbers in
            guard case .float32(let values) = numbers else { fatalError("fast32 gives float32") }
            let doubles = values.map(Double.init)
            return try doubles.withUnsafeBufferPointer {
                try HiddenState(rowCount: state.rowCount, featureCount: state.featureCount, copying: .float64($0))
            }
        }
        #expect(bytes(try exact.advance(block, [state])[0]) == bytes(try exact.advance(block, [widened])[0]))
        #expect(bytes(try fast.advance(block, [widened])[0]) == bytes(try fast.advance(block, [state])[0]))
        #expect(try exact.advance(block, [state])[0].precision == .float64)
    }

    private func bytes(_ state: HiddenState) -> [UInt8] { state.withNumbers { Array($0.bytes) } }
}
