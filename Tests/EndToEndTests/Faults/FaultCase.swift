import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// A run of `assay` that writes something, in a folder of its own, small enough to be done hundreds of times.
struct FaultCase: Sendable, CustomTestStringConvertible {
    let name: String
    /// Paths begin with "@".
    let arguments: [String]
    /// What it makes, or changes.
    let destination: String
    let isFolder: Bool
    /// Runs before it.
    let preparations: [[String]]
    var threads = 1
    /// Orders under which it always runs: what the file system lacks.
    var lacks: [String] = []
    var testDescription: String { name }
    var isInPlace: Bool { arguments.contains("--in-place") }
    /// Whether a run that ended early leaves something to go on with.
    var isResumed: Bool { arguments.contains("--resume") }

    init(
        _ name: String, _ arguments: [String], _ destination: String, isFolder: Bool = false, after: [[String]] = []
    ) {
        self.name = name
        self.arguments = arguments
        self.destination = destination
        self.isFolder = isFolder
        preparations = after
    }

    static let toEveryFormat = [
        "safetensors", "bin", "h5", "zplanes", "gguf", "npz", "zt", "safetensors.zst",
    ].map { FaultCase("to \($0)", ["convert", "@/a.safetensors", "@/b.\($0)"], "b.\($0)") }

    static let others = [
        FaultCase(
            "from h5", ["convert", "@/b.h5", "@/c.npz"], "c.npz", after: [["convert", "@/a.safetensors", "@/b.h5"]]),
        FaultCase(
            "from zplanes", ["convert", "@/b.zplanes", "@/c.gguf"], "c.gguf",
            after: [["convert", "@/a.safetensors", "@/b.zplanes"]]),
        FaultCase(
            "over a file", ["convert", "@/a.safetensors", "@/b.safetensors", "--overwrite"], "b.safetensors",
            after: [["convert", "@/a.safetensors", "@/b.safetensors", "--dtype", "f16"]]),
        FaultCase(
            "from gguf", ["convert", "@/b.gguf", "@/c.gguf"], "c.gguf",
            after: [["quantize", "@/a.safetensors", "@/b.gguf", "--scheme", "q8_0", "--include", "*"]]),
        FaultCase(
            "quantize", ["quantize", "@/a.safetensors", "@/b.safetensors", "--scheme", "int8", "--include", "*"],
            "b.safetensors"),
        FaultCase(
            "quantize to blocks", ["quantize", "@/a.safetensors", "@/b.gguf", "--scheme", "q8_0", "--include", "*"],
            "b.gguf"),
        FaultCase(
            "in place", ["convert", "@/b.safetensors", "--in-place", "--set-metadata", "note=second"], "b.safetensors",
            after: [["convert", "@/a.safetensors", "@/b.safetensors"]]),
    ]

    /// On a file system that cannot exchange two names.
    private static func withoutExchange(_ fault: FaultCase) -> FaultCase {
        var lacking = FaultCase(
            fault.name + ", no exchange", fault.arguments, fault.destination, isFolder: fault.isFolder,
            after: fault.preparations)
        lacking.lacks = ["exchange=fail \(Errno.invalidArgument.rawValue)"]
        return lacking
    }

    static let lacking = [others[2], folders[2]].map(withoutExchange)

    static let folders = [
        FaultCase("a folder", ["convert", "@/m", "@/n"], "n", isFolder: true),
        FaultCase("shards", ["convert", "@/m", "@/n", "--shard-size", "1kB"], "n", isFolder: true),
        FaultCase(
            "over a folder", ["convert", "@/m", "@/n", "--overwrite"], "n", isFolder: true,
            after: [["convert", "@/m", "@/n", "--exclude", "b.*"]]),
    ]

    static let resumed = FaultCase(
        "shards, resumed", ["convert", "@/m", "@/n", "--shard-size", "1kB", "--resume"], "n", isFolder: true)

    static let all = toEveryFormat + others + folders + lacking
    /// One of each way to take a place.
    static let some = [toEveryFormat[3], others[2]] + others.suffix(1) + folders.suffix(2) + lacking

    // MARK: The folder

    /// Makes the folder as it is before the run.
    func prepare() throws -> TemporaryFolder {
        let work = try TemporaryFolder()
        try work.write("a.safetensors", Self.weights)
        if isFolder { try Self.makeModel(work.path.appending("m")) }
        for preparation in preparations {
            try #require(try AssayTool.run(words(preparation, work)).exitCode == 0)
        }
        return work
    }

    /// Three tensors, not in the order of their names, and a header with room.
    private static let weights: [UInt8] = {
        var random = SeededRandom(seed: 5)
        let data = random.floats(4 * 64 + 64 + 2 * 32, 1).withUnsafeBytes { Array($0) }
        let header =
            #"{"__metadata__":{"note":"first"},"c.weight":{"dtype":"F32","shape":[4,64],"data_offsets":[0,1024]},"#
            + #""b.weight":{"dtype":"F32","shape":[64],"data_offsets":[1024,1280]},"#
            + #""a.weight":{"dtype":"F32","shape":[2,32],"data_offsets":[1280,1536]}}"#
        return SafetensorsBytes.file(header + String(repeating: " ", count: 60), data: data)
    }()

    /// A model folder with a module in it.
    private static func makeModel(_ folder: FilePath) throws {
        try SystemCall.makeFolder(folder)
        try SystemCall.makeFolder(folder.appending("1_Pooling"))
        try TestFiles.write(weights, to: folder.appending("model.safetensors"))
        try TestFiles.write(Array("{}".utf8), to: folder.appending("config.json"))
        try TestFiles.write(Array("{}".utf8), to: folder.appending("1_Pooling").appending("config.json"))
    }

    private func words(_ arguments: [String], _ work: TemporaryFolder) -> [String] {
        arguments.map { $0.hasPrefix("@") ? work.path.string + $0.dropFirst() : $0 } + ["--threads", "\(threads)"]
    }

    /// - Parameter orders: what is to go wrong.
    func start(
        _ work: TemporaryFolder, _ orders: [String] = [], log: FilePath? = nil, inChild: Bool = false
    ) throws -> AssayTool.Running {
        try AssayTool.start(
            words(arguments, work),
            environment: FaultLibrary.environment(under: work.path, lacks + orders, log: log, inChild: inChild))
    }

    func run(
        _ work: TemporaryFolder, _ orders: [String] = [], log: FilePath? = nil, inChild: Bool = false
    ) throws -> AssayTool.Outcome {
        try start(work, orders, log: log, inChild: inChild).wait()
    }

    // MARK: What may lie there

    private var certificate: String? { isFolder ? nil : destination + ".certificate.json" }

    /// What is wrong with a folder after a run that ended early: nil where the destination is what it was, or complete, no
    /// certificate lies beside what it does not speak of, and all else is as it was.
    func fault(in state: FolderState, before: FolderState, after: FolderState) -> String? {
        var state = state.withPrevious(destination).withoutTemporaries
        if isInPlace { state = withOldHeader(state) }
        let own = [destination] + (certificate.map { [$0] } ?? [])
        let strange = state.without(own).differences(from: before.without(own))
        if !strange.isEmpty { return "changed or left: \(strange)" }
        for whole in [before, after] where state.part(destination) == whole.part(destination) {
            guard let certificate, let found = state.entries[certificate] else { return nil }
            if found == whole.entries[certificate] { return nil }
        }
        return "neither old nor new: \(state.differences(from: before)) and \(state.differences(from: after))"
    }

    /// What is wrong with going on where a run ended early, as far as that can be done.
    func faultGoingOn(in work: TemporaryFolder, after: FolderState) throws -> String? {
        guard isResumed else { return nil }
        let outcome = try run(work)
        let state = try FolderState(of: work.path)
        // Where all was done, and what was kept is no longer there, the destination is in the way.
        let isDone = outcome.exitCode == 64 && outcome.errors.contains("exists already")
        return (outcome.exitCode == 0 || isDone) && state == after
            ? nil : "going on: exit code \(outcome.exitCode), \(state.differences(from: after)) \(outcome.errors)"
    }

    /// The folder after the old header was put back that an interrupted change left, as the refusal of such a file says.
    private func withOldHeader(_ state: FolderState) -> FolderState {
        guard case .file(let header) = state.entries[destination + ".old-header"],
            case .file(let bytes) = state.entries[destination]
        else { return state }
        var state = state.without([destination + ".old-header"])
        state.entries[destination] = .file(header + bytes.dropFirst(header.count))
        return state
    }
}
