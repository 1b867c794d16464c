/// Writes a pickle of protocol 2: one dictionary, closed by `finish`.
struct PickleWriter {
    private typealias Operation = PickleMachine.Operation

    private var bytes: [UInt8] = [Operation.proto.rawValue, 2]

    private mutating func add(_ operation: Operation) { bytes.append(operation.rawValue) }

    mutating func beginDictionary() {
        add(.emptyDict)
        add(.mark)
    }

    mutating func finish() -> [UInt8] {
        add(.setItems)
        add(.stop)
        return bytes
    }

    mutating func text(_ text: String) {
        add(.binUnicode)
        bytes += UInt32(text.utf8.count).littleEndianBytes
        bytes += Array(text.utf8)
    }

    /// - Parameter value: not negative.
    mutating func int(_ value: Int) {
        if let small = UInt8(exactly: value) {
            add(.binInt1)
            bytes.append(small)
        } else if let middle = Int32(exactly: value) {
            add(.binInt)
            bytes += middle.littleEndianBytes
        } else {
            add(.long1)
            bytes.append(8)
            bytes += Int64(value).littleEndianBytes
        }
    }

    mutating func bool(_ value: Bool) { add(value ? .newTrue : .newFalse) }

    mutating func global(_ module: String, _ name: String) {
        add(.global)
        bytes += Array("\(module)\n\(name)\n".utf8)
    }

    mutating func tuple(_ items: (inout PickleWriter) -> Void) {
        add(.mark)
        items(&self)
        add(.tuple)
    }

    /// Calls the global below the tuple that was added last.
    mutating func reduce() { add(.reduce) }

    mutating func emptyOrderedDictionary() {
        global("collections", "OrderedDict")
        add(.emptyTuple)
        reduce()
    }

    /// A reference to a storage; without a name one of bytes.
    mutating func storage(_ name: String?, key: String, count: Int) {
        tuple { pickle in
            pickle.text("storage")
            pickle.global(name == nil ? "torch.storage" : "torch", name ?? "UntypedStorage")
            pickle.text(key)
            pickle.text("cpu")
            pickle.int(count)
        }
        add(.binPersID)
    }
}
