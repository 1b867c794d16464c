/// The name of a tap, taken apart: "encoder.layers.3.mlp_act".
public struct TapName: Sendable, Comparable {
    /// The stack that it belongs to.
    public let role: StackSpec.Role
    /// Nil outside blocks.
    public let layer: Int?
    let point: TapPoint

    /// "mlp_act"
    public var pointName: String { point.rawValue }

    /// - Returns: nil for what is no name of a tap.
    public init?(_ name: String) {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false)
        let named = parts.count > 1 ? StackSpec.Role(rawValue: String(parts[0])) : nil
        role = named == .only ? .only : named ?? .only
        if role != .only { parts.removeFirst() }
        guard let last = parts.last, let point = TapPoint(rawValue: String(last)) else { return nil }
        layer = parts.count == 3 && parts[0] == "layers" ? Int(parts[1]).flatMap { $0 < 0 ? nil : $0 } : nil
        guard point.isOfBlocks == (layer != nil), point.name(role, layer: layer) == name else { return nil }
        self.point = point
    }

    /// The order of a forward pass with the norms before the sublayers.
    public static func < (a: TapName, b: TapName) -> Bool { a.rank.lexicographicallyPrecedes(b.rank) }

    private var rank: [Int] {
        let position = TapPoint.allCases.firstIndex(of: point)!
        let stack = point.isBehindStacks ? Int.max : StackSpec.Role.allCases.firstIndex(of: role)!
        return [stack, layer ?? (point == .embed ? -1 : Int.max), position]
    }
}
