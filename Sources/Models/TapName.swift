/// The name of a tap, taken apart: "layers.3.mlp_act".
public struct TapName: Sendable, Comparable {
    let point: TapPoint
    /// Nil outside blocks.
    public let layer: Int?

    private static let pointsOutsideBlocks: Set<TapPoint> = [.embed, .finalNorm, .pooler, .logits]

    /// - Returns: nil for what is no name of a tap.
    public init?(_ name: String) {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard let point = TapPoint(rawValue: String(parts.last!)) else { return nil }
        layer = parts.count == 3 && parts[0] == "layers" ? Int(parts[1]).flatMap { $0 < 0 ? nil : $0 } : nil
        guard Self.pointsOutsideBlocks.contains(point) == (layer == nil), point.name(layer: layer) == name else {
            return nil
        }
        self.point = point
    }

    /// The order of a forward pass with the norms before the sublayers.
    public static func < (a: TapName, b: TapName) -> Bool { a.rank.lexicographicallyPrecedes(b.rank) }

    private var rank: [Int] {
        let position = TapPoint.allCases.firstIndex(of: point)!
        return [layer ?? (point == .embed ? -1 : Int.max), position]
    }
}
