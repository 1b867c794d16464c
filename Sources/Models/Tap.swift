/// A named point of a forward pass, known before it runs.
public struct PlannedTap: Sendable, Equatable {
    /// "layers.3.mlp_act"
    public var name: String
    /// [batch, time, features]; of a row a sequence [batch, features]. Padded positions are included.
    public var shape: [Int]
    /// What its rows are.
    public var rows: Rows

    public enum Rows: Sendable, Equatable {
        /// The positions of a stack's sequences.
        case positions(stack: Int)
        /// A row for each of a stack's sequences.
        case sequences(stack: Int)
    }

    public init(name: String, shape: [Int], rows: Rows = .positions(stack: 0)) {
        self.name = name
        self.shape = shape
        self.rows = rows
    }

    public var rowCount: Int { shape.dropLast().reduce(1, *) }
    public var featureCount: Int { shape.last ?? 1 }
}

/// The values of a tap, or some rows of them, lent during a call.
public struct TapValues {
    public let tap: PlannedTap
    /// Which rows (all dimensions but the last, flattened): all of them, but for logits, which come in pieces.
    public let rows: Range<Int>
    /// `rows.count * tap.featureCount` numbers, row-major; gone when the call returns.
    public let values: LentNumbers
}

/// Numbers lent during a call.
public enum LentNumbers {
    case float32(UnsafeBufferPointer<Float>)
    case float64(UnsafeBufferPointer<Double>)

    public var count: Int {
        switch self {
        case .float32(let values): values.count
        case .float64(let values): values.count
        }
    }

    /// The bytes as a file holds them.
    public var bytes: UnsafeRawBufferPointer {
        switch self {
        case .float32(let values): UnsafeRawBufferPointer(values)
        case .float64(let values): UnsafeRawBufferPointer(values)
        }
    }
}

/// Sees every tap in the order of the forward pass. `state` is the position of the hidden state in the list that a step
/// was given: 0 in a plain run.
public typealias TapObserver = (_ state: Int, _ tap: TapValues) throws -> Void

/// The name of a tap in its parts: "encoder.layers.3.mlp_act".
public struct TapName: Sendable, Hashable {
    public var role: StackSpec.Role
    /// Nil where the tap belongs to no block.
    public var layer: Int?
    /// "mlp_act"
    public var point: String

    /// - Returns: nil where it is not the name of a tap.
    public init?(_ name: String) {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false)
        role = .only
        if parts.count > 1, let found = StackSpec.Role(rawValue: String(parts[0])), found != .only {
            role = found
            parts.removeFirst()
        }
        switch parts.count {
        case 1: layer = nil
        case 3 where parts[0] == "layers":
            guard let number = Int(parts[1]), number >= 0, String(number) == parts[1] else { return nil }
            layer = number
        default: return nil
        }
        guard let found = TapPoint(rawValue: String(parts.last!)), found.isOfBlocks == (layer != nil) else {
            return nil
        }
        point = found.rawValue
    }

    /// The taps of what heads give, logits or log probabilities.
    public static let outputs: Set<String> = [TapPoint.logits.rawValue, TapPoint.logProbabilities.rawValue]

    /// Where it stands in a forward pass.
    public var order: [Int] {
        let role = StackSpec.Role.allCases.firstIndex(of: self.role)!
        let step = TapPoint.allCases.firstIndex { $0.rawValue == point }!
        return [
            TapName.outputs.contains(point) ? Int.max : role,
            layer ?? (point == TapPoint.embed.rawValue ? -1 : Int.max), step,
        ]
    }
}
