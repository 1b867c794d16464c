import AssayCheckpoints
import AssayTensors
import SystemPackage

/// The rules of a manifest that need no data: where blobs lie, and what the layouts that we know ask of their parts.
struct ZTensorChecks {
    let manifest: ZTensorManifest
    let path: FilePath
    /// Where the footer begins.
    let dataEnd: Int
    let manifestRange: Range<Int>

    /// - Throws: `CheckpointError`.
    func check() throws {
        let shards = NameMap(manifest.shards.map { ($0.name, $0) })
        for object in manifest.objects {
            for part in object.parts { try check(part, of: object, shards) }
            switch object.layout {
            case ZTensor.denseLayout: try checkDense(object)
            case ZTensorSparse.layout: try checkSparse(object)
            default: break
            }
        }
        try checkOverlaps()
        try checkExpansion()
        try checkSum()
    }

    private func fault(_ object: ZTensorManifest.Object, _ expected: String, _ found: String) -> CheckpointError {
        CheckpointError(path, .tensor(object.name), expected: expected, found: found)
    }

    // MARK: Blobs

    private func check(
        _ part: ZTensorManifest.Part, of object: ZTensorManifest.Object, _ shards: NameMap<ZTensorManifest.Shard>
    ) throws {
        let what = "part '\(part.name.escapedForDisplay)'"
        guard part.blob.lowerBound > 0, part.blob.lowerBound % ZTensorFile.alignment == 0 else {
            throw fault(
                object, "\(what) at a multiple of \(ZTensorFile.alignment)", "byte \(part.blob.lowerBound)")
        }
        var end = dataEnd
        if let name = part.shard {
            guard let shard = shards[name] else {
                throw fault(object, "\(what) in a shard that is declared", "'\(name.escapedForDisplay)'")
            }
            end = shard.byteCount - ZTensorFile.footerByteCount
        }
        guard part.blob.upperBound <= end else {
            throw fault(
                object, "\(what) to end by byte \(end), before the footer",
                "\(part.blob.count.inBytes) at byte \(part.blob.lowerBound)")
        }
        if let logical = part.logical, let type = ZTensorType.logical(named: logical), type.storage != part.storage {
            throw fault(object, "\(what) of type \(logical) to be stored as \(type.storage)", part.storage)
        }
    }

    /// Blobs of one file are the same or apart.
    private func checkOverlaps() throws {
        var uses: [ExactName: [(range: Range<Int>, owner: String)]] = [:]
        // No shard has this name.
        let own = ExactName("")
        uses[own] = [(manifestRange, "the manifest")]
        for object in manifest.objects {
            for part in object.parts where !part.blob.isEmpty {
                uses[part.shard.map { ExactName($0) } ?? own, default: []].append(
                    (part.blob, "tensor '\(object.name.escapedForDisplay)'"))
            }
        }
        for (_, list) in uses {
            let sorted = list.sorted {
                ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
            }
            for (a, b) in zip(sorted, sorted.dropFirst())
            where a.range != b.range && a.range.upperBound > b.range.lowerBound {
                throw CheckpointError(
                    path, .part("manifest"), expected: "blobs that are the same or apart",
                    found:
                        "\(b.owner) at byte \(b.range.lowerBound), inside \(a.owner), which ends at byte \(a.range.upperBound)"
                )
            }
        }
    }

    /// The dense form of sparse matrices may be larger than what is stored of them by so much: memory and time follow the
    /// bytes that are there.
    private static let maximumRatio = 1032
    private static let freeByteCount = 16 << 20

    private func checkExpansion() throws {
        var (stored, dense) = (0, 0)
        var seen = Set<String>()
        for object in manifest.objects where object.layout == ZTensorSparse.layout {
            for part in object.parts where seen.insert("\(part.blob) \(part.shard ?? "")").inserted {
                stored = stored.saturatingAdd(part.blob.count)
            }
            let elementByteCount = (object.part("values")?.type?.bitCount ?? 8) / 8
            dense = object.shape.reduce(elementByteCount) { $0.saturatingMultiply(Int(clamping: $1)) }
                .saturatingAdd(dense)
            guard dense <= stored.saturatingMultiply(Self.maximumRatio).saturatingAdd(Self.freeByteCount) else {
                throw fault(
                    object, "sparse matrices of at most \(Self.maximumRatio) times their stored bytes",
                    "\(stored.inBytes) stored for a shape of \(object.shape)")
            }
        }
    }

    /// What zstd makes at most of a byte: 128 KiB of a block of 4.
    private static let maximumZstdRatio = 1 << 15

    /// All tensors together must be countable, and encoded ones possible.
    private func checkSum() throws {
        var sum = 0
        for object in manifest.objects {
            for part in object.parts {
                sum = sum.saturatingAdd(part.byteCount)
                guard sum <= ZTensorManifest.maximumByteCount else {
                    throw fault(object, "at most \(ZTensorManifest.maximumByteCount) bytes in all tensors", "more")
                }
                guard
                    part.encoding == nil
                        || part.byteCount <= part.blob.count.saturatingMultiply(Self.maximumZstdRatio)
                else {
                    throw fault(
                        object, "a decoded_length of at most \(Self.maximumZstdRatio) times the stored bytes",
                        "\(part.byteCount) for \(part.blob.count.inBytes)")
                }
            }
        }
    }

    // MARK: Layouts

    private func checkDense(_ object: ZTensorManifest.Object) throws {
        guard object.parts.count == 1, let part = object.part("data") else {
            throw fault(
                object, "a dense tensor of one part, 'data'",
                "\(object.parts.map(\.name).joined(separator: ", ").escapedForDisplay)")
        }
        // The product was checked; a zero anywhere makes it 0.
        let elementCount = object.shape.reduce(1) { $0 * $1 }
        try checkSize(part, object, elementCount)
    }

    private func checkSize(
        _ part: ZTensorManifest.Part, _ object: ZTensorManifest.Object, _ elementCount: UInt64
    ) throws {
        // What a type that nobody knows takes is not known either.
        guard let type = part.type else { return }
        let wanted = Int(exactly: elementCount).flatMap { type.byteCount(of: $0) }
        guard wanted == part.byteCount else {
            throw fault(
                object,
                "\(wanted?.inBytes ?? "more than 2^63 bytes") in part '\(part.name.escapedForDisplay)' for \(elementCount) elements of \(type.logical ?? type.storage)",
                "\(part.byteCount)")
        }
    }

    private func checkSparse(_ object: ZTensorManifest.Object) throws {
        guard object.shape.count == 2 else {
            throw fault(object, "a sparse matrix of 2 dimensions", "\(object.shape.count)")
        }
        guard object.parts.count == 3, let values = object.part("values"), let indices = object.part("indices"),
            let pointers = object.part("indptr")
        else {
            throw fault(
                object, "a sparse matrix of the parts values, indices, indptr",
                object.parts.map(\.name).joined(separator: ", ").escapedForDisplay)
        }
        for part in [indices, pointers] {
            guard part.logical == nil, ["u32", "u64"].contains(part.storage), part.storage == indices.storage else {
                throw fault(
                    object, "indices and indptr both plain u32 or u64",
                    "\(part.logical ?? part.storage) in \(part.name)")
            }
        }
        let width = indices.storage == "u32" ? 4 : 8
        let (count, overflow) = object.shape[0].addingReportingOverflow(1)
        guard !overflow else { throw fault(object, "fewer rows than 2^64 - 1", "\(object.shape[0])") }
        try checkSize(pointers, object, count)
        guard indices.byteCount % width == 0 else {
            throw fault(object, "indices of whole \(indices.storage) numbers", "\(indices.byteCount.inBytes)")
        }
        try checkSize(values, object, UInt64(indices.byteCount / width))
    }
}

extension Int {
    /// The most there is where the result does not fit; of numbers that are not negative.
    fileprivate func saturatingAdd(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }

    fileprivate func saturatingMultiply(_ other: Int) -> Int {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }
}
