extension TransformerSpec {
    /// Every fact of the specification: where it stands, in words ("attention head count of kind 2"), and what it says.
    /// Facts that two specifications have in common bear the same name; one that a specification lacks is "none".
    public var facts: [(name: String, value: String)] { SpecFacts.list(self, "", "") }
}

/// Says any part of a specification in words, so that a new member of it needs no words elsewhere.
enum SpecFacts {
    /// Whether it has members of its own, a line each.
    private static func isRoom(_ value: Any) -> Bool { Mirror(reflecting: value).displayStyle == .struct }

    fileprivate static func list(_ room: Any, _ place: String, _ suffix: String) -> [(name: String, value: String)] {
        Mirror(reflecting: room).children.flatMap { child -> [(name: String, value: String)] in
            let name = place + words(child.label ?? "")
            let value = unwrapped(child.value)
            if let stacks = value as? [StackSpec] {
                return stacks.flatMap { list($0, $0.role == .only ? "" : $0.role.rawValue + " ", "") }
            }
            if let blocks = value as? BlockPattern { return list(of: blocks, place) }
            if value is StackSpec.Role { return [] }
            if let value, isRoom(value) { return list(value, name + " ", suffix) }
            return [(name + suffix, value.map(say) ?? "none")]
        }
    }

    private static func list(of blocks: BlockPattern, _ place: String) -> [(name: String, value: String)] {
        let order = blocks.order.map { "\($0 + 1)" }.joined(separator: " ")
        return [(place + "kinds of blocks", "\(blocks.kinds.count)"), (place + "order of blocks", order)]
            + (blocks.sharing.map { [(place + "weights of layers", say($0.sets))] } ?? [])
            + blocks.kinds.enumerated().flatMap { number, block in
                list(block, place, blocks.kinds.count == 1 ? "" : " of kind \(number + 1)")
            }
    }

    /// A value in one line.
    static func say(_ value: Any) -> String {
        guard let value = unwrapped(value) else { return "none" }
        let mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .struct: return mirror.children.map(member).joined(separator: ", ")
        case .collection: return mirror.children.map { say($0.value) }.joined(separator: " ")
        case .tuple: return mirror.children.map(member).joined(separator: ", ")
        case .enum:
            guard let payload = mirror.children.first else { return words("\(value)") }
            return words(payload.label ?? "") + " (" + say(payload.value) + ")"
        default: return "\(value)"
        }
    }

    private static func member(_ child: Mirror.Child) -> String {
        let name = child.label.map { $0.hasPrefix(".") ? "" : words($0) + " " } ?? ""
        return name + say(child.value)
    }

    private static func unwrapped(_ value: Any) -> Any? {
        let mirror = Mirror(reflecting: value)
        guard mirror.displayStyle == .optional else { return value }
        return mirror.children.first.flatMap { unwrapped($0.value) }
    }

    /// "headCount" as "head count", "quickGELU" as "quick GELU".
    static func words(_ name: String) -> String {
        var result = ""
        let letters = Array(name)
        for (index, letter) in letters.enumerated() {
            let isAfterLower = index > 0 && (letters[index - 1].isLowercase || letters[index - 1].isNumber)
            let isBeforeUpper = index + 1 < letters.count && letters[index + 1].isUppercase
            if letter.isUppercase, isAfterLower { result.append(" ") }
            result += letter.isUppercase && isAfterLower && !isBeforeUpper ? letter.lowercased() : String(letter)
        }
        return result
    }
}
