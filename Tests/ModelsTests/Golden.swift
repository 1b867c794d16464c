import AssayCheckpoints
import AssayFormats
import AssayModels
import AssayPackings
import AssayTensors
import SystemPackage
import Testing

/// A golden model: its folder holds configuration, weights, tokens and the taps that transformers gave.
struct Golden: Sendable, CustomTestStringConvertible {
    let name: String
    var testDescription: String { name }
    var folder: FilePath { Self.root.appending(name) }

    static let root = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
        .appending("fixtures").appending("golden").appending("models")

    /// Every tiny model that the scripts in `fixtures/make` make: every folder that holds weights.
    static let all: [Golden] = try! SystemCall.names(in: root).filter { name in
        try! ["model.safetensors", "model.safetensors.index.json"].contains {
            try SystemCall.status(root.appending(name).appending($0)) != nil
        }
    }.map(Golden.init)

    static func named(_ name: String) -> Golden { all.first { $0.name == name }! }

    func configuration() throws -> JSONObject {
        let file = try InputFile(folder.appending("config.json"))
        return try #require(JSONValue(parsing: file.bytes(0..<file.byteCount)).object)
    }

    func model(
        editingConfiguration edit: (inout JSONObject) -> Void = { _ in },
        editingWeights: (any CheckpointReader) throws -> any CheckpointReader = { $0 }
    ) throws -> Model {
        var configuration = try configuration()
        edit(&configuration)
        let reader = try editingWeights(Checkpoint.open(weights()).reader)
        return try Model(reader, configuration: configuration, name: name)
    }

    /// The weights: the folder holds other safetensors files, the taps, beside them.
    func weights() throws -> FilePath {
        let index = folder.appending("model.safetensors.index.json")
        return try SystemCall.status(index) == nil ? folder.appending("model.safetensors") : index
    }

    /// The input: token ids, or what is read instead of them.
    func tokens() throws -> TokenBatch {
        guard try SystemCall.status(tensorsOfInput) != nil else {
            return try TokensFile.read(folder.appending("tokens.json"))
        }
        return try TokenBatch(Checkpoint.open(tensorsOfInput).reader, source: tensorsOfInput)
    }

    var tensorsOfInput: FilePath { folder.appending("tokens.safetensors") }

    /// The taps of transformers, in float64 numbers.
    func taps(_ file: String) throws -> [String: [Double]] { try Self.taps(folder.appending(file)) }

    static func taps(_ path: FilePath) throws -> [String: [Double]] {
        let reader = try Checkpoint.open(path).reader
        var taps: [String: [Double]] = [:]
        for (index, info) in reader.contents.tensors.enumerated() {
            let count = info.shape.elementCount
            if info.elementType == .f64 {
                var values = [Double](repeating: 0, count: count)
                try values.withUnsafeMutableBytes { try reader.read(index, 0..<info.byteCount, into: $0) }
                taps[info.name] = values
            } else {
                var values = [Float](repeating: 0, count: count)
                try values.withUnsafeMutableBytes { try reader.read(index, 0..<info.byteCount, into: $0) }
                taps[info.name] = values.map(Double.init)
            }
        }
        return taps
    }
}

/// What a run showed: every tap's name, shape and bytes, in order.
struct Trace: Equatable {
    struct Tap: Equatable {
        var name: String
        var shape: [Int]
        var precision: Precision
        var bytes: [UInt8]

        var values: [Double] {
            bytes.withUnsafeBytes { bytes in
                precision == .float64
                    ? Array(bytes.bindMemory(to: Double.self)) : bytes.bindMemory(to: Float.self).map(Double.init)
            }
        }
    }

    var taps: [Tap] = []

    init(_ runner: BlockRunner, taps pattern: TapPattern = .everything) throws {
        var taps: [Tap] = []
        try ForwardPass.run(runner, taps: pattern) { values in
            let precision: Precision = if case .float32 = values.values { .float32 } else { .float64 }
            if values.rows.lowerBound == 0 {
                taps.append(Tap(name: values.tap.name, shape: values.tap.shape, precision: precision, bytes: []))
            }
            taps[taps.count - 1].bytes += values.values.bytes
        }
        self.taps = taps
    }

    init(_ model: Model, _ tokens: TokenBatch, _ settings: RunSettings) throws {
        try self.init(BlockRunner(model, tokens: tokens, settings: settings))
    }

    subscript(name: String) -> Tap? { taps.first { $0.name == name } }

    /// Relative L2 of every tap against the golden, in the order of the run.
    func errors(against golden: [String: [Double]]) -> [(name: String, error: Double)] {
        taps.map { tap in (tap.name, golden[tap.name].map { relativeL2(tap.values, $0) } ?? .infinity) }
    }

    /// The first tap that leaves the tolerance.
    func firstDifference(from golden: [String: [Double]], tolerance: Double) -> String? {
        errors(against: golden).first { !($0.error <= tolerance) }?.name
    }
}

func relativeL2(_ test: [Double], _ reference: [Double]) -> Double {
    guard test.count == reference.count else { return .infinity }
    var difference = 0.0
    var norm = 0.0
    for (t, r) in zip(test, reference) {
        difference += (t - r) * (t - r)
        norm += r * r
    }
    return (difference / norm).squareRoot()
}
