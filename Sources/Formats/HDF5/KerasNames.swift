import AssayCheckpoints
import SystemPackage

/// Keras' listings of weights: the attribute `layer_names` of a group names the layers in it (groups, or in shards of
/// transformers the datasets themselves), `weight_names` the datasets in it. Lists above 64 KB are split over
/// `layer_names0`, `layer_names1` and so on. Keras and transformers load what is listed, and nothing else.
///
/// Tensors are called by their datasets' paths, whatever is listed. The listings are checked on reading, so that a file
/// which its owner cannot load is not taken for a whole one, and on writing name only what is written.
struct KerasNames {
    enum Listing: String, CaseIterable {
        case layers = "layer_names"
        case weights = "weight_names"

        /// - Returns: nil for attributes that are no listing.
        init?(attribute: String) {
            guard let listing = Self.allCases.first(where: { $0.rawValue == attribute || $0.number(attribute) != nil })
            else { return nil }
            self = listing
        }

        /// Which part of a split listing an attribute is.
        func number(_ attribute: String) -> Int? {
            guard attribute.hasPrefix(rawValue), let number = Int(attribute.dropFirst(rawValue.count)),
                attribute == "\(rawValue)\(number)"
            else { return nil }
            return number
        }
    }

    private let file: FilePath
    /// Without a final slash.
    private let groups: NameSet
    private let datasets: NameSet
    private var listed = NameSet()

    /// Checks all listings of a file.
    ///
    /// - Returns: a sentence about weights that no listing names, where there are any.
    /// - Throws: `CheckpointError` for a listing that is none; `StructureError` for one that names what is not there.
    static func check(_ structure: HDF5Structure, of file: InputFile) throws -> [String] {
        var names = KerasNames(structure, file.path)
        for group in structure.groups {
            for listing in Listing.allCases { try names.check(listing, of: group) }
        }
        let withLayers = NameSet(
            structure.groups.filter { group in
                group.attributes.members.contains { Listing(attribute: $0.key) == .layers }
            }.map(\.path))
        let unlisted = (structure.datasets.map(\.path) + structure.aliases.map(\.path)).filter { path in
            !names.listed.contains(path) && groups(around: path).contains { withLayers.contains($0) }
        }
        guard !unlisted.isEmpty else { return [] }
        return ["no list of Keras names, so that it does not load (\(unlisted.count)): \(unlisted.listed(first: 5))"]
    }

    /// The paths of the groups that an object lies in, each with a final slash.
    private static func groups(around path: String) -> [String] {
        path.utf8.indices.filter { path.utf8[$0] == UInt8(ascii: "/") }.map { String(path[...$0]) }
    }

    private init(_ structure: HDF5Structure, _ file: FilePath) {
        self.file = file
        groups = NameSet(structure.groups.map { String($0.path.dropLast()) })
        datasets = NameSet(structure.datasets.map(\.path) + structure.aliases.map(\.path))
    }

    private mutating func check(_ listing: Listing, of group: HDF5Structure.Group) throws {
        let attributes = try attributes(of: listing, in: group)
        let names = try attributes.flatMap { try self.names(in: $0.value, $0.key, of: group) }
        var paths = NameSet()
        var absent: [String] = []
        for name in names {
            let path = Self.path(of: name, in: group.path)
            guard paths.insert(path) else { throw refuse(listing, group, "names '\(path.escapedForDisplay)' twice") }
            if !datasets.contains(path), listing == .weights || !groups.contains(path) { absent.append(path) }
            if datasets.contains(path) { _ = listed.insert(path) }
        }
        guard absent.isEmpty else {
            let kind = listing == .weights ? "datasets" : "groups or datasets"
            throw refuse(
                listing, group, "names \(kind) that are not in the file (\(absent.count)): \(absent.listed(first: 10))")
        }
    }

    private func refuse(_ listing: Listing, _ group: HDF5Structure.Group, _ words: String) -> StructureError {
        StructureError(
            "\(file.forDisplay): attribute '\(listing.rawValue)' of group '\(group.path.escapedForDisplay)' \(words)")
    }

    // MARK: Attributes

    /// The attributes that hold a listing, in order: the one of its name, or the numbered ones.
    private func attributes(
        of listing: Listing, in group: HDF5Structure.Group
    ) throws -> [(key: String, value: JSONValue)] {
        let whole = group.attributes[listing.rawValue].map { [(key: listing.rawValue, value: $0)] } ?? []
        let parts = group.attributes.members.compactMap { member in
            listing.number(member.key).map { (number: $0, member: member) }
        }.sorted { $0.number < $1.number }
        guard whole.isEmpty || parts.isEmpty else {
            throw refuse(listing.rawValue, group, expected: "a whole list or its parts", found: "both")
        }
        for (index, part) in parts.enumerated() where part.number != index {
            throw refuse(
                "\(listing.rawValue)\(index)", group, expected: "the part of a list before '\(part.member.key)'",
                found: "none")
        }
        return whole + parts.map(\.member)
    }

    /// An empty list may be of any type: NumPy makes float64 of nothing.
    private func names(in attribute: JSONValue, _ key: String, of group: HDF5Structure.Group) throws -> [String] {
        let object = attribute.object ?? JSONObject()
        let type = object["type"]?.string ?? "?"
        let values = object["value"]?.array
        let names = values?.compactMap(\.string) ?? []
        guard let values, names.count == values.count, values.isEmpty || HDF5StringLayout(name: type) != nil else {
            throw refuse(
                key, group, expected: "a list of names in UTF-8",
                found: object["shape"]?.array == []
                    ? "a single \(type.escapedForDisplay)" : "other values (\(type.escapedForDisplay))"
            )
        }
        return names
    }

    private func refuse(
        _ key: String, _ group: HDF5Structure.Group, expected: String, found: String
    ) -> CheckpointError {
        CheckpointError(
            file, .part("attribute '\(key)' of group '\(group.path.escapedForDisplay)'"), expected: expected,
            found: found)
    }

    /// The path that a name leads to, as libhdf5 takes it.
    private static func path(of name: String, in group: String) -> String {
        let parts = name.utf8.split(separator: UInt8(ascii: "/")).map { String(Substring($0)) }
        return (name.utf8.first == UInt8(ascii: "/") ? "/" : group) + parts.filter { $0 != "." }.joined(separator: "/")
    }

    // MARK: Shards

    /// The value of an attribute that several shards have: the first's, but of a list all names, each once.
    ///
    /// - Parameter values: at least one.
    static func joined(_ attribute: String, _ values: [JSONValue]) -> JSONValue {
        guard values.count > 1, Listing(attribute: attribute) != nil, var object = values[0].object,
            var names = object["value"]?.array
        else { return values[0] }
        var known = NameSet(names.compactMap(\.string))
        for list in values.dropFirst().compactMap(\.object) {
            guard let more = list["value"]?.array else { continue }
            if names.isEmpty || nameByteCount(object) < nameByteCount(list) { object["type"] = list["type"] }
            names += more.filter { name in name.string.map { known.insert($0) } ?? true }
        }
        object["value"] = .array(names)
        object["shape"] = [JSONValue(names.count)]
        return .object(object)
    }

    /// Bytes that a name in a list may have at most.
    private static func nameByteCount(_ list: JSONObject) -> Int {
        list["type"]?.string.flatMap { HDF5StringLayout(name: $0) }.map { $0.size ?? .max } ?? 0
    }

    // MARK: Writing

    /// The attributes of a group as they are written: listings name only what is.
    ///
    /// - Parameter isWritten: whether there will be a dataset of this path, or for layers a group.
    static func attributes(
        _ attributes: JSONObject, of group: String, where isWritten: (_ listing: Listing, _ path: String) -> Bool
    ) -> JSONObject {
        var result = attributes
        for (key, value) in attributes.members {
            guard let listing = Listing(attribute: key), var object = value.object,
                let values = object["value"]?.array
            else { continue }
            let kept = values.filter { name in name.string.map { isWritten(listing, path(of: $0, in: group)) } ?? true }
            object["value"] = .array(kept)
            object["shape"] = [JSONValue(kept.count)]
            if kept.count < values.count { result[key] = .object(object) }
        }
        return result
    }
}
