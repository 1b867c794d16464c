#if canImport(Glibc)
    import Glibc
#endif

/// A text that is equal to another only where all bytes are.
///
/// Swift's strings are equal where they are canonically equivalent, so that one "é" and the other, of two scalars, would
/// be the same key. Names in files are bytes, and both may stand in one.
public struct ExactName: Hashable, Sendable {
    public let text: String

    public init(_ text: String) { self.text = text }

    /// Compares bytes in one go: a view's own comparison takes them one by one, which is most of a look-up.
    public static func == (a: ExactName, b: ExactName) -> Bool {
        a.withBytes { a in
            b.withBytes { b in
                a.count == b.count && (a.isEmpty || memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0)
            }
        }
    }

    public func hash(into hasher: inout Hasher) {
        withBytes { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    /// Lends the bytes where they lie, without counting one more owner, where the text is in one piece (as all are that
    /// Swift made).
    private func withBytes<R>(_ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
        if let result = text.utf8.withContiguousStorageIfAvailable(body) { return result }
        var text = text
        return text.withUTF8(body)
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// Whether all bytes are below 128, eight at a time.
    var isASCII: Bool {
        var all: UInt64 = 0
        var position = 0
        while position + 8 <= count {
            all |= UnsafeRawPointer(baseAddress! + position).loadUnaligned(as: UInt64.self)
            position += 8
        }
        while position < count {
            all |= UInt64(self[position])
            position += 1
        }
        return all & 0x8080_8080_8080_8080 == 0
    }
}

extension ExactName: Comparable {
    /// The order of the bytes.
    public static func < (a: ExactName, b: ExactName) -> Bool {
        // Strings made by Swift are contiguous: the loop over single bytes is for others.
        let order = a.text.utf8.withContiguousStorageIfAvailable { a in
            b.text.utf8.withContiguousStorageIfAvailable { b in
                let count = min(a.count, b.count)
                let order = count == 0 ? 0 : memcmp(a.baseAddress!, b.baseAddress!, count)
                return order != 0 ? order < 0 : a.count < b.count
            }
        }
        return (order ?? nil) ?? a.text.utf8.lexicographicallyPrecedes(b.text.utf8)
    }
}

/// Values by exact names.
public struct NameMap<Value> {
    private var values: [ExactName: Value]

    public init() { values = [:] }

    /// The first of equal names counts.
    public init(_ pairs: some Sequence<(String, Value)>) {
        values = Dictionary(minimumCapacity: pairs.underestimatedCount)
        for (name, value) in pairs {
            // One look-up where the name is new, as nearly all are.
            if let first = values.updateValue(value, forKey: ExactName(name)) { values[ExactName(name)] = first }
        }
    }

    public subscript(name: String) -> Value? {
        get { values[ExactName(name)] }
        set { values[ExactName(name)] = newValue }
    }

    /// A value that can be changed where it is.
    public subscript(name: String, default fallback: @autoclosure () -> Value) -> Value {
        get { values[ExactName(name)] ?? fallback() }
        _modify { yield &values[ExactName(name), default: fallback()] }
    }

    /// - Returns: the value that was there.
    @discardableResult
    public mutating func updateValue(_ value: Value, forKey name: String) -> Value? {
        values.updateValue(value, forKey: ExactName(name))
    }

    /// In no order.
    public var pairs: [(name: String, value: Value)] { values.map { ($0.key.text, $0.value) } }
    /// In no order.
    public var keys: [String] { values.keys.map(\.text) }
    public var count: Int { values.count }
}

extension NameMap: Sendable where Value: Sendable {}

/// A set of exact names.
public struct NameSet: Sendable {
    private var names: Set<ExactName>

    public init(_ names: some Sequence<String> = []) { self.names = Set(names.map { ExactName($0) }) }

    public func contains(_ name: String) -> Bool { names.contains(ExactName(name)) }

    /// - Returns: whether it was new.
    public mutating func insert(_ name: String) -> Bool { names.insert(ExactName(name)).inserted }

    public mutating func formUnion(_ other: some Sequence<String>) { names.formUnion(other.map { ExactName($0) }) }

    public var count: Int { names.count }
}
