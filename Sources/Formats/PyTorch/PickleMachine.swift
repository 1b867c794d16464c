import AssayCheckpoints

/// Interprets a pickle. It knows the operations that make plain data and the few names that stand for tensors
/// (`TorchGlobal`); everything else is refused by name. It builds values of its own and calls nothing, so that no file
/// can make it run anything.
///
/// Work and memory are bounded by the bytes of the pickle.
struct PickleMachine {
    private(set) var heap = PickleHeap()
    private(set) var stream: PickleStream
    private var stack: [PickleValue] = []
    private var marks: [Int] = []
    private var memo = PickleMemo()
    /// Where the operation at hand begins.
    private var offset = 0

    /// What calls may still look at and copy: what was memorized can be handed to one after the other.
    private var argumentsLeft: Int
    private static let freeArguments = 1 << 16

    init(_ stream: PickleStream) {
        self.stream = stream
        argumentsLeft = 2 * stream.byteCount + Self.freeArguments
    }

    /// Bytes of keys that may be looked at for each of the pickle: names stand in several dictionaries.
    private static let keyBytesPerByte = 16
    private static let freeKeyByteCount = 1 << 20

    private func requireKeyBytes(_ more: Int) throws {
        let limit = Self.keyBytesPerByte * stream.byteCount + Self.freeKeyByteCount
        guard heap.keyByteCount + more <= limit else {
            throw fault("keys of at most \(limit) bytes in all", "more, the same ones many times over")
        }
    }

    /// Runs one pickle to its end.
    ///
    /// - Returns: what it stands for; containers are in `heap`.
    /// - Throws: `PickleFault`.
    mutating func run() throws -> PickleValue {
        stack = []
        marks = []
        memo = PickleMemo()
        while true {
            offset = stream.position
            let code = try stream.byte()
            guard let operation = Operation(rawValue: code) else {
                throw fault("an operation of a pickle", Self.name(code))
            }
            if operation == .stop { break }
            try perform(operation)
            guard stack.count + memo.count + heap.valueCount <= stream.maximumValueCount else {
                throw fault("at most \(stream.maximumValueCount) values", "more")
            }
        }
        let result = try pop()
        guard stack.isEmpty, marks.isEmpty else { throw fault("one value at the end", "more on the stack") }
        return result
    }

    /// The operations that are understood, by their codes.
    enum Operation: UInt8 {
        case proto = 0x80, frame = 0x95, stop = 0x2E
        case mark = 0x28, pop = 0x30, popMark = 0x31, dup = 0x32
        case none = 0x4E, newTrue = 0x88, newFalse = 0x89
        case binInt = 0x4A, binInt1 = 0x4B, binInt2 = 0x4D, long1 = 0x8A, long4 = 0x8B, binFloat = 0x47
        case binString = 0x54, shortBinString = 0x55
        case binUnicode = 0x58, shortBinUnicode = 0x8C, binUnicode8 = 0x8D
        case binBytes = 0x42, shortBinBytes = 0x43, binBytes8 = 0x8E
        case emptyTuple = 0x29, tuple = 0x74, tuple1 = 0x85, tuple2 = 0x86, tuple3 = 0x87
        case emptyList = 0x5D, list = 0x6C, append = 0x61, appends = 0x65
        case emptyDict = 0x7D, dict = 0x64, setItem = 0x73, setItems = 0x75
        case emptySet = 0x8F, addItems = 0x90, byteArray8 = 0x96
        case binPut = 0x71, longBinPut = 0x72, memoize = 0x94, binGet = 0x68, longBinGet = 0x6A
        case global = 0x63, stackGlobal = 0x93, inst = 0x69, obj = 0x6F, newObj = 0x81, newObjEx = 0x92
        case reduce = 0x52, build = 0x62, binPersID = 0x51
    }

    private static func name(_ code: UInt8) -> String {
        let printable = (0x21...0x7E).contains(code) ? " ('\(Unicode.Scalar(code))')" : ""
        return "operation 0x\(String(code, radix: 16))\(printable), which is not supported"
    }

    func fault(_ expected: String, _ found: String) -> PickleFault {
        PickleFault(offset: offset, expected: expected, found: found)
    }

    private var refusal: PickleRefusal {
        let offset = offset
        return { PickleFault(offset: offset, expected: $0, found: $1) }
    }

    // MARK: Operations

    private mutating func perform(_ operation: Operation) throws {
        switch operation {
        case .proto:
            let version = try stream.byte()
            guard version <= 5 else { throw fault("a pickle of protocol 5 or before", "protocol \(version)") }
        case .frame: try stream.require(Int(clamping: try stream.number(UInt64.self)))
        case .stop: break
        case .mark: marks.append(stack.count)
        case .pop: if marks.last == stack.count { marks.removeLast() } else { _ = try pop() }
        case .popMark: _ = try popToMark()
        case .dup: push(try top())
        case .binPut: memo[Int(try stream.byte())] = try top()
        case .longBinPut: memo[Int(try stream.number(UInt32.self))] = try top()
        case .memoize: memo[memo.count] = try top()
        case .binGet: push(try recall(Int(try stream.byte())))
        case .longBinGet: push(try recall(Int(try stream.number(UInt32.self))))
        case .global, .stackGlobal, .inst, .obj, .newObj, .newObjEx: try performGlobal(operation)
        case .reduce:
            let arguments = try pop()
            push(try reduce(try pop(), arguments))
        case .build: try build(state: try pop())
        case .binPersID: push(try heap.storage(of: try pop(), refusal))
        case .emptyTuple, .tuple, .tuple1, .tuple2, .tuple3, .emptyList, .list, .append, .appends, .emptySet, .addItems,
            .emptyDict, .dict, .setItem, .setItems:
            try performContainer(operation)
        default: push(try scalar(operation))
        }
    }

    private mutating func scalar(_ operation: Operation) throws -> PickleValue {
        switch operation {
        case .newTrue: return .bool(true)
        case .newFalse: return .bool(false)
        case .binInt: return .int(Int(try stream.number(Int32.self)))
        case .binInt1: return .int(Int(try stream.byte()))
        case .binInt2: return .int(Int(try stream.number(UInt16.self)))
        case .long1: return Self.integer(try stream.bytes(Int(try stream.byte())))
        case .long4: return Self.integer(try stream.bytes(Int(try stream.number(Int32.self))))
        case .binFloat: return .float(Double(bitPattern: UInt64(bigEndian: try stream.number(UInt64.self))))
        case .shortBinString: return Self.string(try stream.bytes(Int(try stream.byte())))
        case .binString: return Self.string(try stream.bytes(Int(try stream.number(Int32.self))))
        case .shortBinUnicode: return try text(Int(try stream.byte()))
        case .binUnicode: return try text(Int(try stream.number(UInt32.self)))
        case .binUnicode8: return try text(Int(clamping: try stream.number(UInt64.self)))
        case .shortBinBytes: return .bytes(try stream.bytes(Int(try stream.byte())))
        case .binBytes: return .bytes(try stream.bytes(Int(try stream.number(UInt32.self))))
        case .binBytes8, .byteArray8: return .bytes(try stream.bytes(Int(clamping: try stream.number(UInt64.self))))
        default: return .none
        }
    }

    private static func integer(_ bytes: [UInt8]) -> PickleValue {
        guard bytes.count <= 8 else { return .long(bytes) }
        let sign: UInt8 = bytes.last.map { $0 & 0x80 != 0 } == true ? 0xFF : 0
        return .int(Int((bytes + Array(repeating: sign, count: 8 - bytes.count)).number(0, Int64.self)))
    }

    /// A string of Python 2: text where it is UTF-8.
    private static func string(_ bytes: [UInt8]) -> PickleValue {
        String(validating: bytes, as: UTF8.self).map { .text($0) } ?? .bytes(bytes)
    }

    private mutating func text(_ byteCount: Int) throws -> PickleValue {
        guard let text = String(validating: try stream.bytes(byteCount), as: UTF8.self) else {
            throw fault("text in UTF-8", "other bytes")
        }
        return .text(text)
    }

    private mutating func performContainer(_ operation: Operation) throws {
        switch operation {
        case .emptyTuple: push(heap.tuple([]))
        case .tuple: push(heap.tuple(try popToMark()))
        case .tuple1: push(heap.tuple(try pop(1)))
        case .tuple2: push(heap.tuple(try pop(2)))
        case .tuple3: push(heap.tuple(try pop(3)))
        // A set is a list here: its items have no order to lose.
        case .emptyList, .emptySet: push(heap.list([]))
        case .list: push(heap.list(try popToMark()))
        case .append: try append(try pop(1))
        case .appends, .addItems: try append(try popToMark())
        case .emptyDict: push(heap.dictionary())
        case .dict:
            let items = try popToMark()
            push(heap.dictionary())
            try setItems(items)
        case .setItem: try setItems(try pop(2))
        default: try setItems(try popToMark())
        }
    }

    private mutating func append(_ items: [PickleValue]) throws {
        guard case .list(let position) = try top() else { throw fault("a list to append to", try top().kind) }
        heap.append(items, toList: position)
    }

    private mutating func setItems(_ items: [PickleValue]) throws {
        guard case .dictionary(let position) = try top() else { throw fault("a dictionary to fill", try top().kind) }
        guard items.count % 2 == 0 else { throw fault("keys and values", "\(items.count) values") }
        for index in stride(from: 0, to: items.count, by: 2) {
            try requireKeyBytes(heap.byteCount(ofKey: items[index]))
            heap.set(items[index], to: items[index + 1], inDictionary: position)
        }
    }

    // MARK: Globals

    private mutating func performGlobal(_ operation: Operation) throws {
        switch operation {
        case .global: push(.global(try global(try stream.line(), try stream.line())))
        case .stackGlobal:
            let names = try pop(2)
            guard let module = names[0].text, let name = names[1].text else {
                throw fault("a module and a name, both text", "\(names[0].kind) and \(names[1].kind)")
            }
            push(.global(try global(module, name)))
        case .inst:
            let named = try global(try stream.line(), try stream.line())
            throw fault("plain data and tensors", "an instance of \(named)")
        default:
            throw fault("plain data and tensors", "an object built from \(stack.last?.kind ?? "nothing")")
        }
    }

    private func global(_ module: String, _ name: String) throws -> TorchGlobal {
        if let global = TorchGlobal(module: module, name: name) { return global }
        let shown = "\(module).\(name)".prefix(120).description.escapedForDisplay
        throw fault(
            "tensors and plain data", "the global '\(shown)', which is refused\(TorchGlobal.remark(module, name))")
    }

    private mutating func reduce(_ callable: PickleValue, _ arguments: PickleValue) throws -> PickleValue {
        guard case .global(var global) = callable else {
            throw fault("a call of a name that is allowed", "a call of \(callable.kind)")
        }
        guard var items = heap.tuple(arguments) else { throw fault("arguments in a tuple", arguments.kind) }
        var attributes: PickleValue?
        if global == .rebuildFromType {
            attributes = items.last
            (global, items) = try rebuilding(items)
        } else if global == .rebuildParameterWithState {
            attributes = items.last
        }
        argumentsLeft -= items.reduce(0) { $0 + heap.size(of: $1) }
        guard argumentsLeft >= 0 else {
            throw fault("calls with as many arguments as the pickle has bytes", "more, the same ones many times over")
        }
        if global == .orderedDictionary, let pairs = items.first {
            try requireKeyBytes(heap.byteCount(ofKeysIn: pairs))
        }
        let value = try heap.call(global, items, refusal)
        if let attributes { heap.setAttributes(attributes, of: value) }
        return value
    }

    /// The call that makes a tensor with attributes: (function, class, arguments, attributes).
    private func rebuilding(_ items: [PickleValue]) throws -> (TorchGlobal, [PickleValue]) {
        guard items.count == 4, case .global(let function) = items[0], function.rebuilds,
            case .global(.tensorClass) = items[1], let arguments = heap.tuple(items[2])
        else {
            throw fault(
                "a function that makes a tensor, a class of tensors and arguments",
                items.prefix(4).map(\.kind).joined(separator: ", "))
        }
        return (function, arguments)
    }

    /// Attributes of an `OrderedDict` are passed over; a NumPy type's say only its byte order.
    private mutating func build(state: PickleValue) throws {
        switch try top() {
        case .dictionary(let position) where heap.dictionaries[position].isOrdered:
            guard case .dictionary = state else { throw fault("attributes in a dictionary", state.kind) }
        case .numpyType:
            guard let items = heap.tuple(state), items.count > 1, let order = items[1].text, order != ">" else {
                throw fault("the state of a little-endian NumPy type", state.kind)
            }
        case let other: throw fault("an OrderedDict to give attributes to", other.kind)
        }
    }

    // MARK: Stack

    private mutating func push(_ value: PickleValue) { stack.append(value) }

    private func top() throws -> PickleValue {
        guard let value = stack.last, stack.count > marks.last ?? 0 else { throw underflow }
        return value
    }

    private mutating func pop() throws -> PickleValue {
        let value = try top()
        stack.removeLast()
        return value
    }

    private mutating func pop(_ count: Int) throws -> [PickleValue] {
        guard stack.count - (marks.last ?? 0) >= count else { throw underflow }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private mutating func popToMark() throws -> [PickleValue] {
        guard let mark = marks.popLast() else { throw fault("a mark on the stack", "none") }
        defer { stack.removeSubrange(mark...) }
        return Array(stack[mark...])
    }

    private var underflow: PickleFault { fault("a value on the stack", "none") }

    private func recall(_ index: Int) throws -> PickleValue {
        guard let value = memo[index] else { throw fault("a value that was memorized", "none at \(index)") }
        return value
    }
}
