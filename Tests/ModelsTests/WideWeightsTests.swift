import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayModels

/// A float64 checkpoint keeps its digits under `ref64`.
@Suite struct WideWeightsTests {
    /// Float32 weights widened, each a little larger than any float32 near it.
    struct WideCheckpoint: CheckpointReader {
        let narrow: MemoryCheckpoint
        let factor: Double
        let contents: CheckpointContents

        init(_ narrow: MemoryCheckpoint, factor: Double) {
            self.narrow = narrow
            self.factor = factor
            contents = CheckpointContents(
                formatName: "memory",
                tensors: narrow.contents.tensors.map {
                    TensorInfo(name: $0.name, elementType: .f64, shape: $0.shape)!
                })
        }

        func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
            let values = narrow[contents.tensors[tensor].name][range.lowerBound / 8..<range.upperBound / 8]
            for (index, value) in values.enumerated() {
                buffer.storeBytes(of: Double(value) * factor, toByteOffset: index * 8, as: Double.self)
            }
        }
    }

    private func trace(_ golden: Golden, factor: Double?, _ profile: Profile) throws -> Trace {
        let model = try golden.model(editingWeights: { reader in
            let narrow = try MemoryCheckpoint(copying: reader)
            return factor.map { WideCheckpoint(narrow, factor: $0) } ?? narrow
        })
        return try Trace(model, golden.tokens(), RunSettings(profile: profile, threads: 2))
    }

    @Test(arguments: ["gpt2-odd-heads", "bert-mlm-untied", "bert-pooler"]) func ref64KeepsEveryDigit(_ name: String)
        throws
    {
        let golden = Golden.named(name)
        let narrow = try trace(golden, factor: nil, .ref64)
        let same = try trace(golden, factor: 1, .ref64)
        let moved = try trace(golden, factor: 1 + 0x1p-40, .ref64)
        for (index, tap) in narrow.taps.enumerated() {
            #expect(relativeL2(same.taps[index].values, tap.values) < 1e-14, "\(tap.name)")
            let error = relativeL2(moved.taps[index].values, tap.values)
            #expect(error > 1e-13 && error < 1e-10, "\(tap.name): \(error)")
        }
    }

    @Test(arguments: [Profile.fast32, .ref32]) func otherProfilesTakeTheNearestFloat32(_ profile: Profile) throws {
        let golden = Golden.named("gpt2-odd-heads")
        #expect(try trace(golden, factor: 1 + 0x1p-40, profile) == trace(golden, factor: nil, profile))
    }
}
