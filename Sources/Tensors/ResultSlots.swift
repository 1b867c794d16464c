import Synchronization

/// A place for the result of every piece of parallel work, so that results come out in the order of the pieces.
public final class ResultSlots<Value: Sendable>: Sendable {
    private let slots: Mutex<[Value?]>

    public init(count: Int) { slots = Mutex(Array(repeating: nil, count: count)) }

    public func set(_ index: Int, _ value: Value) { slots.withLock { $0[index] = value } }

    /// - Precondition: every slot was set.
    public var all: [Value] { slots.withLock { $0.map { $0! } } }
}
