import AssayCHDF5
import AssayCheckpoints
import AssayTensors
import SystemPackage

/// The structure of a file under construction, made through libhdf5: groups, datasets with reserved space, second
/// links, attributes. Nothing in it depends on the time or the machine, so that equal plans give equal files.
final class HDF5FileBuilder: @unchecked Sendable {  // reason: changed inside `HDF5Library.withLibrary` only
    enum Place: Sendable {
        /// No bytes, or an alias.
        case nowhere
        /// All bytes from here on.
        case offset(Int)
        case chunks(HDF5ChunkPlan)
    }

    private(set) var places: [Place] = []
    private let plan: WritePlan
    private let output: OutputFile
    private let deflateLevel: Int?
    private var file: hid_t = -1
    private var groups = NameSet([""])
    /// Attributes that objects get back, by path.
    private let attributes: NameMap<JSONObject>
    /// The dataset whose chunks are being written.
    private var current: (tensor: Int, dataset: hid_t)?

    /// Data of at least this many bytes begins at multiples of `alignment`, so that it can be mapped.
    private static let alignedByteCount: UInt64 = 1024
    private static let alignment: UInt64 = 64

    init(_ plan: WritePlan, _ output: OutputFile, deflateLevel: Int?) throws {
        self.plan = plan
        self.output = output
        self.deflateLevel = deflateLevel
        let attributes = try HDF5Metadata.attributes(for: plan.metadata)
        self.attributes = NameMap(attributes.foreign.map { ($0.path, $0.attributes) })
        try HDF5Library.withLibrary {
            chdf5_clear_errno()
            do {
                try create()
                try makeDatasets()
                try restore(attributes)
            } catch {
                abandon()
                throw error
            }
        }
    }

    deinit {
        guard file >= 0 else { return }
        try? HDF5Library.withLibrary { abandon() }
    }

    /// Completes the structure on the disk. Called again, it does nothing.
    func close() throws {
        guard file >= 0 else { return }
        try HDF5Library.withLibrary {
            closeCurrent()
            let result = H5Fclose(file)
            file = -1
            guard result >= 0 else { throw failure("complete its structure") }
        }
    }

    /// Stores one chunk. The caller sees to the order.
    func write(_ chunk: HDF5ChunkCompressor.Chunk, of tensor: Int) throws {
        try HDF5Library.withLibrary {
            let dataset = try dataset(of: tensor)
            let position = chunk.position.map { hsize_t($0) }
            guard
                H5Dwrite_chunk(
                    dataset, chdf5_default(), chunk.filterMask, position, chunk.bytes.count, chunk.bytes) >= 0
            else { throw failure("write a chunk of '\(plan.tensors[tensor].name.escapedForDisplay)'") }
        }
    }

    // MARK: Inside the lock

    private func abandon() {
        closeCurrent()
        if file >= 0 { H5Fclose(file) }
        file = -1
    }

    private func closeCurrent() {
        if let current { H5Dclose(current.dataset) }
        current = nil
    }

    private func dataset(of tensor: Int) throws -> hid_t {
        if let current, current.tensor == tensor { return current.dataset }
        closeCurrent()
        let dataset = H5Dopen2(file, plan.tensors[tensor].name, chdf5_default())
        guard dataset >= 0 else { throw failure("open '\(plan.tensors[tensor].name.escapedForDisplay)'") }
        current = (tensor, dataset)
        return dataset
    }

    /// The system's refusal where there was one, else libhdf5's words.
    private func failure(_ operation: String) -> SystemError {
        let code = chdf5_last_errno()
        let words = HDF5Library.errorText()
        if code != 0 {
            let errno = Errno(rawValue: code)
            return SystemError(
                operation, output.path, errno,
                advice: errno == .noSpace ? "free some space, or write to another disk" : nil)
        }
        return SystemError(operation, output.path, .ioError, advice: "libhdf5 says '\(words)'")
    }

    private func create() throws {
        guard let access = HDF5Identifier(chdf5_access()),
            let creation = HDF5Identifier(H5Pcreate(chdf5_file_creation()))
        else { throw failure("prepare to create it") }
        // What HDF5 1.8 and everything later reads; older forms hold no attribute above 64 KB.
        H5Pset_libver_bounds(access.raw, H5F_LIBVER_V18, H5F_LIBVER_V18)
        H5Pset_alignment(access.raw, Self.alignedByteCount, Self.alignment)
        H5Pset_obj_track_times(creation.raw, false)
        Self.keepAttributeOrder(creation.raw)
        file = chdf5_create(output.descriptor, creation.raw, access.raw)
        guard file >= 0 else { throw failure("create it") }
    }

    /// Lets the attributes of an object be listed in the order in which they were made.
    private static func keepAttributeOrder(_ properties: hid_t) {
        H5Pset_attr_creation_order(properties, UInt32(H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED))
    }

    /// Makes the groups on the way to a path, and the one it names if it ends with a slash.
    private func makeGroups(to path: String) throws {
        for slash in path.unicodeScalars.indices where path.unicodeScalars[slash] == "/" {
            let group = String(path[..<slash])
            guard groups.insert(group) else { continue }
            guard let creation = HDF5Identifier(H5Pcreate(chdf5_group_creation())),
                let link = HDF5Identifier(makeLinkProperties())
            else { throw failure("prepare a group") }
            H5Pset_obj_track_times(creation.raw, false)
            Self.keepAttributeOrder(creation.raw)
            guard let made = HDF5Identifier(H5Gcreate2(file, group, link.raw, creation.raw, chdf5_default())) else {
                throw failure("create the group '\(group.escapedForDisplay)'")
            }
            _ = made.raw
        }
    }

    private func makeLinkProperties() -> hid_t {
        let link = H5Pcreate(chdf5_link_creation())
        H5Pset_char_encoding(link, H5T_CSET_UTF8)
        return link
    }

    private func makeDatasets() throws {
        guard let link = HDF5Identifier(makeLinkProperties()) else { throw failure("prepare datasets") }
        for tensor in plan.tensors {
            try makeGroups(to: tensor.name)
            if tensor.aliasOf != nil {
                places.append(.nowhere)
            } else {
                places.append(try makeDataset(tensor, link.raw))
            }
        }
        // Second links last: what they name may come later in the plan.
        for tensor in plan.tensors {
            guard let target = tensor.aliasOf else { continue }
            guard H5Lcreate_hard(file, target, file, tensor.name, link.raw, chdf5_default()) >= 0 else {
                throw failure("link '\(tensor.name.escapedForDisplay)' to '\(target.escapedForDisplay)'")
            }
        }
    }

    private func makeDataset(_ tensor: TensorInfo, _ link: hid_t) throws -> Place {
        let operation = "create the dataset '\(tensor.name.escapedForDisplay)'"
        let attributes = attributes["/" + tensor.name]
        let substitute = HDF5Substitute(for: tensor.elementType, attributes: attributes ?? JSONObject())
        let storedType = substitute?.storedType ?? tensor.elementType
        let shape = substitute?.isPacked == true ? [tensor.byteCount] : tensor.shape.dimensions
        let chunks = deflateLevel == nil ? nil : HDF5ChunkPlan(shape: shape, elementSize: storedType.bitCount / 8)
        guard let type = HDF5Identifier(Self.makeType(storedType, isOpaque: substitute?.isOpaque == true)),
            let space = HDF5Identifier(Self.makeSpace(shape)),
            let properties = HDF5Identifier(makeProperties(chunks, keepsOrder: attributes != nil)),
            let dataset = HDF5Identifier(
                H5Dcreate2(file, tensor.name, type.raw, space.raw, link, properties.raw, chdf5_default()))
        else { throw failure(operation) }
        if let substitute, !substitute.isOpaque { try note(substitute, of: tensor, on: dataset.raw) }
        if let chunks { return .chunks(chunks) }
        guard tensor.byteCount > 0 else { return .nowhere }
        let offset = H5Dget_offset(dataset.raw)
        guard offset != chdf5_undefined_address(), let place = Int(exactly: offset) else { throw failure(operation) }
        return .offset(place)
    }

    private static func makeType(_ type: ElementType, isOpaque: Bool) -> hid_t {
        isOpaque ? H5Tcreate(H5T_OPAQUE, type.bitCount / 8) : HDF5TypeFactory.makeType(type)
    }

    private static func makeSpace(_ shape: [Int]) -> hid_t {
        if shape.isEmpty { return H5Screate(H5S_SCALAR) }
        return H5Screate_simple(CInt(shape.count), shape.map { hsize_t($0) }, nil)
    }

    private func makeProperties(_ chunks: HDF5ChunkPlan?, keepsOrder: Bool) -> hid_t {
        let properties = H5Pcreate(chdf5_dataset_creation())
        if keepsOrder { Self.keepAttributeOrder(properties) }
        H5Pset_obj_track_times(properties, false)
        H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER)
        if let chunks {
            H5Pset_chunk(properties, CInt(chunks.chunk.count), chunks.chunk.map { hsize_t($0) })
            H5Pset_shuffle(properties)
            H5Pset_deflate(properties, UInt32(min(deflateLevel ?? 1, 9)))
        } else {
            H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY)
        }
        return properties
    }

    // MARK: Attributes

    private func note(_ substitute: HDF5Substitute, of tensor: TensorInfo, on dataset: hid_t) throws {
        try attempt("the attributes of '\(tensor.name.escapedForDisplay)'") {
            try HDF5AttributeWriter.write(tensor.elementType.name, HDF5Substitute.typeAttribute, on: dataset)
            guard substitute.isPacked else { return }
            let shape = tensor.shape.dimensions
            try HDF5AttributeWriter.write(
                "I64", shape: [shape.count], shape.map { JSONValue($0) }, HDF5Substitute.shapeAttribute, on: dataset)
        }
    }

    private func attempt(_ what: String, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch let failure as HDF5AttributeWriter.Failure {
            if chdf5_last_errno() != 0 { throw self.failure("write \(what)") }
            throw UsageError("\(what): hdf5 cannot hold it: \(failure.reason)")
        }
    }

    /// - Throws: `UsageError` where attributes take too much together; each alone is looked at when it is written.
    private static func requireFew(_ attributes: [(path: String, attributes: JSONObject)]) throws {
        var left = HDF5Limits.attributesByteCount
        // Without the bytes of the file, which are not known yet, so that what is written can be read again.
        let valueLimit = HDF5Limits.valueCount(fileByteCount: 0)
        var values = valueLimit
        for value in attributes.lazy.flatMap(\.attributes.members).map(\.value) {
            left -= min(HDF5AttributeWriter.byteCount(of: value), left + 1)
            values -= 1 + (value.object?["value"]?.array?.count ?? 1)
        }
        guard values >= 0 else {
            throw UsageError(
                "metadata '\(CheckpointContents.foreignKey)': expected at most \(valueLimit) attributes and values"
                    + " in them, found more")
        }
        guard left >= 0 else {
            throw UsageError(
                "metadata '\(CheckpointContents.foreignKey)': expected attributes of at most"
                    + " \(HDF5Limits.attributesByteCount) bytes in all, found more")
        }
    }

    private func restore(_ attributes: HDF5Metadata.Attributes) throws {
        let text = NameSet(attributes.text.map(\.key))
        for (key, value) in attributes.text {
            guard let root = HDF5Identifier(H5Oopen(file, "/", chdf5_default())) else { throw failure("open its root") }
            try attempt("metadata '\(key.escapedForDisplay)'") {
                try HDF5AttributeWriter.write(value, key, on: root.raw)
            }
        }
        let types = NameMap(plan.tensors.map { ($0.name, $0.elementType) })
        // A group that a tensor's name has become since is no group any more.
        let foreign = attributes.foreign.filter { path, _ in
            let name = HDF5.name(ofPath: path)
            return path.hasSuffix("/") ? types[String(name.dropLast())] == nil : types[name] != nil
        }
        try Self.requireFew(foreign)
        for (path, _) in foreign where path.hasSuffix("/") { try makeGroups(to: HDF5.name(ofPath: path)) }
        for (path, members) in foreign {
            guard let object = HDF5Identifier(H5Oopen(file, path, chdf5_default())) else {
                throw failure("open '\(path.escapedForDisplay)'")
            }
            let members = current(members, of: path, types)
            for (key, value) in members.members where path != "/" || !text.contains(key) {
                let place = "'\(key.escapedForDisplay)' of '\(path.escapedForDisplay)'"
                try attempt("metadata '\(CheckpointContents.foreignKey)': attribute \(place)") {
                    try HDF5AttributeWriter.write(value, key, on: object.raw)
                }
            }
        }
    }

    /// Attributes without what is no longer true of the tensors that are written.
    private func current(_ attributes: JSONObject, of path: String, _ types: NameMap<ElementType>) -> JSONObject {
        guard path.hasSuffix("/") else {
            return types[HDF5.name(ofPath: path)] == .bf16 ? attributes : KerasBFloat16.withoutNote(attributes)
        }
        return KerasNames.attributes(attributes, of: path) { listing, path in
            let name = HDF5.name(ofPath: path)
            return types[name] != nil || listing == .layers && groups.contains(name)
        }
    }
}
