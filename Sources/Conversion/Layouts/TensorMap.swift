import AssayCheckpoints
import AssayFormats
import SystemPackage

/// Rules that give the tensors of a checkpoint other names, join, cut and turn them: `formats/map.md`.
public struct TensorMap: Sendable {
    /// One rule. Every tensor goes by the first rule that has a template for it, and by none where none has.
    struct Rule: Sendable {
        /// One, or those that are joined, in this order.
        var from: [NameTemplate]
        /// One, or those that are cut out, in this order.
        var to: [NameTemplate]
        /// Along which axis they are joined or cut.
        var axis: Int?
        /// The steps along `axis` of every part; nil for equal parts.
        var sizes: [Int]?
        /// The order of the axes in which the sources are turned first.
        var transpose: [Int]?
    }

    /// The file, for messages.
    public let path: FilePath
    let rules: [Rule]

    /// More bytes than the rules of any checkpoint take.
    private static let maximumByteCount = 64 << 20
    private static let version = 1

    /// - Throws: `CheckpointError` where the file is no map; `SystemError`.
    public init(reading path: FilePath) throws {
        try self.init(JSONValue(reading: InputFile(path), "a map", atMost: Self.maximumByteCount), path)
    }

    /// - Throws: `CheckpointError`.
    init(_ value: JSONValue, _ path: FilePath) throws {
        self.path = path
        let object = try Member("file", value, path).object(["assayMap", "rules"])
        guard object["assayMap"]?.int == Self.version else {
            throw CheckpointError(
                path, .part("assayMap"), expected: "\(Self.version)",
                found: object["assayMap"].map { $0.kind } ?? "none")
        }
        guard let rules = object["rules"]?.array, !rules.isEmpty else {
            throw CheckpointError(
                path, .part("rules"), expected: "a list of at least one",
                found: object["rules"].map { $0.array == nil ? $0.kind : "an empty one" } ?? "none")
        }
        self.rules = try rules.enumerated().map { try Rule(Member("rules[\($0)]", $1, path)) }
    }

    /// A value in the file and where it stands.
    fileprivate struct Member {
        let place: String
        let value: JSONValue
        let path: FilePath

        init(_ place: String, _ value: JSONValue, _ path: FilePath) {
            (self.place, self.value, self.path) = (place, value, path)
        }

        func error(_ expected: String, _ found: String? = nil) -> CheckpointError {
            CheckpointError(path, .part(place), expected: expected, found: found ?? value.kind)
        }

        /// - Parameter known: what its members may be called.
        func object(_ known: [String]) throws -> JSONObject {
            guard let object = value.object else { throw error("an object") }
            if let key = object.members.map(\.key).first(where: { !known.contains($0) }) {
                throw error("the members \(known.joined(separator: ", "))", "'\(key.escapedForDisplay)'")
            }
            return object
        }

        func templates() throws -> [NameTemplate] {
            let texts = value.string.map { [$0] } ?? (value.array ?? []).compactMap(\.string)
            guard !texts.isEmpty, texts.count == value.array?.count ?? 1 else {
                throw error("a name, or a list of names")
            }
            return texts.map { NameTemplate($0) }
        }

        func count() throws -> Int {
            guard let count = value.int, count >= 0 else { throw error("a whole number from 0 on") }
            return count
        }

        func counts() throws -> [Int] {
            guard let list = value.array else { throw error("a list of whole numbers") }
            return try list.enumerated().map { try Member("\(place)[\($0)]", $1, path).count() }
        }
    }
}

extension TensorMap.Rule {
    fileprivate init(_ member: TensorMap.Member) throws {
        let object = try member.object(["from", "to", "axis", "sizes", "transpose"])
        func part(_ key: String) -> TensorMap.Member? {
            object[key].map { TensorMap.Member("\(member.place).\(key)", $0, member.path) }
        }
        guard let from = try part("from")?.templates(), let to = try part("to")?.templates() else {
            throw member.error("'from' and 'to'", "not both")
        }
        (self.from, self.to) = (from, to)
        axis = try part("axis")?.count()
        sizes = try part("sizes")?.counts()
        transpose = try part("transpose")?.counts()
        guard from.count == 1 || to.count == 1 else {
            throw member.error("one name on one side", "\(from.count) and \(to.count)")
        }
        guard Set(from.map { ExactName($0.description) }).count == from.count else {
            throw member.error("each name once in 'from'", "one of them twice")
        }
        guard (axis != nil) == (from.count + to.count > 2) else {
            throw member.error(
                axis == nil ? "an 'axis' along which they are joined or cut" : "an 'axis' only to join or cut along",
                axis == nil ? "none" : "one")
        }
        if let sizes, sizes.count != to.count || to.count == 1 {
            throw member.error(
                to.count == 1 ? "'sizes' only where several parts are cut out" : "'sizes' of the \(to.count) parts",
                "\(sizes.count)")
        }
        guard (from + to).allSatisfy({ $0.starCount == from[0].starCount }) else {
            throw member.error("as many * and {i} in every name", "other numbers of them")
        }
    }
}

/// A tensor that a map makes: its name, and what it is made of.
struct MappedTensor {
    var name: String
    var part: RearrangedReader.Part
}

extension TensorMap {
    /// What becomes of some tensors.
    ///
    /// - Parameter source: what messages call the checkpoint.
    /// - Returns: in the order of the tensors (of the first of several that are joined).
    /// - Throws: `UsageError` where a rule finds nothing, or two tensors would have one name; `StructureError` where one
    ///   is missing among those to be joined, or they do not fit.
    func apply(to tensors: [TensorInfo], of source: String) throws -> [MappedTensor] {
        var application = Application(map: self, tensors: tensors, source: source)
        for index in tensors.indices { application.take(index) }
        return try application.finish()
    }

    /// A map on its way through the tensors of a checkpoint.
    private struct Application {
        let map: TensorMap
        let tensors: [TensorInfo]
        let source: String
        /// Every template that tensors may go by, in order, and which of them a name may fit.
        private let templates: [(rule: Int, template: Int)]
        private let index: AffixIndex
        /// What a rule makes at once: of one tensor, or of those that are joined.
        private var groups: [Group] = []
        /// Where the groups are that wait for more: by rule and what the stars stand for.
        private var waiting: [GroupKey: Int] = [:]

        private struct Group {
            var rule: Int?
            var texts: [String]
            /// By template.
            var members: [Int?]
        }

        private struct GroupKey: Hashable {
            var rule: Int
            var texts: [ExactName]
        }

        init(map: TensorMap, tensors: [TensorInfo], source: String) {
            (self.map, self.tensors, self.source) = (map, tensors, source)
            templates = map.rules.enumerated().flatMap { number, rule in rule.from.indices.map { (number, $0) } }
            index = AffixIndex(map.rules.lazy.flatMap(\.from).map(\.affixes))
        }

        mutating func take(_ tensor: Int) {
            let name = tensors[tensor].name
            for candidate in index.candidates(for: Array(name.utf8)) {
                let (number, template) = templates[candidate]
                let rule = map.rules[number]
                guard let texts = rule.from[template].match(name) else { continue }
                let key = GroupKey(rule: number, texts: texts.map { ExactName($0) })
                let group = waiting[key] ?? groups.count
                if group == groups.count {
                    groups.append(Group(rule: number, texts: texts, members: rule.from.map { _ in nil }))
                    waiting[key] = group
                }
                groups[group].members[template] = tensor
                return
            }
            groups.append(Group(rule: nil, texts: [], members: [tensor]))
        }

        func finish() throws -> [MappedTensor] {
            let used = Set(groups.compactMap(\.rule))
            if let idle = map.rules.indices.first(where: { !used.contains($0) }) {
                let names = map.rules[idle].from.map { "'\($0.description.escapedForDisplay)'" }
                throw UsageError(
                    "\(map.path.forDisplay): rules[\(idle)]: \(names.joined(separator: ", ")) is the name of no tensor"
                        + " that an earlier rule left; \(source) has \(tensors.map(\.name).listed(first: 3))")
            }
            let made = try groups.flatMap { try mapped($0) }
            try requireDistinct(made)
            return made
        }

        private func mapped(_ group: Group) throws -> [MappedTensor] {
            guard let number = group.rule else {
                let index = group.members[0]!
                return [MappedTensor(name: tensors[index].name, part: .init(sources: [index]))]
            }
            let rule = map.rules[number]
            if let gap = group.members.firstIndex(of: nil) {
                let present = group.members.compactMap { $0 }.map { tensors[$0].name }
                throw StructureError(
                    "\(source): tensor '\(rule.from[gap].filled(with: group.texts).escapedForDisplay)' is missing, which"
                        + " \(map.path.forDisplay) joins with \(present.listed(first: 3))")
            }
            let sources = group.members.map { $0! }
            let slices = try rule.to.count > 1 ? slices(rule, sources[0]) : [nil]
            return try zip(rule.to, slices).map { to, slice in
                let arrangement = Arrangement(axes: rule.transpose, axis: rule.axis, slice: slice)
                do throws(Arrangement.Misfit) {
                    _ = try arrangement.result(of: sources.map { tensors[$0] })
                } catch {
                    throw misfit(sources, error)
                }
                return MappedTensor(
                    name: to.filled(with: group.texts), part: .init(sources: sources, arrangement: arrangement))
            }
        }

        /// The parts that a tensor is cut into: they are all of it.
        private func slices(_ rule: Rule, _ index: Int) throws -> [Range<Int>?] {
            let whole = Arrangement(axes: rule.transpose, axis: rule.axis, slice: 0..<0)
            do throws(Arrangement.Misfit) {
                _ = try whole.result(of: [tensors[index]])
            } catch {
                throw misfit([index], error)
            }
            let dimensions = tensors[index].shape.dimensions
            let length = dimensions[rule.transpose.map { $0[rule.axis!] } ?? rule.axis!]
            let sizes = rule.sizes ?? Array(repeating: length / rule.to.count, count: rule.to.count)
            var borders = [0]
            for size in sizes { borders.append(borders.last!.addingReportingOverflow(size).partialValue) }
            guard borders.last == length, borders == borders.sorted() else {
                throw StructureError(
                    "\(source): tensor '\(tensors[index].name.escapedForDisplay)' cannot be cut into"
                        + " \(rule.sizes.map { "parts of \($0)" } ?? "\(rule.to.count) equal parts") along an axis of"
                        + " \(length), as \(map.path.forDisplay) wants it")
            }
            return zip(borders, borders.dropFirst()).map { $0..<$1 }
        }

        private func misfit(_ sources: [Int], _ misfit: Arrangement.Misfit) -> StructureError {
            let names = sources.map { "'\(tensors[$0].name.escapedForDisplay)'" }.joined(separator: ", ")
            return StructureError("\(source): \(names) \(misfit.reason) (\(map.path.forDisplay))")
        }

        private func requireDistinct(_ made: [MappedTensor]) throws(UsageError) {
            var first = NameMap<MappedTensor>()
            for tensor in made {
                guard let other = first.updateValue(tensor, forKey: tensor.name) else { continue }
                let names = [other, tensor].map { $0.part.sources.map { tensors[$0].name }.listed(first: 3) }
                throw UsageError(
                    "\(map.path.forDisplay): '\(names[0])' and '\(names[1])' of \(source) would both be named"
                        + " '\(tensor.name.escapedForDisplay)'")
            }
        }
    }
}
