import AssayCheckpoints
import Testing

@testable import AssayModels

/// What is added to scores, against transformers, for numbers of heads that are no powers of two and positions that
/// bfloat16 does not have.
@Suite struct LinearBiasTests {
    private func expect(_ name: String, _ bias: LinearBias, within tolerance: Double) throws {
        let file = try InputFile(Golden.root.removingLastComponent().appending("linear-biases.json"))
        let golden = try #require(JSONValue(parsing: file.bytes(0..<file.byteCount)).object)
        let positions = try #require(golden["positions"]?.array).compactMap(\.int)
        let lists = try #require(golden[name]?.object)
        #expect(lists.members.count == 4)
        for (heads, values) in lists.members {
            let slopes = bias.slopes(headCount: try #require(Int(heads)))
            let expected = try #require(values.array).map { ($0.array ?? []).compactMap(\.double) }
            #expect(slopes.count == expected.count)
            for (slope, row) in zip(slopes, expected) {
                #expect(row.count == positions.count)
                for (position, value) in zip(positions, row) {
                    let found = bias.bias(slope: slope, position: position)
                    #expect(abs(found - value) <= tolerance * value, "\(heads) heads, position \(position)")
                }
            }
        }
    }

    @Test func bloomsAreNotRounded() throws { try expect("bloom", LinearBias(), within: 1e-13) }

    @Test func falconsAreRoundedTwice() throws {
        try expect("falcon", LinearBias(isRoundedToBFloat16: true), within: 0)
    }
}
