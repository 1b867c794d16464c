import AssayCHDF5
import AssayCheckpoints

/// The walk over a file's objects, in the helper's process. Only hard links are followed, a group is visited under every
/// path that does not lead through itself, and nothing is recursive.
struct HDF5Walk {
    private let file: hid_t
    private var pending: [Group]
    /// The path under which a dataset was met first.
    private var firstPath: [haddr_t: String] = [:]
    private var objectCount = 1
    private var budget: HDF5ListingBudget

    private struct Group {
        var address: haddr_t
        /// Without a final slash; empty for the root.
        var path: String
        /// Those that it lies in, outermost first.
        var outer: [Group]

        var shownPath: String { path.isEmpty ? "/" : path.escapedForDisplay }
    }

    init(file: hid_t, byteCount: UInt64, root: haddr_t) {
        self.file = file
        budget = HDF5ListingBudget(fileByteCount: Int(clamping: byteCount))
        pending = [Group(address: root, path: "", outer: [])]
    }

    mutating func run(into output: inout ListingOutput) throws {
        while let group = pending.popLast() { try visit(group, into: &output) }
    }

    private mutating func visit(_ group: Group, into output: inout ListingOutput) throws {
        let place = "group '\(group.shownPath)'"
        guard let object = HDF5Identifier(H5Oopen_by_addr(file, group.address)) else {
            throw ListingFailure.damaged(place)
        }
        let links = try self.links(of: object.raw, group, place)
        let attributes = try HDF5AttributeReader.attributes(of: object.raw, place, &budget, warningsTo: &output)
        output.line(
            "{\"group\":\(JSONValue.quoted(group.path + "/")),\"empty\":\(links.isEmpty),\"attributes\":{\(attributes)}}"
        )
        // The last pushed is visited first, so that groups are listed in the order of their names.
        let firstPushed = pending.count
        let outer = group.outer + [group]
        for link in links { try follow(link, from: group, within: outer, into: &output) }
        pending[firstPushed...].reverse()
    }

    // MARK: Links

    private struct Link {
        var name: String
        var address: haddr_t
    }

    /// What the C visitor fills: a link that cannot be followed ends the walk.
    private final class LinkCollector {
        var links: [Link] = []
        var failure: ListingFailure?
        let limit: Int
        let path: String

        init(limit: Int, path: String) {
            self.limit = limit
            self.path = path
        }

        func take(_ name: UnsafePointer<CChar>?, _ kind: chdf5_link_kind, _ address: haddr_t, _ target: String) -> CInt
        {
            guard let name, let text = String(validatingCString: name) else {
                return refuse("link in '\(path)/'", "names in UTF-8", "a name that is not")
            }
            let place = "link '\((path + "/" + text).escapedForDisplay)'"
            guard kind == CHDF5_HARD else {
                let words =
                    switch kind {
                    case CHDF5_SOFT: "a soft link to '\(target.escapedForDisplay)'"
                    case CHDF5_EXTERNAL: "an external link to '\(target.escapedForDisplay)'"
                    default: "a link of a kind defined by a user"
                    }
                return refuse(place, "hard links only", words)
            }
            guard !text.isEmpty, text != ".", text != "..", !text.contains("/") else {
                return refuse(place, "a name that paths can hold", "'\(text.escapedForDisplay)'")
            }
            guard links.count < limit else {
                return refuse("file", "at most \(HDF5Limits.objectCount) objects and links", "more")
            }
            links.append(Link(name: text, address: address))
            return 0
        }

        private func refuse(_ place: String, _ expected: String, _ found: String) -> CInt {
            failure = ListingFailure(.init(place), expected, found)
            return -1
        }
    }

    private mutating func links(of object: hid_t, _ group: Group, _ place: String) throws -> [Link] {
        let collector = LinkCollector(limit: HDF5Limits.objectCount - objectCount, path: group.path)
        let result = withExtendedLifetime(collector) {
            chdf5_visit_links(
                object,
                { name, kind, address, target, context in
                    let collector = Unmanaged<LinkCollector>.fromOpaque(context!).takeUnretainedValue()
                    return collector.take(name, kind, address, target.map { String(cString: $0) } ?? "")
                }, Unmanaged.passUnretained(collector).toOpaque())
        }
        if let failure = collector.failure { throw failure }
        guard result >= 0 else { throw ListingFailure.damaged(place) }
        try Self.requireOrder(of: collector.links, in: object, place)
        objectCount += collector.links.count
        return collector.links
    }

    /// The first form of a group has no checksum but the order of its names, by which libhdf5 looks them up.
    private static func requireOrder(of links: [Link], in object: hid_t, _ place: String) throws {
        var info = H5G_info_t()
        guard H5Gget_info(object, &info) >= 0 else { throw ListingFailure.damaged(place) }
        guard info.storage_type == H5G_STORAGE_TYPE_SYMBOL_TABLE else { return }
        for (before, link) in zip(links, links.dropFirst())
        where !before.name.utf8.lexicographicallyPrecedes(link.name.utf8) {
            throw ListingFailure(
                .init(place), "names in their order",
                "'\(link.name.escapedForDisplay)' after '\(before.name.escapedForDisplay)'")
        }
    }

    /// - Parameter outer: the group, and those that it lies in; all that it leads to share them.
    private mutating func follow(
        _ link: Link, from group: Group, within outer: [Group], into output: inout ListingOutput
    ) throws {
        let path = group.path + "/" + link.name
        let place = "object '\(path.escapedForDisplay)'"
        guard let object = HDF5Identifier(H5Oopen_by_addr(file, link.address)) else {
            throw ListingFailure.damaged(place)
        }
        switch H5Iget_type(object.raw) {
        case H5I_GROUP:
            try push(Group(address: link.address, path: path, outer: outer), into: &output)
        case H5I_DATASET:
            if let first = firstPath[link.address] {
                let text = "{\"alias\":\(JSONValue.quoted(path)),\"of\":\(JSONValue.quoted(first))}"
                return output.line(text)
            }
            firstPath[link.address] = path
            let line = try HDF5DatasetListing.line(
                of: object.raw, path, &budget, warningsTo: &output)
            if let line { output.line(line) }
        case H5I_DATATYPE: output.warn("'\(path.escapedForDisplay)' is a named type and is left out")
        default: throw ListingFailure(.init(place), "a group or a dataset", "an object of another kind")
        }
    }

    private mutating func push(_ group: Group, into output: inout ListingOutput) throws {
        if let same = group.outer.first(where: { $0.address == group.address }) {
            return output.warn(
                "'\(group.shownPath)' is the group '\(same.shownPath)', which it lies in, and is left out")
        }
        guard group.outer.count <= HDF5Limits.depth else {
            throw ListingFailure(
                .init("group '\(group.shownPath)'"), "at most \(HDF5Limits.depth) groups inside each other", "more")
        }
        pending.append(group)
    }
}

/// What the objects of a file may still take, all together.
struct HDF5ListingBudget {
    var chunks: Int
    /// Attributes and the values in them.
    private var values: Int
    private let valueLimit: Int

    init(fileByteCount: Int) {
        chunks = HDF5Limits.chunkCount(fileByteCount: fileByteCount)
        valueLimit = HDF5Limits.valueCount(fileByteCount: fileByteCount)
        values = valueLimit
    }

    mutating func takeValues(_ count: Int) throws {
        values -= min(count, values + 1)
        guard values >= 0 else {
            throw ListingFailure(
                .init("file"), "at most \(valueLimit) attributes and values in them", "more")
        }
    }
}

extension ListingOutput {
    /// A sentence about what was seen and tolerated.
    mutating func warn(_ sentence: String) { line("{\"warning\":\(JSONValue.quoted(sentence))}") }
}
