import AssayCheckpoints
import AssayComparison
import AssayFormats
import AssayModels
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

/// Models that comparisons are tried on.
enum Models {
    static let goldenRoot = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
        .appending("fixtures").appending("golden")

    /// A tiny model of `fixtures/make/golden_taps.py`.
    struct Golden {
        let name: String
        var folder: FilePath { goldenRoot.appending("models").appending(name) }

        func weights() throws -> MemoryCheckpoint {
            try MemoryCheckpoint(copying: Checkpoint.open(folder.appending("model.safetensors")).reader)
        }

        func configuration() throws -> JSONObject {
            let file = try InputFile(folder.appending("config.json"))
            return try #require(JSONValue(parsing: file.bytes(0..<file.byteCount)).object)
        }

        func tokens() throws -> TokenBatch {
            let tensors = folder.appending("tokens.safetensors")
            guard try SystemCall.status(tensors) != nil else {
                return try TokensFile.read(folder.appending("tokens.json"))
            }
            return try TokenBatch(Checkpoint.open(tensors).reader, source: tensors)
        }

        func side(
            _ edit: (inout MemoryCheckpoint) throws -> Void = { _ in },
            configuration change: (inout JSONObject) -> Void = { _ in }
        ) throws -> ComparisonSide {
            var weights = try weights()
            try edit(&weights)
            var configuration = try configuration()
            change(&configuration)
            return try ComparisonSide(weights, configuration: configuration, name: name)
        }

        func taps() throws -> MemoryCheckpoint {
            try MemoryCheckpoint(copying: Checkpoint.open(folder.appending("taps.safetensors")).reader)
        }
    }

    /// A GPT-2 whose sizes are multiples of 32, so that groups fit.
    static let madeUpConfiguration: JSONObject = JSONObject([
        ("model_type", "gpt2"), ("architectures", ["GPT2LMHeadModel"]), ("n_embd", 64), ("n_head", 4), ("n_layer", 3),
        ("n_positions", 32), ("vocab_size", 97), ("activation_function", "gelu_new"),
    ])

    static func madeUp() -> MemoryCheckpoint {
        var numbers = SeededRandom(seed: 7)
        var weights = MemoryCheckpoint()
        func add(_ name: String, _ shape: [Int], _ scale: Float, around center: Float = 0) {
            let values = numbers.floats(shape.reduce(1, *), scale).map { $0 + center }
            weights.set(name, .f32, shape, values.withUnsafeBytes { Array($0) })
        }
        add("wte.weight", [97, 64], 0.1)
        add("wpe.weight", [32, 64], 0.05)
        for layer in 0..<3 {
            for norm in ["ln_1", "ln_2"] {
                add("h.\(layer).\(norm).weight", [64], 0.2, around: 1)
                add("h.\(layer).\(norm).bias", [64], 0.1)
            }
            for (module, inputs, outputs) in [
                ("attn.c_attn", 64, 192), ("attn.c_proj", 64, 64), ("mlp.c_fc", 64, 256), ("mlp.c_proj", 256, 64),
            ] {
                add("h.\(layer).\(module).weight", [inputs, outputs], 0.1)
                add("h.\(layer).\(module).bias", [outputs], 0.05)
            }
        }
        add("ln_f.weight", [64], 0.2, around: 1)
        add("ln_f.bias", [64], 0.1)
        return weights
    }

    static func madeUpSide(_ weights: MemoryCheckpoint) throws -> ComparisonSide {
        try ComparisonSide(weights, configuration: madeUpConfiguration, name: "made up")
    }

    static func madeUpTokens(padded: Bool = false) throws -> TokenBatch {
        var numbers = SeededRandom(seed: 11)
        let ids = (0..<5).map { _ in (0..<24).map { _ in numbers.next(below: 97) } }
        let mask = (0..<5).map { row in (0..<24).map { $0 < row || $0 > 20 + row ? 0 : 1 } }
        return try TokenBatch(inputIDs: ids, attentionMask: padded ? mask : nil)
    }
}

extension Comparison {
    /// Runs a comparison over tokens.
    static func result(
        _ a: ComparisonSide, _ b: ComparisonSide, _ tokens: TokenBatch?,
        _ change: (inout ComparisonOptions) -> Void = { _ in }
    ) throws -> ComparisonResult {
        var options = ComparisonOptions(threads: 2)
        options.tokens = tokens
        change(&options)
        return try Comparison(a, b, options).run()
    }
}

extension MemoryCheckpoint {
    /// Packs the linear weights of a GPT-2 as compressed-tensors does, rounded to nearest, the range of a group cut to a
    /// part of itself.
    func quantized(
        bits: Int, groupSize: Int?, clip: Float = 1, scales change: (String, inout [Float]) -> Void = { _, _ in }
    ) -> MemoryCheckpoint {
        var result = self
        for info in contents.tensors where info.shape.rank == 2 && info.name.hasPrefix("h.") {
            let inputs = info.shape.dimensions[0]
            let outputs = info.shape.dimensions[1]
            let group = groupSize ?? inputs
            let values = self[info.name]
            var codes = [Int](repeating: 0, count: inputs * outputs)
            var scales: [Float] = []
            let limit = Float(1 << (bits - 1))
            for output in 0..<outputs {
                for first in stride(from: 0, to: inputs, by: group) {
                    let members = (first..<first + group).map { values[$0 * outputs + output] }
                    let scale = members.map { abs($0) }.max()! * clip / (limit - 0.5)
                    scales.append(scale)
                    for (offset, member) in members.enumerated() {
                        codes[output * inputs + first + offset] = Int(
                            min(limit - 1, max(-limit, (member / scale).rounded(.toNearestOrEven))))
                    }
                }
            }
            change(info.name, &scales)
            result.remove(info.name)
            let module = info.name.dropLast(".weight".count)
            let perWord = 32 / bits
            let words = (0..<outputs).flatMap { output in
                stride(from: 0, to: inputs, by: perWord).map { first in
                    (0..<perWord).reduce(UInt32(0)) {
                        $0 | UInt32(codes[output * inputs + first + $1] + (1 << (bits - 1))) << UInt32($1 * bits)
                    }
                }
            }
            result.set(
                module + ".weight_packed", .i32, [outputs, words.count / outputs], words.withUnsafeBytes { Array($0) })
            result.set(
                module + ".weight_scale", .f32, [outputs, inputs / group], scales.withUnsafeBytes { Array($0) })
            result.set(
                module + ".weight_shape", .i64, [2], [Int64(outputs), Int64(inputs)].withUnsafeBytes { Array($0) })
        }
        return result
    }
}
