import AssayCheckpoints

/// A value on the stack of a pickle. Containers lie in the heap and are named by their position there, so that nothing
/// is nested in memory, whatever the pickle nests.
enum PickleValue: Sendable {
    case none
    case bool(Bool)
    case int(Int)
    /// An integer of more than 64 bits: little-endian, two's complement.
    case long([UInt8])
    case float(Double)
    case text(String)
    case bytes([UInt8])
    case global(TorchGlobal)
    case numpyType(String)
    case tuple(Int)
    case list(Int)
    case dictionary(Int)
    case storage(Int)
    case tensor(Int)

    /// For messages: "a list".
    var kind: String {
        switch self {
        case .none: "None"
        case .bool: "a boolean"
        case .int, .long: "an integer"
        case .float: "a number"
        case .text(let text): "the text '\(text.prefix(40).description.escapedForDisplay)'"
        case .bytes: "bytes"
        case .global(let global): "the global \(global)"
        case .numpyType: "a NumPy type"
        case .tuple: "a tuple"
        case .list: "a list"
        case .dictionary: "a dictionary"
        case .storage: "a storage"
        case .tensor: "a tensor"
        }
    }

    var int: Int? { if case .int(let value) = self { value } else { nil } }
    var text: String? { if case .text(let value) = self { value } else { nil } }
}

/// What a pickle built.
struct PickleHeap: Sendable {
    struct Dictionary: Sendable {
        var pairs: [(key: PickleValue, value: PickleValue)] = []
        /// An `OrderedDict`, which may carry attributes; they are passed over.
        var isOrdered = false
    }

    /// Tuples and lists.
    var sequences: [[PickleValue]] = []
    var dictionaries: [Dictionary] = []
    var storages: [TorchStorage] = []
    var tensors: [TorchTensor] = []

    mutating func tuple(_ items: [PickleValue]) -> PickleValue {
        sequences.append(items)
        return .tuple(sequences.count - 1)
    }

    mutating func list(_ items: [PickleValue]) -> PickleValue {
        sequences.append(items)
        return .list(sequences.count - 1)
    }

    mutating func dictionary(_ pairs: [(key: PickleValue, value: PickleValue)], isOrdered: Bool = false) -> PickleValue
    {
        dictionaries.append(Dictionary(pairs: pairs, isOrdered: isOrdered))
        return .dictionary(dictionaries.count - 1)
    }

    /// The items or bytes of a value.
    func size(of value: PickleValue) -> Int {
        switch value {
        case .tuple(let position), .list(let position): sequences[position].count
        case .text(let text), .numpyType(let text): text.utf8.count
        case .bytes(let bytes), .long(let bytes): bytes.count
        default: 1
        }
    }

    /// The items of a tuple, or nil.
    func tuple(_ value: PickleValue) -> [PickleValue]? {
        if case .tuple(let position) = value { sequences[position] } else { nil }
    }

    /// The integers of a tuple of nothing else, or nil.
    func integers(_ value: PickleValue) -> [Int]? {
        guard let items = tuple(value) else { return nil }
        let numbers = items.compactMap(\.int)
        return numbers.count == items.count ? numbers : nil
    }
}
