import AssayCheckpoints
import AssayTensors

/// Writes the zip form: a dictionary from names to tensors, each with a storage of its own, aligned, so that PyTorch maps
/// it; names of the same tensor share one.
struct TorchWriter: CheckpointWriter {
    let pieceOrder = PieceOrder.any
    private let archive: ZipWriter
    /// The member of every tensor of the plan; nil for aliases.
    private let members: [Int?]

    private static let folder = "archive/"
    /// What PyTorch wrote when the storages' byte order was added; all later ones read it.
    private static let version = "3\n"

    init(_ plan: WritePlan, _ output: OutputFile) throws {
        let owners = try plan.owners()
        let stored = plan.tensors.indices.filter { owners[$0] == $0 }
        let numbers = Dictionary(uniqueKeysWithValues: stored.enumerated().map { ($1, $0) })
        // Of every tensor the storage that it is in.
        let storages = owners.map { numbers[$0]! }
        let pickle = try Self.pickle(plan.tensors, storages)
        var small: [(name: String, bytes: [UInt8])] = [
            (TorchArchive.pickleName, pickle), (TorchArchive.byteOrderName, Array("little".utf8)),
            (TorchArchive.versionNames[0], Array(Self.version.utf8)),
        ]
        if !plan.metadata.isEmpty {
            small.append((TorchArchive.metadataName, Array(MetadataPairs.text(of: plan.metadata).utf8)))
        }
        archive = try ZipWriter(
            small.map { (Self.folder + $0.name, $0.bytes.count) }
                + stored.enumerated().map { ("\(Self.folder)data/\($0)", plan.tensors[$1].byteCount) }, output)
        for (member, entry) in small.enumerated() { try archive.write(member, entry.bytes) }
        let first = small.count
        members = plan.tensors.indices.map { owners[$0] == $0 ? first + storages[$0] : nil }
    }

    func write(
        _ tensor: Int, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer,
        inTurn: (() throws -> Void) throws -> Void
    ) throws {
        guard let member = members[tensor] else { preconditionFailure("an alias has no bytes of its own") }
        try archive.write(member, at: range.lowerBound, bytes)
    }

    func finish(digests: [Digest]) throws { try archive.finish() }

    // MARK: Pickle

    private static func pickle(_ tensors: [TensorInfo], _ storages: [Int]) throws -> [UInt8] {
        var pickle = PickleWriter()
        pickle.beginDictionary()
        for (tensor, storage) in zip(tensors, storages) {
            pickle.text(tensor.name)
            try add(tensor, key: String(storage), to: &pickle)
        }
        return pickle.finish()
    }

    private static func add(_ tensor: TensorInfo, key: String, to pickle: inout PickleWriter) throws {
        guard let type = TorchType(tensor.elementType), let sizes = sizes(of: tensor, type) else {
            throw UsageError(
                "tensor '\(tensor.name.escapedForDisplay)': PyTorch cannot hold \(tensor.elementType.name)"
                    + " \(tensor.shape): it counts 4-bit numbers in pairs along the last dimension")
        }
        let storageName = TorchType.storageNames[type.elementType]
        pickle.global("torch._utils", storageName == nil ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2")
        pickle.tuple { pickle in
            pickle.storage(
                storageName, key: key, count: storageName == nil ? tensor.byteCount : tensor.shape.elementCount)
            pickle.int(0)
            pickle.tuple { for size in sizes { $0.int(size) } }
            pickle.tuple { for stride in Shape.strides(of: sizes) { $0.int(stride) } }
            pickle.bool(false)
            pickle.emptyOrderedDictionary()
            if storageName == nil { pickle.global("torch", type.name) }
        }
        pickle.reduce()
    }

    /// The shape as PyTorch counts it.
    private static func sizes(of tensor: TensorInfo, _ type: TorchType) -> [Int]? {
        var sizes = tensor.shape.dimensions
        guard type.elementsPerItem > 1 else { return sizes }
        guard let last = sizes.last, last % type.elementsPerItem == 0 else { return nil }
        sizes[sizes.count - 1] = last / type.elementsPerItem
        return sizes
    }
}
