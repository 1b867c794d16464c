import AssayCheckpoints
import SystemPackage

/// The tree that transformers' `model_addition_debugger_context` writes of a forward pass: every module in the order of the
/// calls, with what it was given and what it gave, each tensor in a file of its own beside the tree.
///
/// The page `formats/captures.md` says how values are named here.
///
/// - Source: `model_debugging_utils.py` of transformers 5.
struct DebugTree {
    static let fileSuffix = "_debug_tree_FULL_TENSORS.json"
    static let maximumByteCount = 64 << 20
    /// Stands beside it, and holds everything but values.
    private static let summarySuffix = "_debug_tree_SUMMARY.json"

    /// Whether a file is a tree, or the summary of one, which then says what it lacks.
    static func isNamed(_ path: FilePath) -> Bool {
        [fileSuffix, summarySuffix].contains { path.string.hasSuffix($0) }
    }

    /// A tensor of the forward pass.
    struct Value {
        /// "model.layers.0.mlp.output"
        var name: String
        /// Beside the tree.
        var fileName: String
        /// As PyTorch writes it: "torch.Size([2, 7])".
        var shape: String
    }

    /// In the order of the forward pass.
    private(set) var values: [Value] = []
    private let path: FilePath
    private var names = NameSet()

    /// - Throws: `CheckpointError` where the file is no such tree, or holds printed values.
    init(of file: InputFile) throws {
        path = file.path
        let value = try JSONValue(reading: file, "a debug tree", atMost: Self.maximumByteCount)
        guard let root = value.object, root["module_path"]?.string != nil else {
            throw CheckpointError(
                path, .file, expected: "the tree of a forward pass, an object with 'module_path'", found: value.kind)
        }
        var calls = Calls()
        try count(root, isRoot: true, &calls)
        try visit(root, isRoot: true, &calls)
    }

    // MARK: Modules

    /// How often modules are called: files are named by modules, so that the values of the last call alone are there.
    private struct Calls {
        var total = NameMap<Int>()
        var done = NameMap<Int>()

        static func next(_ calls: inout NameMap<Int>, _ module: String) -> Int {
            let number = (calls[module] ?? 0) + 1
            calls[module] = number
            return number
        }
    }

    private func count(_ node: JSONObject, isRoot: Bool, _ calls: inout Calls) throws {
        _ = Calls.next(&calls.total, try module(of: node, isRoot: isRoot))
        for child in try children(of: node) { try count(child, isRoot: false, &calls) }
    }

    /// What goes in stands before the modules inside, what comes out behind them.
    private mutating func visit(_ node: JSONObject, isRoot: Bool, _ calls: inout Calls) throws {
        let module = try module(of: node, isRoot: isRoot)
        let (number, total) = (Calls.next(&calls.done, module), calls.total[module] ?? 1)
        let stem = isRoot ? "" : module + (total > 1 ? "@\(total)." : ".")
        if isRoot {
            try add(inputs: node["inputs"])
        } else if number == total {
            try add(node["inputs"], as: stem + "input", of: module)
        }
        for child in try children(of: node) { try visit(child, isRoot: false, &calls) }
        if number == total { try add(node["outputs"], as: stem + "output", of: isRoot ? "the model" : module) }
    }

    /// The path within the model: what stands behind the class of the model and a point; empty for the model itself.
    private func module(of node: JSONObject, isRoot: Bool) throws(CheckpointError) -> String {
        guard let name = node["module_path"]?.string else {
            throw error("module_path", "the name of a module", node["module_path"]?.kind ?? "none")
        }
        if isRoot { return "" }
        guard let point = name.utf8.firstIndex(of: UInt8(ascii: ".")), name.utf8.index(after: point) < name.endIndex
        else { throw error("module_path", "a module within a class, CLASS.MODULE", "'\(name.escapedForDisplay)'") }
        return String(name[name.utf8.index(after: point)...])
    }

    private func children(of node: JSONObject) throws(CheckpointError) -> [JSONObject] {
        guard let value = node["children"] else { return [] }
        guard let list = value.array else { throw error("children", "a list of modules", value.kind) }
        var children: [JSONObject] = []
        for child in list {
            guard let object = child.object else { throw error("children", "a list of modules", child.kind) }
            children.append(object)
        }
        return children
    }

    // MARK: Values

    /// Adds what the model itself was given: what came by keyword is called by it.
    private mutating func add(inputs value: JSONValue?) throws(CheckpointError) {
        try add(value?.object?["args"], as: "input", of: "the model")
        for (key, member) in value?.object?["kwargs"]?.object?.members ?? [] {
            try add(member, as: "input.\(key)", of: "the model")
        }
    }

    /// Adds the tensors of a value: the only one under the name, those of a list or object numbered.
    private mutating func add(
        _ value: JSONValue?, as name: String, of module: String
    ) throws(CheckpointError) {
        guard let value else { return }
        if let tensor = try tensor(value, module) { return try add(tensor, as: name) }
        var tensors: [(fileName: String, shape: String)] = []
        try collect(value, module, &tensors)
        for (number, tensor) in tensors.enumerated() { try add(tensor, as: "\(name).\(number)") }
    }

    private mutating func add(_ tensor: (fileName: String, shape: String), as name: String) throws(CheckpointError) {
        guard names.insert(name) else {
            throw error("module_path", "each value once", "'\(name.escapedForDisplay)' again")
        }
        values.append(Value(name: name, fileName: tensor.fileName, shape: tensor.shape))
    }

    private func collect(
        _ value: JSONValue, _ module: String, _ tensors: inout [(fileName: String, shape: String)]
    ) throws(CheckpointError) {
        if let tensor = try tensor(value, module) { return tensors.append(tensor) }
        for member in value.array ?? value.object?.members.map(\.value) ?? [] { try collect(member, module, &tensors) }
    }

    /// - Returns: nil for what is no tensor.
    private func tensor(
        _ value: JSONValue, _ module: String
    ) throws(CheckpointError) -> (fileName: String, shape: String)? {
        guard let object = value.object, let shape = object["shape"]?.string, object["dtype"]?.string != nil else {
            return nil
        }
        guard let text = object["value"]?.string else {
            throw error(
                module, "tensors in files of their own, as use_repr=False of the debugger gives them",
                object["value"] == nil ? "none, as in a summary" : "printed ones, which lack digits and elements")
        }
        let name = text.hasPrefix("./") ? String(text.dropFirst(2)) : ""
        guard !name.isEmpty, name != "..", !name.utf8.contains(where: { $0 == 0 || $0 == UInt8(ascii: "/") }) else {
            throw error(module, "./ and the name of a file beside the tree", "'\(text.escapedForDisplay)'")
        }
        return (name, shape)
    }

    private func error(_ place: String, _ expected: String, _ found: String) -> CheckpointError {
        CheckpointError(path, .part("'\(place.escapedForDisplay)'"), expected: expected, found: found)
    }
}
