import AssayCheckpoints
import AssayTensors

/// Memory that tensors are views of, as a pickle names it.
struct TorchStorage: Sendable {
    /// Which one, in the file.
    var key: String
    /// nil: bytes.
    var elementType: ElementType?
    /// Elements, as the pickle says.
    var count: Int
    /// Elements before those that this name means, in old files where a storage can be a part of another.
    var first = 0
    /// Elements that this name means; nil for all.
    var partCount: Int?

    var elementByteCount: Int { elementType?.unitByteCount ?? 1 }

    /// Nil where it does not fit 63 bits.
    var byteCount: Int? {
        let (byteCount, overflow) = count.multipliedReportingOverflow(by: elementByteCount)
        return overflow ? nil : byteCount
    }
}

/// A view of a storage.
struct TorchTensor: Sendable {
    /// Position in the heap.
    var storage: Int
    var type: TorchType
    /// All in items of the type, not bytes.
    var offset: Int
    var sizes: [Int]
    var strides: [Int]
}

/// Makes the fault for the operation at hand.
typealias PickleRefusal = (_ expected: String, _ found: String) -> PickleFault

extension PickleHeap {
    /// What a persistent id stands for: `('storage', class, key, device, count[, view])`. The device is passed over.
    mutating func storage(of identifier: PickleValue, _ fault: PickleRefusal) throws -> PickleValue {
        guard let items = tuple(identifier), items.count >= 5, items[0].text == "storage" else {
            throw fault("a reference to a storage", "\(identifier.kind) of another kind")
        }
        guard case .global(.storage(let type)) = items[1], let key = items[2].text, items[3].text != nil,
            let count = items[4].int, count >= 0
        else {
            throw fault("a storage's class, key, device and count", items[1...4].map(\.kind).joined(separator: ", "))
        }
        var storage = TorchStorage(key: key, elementType: type, count: count)
        var partKey: String?
        if items.count > 5, let view = tuple(items[5]) {
            guard view.count == 3, let first = view[1].int, let length = view[2].int, first >= 0, length >= 0,
                first <= count, length <= count - first
            else { throw fault("a part inside the storage of \(count) elements", "another") }
            storage.first = first
            storage.partCount = length
            partKey = view[0].text
        }
        guard let value = self.storage(storage, partKey: partKey) else {
            throw fault("a key for each part and each storage", "one for both")
        }
        return value
    }

    /// What a call of an allowed name gives.
    mutating func call(
        _ global: TorchGlobal, _ arguments: [PickleValue], _ fault: PickleRefusal
    ) throws -> PickleValue {
        func require(_ counts: ClosedRange<Int>) throws {
            guard counts.contains(arguments.count) else {
                throw fault("\(counts.lowerBound) to \(counts.upperBound) arguments of \(global)", "\(arguments.count)")
            }
        }
        switch global {
        case .rebuildTensor:
            try require(4...4)
            return try tensor(arguments, type: nil, fault)
        case .rebuildTensorV2:
            try require(6...7)
            try requireBoolean(arguments[4], fault)
            try refuseBits(arguments.dropFirst(6).first, fault)
            return try tensor(arguments, type: nil, fault)
        case .rebuildTensorV3:
            try require(7...8)
            try requireBoolean(arguments[4], fault)
            try refuseBits(arguments.dropFirst(7).first, fault)
            guard case .global(.elementType(let type)) = arguments[6] else {
                throw fault("an element type that is known", arguments[6].kind)
            }
            return try tensor(arguments, type: type, fault)
        case .rebuildParameter:
            try require(3...3)
            return try parameter(arguments[0], fault)
        case .rebuildParameterWithState:
            try require(4...4)
            return try parameter(arguments[0], fault)
        case .orderedDictionary:
            try require(0...1)
            return try orderedDictionary(arguments.first, fault)
        case .counter:
            try require(0...1)
            guard let counts = arguments.first else { return dictionary() }
            guard case .dictionary = counts else { throw fault("a dictionary of counts", counts.kind) }
            return counts
        case .set:
            try require(0...1)
            guard let items = arguments.first else { return list([]) }
            guard case .list(let position) = items else { throw fault("a list of what is in a set", items.kind) }
            return list(sequences[position])
        case .size:
            try require(1...1)
            guard integers(arguments[0]) != nil else { throw fault("a tuple of integers", arguments[0].kind) }
            return arguments[0]
        case .device:
            try require(1...2)
            guard let name = arguments[0].text else { throw fault("a device's name", arguments[0].kind) }
            return .text(arguments.count == 2 ? "\(name):\(arguments[1].int ?? 0)" : name)
        case .layout:
            try require(1...1)
            guard arguments[0].text != nil else { throw fault("a layout's name", arguments[0].kind) }
            return arguments[0]
        case .byteArray, .complex: return try PlainObject.call(global, arguments, fault)
        case .numpyScalar, .numpyType, .encode:
            return try NumPyScalar.call(global, arguments, fault)
        case .storage, .elementType, .otherType, .tensorClass, .rebuildFromType:
            throw fault("data", "a call of \(global)")
        }
    }

    private func parameter(_ value: PickleValue, _ fault: PickleRefusal) throws -> PickleValue {
        guard case .tensor = value else { throw fault("a tensor as parameter", value.kind) }
        return value
    }

    private mutating func orderedDictionary(_ items: PickleValue?, _ fault: PickleRefusal) throws -> PickleValue {
        guard let items else { return dictionary(isOrdered: true) }
        guard case .list(let position) = items else { throw fault("a list of pairs", items.kind) }
        let pairs = try sequences[position].map { item -> (PickleValue, PickleValue) in
            switch item {
            case .tuple(let position), .list(let position):
                let pair = sequences[position]
                if pair.count == 2 { return (pair[0], pair[1]) }
            default: break
            }
            throw fault("a pair of key and value", item.kind)
        }
        return dictionary(pairs, isOrdered: true)
    }

    /// Whether a gradient is wanted: PyTorch takes nothing else.
    private func requireBoolean(_ value: PickleValue, _ fault: PickleRefusal) throws {
        guard case .bool = value else { throw fault("requires_grad as True or False", value.kind) }
    }

    /// Marks such as "conjugate" or "negative" mean other numbers than those that are stored.
    private func refuseBits(_ metadata: PickleValue?, _ fault: PickleRefusal) throws {
        switch metadata {
        case nil, PickleValue.none?: return
        case .dictionary(let position)? where dictionaries[position].pairs.isEmpty: return
        default: throw fault("a tensor that is stored as it is", "one with marks (conjugate, negative)")
        }
    }

    // MARK: Tensors

    private mutating func tensor(
        _ arguments: [PickleValue], type: TorchType?, _ fault: PickleRefusal
    ) throws -> PickleValue {
        guard case .storage(let position) = arguments[0] else { throw fault("a storage", arguments[0].kind) }
        guard let offset = arguments[1].int, let sizes = integers(arguments[2]), let strides = integers(arguments[3])
        else {
            let kinds = [arguments[1].kind] + arguments[2...3].map { integers($0) == nil ? listing($0) : $0.kind }
            throw fault("an offset, sizes and strides, all of them whole numbers", kinds.joined(separator: ", "))
        }
        guard let type = type ?? storages[position].elementType.flatMap({ TorchType($0) }) else {
            throw fault("a storage of an element type", "one of bytes")
        }
        let tensor = TorchTensor(storage: position, type: type, offset: offset, sizes: sizes, strides: strides)
        try check(tensor, fault)
        return self.tensor(tensor)
    }

    /// What is in a list or tuple of other things than numbers, for messages.
    private func listing(_ value: PickleValue) -> String {
        switch value {
        case .tuple(let position), .list(let position):
            let other = sequences[position].first { $0.int == nil }
            return value.kind + (other.map { " with \($0.kind)" } ?? "")
        default: return value.kind
        }
    }

    /// Requires that every element lies inside the storage.
    private func check(_ tensor: TorchTensor, _ fault: PickleRefusal) throws {
        let (sizes, strides) = (tensor.sizes, tensor.strides)
        guard sizes.count == strides.count, sizes.count <= Shape.maximumRank, tensor.offset >= 0,
            sizes.allSatisfy({ $0 >= 0 }), strides.allSatisfy({ $0 >= 0 })
        else {
            throw fault(
                "as many strides as sizes, at most \(Shape.maximumRank), none of them negative",
                "\(sizes.prefix(8)) and \(strides.prefix(8)) from \(tensor.offset) on")
        }
        if sizes.contains(0) { return }
        let storage = storages[tensor.storage]
        guard let byteCount = storage.byteCount else { throw fault("a storage that fits 63 bits", "\(storage.count)") }
        // No more elements are skipped, and no more are in a part, than there are.
        let room =
            (storage.partCount.map { $0 * storage.elementByteCount } ?? byteCount)
            / tensor.type.elementType.unitByteCount
        var last = tensor.offset
        for (size, stride) in zip(sizes, strides) {
            let step = (size - 1).multipliedReportingOverflow(by: stride)
            let next = last.addingReportingOverflow(step.partialValue)
            guard !step.overflow, !next.overflow else {
                throw fault("a tensor inside its storage", "strides beyond it")
            }
            last = next.partialValue
        }
        guard last < room else {
            throw fault(
                "a tensor inside its storage of \(room) elements",
                "one whose last element is number \(last)")
        }
    }
}
