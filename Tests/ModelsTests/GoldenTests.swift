import AssayModels
import AssayTensors
import Testing

/// Every tap of every golden model, against transformers in eager attention on the CPU.
@Suite struct GoldenTests {
    @Test(arguments: Golden.all, [Profile.ref32, .fast32])
    func everyTapIsWithin1e5OfFloat32(_ golden: Golden, _ profile: Profile) throws {
        let trace = try Trace(golden.model(), golden.tokens(), RunSettings(profile: profile, threads: 2))
        try expect(trace, is: golden.taps("taps.safetensors"), within: 1e-5)
    }

    /// What float32 rounding leaves, far below the tolerance that is promised: where a model makes more of it, no more than
    /// a small multiple of what it leaves in the library.
    @Test(arguments: Golden.all, [Profile.ref32, .fast32])
    func everyTapIsWithinAFewRoundingsOfFloat64(_ golden: Golden, _ profile: Profile) throws {
        let trace = try Trace(golden.model(), golden.tokens(), RunSettings(profile: profile, threads: 2))
        let (narrow, wide) = try (golden.taps("taps.safetensors"), golden.taps("taps64.safetensors"))
        for (name, error) in trace.errors(against: wide) {
            let library = relativeL2(try #require(narrow[name]), try #require(wide[name]))
            #expect(error <= max(2e-6, 4 * library), "\(name)")
        }
    }

    @Test(arguments: Golden.all)
    func everyTapIsWithin1e12OfFloat64(_ golden: Golden) throws {
        let trace = try Trace(golden.model(), golden.tokens(), RunSettings(profile: .ref64, threads: 2))
        // gelu_fast writes sqrt(2/pi) with ten digits (0.7978845608): 3.6e-12 of the argument, of which we compute the
        // exact one.
        try expect(
            trace, is: golden.taps("taps64.safetensors"), within: golden.name.hasSuffix("gelu_fast") ? 1e-11 : 1e-12)
    }

    @Test(arguments: Golden.all)
    func plannedTapsAreThoseOfTheRunInItsOrder(_ golden: Golden) throws {
        let runner = try BlockRunner(golden.model(), tokens: golden.tokens())
        let trace = try Trace(runner)
        #expect(trace.taps.map(\.name) == runner.plannedTaps.map(\.name))
        #expect(trace.taps.map(\.shape) == runner.plannedTaps.map(\.shape))
        for tap in trace.taps { #expect(tap.bytes.count == tap.shape.reduce(4, *), "\(tap.name)") }
    }

    private func expect(_ trace: Trace, is golden: [String: [Double]], within tolerance: Double) throws {
        #expect(Set(trace.taps.map(\.name)) == Set(golden.keys))
        let worst = try #require(trace.errors(against: golden).max { $0.error < $1.error })
        #expect(worst.error <= tolerance, "\(worst.name)")
        if worst.error > 0.3 * tolerance { print("near:", worst) }
    }
}
