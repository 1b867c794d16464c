import AssayCHDF5
import AssayCheckpoints

/// The listing of one dataset, in the helper's process: where its bytes lie, none of which are read but those of
/// compact datasets and fill values.
enum HDF5DatasetListing {
    /// - Returns: the line, or nil where the dataset is left out (a null dataspace has no elements).
    static func line(
        of dataset: hid_t, _ path: String, _ budget: inout HDF5ListingBudget, warningsTo output: inout ListingOutput
    ) throws -> String? {
        let place = "tensor '\(HDF5.name(ofPath: path).escapedForDisplay)'"
        guard let properties = HDF5Identifier(H5Dget_create_plist(dataset)) else {
            throw ListingFailure.damaged(place)
        }
        // Before anything else is asked about it: everything a dataset of another file could do.
        let layout = H5Pget_layout(properties.raw)
        guard layout != H5D_VIRTUAL else {
            throw ListingFailure(
                .init(place), "data inside the file", "a virtual dataset over \(source(of: properties.raw))")
        }
        try refuseExternalStorage(properties.raw, place)
        guard let space = HDF5Identifier(H5Dget_space(dataset)), let type = HDF5Identifier(H5Dget_type(dataset)) else {
            throw ListingFailure.damaged(place)
        }
        guard let shape = try HDF5Dataspace.shape(of: space.raw, place) else {
            output.warn("'\(path.escapedForDisplay)' has a null dataspace and is left out")
            return nil
        }
        let storage = try storedByteCount(of: dataset, place)
        var text = "{\"dataset\":\(JSONValue.quoted(path)),\"type\":\(HDF5TypeDescription.json(of: type.raw))"
        text += ",\"shape\":\(shape),\"stored\":\(storage),"
        let size = H5Tget_size(type.raw)
        switch layout {
        case H5D_CONTIGUOUS: text += "\"contiguous\":" + contiguous(dataset, storage)
        case H5D_COMPACT: text += "\"compact\":" + (try compact(dataset, type.raw, storage, place))
        case H5D_CHUNKED:
            let declared = declaredByteCount(shape, size)
            guard HDF5Limits.allows(declared: declared ?? .max, stored: Int(clamping: storage)) else {
                let words = declared.map { "\($0)" } ?? "more than 2^63"
                throw ListingFailure(
                    .init(place), "the declared data to be stored", "\(words) bytes declared and \(storage) stored")
            }
            text += try chunked(dataset, properties.raw, shape, storage, place, &budget.chunks)
        default: throw ListingFailure(.init(place), "a contiguous, compact or chunked layout", "another")
        }
        text += try fillValue(properties.raw, type.raw, size, place)
        let attributes = try HDF5AttributeReader.attributes(of: dataset, place, &budget, warningsTo: &output)
        return text + ",\"attributes\":{\(attributes)}}"
    }

    // MARK: What lies elsewhere

    private static func source(of properties: hid_t) -> String {
        var name = [CChar](repeating: 0, count: 1024)
        guard H5Pget_virtual_filename(properties, 0, &name, name.count - 1) > 0 else { return "another" }
        return "'\(String(decodingBytes: name).escapedForDisplay)'"
    }

    private static func refuseExternalStorage(_ properties: hid_t, _ place: String) throws {
        let count = H5Pget_external_count(properties)
        guard count != 0 else { return }
        guard count > 0 else { throw ListingFailure.damaged(place) }
        var name = [CChar](repeating: 0, count: 1024)
        var offset: off_t = 0
        var size: hsize_t = 0
        let isNamed = H5Pget_external(properties, 0, name.count - 1, &name, &offset, &size) >= 0
        let file = isNamed ? "'\(String(decodingBytes: name).escapedForDisplay)'" : "another file"
        throw ListingFailure(.init(place), "data inside the file", "external storage in \(file)")
    }

    // MARK: Layouts

    /// libhdf5 answers 0 too where an index of chunks cannot be read: then nothing is known of what is stored.
    private static func storedByteCount(of dataset: hid_t, _ place: String) throws -> hsize_t {
        HDF5Library.forgetFailure()
        let count = H5Dget_storage_size(dataset)
        guard count > 0 || !HDF5Library.hasFailed else { throw ListingFailure.damaged(place) }
        return count
    }

    private static func declaredByteCount(_ shape: [hsize_t], _ size: Int) -> Int? {
        var product = size
        for dimension in shape {
            guard let dimension = Int(exactly: dimension) else { return nil }
            let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
            guard !overflow else { return nil }
            product = next
        }
        return product
    }

    /// - Returns: the offset, or null where nothing is stored: libhdf5 then adds the user block to no place at all.
    private static func contiguous(_ dataset: hid_t, _ storage: hsize_t) -> String {
        guard storage > 0 else { return "null" }
        let offset = H5Dget_offset(dataset)
        // No place is no failure.
        HDF5Library.forgetFailure()
        return offset == chdf5_undefined_address() ? "null" : "\(offset)"
    }

    private static func compact(_ dataset: hid_t, _ type: hid_t, _ storage: hsize_t, _ place: String) throws -> String {
        guard storage <= 1 << 16, let space = HDF5Identifier(H5Dget_space(dataset)),
            let count = UInt64(exactly: H5Sget_simple_extent_npoints(space.raw)),
            count <= storage / UInt64(max(H5Tget_size(type), 1))
        else { throw ListingFailure(.init(place), "compact data of at most 65536 bytes", "\(storage)") }
        // Only plain numbers: anything with pointers in it would be looked up elsewhere.
        guard HDF5TypeDescription.isPlain(type) else { return "\"\"" }
        var bytes = [UInt8](repeating: 0, count: Int(storage))
        // The file's own type in memory too: the library converts nothing.
        guard H5Dread(dataset, type, chdf5_all(), chdf5_all(), chdf5_default(), &bytes) >= 0 else {
            throw ListingFailure.damaged(place)
        }
        return "\"\(bytes.hexadecimal)\""
    }

    private static func chunked(
        _ dataset: hid_t, _ properties: hid_t, _ shape: [hsize_t], _ storage: hsize_t, _ place: String,
        _ budget: inout Int
    ) throws -> String {
        var chunk = [hsize_t](repeating: 0, count: 33)
        let rank = Int(H5Pget_chunk(properties, 32, &chunk))
        guard rank == shape.count, rank > 0, !chunk[..<rank].contains(0) else { throw ListingFailure.damaged(place) }
        chunk.removeLast(chunk.count - rank)
        let text = "\"chunk\":\(chunk),\"filters\":\(try filters(properties, place)),"
        guard storage > 0 else { return text + "\"offsets\":[],\"sizes\":[],\"masks\":[]" }
        var grid: [Int] = []
        var count = 1
        for (dimension, step) in zip(shape, chunk) {
            grid.append(dimension == 0 ? 0 : Int(clamping: (dimension - 1) / step + 1))
            let (next, overflow) = count.multipliedReportingOverflow(by: grid.last!)
            guard !overflow, next <= budget else {
                throw ListingFailure(
                    .init(place), "at most \(HDF5Limits.chunkCount) chunks, and one for 8 bytes of the file", "more")
            }
            count = next
        }
        budget -= count
        let unfiltered = try partialChunksAreUnfiltered(properties, place) ? shape : nil
        return text + (try table(dataset, grid, chunk, count, unfilteredBeyond: unfiltered, place))
    }

    /// Whether chunks that reach beyond the extent are stored as they are, whatever the filters.
    private static func partialChunksAreUnfiltered(_ properties: hid_t, _ place: String) throws -> Bool {
        var options: UInt32 = 0
        guard H5Pget_chunk_opts(properties, &options) >= 0 else { throw ListingFailure.damaged(place) }
        return options & UInt32(H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS) != 0
    }

    /// The place of every chunk of the grid, in row-major order; -1 for those that are not stored.
    ///
    /// - Parameter shape: chunks that reach beyond it went through no filter; nil where all did.
    private static func table(
        _ dataset: hid_t, _ grid: [Int], _ chunk: [hsize_t], _ count: Int, unfilteredBeyond shape: [hsize_t]?,
        _ place: String
    ) throws -> String {
        var offsets: [String] = []
        var sizes: [String] = []
        var masks: [String] = []
        var position = [hsize_t](repeating: 0, count: grid.count)
        for _ in 0..<count {
            var address: haddr_t = 0
            var size: hsize_t = 0
            var mask: UInt32 = 0
            switch chdf5_locate_chunk(dataset, position, &address, &size, &mask) {
            case 1: offsets.append("\(address)")
            case 0: offsets.append("-1")
            default: throw ListingFailure.damaged(place)
            }
            sizes.append("\(size)")
            // The file does not say it of each such chunk: their masks are 0.
            let isWhole = shape.map { shape in position.indices.allSatisfy { chunk[$0] <= shape[$0] - position[$0] } }
            masks.append("\(isWhole ?? true ? mask : UInt32.max)")
            advance(&position, grid, chunk)
        }
        return "\"offsets\":[\(offsets.joined(separator: ","))],\"sizes\":[\(sizes.joined(separator: ","))]"
            + ",\"masks\":[\(masks.joined(separator: ","))]"
    }

    private static func advance(_ position: inout [hsize_t], _ grid: [Int], _ chunk: [hsize_t]) {
        for axis in grid.indices.reversed() {
            position[axis] += chunk[axis]
            if position[axis] < UInt64(grid[axis]) * chunk[axis] { return }
            position[axis] = 0
        }
    }

    /// Filters in the order in which they were applied on writing: `[id, name, [parameters]]`.
    private static func filters(_ properties: hid_t, _ place: String) throws -> String {
        let count = H5Pget_nfilters(properties)
        guard count >= 0 else { throw ListingFailure.damaged(place) }
        var texts: [String] = []
        for index in 0..<UInt32(count) {
            var flags: UInt32 = 0
            var parameterCount = 8
            var parameters = [UInt32](repeating: 0, count: 8)
            var name = [CChar](repeating: 0, count: 64)
            // No information about the filter's program is asked for: that would look for a plugin.
            let id = H5Pget_filter2(properties, index, &flags, &parameterCount, &parameters, name.count - 1, &name, nil)
            guard id >= 0 else { throw ListingFailure.damaged(place) }
            let words = JSONValue.quoted(String(decodingBytes: name))
            texts.append("[\(id),\(words),\(Array(parameters.prefix(parameterCount)))]")
        }
        return "[\(texts.joined(separator: ","))]"
    }

    private static func fillValue(_ properties: hid_t, _ type: hid_t, _ size: Int, _ place: String) throws -> String {
        var status = H5D_FILL_VALUE_DEFAULT
        guard H5Pfill_value_defined(properties, &status) >= 0 else { throw ListingFailure.damaged(place) }
        var time = H5D_FILL_TIME_IFSET
        guard H5Pget_fill_time(properties, &time) >= 0 else { throw ListingFailure.damaged(place) }
        // A value that is never filled in is nobody's: libhdf5 leaves what it reads into as it is, h5py zeros.
        guard status == H5D_FILL_VALUE_USER_DEFINED, time != H5D_FILL_TIME_NEVER, size <= 64,
            HDF5TypeDescription.isPlain(type)
        else { return "" }
        var bytes = [UInt8](repeating: 0, count: size)
        guard H5Pget_fill_value(properties, type, &bytes) >= 0 else { throw ListingFailure.damaged(place) }
        return ",\"fill\":\"\(bytes.hexadecimal)\""
    }
}

/// The shape of a dataspace.
enum HDF5Dataspace {
    /// - Returns: nil for a null dataspace, no dimensions for a scalar.
    static func shape(of space: hid_t, _ place: String) throws -> [hsize_t]? {
        switch H5Sget_simple_extent_type(space) {
        case H5S_NULL: return nil
        case H5S_SCALAR: return []
        case H5S_SIMPLE:
            var dimensions = [hsize_t](repeating: 0, count: 33)
            var limits = dimensions
            let rank = H5Sget_simple_extent_ndims(space)
            guard rank >= 0, rank <= 32, H5Sget_simple_extent_dims(space, &dimensions, &limits) == rank else {
                throw ListingFailure.damaged(place)
            }
            let shape = Array(dimensions.prefix(Int(rank)))
            // libhdf5 before 2.0 lets it pass, and fill values would stand for rows that never were.
            guard zip(shape, limits).allSatisfy(<=) else {
                throw ListingFailure(.init(place), "a shape of at most \(limits.prefix(Int(rank)))", "\(shape)")
            }
            return shape
        default: throw ListingFailure.damaged(place)
        }
    }
}

extension String {
    /// The text of a C array up to its NUL.
    init(decodingBytes characters: [CChar]) {
        self.init(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
