import AssayCheckpoints
import AssayTensors

/// The tensors and the other leaves of what a pickle built, by names.
///
/// A name is the keys on the way, joined by dots: text as it is, other keys as Python shows them, positions in lists and tuples from
/// 0 on. Text, numbers, truth values, `None`, and lists of them alone become metadata; what is left is named.
struct TorchContents {
    private(set) var tensors: [(name: String, tensor: TorchTensor)] = []
    private(set) var metadata: [(key: String, value: String)] = []
    /// Leaves that are no text and no number, and attributes of tensors that are neither.
    private(set) var left: [String] = []

    /// More than any program nests.
    private static let maximumDepth = 100

    private let heap: PickleHeap
    private var names = NameSet()
    /// What may still be visited: containers that stand in several places could multiply without end.
    private var visitsLeft: Int
    private var nameBytesLeft: Int

    private struct Level {
        var name: String
        var isSequence: Bool
        var container: Int
        var position = 0
    }

    /// - Parameters:
    ///   - rootName: of a tensor that stands alone.
    ///   - pickleByteCount: bounds the work.
    /// - Throws: `PickleFault`.
    init(_ root: PickleValue, _ heap: PickleHeap, rootName: String, pickleByteCount: Int) throws {
        self.heap = heap
        visitsLeft = pickleByteCount
        nameBytesLeft = pickleByteCount.multipliedReportingOverflow(by: 32).partialValue + 1 << 20
        if case .tensor(let position) = root {
            tensors.append((rootName, heap.tensors[position]))
            left = heap.attributeNames(ofTensor: position).map { "\(rootName).\($0)" }
            return
        }
        guard var levels = level(of: root, name: "").map({ [$0] }) else {
            throw Self.fault("tensors by names", root.kind)
        }
        while let level = levels.last {
            guard let (key, value) = try next(level) else {
                levels.removeLast()
                continue
            }
            levels[levels.count - 1].position += 1
            let name = level.name.isEmpty && levels.count == 1 ? key : "\(level.name).\(key)"
            guard let deeper = try take(value, name: name) else { continue }
            guard levels.count < Self.maximumDepth,
                !levels.contains(where: { $0.container == deeper.container && $0.isSequence == deeper.isSequence })
            else {
                throw Self.fault(
                    "at most \(Self.maximumDepth) levels of containers",
                    "more at '\(name.prefix(60).description.escapedForDisplay)', or one that holds itself")
            }
            levels.append(deeper)
        }
    }

    private static func fault(_ expected: String, _ found: String) -> PickleFault {
        PickleFault(offset: 0, expected: expected, found: found)
    }

    private func level(of value: PickleValue, name: String) -> Level? {
        switch value {
        case .tuple(let position), .list(let position): Level(name: name, isSequence: true, container: position)
        case .dictionary(let position): Level(name: name, isSequence: false, container: position)
        default: nil
        }
    }

    private mutating func next(_ level: Level) throws -> (key: String, value: PickleValue)? {
        if level.isSequence {
            let items = heap.sequences[level.container]
            return level.position < items.count ? (String(level.position), items[level.position]) : nil
        }
        let pairs = heap.dictionaries[level.container].pairs
        guard level.position < pairs.count else { return nil }
        let (key, value) = pairs[level.position]
        guard let name = heap.name(ofKey: key) else {
            let place = level.name.isEmpty ? "the outermost dictionary" : "'\(level.name.escapedForDisplay)'"
            throw Self.fault("keys that are text, numbers of 64 bits or tuples of such in \(place)", key.kind)
        }
        return (name, value)
    }

    /// Takes a leaf.
    ///
    /// - Returns: a container to walk into, or nil.
    private mutating func take(_ value: PickleValue, name: String) throws -> Level? {
        visitsLeft -= 1
        nameBytesLeft -= name.utf8.count
        guard visitsLeft >= 0, nameBytesLeft >= 0 else {
            throw Self.fault("as many values as the pickle has bytes", "more, by containers that stand in many places")
        }
        if case .tensor(let position) = value {
            guard names.insert(name) else {
                throw Self.fault("each name once", "two tensors with the name '\(name.escapedForDisplay)'")
            }
            tensors.append((name, heap.tensors[position]))
            left += heap.attributeNames(ofTensor: position).map { "\(name).\($0)" }
            return nil
        }
        if let text = text(of: value) {
            // One text may stand in many places.
            nameBytesLeft -= text.utf8.count
            metadata.append((name, text))
            return nil
        }
        if let level = level(of: value, name: name) { return level }
        left.append(name)
        return nil
    }

    /// A leaf as metadata: text as it is, all else as JSON.
    private mutating func text(of value: PickleValue) -> String? {
        if case .text(let text) = value { return text }
        if let scalar = Self.json(value) { return scalar.compactText }
        switch value {
        case .global(.elementType(let type)): return "torch.\(type.name)"
        case .global(.otherType(let name)): return name
        case .list(let position), .tuple(let position):
            let items = heap.sequences[position].map { item -> JSONValue? in
                if case .text(let text) = item { .string(text) } else { Self.json(item) }
            }
            let known = items.compactMap { $0 }
            guard known.count == items.count else { return nil }
            visitsLeft -= items.count
            return JSONValue.array(known).compactText
        default: return nil
        }
    }

    private static func json(_ value: PickleValue) -> JSONValue? {
        switch value {
        case .none: .null
        case .bool(let value): .bool(value)
        case .int(let value): JSONValue(value)
        case .float(let value): JSONValue(value)
        default: nil
        }
    }
}
