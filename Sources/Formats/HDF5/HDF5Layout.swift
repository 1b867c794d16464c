import AssayCheckpoints
import AssayTensors

/// One tensor of a file and where its bytes lie, every number checked against the file.
struct HDF5Tensor: Sendable {
    enum Storage: Sendable {
        /// All bytes from an offset on.
        case inFile(Int)
        case inline([UInt8])
        /// Nothing is stored: every element is the fill value.
        case filled
        case chunks(HDF5ChunkTable)
    }

    var info: TensorInfo
    var type: HDF5StoredType
    var storage: Storage
    /// One stored element, in the file's byte order.
    var fill: [UInt8]

    /// Stored bytes of the whole tensor.
    var storedByteCount: Int

    /// Where the first byte of data lies, if any is stored.
    var firstOffset: Int? {
        switch storage {
        case .inFile(let offset): storedByteCount > 0 ? offset : nil
        case .chunks(let table): table.places.first { $0.offset >= 0 }?.offset
        case .inline, .filled: nil
        }
    }
}

/// Turns what the listing claims into tensors, believing none of it.
struct HDF5LayoutChecker {
    let file: InputFile
    /// Bytes declared in this file so far that nothing stored stands for.
    private var unstoredByteCount = 0

    init(file: InputFile) { self.file = file }

    mutating func tensor(_ dataset: HDF5Structure.Dataset) throws -> HDF5Tensor {
        let name = HDF5.name(ofPath: dataset.path)
        let type = try type(of: dataset, name)
        let shape = try shape(of: dataset, name)
        // An element of fewer than 8 bits still fills a byte in the file.
        let (storedByteCount, overflow) = shape.elementCount.multipliedReportingOverflow(by: type.size)
        guard !overflow else {
            throw refuse(name, "a byte count below 2^63", "\(shape) elements of \(type.size.inBytes)")
        }
        let (elementType, logicalShape) = try logicalType(of: dataset, type, shape, name)
        guard let info = TensorInfo(name: name, elementType: elementType, shape: logicalShape) else {
            throw refuse(name, "\(elementType.name) elements that fill whole bytes", "the shape \(logicalShape)")
        }
        let fill = dataset.fill ?? [UInt8](repeating: 0, count: type.size)
        guard fill.count == type.size else {
            throw refuse(name, "a fill value of \(type.size.inBytes)", "\(fill.count)")
        }
        let storage = try storage(of: dataset, type, shape, storedByteCount, name)
        return HDF5Tensor(info: info, type: type, storage: storage, fill: fill, storedByteCount: storedByteCount)
    }

    private func refuse(_ name: String, _ expected: String, _ found: String) -> CheckpointError {
        CheckpointError(file.path, .tensor(name), expected: expected, found: found)
    }

    // MARK: Type and shape

    private func type(of dataset: HDF5Structure.Dataset, _ name: String) throws -> HDF5StoredType {
        do {
            return try HDF5StoredType(dataset.type, attributes: dataset.attributes)
        } catch let refusal as HDF5StoredType.Refusal {
            throw refuse(name, "plain integers or floating-point numbers", refusal.found.escapedForDisplay)
        }
    }

    private func shape(of dataset: HDF5Structure.Dataset, _ name: String) throws -> Shape {
        let text = "[" + dataset.shape.map(\.text).joined(separator: ", ") + "]"
        let dimensions = dataset.shape.compactMap(\.int)
        guard dimensions.count == dataset.shape.count, let shape = Shape(dimensions) else {
            throw refuse(name, "a shape of fewer than 2^63 elements", text)
        }
        return shape
    }

    /// The type and shape that the attributes `assay_type` and `assay_shape` restore, or the stored ones.
    private func logicalType(
        of dataset: HDF5Structure.Dataset, _ type: HDF5StoredType, _ shape: Shape, _ name: String
    ) throws -> (ElementType, Shape) {
        guard let attribute = dataset.attributes[HDF5Substitute.typeAttribute] else { return (type.elementType, shape) }
        let text = attribute.object?["value"]?.string ?? ""
        guard let elementType = ElementType(name: text), let substitute = HDF5Substitute(for: elementType),
            substitute.storedType == type.elementType
        else {
            throw refuse(
                name, "the attribute \(HDF5Substitute.typeAttribute) to name a type stored as \(type.elementType.name)",
                "'\(text.escapedForDisplay)'")
        }
        guard substitute.isPacked else { return (elementType, shape) }
        let values = dataset.attributes[HDF5Substitute.shapeAttribute]?.object?["value"]?.array ?? []
        let dimensions = values.compactMap(\.int)
        guard dimensions.count == values.count, let logical = Shape(dimensions), shape.rank == 1,
            elementType.byteCount(of: logical) == shape.elementCount
        else {
            throw refuse(
                name, "the attribute \(HDF5Substitute.shapeAttribute) to be a shape of \(shape.elementCount.inBytes)",
                "\(JSONValue.array(values).compactText)")
        }
        return (elementType, logical)
    }

    // MARK: Places

    private mutating func storage(
        of dataset: HDF5Structure.Dataset, _ type: HDF5StoredType, _ shape: Shape, _ byteCount: Int, _ name: String
    ) throws -> HDF5Tensor.Storage {
        switch dataset.layout {
        case nil: throw refuse(name, "a layout", "none")
        case .compact(let bytes):
            guard bytes.count == byteCount else {
                throw refuse(name, "\(byteCount.inBytes) of compact data", "\(bytes.count)")
            }
            return .inline(bytes)
        case .contiguous(nil):
            guard dataset.storedByteCount == 0 else {
                throw refuse(name, "a place for \(dataset.storedByteCount.inBytes) stored", "none")
            }
            try spend(declared: byteCount, stored: 0, name)
            return .filled
        case .contiguous(let offset?):
            // Without elements too: a shape that lost them has its data still.
            guard dataset.storedByteCount == byteCount else {
                throw refuse(name, "\(byteCount.inBytes) stored", "\(dataset.storedByteCount)")
            }
            guard byteCount > 0 else { return .filled }
            try check(offset, byteCount, byteCount.inBytes, name)
            return .inFile(offset)
        case .chunked(let chunks):
            let table = try table(chunks, type, shape, name)
            // An index that lost a chunk, or has one in a place that is none, says so in no other way.
            guard table.storedByteCount == dataset.storedByteCount else {
                throw refuse(
                    name, "\(dataset.storedByteCount.inBytes) in chunks, as the index counts",
                    "\(table.storedByteCount)")
            }
            try spend(declared: byteCount, stored: table.storedByteCount, name)
            // Nobody walks over chunks of which none is there: there may be as many as elements.
            return table.places.isEmpty ? .filled : .chunks(table)
        }
    }

    /// Refuses data that is declared but not there, in one tensor and in all together.
    private mutating func spend(declared: Int, stored: Int, _ name: String) throws {
        let (expanded, overflow) = stored.multipliedReportingOverflow(by: HDF5Limits.expansion)
        let excess = overflow ? 0 : max(0, declared - expanded)
        unstoredByteCount = Int(clamping: UInt(unstoredByteCount) + UInt(excess))
        guard HDF5Limits.allows(declared: declared, stored: stored),
            unstoredByteCount <= HDF5Limits.unstoredByteCount
        else {
            throw refuse(name, "the declared data to be stored", "\(declared.inBytes) declared and \(stored) stored")
        }
    }

    private func check(_ offset: Int, _ byteCount: Int, _ what: String, _ name: String) throws {
        guard offset >= 0, byteCount >= 0, byteCount <= file.byteCount, offset <= file.byteCount - byteCount else {
            throw refuse(name, "\(what) at byte \(offset) inside the file", "a file of \(file.byteCount.inBytes)")
        }
    }

    private func table(
        _ chunks: HDF5Structure.Chunks, _ type: HDF5StoredType, _ shape: Shape, _ name: String
    ) throws -> HDF5ChunkTable {
        let dimensions = chunks.chunk.compactMap(\.int)
        guard dimensions.count == shape.rank, shape.rank > 0, dimensions.allSatisfy({ $0 > 0 }),
            let chunk = Shape(dimensions),
            chunk.elementCount <= HDF5Limits.chunkByteCount / type.size
        else {
            let text = chunks.chunk.map(\.text).joined(separator: ", ")
            throw refuse(name, "chunks of at most \(HDF5Limits.chunkByteCount) bytes", "chunks of [\(text)]")
        }
        let pipeline = try HDF5FilterPipeline(chunks.filters, elementSize: type.size) {
            refuse(name, "the filters deflate, LZF, shuffle and fletcher32 alone", $0)
        }
        var table = HDF5ChunkTable(
            shape: shape.dimensions, chunk: dimensions, elementSize: type.size, pipeline: pipeline)
        // No places at all stand for a table without chunks.
        let count = table.gridCount
        guard chunks.offsets.count == count || chunks.offsets.isEmpty, chunks.sizes.count == chunks.offsets.count,
            chunks.masks.count == chunks.offsets.count
        else {
            throw refuse(name, "places of \(count) chunks", "\(chunks.offsets.count)")
        }
        guard !chunks.offsets.isEmpty else { return table }
        table.places.reserveCapacity(count)
        for index in 0..<count {
            let place = HDF5ChunkTable.Place(
                offset: chunks.offsets[index], byteCount: chunks.sizes[index],
                filterMask: UInt32(truncatingIfNeeded: chunks.masks[index]))
            try check(place, of: table, index, name)
            table.places.append(place)
        }
        return table
    }

    private func check(_ place: HDF5ChunkTable.Place, of table: HDF5ChunkTable, _ index: Int, _ name: String) throws {
        guard place.offset != -1 else { return }
        try check(
            place.offset, place.byteCount, "chunk \(table.position(of: index)) of \(place.byteCount.inBytes)", name)
        let words = "chunk \(table.position(of: index))"
        switch table.pipeline.storedSize(of: table.chunkByteCount, mask: place.filterMask) {
        case .exactly(let size):
            guard place.byteCount == size else {
                throw refuse(name, "\(size.inBytes) stored of \(words)", "\(place.byteCount)")
            }
        case .compressed:
            guard HDF5Limits.allows(declared: table.chunkByteCount, stored: place.byteCount) else {
                throw refuse(
                    name, "\(words) of \(table.chunkByteCount.inBytes) to be stored", "\(place.byteCount.inBytes)")
            }
        }
    }

    // MARK: All together

    /// Refuses tensors whose stored bytes overlap: no writer does that, and it multiplies what a small file can ask for.
    func checkOverlaps(_ tensors: [HDF5Tensor]) throws {
        var extents: [(offset: Int, byteCount: Int, tensor: Int)] = []
        for (index, tensor) in tensors.enumerated() {
            switch tensor.storage {
            case .inFile(let offset): extents.append((offset, tensor.storedByteCount, index))
            case .chunks(let table):
                for place in table.places where place.offset >= 0 {
                    extents.append((place.offset, place.byteCount, index))
                }
            case .inline, .filled: break
            }
        }
        extents.sort { $0.offset < $1.offset }
        for (a, b) in zip(extents, extents.dropFirst()) where a.offset + a.byteCount > b.offset {
            let first = tensors[a.tensor].info.name
            let second = tensors[b.tensor].info.name
            throw refuse(
                second, "stored bytes of its own",
                first == second
                    ? "two chunks that share byte \(b.offset)" : "byte \(b.offset) in '\(first.escapedForDisplay)' too")
        }
    }
}

/// How element types that HDF5 lacks are stored: as unsigned integers of the same width, or packed in a row of bytes,
/// with attributes that restore them; bfloat16 of Keras as Keras stores it.
struct HDF5Substitute {
    static let typeAttribute = "assay_type"
    static let shapeAttribute = "assay_shape"

    /// Attributes of a dataset without those.
    static func without(_ attributes: JSONObject) -> JSONObject {
        JSONObject(attributes.members.filter { $0.key != typeAttribute && $0.key != shapeAttribute })
    }

    /// The type of the same width, and of the dataset unless that is opaque.
    var storedType: ElementType
    /// Whether the dataset is a row of bytes, whatever the shape.
    var isPacked: Bool
    /// Whether elements are opaque, with the attribute of Keras instead of ours.
    var isOpaque = false

    /// - Parameter attributes: that the dataset had elsewhere and gets again.
    /// - Returns: nil for types that HDF5 has.
    init?(for type: ElementType, attributes: JSONObject = JSONObject()) {
        switch type {
        case .bf16 where KerasBFloat16.isNoted(in: attributes): (storedType, isPacked, isOpaque) = (.u16, false, true)
        case .bf16: (storedType, isPacked) = (.u16, false)
        case .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz: (storedType, isPacked) = (.u8, false)
        case .f4, .f6e2m3, .f6e3m2: (storedType, isPacked) = (.u8, true)
        default: return nil
        }
    }
}
