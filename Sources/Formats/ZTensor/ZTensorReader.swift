import AssayCheckpoints
import AssayTensors
import SystemPackage

/// An opened zTensor file. Dense tensors and sparse matrices are read; objects of other layouts are listed by their parts,
/// and their data is refused.
final class ZTensorReader: CheckpointReader {
    let contents: CheckpointContents
    private let file: InputFile
    private let sources: ZTensorSources
    /// One for every entry of `contents.tensors`.
    private let tensors: [Tensor]

    /// How a tensor is read.
    private enum Reading: Sendable {
        case part
        case sparse(ZTensorSparse)
        /// The bytes are there, but what they mean is not known; says what was expected and found.
        case refused(expected: String, found: String)
    }

    private struct Tensor: Sendable {
        var info: TensorInfo
        var part: ZTensorManifest.Part
        var reading: Reading
    }

    /// - Throws: `CheckpointError`.
    init(_ file: InputFile, threads: Int) throws {
        var manifest = ZTensorManifest(attributes: [], objects: [])
        var warnings: [String] = []
        if let footer = try ZTensorFile.footer(of: file) {
            manifest = try ZTensorFile.manifest(of: file, footer)
            try ZTensorChecks(
                manifest: manifest, path: file.path, dataEnd: file.byteCount - ZTensorFile.footerByteCount,
                manifestRange: footer.manifest
            ).check()
        } else {
            warnings.append("the file has no manifest: it is a shard, and the file that names it says what it holds")
        }
        self.file = file
        sources = ZTensorSources(file, manifest, threads: threads)
        tensors = try Self.tensors(of: manifest, sources, file.path)
        for (layout, names) in Self.unread(manifest) {
            warnings.append(
                "the layout '\(layout.escapedForDisplay)' is not read; of objects that have it the parts are listed:"
                    + " \(names.listed(first: 5))")
        }
        var contents = CheckpointContents(
            formatName: ZTensor.name, tensors: tensors.map(\.info), metadata: ZTensorAttributes.metadata(of: manifest),
            fileByteCount: file.byteCount, warnings: warnings)
        contents.tellMetadataApart()
        contents.otherFiles = manifest.shards.map { ZTensorSources.path(ofShard: $0.name, of: file.path) }
        self.contents = contents
    }

    private static func unread(_ manifest: ZTensorManifest) -> [(layout: String, names: [String])] {
        var groups: [(layout: String, names: [String])] = []
        var positions = NameMap<Int>()
        for object in manifest.objects where ![ZTensor.denseLayout, ZTensorSparse.layout].contains(object.layout) {
            if let position = positions[object.layout] {
                groups[position].names.append(object.name)
            } else {
                positions[object.layout] = groups.count
                groups.append((object.layout, [object.name]))
            }
        }
        return groups
    }

    // MARK: Listing

    /// In the order of the data, the file's own first; second names behind them.
    private static func tensors(
        of manifest: ZTensorManifest, _ sources: ZTensorSources, _ path: FilePath
    ) throws -> [Tensor] {
        var tensors = manifest.objects.flatMap { self.tensors(of: $0, sources, path) }
        tensors.sort { a, b in
            let (first, second) = (a.part.shard ?? "", b.part.shard ?? "")
            if first != second { return first.utf8.lexicographicallyPrecedes(second.utf8) }
            if a.part.blob.lowerBound != b.part.blob.lowerBound {
                return a.part.blob.lowerBound < b.part.blob.lowerBound
            }
            return a.info.name.utf8.lexicographicallyPrecedes(b.info.name.utf8)
        }
        var seen = NameSet()
        for tensor in tensors where !seen.insert(tensor.info.name) {
            throw CheckpointError(
                path, .tensor(tensor.info.name), expected: "an object of this name or a part of one, not both",
                found: "both")
        }
        return marked(tensors, ZTensorAttributes.aliases(of: manifest))
    }

    /// The second names behind what they name. Only such that share its blob are: others stay tensors of their own.
    private static func marked(_ tensors: [Tensor], _ aliases: NameMap<String>) -> [Tensor] {
        guard aliases.count > 0 else { return tensors }
        let positions = NameMap(tensors.enumerated().map { ($1.info.name, $0) })
        var (own, seconds) = ([Tensor](), [Tensor]())
        for var tensor in tensors {
            guard let name = aliases[tensor.info.name], aliases[name] == nil, let target = positions[name],
                isSame(tensor, tensors[target])
            else {
                own.append(tensor)
                continue
            }
            tensor.info.aliasOf = name
            seconds.append(tensor)
        }
        return own + seconds
    }

    /// Whether two tensors are one under two names.
    private static func isSame(_ a: Tensor, _ b: Tensor) -> Bool {
        guard case (.part, .part) = (a.reading, b.reading) else { return false }
        return a.part.shard == b.part.shard && a.part.blob == b.part.blob && !a.part.blob.isEmpty
            && a.part.encoding == b.part.encoding && a.info.elementType == b.info.elementType
            && a.info.shape == b.info.shape
    }

    private static func tensors(
        of object: ZTensorManifest.Object, _ sources: ZTensorSources, _ path: FilePath
    ) -> [Tensor] {
        if let tensor = dense(object) ?? sparse(object, sources, path) { return [tensor] }
        return object.parts.map { structural($0, of: object) }
    }

    private static func shape(_ object: ZTensorManifest.Object) -> Shape? {
        let dimensions = object.shape.compactMap { Int(exactly: $0) }
        return dimensions.count == object.shape.count ? Shape(dimensions) : nil
    }

    private static func dense(_ object: ZTensorManifest.Object) -> Tensor? {
        guard object.layout == ZTensor.denseLayout, let part = object.part("data"), let type = part.type?.elementType,
            let shape = shape(object), let info = TensorInfo(name: object.name, elementType: type, shape: shape)
        else { return nil }
        return Tensor(info: info, part: part, reading: .part)
    }

    private static func sparse(
        _ object: ZTensorManifest.Object, _ sources: ZTensorSources, _ path: FilePath
    ) -> Tensor? {
        guard object.layout == ZTensorSparse.layout, let values = object.part("values"),
            let type = values.type?.elementType, type.bitCount % 8 == 0, let shape = shape(object),
            let info = TensorInfo(name: object.name, elementType: type, shape: shape),
            let matrix = ZTensorSparse(object, info, sources, path)
        else { return nil }
        return Tensor(info: info, part: values, reading: .sparse(matrix))
    }

    /// A part of what we cannot interpret, as its stored elements.
    private static func structural(_ part: ZTensorManifest.Part, of object: ZTensorManifest.Object) -> Tensor {
        let storage = ZTensorType.storage(named: part.storage)
        let type = storage?.elementType ?? .u8
        let isOnly = object.layout == ZTensor.denseLayout
        let name = isOnly ? object.name : "\(object.name)/\(part.name)"
        let whole = TensorInfo(
            name: name, elementType: type, shape: Shape([part.byteCount / type.unitByteCount])!)
        // What does not fill whole elements is bytes.
        let info =
            whole?.byteCount == part.byteCount
            ? whole! : TensorInfo(name: name, elementType: .u8, shape: Shape([part.byteCount])!)!
        let (expected, found) = reason(part, object)
        return Tensor(info: info, part: part, reading: .refused(expected: expected, found: found))
    }

    private static func reason(
        _ part: ZTensorManifest.Part, _ object: ZTensorManifest.Object
    ) -> (expected: String, found: String) {
        guard [ZTensor.denseLayout, ZTensorSparse.layout].contains(object.layout) else {
            return (
                "a layout that is read (\(ZTensor.denseLayout), \(ZTensorSparse.layout))",
                "'\(object.layout.escapedForDisplay)'"
            )
        }
        guard let type = part.type else {
            return ("a logical type that is known", "'\((part.logical ?? "").escapedForDisplay)'")
        }
        guard type.elementType != nil, type.bitCount % 8 == 0 else {
            return (
                "elements of a type that is held, which fill whole bytes",
                "\(object.shape) of \(type.logical ?? type.storage)"
            )
        }
        return ("a shape that fits 63 bits", "\(object.shape)")
    }

    // MARK: Reading

    func read(_ index: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        let tensor = tensors[index]
        precondition(range.count == buffer.count && range.upperBound <= tensor.info.byteCount)
        switch tensor.reading {
        case .part: try sources.read(tensor.part, of: tensor.info.name, at: range.lowerBound, into: buffer)
        case .sparse(let matrix): try matrix.read(range, into: buffer)
        case .refused(let expected, let found):
            throw CheckpointError(file.path, .tensor(tensor.info.name), expected: expected, found: found)
        }
        if tensor.info.elementType == .bool { try checkBooleans(buffer, from: range.lowerBound, tensor) }
    }

    private func checkBooleans(_ buffer: UnsafeMutableRawBufferPointer, from offset: Int, _ tensor: Tensor) throws {
        guard let position = buffer.firstIndex(where: { $0 > 1 }) else { return }
        throw CheckpointError(
            file.path, .tensor(tensor.info.name), expected: "booleans of 0 or 1",
            found: "\(buffer[position]) at element \(offset + position)")
    }

    func contentCheck(of index: Int) -> (any ContentCheck)? {
        guard case .part = tensors[index].reading, let digest = tensors[index].part.digest else { return nil }
        return ZTensorDigest(digest, of: tensors[index].info.name, in: file.path)
    }
}
