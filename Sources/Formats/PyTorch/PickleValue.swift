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

    var isPlain: Bool {
        switch self {
        case .none, .bool, .int, .long, .float, .text: true
        default: false
        }
    }

    var int: Int? { if case .int(let value) = self { value } else { nil } }
    var text: String? { if case .text(let value) = self { value } else { nil } }
}

/// What a pickle built.
struct PickleHeap: Sendable {
    struct Dictionary: Sendable {
        /// In the order in which their keys were first set.
        private(set) var pairs: [(key: PickleValue, value: PickleValue)] = []
        /// An `OrderedDict`, which may carry attributes; they are passed over.
        var isOrdered = false
        private var positions: [Key: Int] = [:]

        /// A key that counts as one. Others are refused where their dictionary is looked at.
        enum Key: Hashable {
            case none
            case text(ExactName)
            case int(Int)
            case float(Double)
            case bytes(Bytes)
            case tuple([Key])

            /// Bytes that are hashed as a whole, not one by one.
            struct Bytes: Hashable {
                let bytes: [UInt8]

                func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }
            }

            /// 1, 1.0 and True are one key, as in Python.
            init?(_ value: PickleValue) {
                switch value {
                case .none: self = .none
                case .text(let text): self = .text(ExactName(text))
                case .int(let number): self = .int(number)
                case .bool(let value): self = .int(value ? 1 : 0)
                case .float(let number): self = Int(exactly: number).map { .int($0) } ?? .float(number)
                case .bytes(let bytes): self = .bytes(Bytes(bytes: bytes))
                default: return nil
                }
            }
        }

        init(isOrdered: Bool) { self.isOrdered = isOrdered }

        /// A key that is there gets another value and keeps its place, as in Python.
        ///
        /// - Parameter known: as what the key counts; nil where it counts as itself alone.
        mutating func set(_ key: PickleValue, _ known: Key?, to value: PickleValue) {
            if let known {
                if let position = positions[known] { return pairs[position].value = value }
                positions[known] = pairs.count
            }
            pairs.append((key, value))
        }
    }

    /// Tuples and lists.
    private(set) var sequences: [[PickleValue]] = []
    private(set) var dictionaries: [Dictionary] = []
    private(set) var storages: [TorchStorage] = []
    private(set) var tensors: [TorchTensor] = []
    /// The storages that are parts of others, by their own keys.
    private var parts = NameMap<Int>()
    /// The keys of those that are not.
    private var wholeKeys = NameSet()
    /// What tensors had beside their values, by their positions.
    private var attributes: [Int: PickleValue] = [:]
    /// Bytes of the keys that were set in dictionaries, each time anew.
    private(set) var keyByteCount = 0
    /// What all of this takes, in values on the stack.
    private(set) var valueCount = 0

    mutating func tuple(_ items: [PickleValue]) -> PickleValue {
        append(items)
        return .tuple(sequences.count - 1)
    }

    mutating func list(_ items: [PickleValue]) -> PickleValue {
        append(items)
        return .list(sequences.count - 1)
    }

    private mutating func append(_ items: [PickleValue]) {
        sequences.append(items)
        valueCount += items.count + 1
    }

    mutating func append(_ items: [PickleValue], toList position: Int) {
        sequences[position] += items
        valueCount += items.count
    }

    mutating func dictionary(
        _ pairs: [(key: PickleValue, value: PickleValue)] = [], isOrdered: Bool = false
    ) -> PickleValue {
        dictionaries.append(Dictionary(isOrdered: isOrdered))
        valueCount += 1
        for (key, value) in pairs { set(key, to: value, inDictionary: dictionaries.count - 1) }
        return .dictionary(dictionaries.count - 1)
    }

    /// Notes attributes of a tensor: a dictionary, or that and one of slots.
    mutating func setAttributes(_ state: PickleValue, of tensor: PickleValue) {
        if case .tensor(let position) = tensor { attributes[position] = state }
    }

    /// The names of a tensor's attributes that are more than a number, a truth value or text.
    func attributeNames(ofTensor position: Int) -> [String] {
        guard let state = attributes[position] else { return [] }
        let states = tuple(state) ?? [state]
        return states.prefix(2).flatMap { state -> [String] in
            guard case .dictionary(let position) = state else { return [] }
            return dictionaries[position].pairs.filter { !$0.value.isPlain }.compactMap { name(ofKey: $0.key) }
        }
    }

    /// Bytes that are looked at to find a key.
    func byteCount(ofKey key: PickleValue) -> Int {
        guard case .tuple(let position) = key else { return size(of: key) }
        return sequences[position].prefix(Self.maximumKeyCount).reduce(0) { $0 + size(of: $1) }
    }

    /// The same of a list of pairs.
    func byteCount(ofKeysIn pairs: PickleValue) -> Int {
        guard case .list(let position) = pairs else { return 0 }
        return sequences[position].reduce(0) { sum, pair in
            switch pair {
            case .tuple(let position), .list(let position):
                sum + (sequences[position].first.map { byteCount(ofKey: $0) } ?? 0)
            default: sum
            }
        }
    }

    mutating func set(_ key: PickleValue, to value: PickleValue, inDictionary position: Int) {
        keyByteCount += byteCount(ofKey: key)
        dictionaries[position].set(key, self.key(key), to: value)
        valueCount += 4
    }

    /// The most items of a tuple that is a key.
    private static let maximumKeyCount = 16

    /// What a value counts as among the keys of a dictionary; nil for what is no key of one that is looked at.
    private func key(_ value: PickleValue) -> Dictionary.Key? {
        guard case .tuple(let position) = value else { return Dictionary.Key(value) }
        guard sequences[position].count <= Self.maximumKeyCount else { return nil }
        let keys = sequences[position].compactMap { Dictionary.Key($0) }
        return keys.count == sequences[position].count ? .tuple(keys) : nil
    }

    /// The name that a key gives: text as it is, all else much as Python shows it; nil where it cannot be a name.
    func name(ofKey value: PickleValue) -> String? {
        guard key(value) != nil else { return nil }
        switch value {
        case .none: return "None"
        case .bool(let value): return value ? "True" : "False"
        case .int(let number): return String(number)
        case .float(let number): return "\(number)"
        case .text(let text): return text
        case .bytes(let bytes): return String(validating: bytes, as: UTF8.self) ?? bytes.hexadecimal
        case .tuple(let position):
            let names = sequences[position].compactMap { item in
                item.text.map { "'\($0)'" } ?? name(ofKey: item)
            }
            return "(" + names.joined(separator: ", ") + (names.count == 1 ? ",)" : ")")
        default: return nil
        }
    }

    /// A storage, or a part of it by a key of its own: what that key stood for first, as PyTorch takes it.
    ///
    /// - Returns: nil where a key is a storage's and a part's, of which PyTorch would take one.
    mutating func storage(_ storage: TorchStorage, partKey: String?) -> PickleValue? {
        _ = wholeKeys.insert(storage.key)
        guard parts[storage.key] == nil else { return nil }
        if let partKey {
            guard !wholeKeys.contains(partKey) else { return nil }
            if let known = parts[partKey] { return .storage(known) }
            parts[partKey] = storages.count
            valueCount += 4
        }
        storages.append(storage)
        valueCount += 2
        return .storage(storages.count - 1)
    }

    mutating func tensor(_ tensor: TorchTensor) -> PickleValue {
        tensors.append(tensor)
        valueCount += 6
        return .tensor(tensors.count - 1)
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

/// What a pickle memorized, by numbers: nearly always those from 0 on, in order.
struct PickleMemo: Sendable {
    private var values: [PickleValue] = []
    /// Those of other numbers.
    private var others: [Int: PickleValue] = [:]

    var count: Int { values.count + others.count }

    subscript(index: Int) -> PickleValue? {
        get { index < values.count ? values[index] : others[index] }
        set {
            if index < values.count, let newValue {
                values[index] = newValue
            } else if index == values.count, others.isEmpty, let newValue {
                values.append(newValue)
            } else {
                others[index] = newValue
            }
        }
    }
}
