import AssayCheckpoints
import AssayTensors
import SystemPackage

/// Reads tensors where their storages lie.
struct TorchReader: CheckpointReader {
    let contents: CheckpointContents
    private let arrays: [StridedArray]

    /// Opens the zip form.
    ///
    /// - Throws: `CheckpointError`.
    init(archive file: InputFile) throws {
        let archive = try TorchArchive(file)
        let pickle = "pickle '\(archive.folder.escapedForDisplay)\(TorchArchive.pickleName)'"
        let (found, heap) = try Self.reporting(file.path, pickle) {
            var machine = PickleMachine(archive.pickle)
            let root = try machine.run()
            guard machine.stream.isAtEnd else {
                throw PickleFault(offset: machine.stream.position, expected: "the pickle to end", found: "more bytes")
            }
            let contents = try TorchContents(
                root, machine.heap, rootName: Self.stem(of: file.path), pickleByteCount: archive.pickle.byteCount)
            return (contents, machine.heap)
        }
        try self.init(
            file, found, heap, isBigEndian: archive.isBigEndian, metadata: archive.metadata(),
            storage: archive.storage)
    }

    /// Opens the old stream form.
    ///
    /// - Throws: `CheckpointError`.
    init(stream file: InputFile) throws {
        let (found, stream) = try Self.reporting(file.path, "pickle") {
            let stream = try TorchStream(file)
            let contents = try TorchContents(
                stream.root, stream.heap, rootName: Self.stem(of: file.path), pickleByteCount: stream.pickleByteCount)
            return (contents, stream)
        }
        try self.init(file, found, stream.heap, isBigEndian: false, metadata: [], storage: stream.storage)
    }

    private init(
        _ file: InputFile, _ found: TorchContents, _ heap: PickleHeap, isBigEndian: Bool,
        metadata: [(key: String, value: String)], storage: (TorchStorage) throws -> any ByteSource
    ) throws {
        var contents = CheckpointContents(
            formatName: PyTorch.name, tensors: [], metadata: metadata + found.metadata, fileByteCount: file.byteCount)
        var arrays: [StridedArray] = []
        var storedByteCounts: [Int] = []
        var sources = NameMap<any ByteSource>()
        var first: [View: String] = [:]
        for (name, tensor) in found.tensors {
            let memory = heap.storages[tensor.storage]
            // A storage that is named again must be of the same size, as what lies behind it is another's.
            let known = sources[memory.key].flatMap { $0.byteCount == memory.byteCount ? $0 : nil }
            let source = try known ?? storage(memory)
            sources[memory.key] = source
            storedByteCounts.append(source.byteCount)
            var info = try Self.info(name, tensor, file.path)
            let view = View(tensor, memory)
            info.aliasOf = first[view]
            if info.aliasOf == nil { first[view] = name }
            contents.tensors.append(info)
            arrays.append(Self.array(tensor, memory, source, info.byteCount, isBigEndian: isBigEndian))
        }
        var allowance = TorchAllowance(sources.pairs.map(\.value.byteCount))
        for (info, stored) in zip(contents.tensors, storedByteCounts) where info.aliasOf == nil {
            try allowance.take(info, ofStored: stored, file.path)
        }
        contents.tellMetadataApart()
        if !found.left.isEmpty {
            contents.warnings.append(
                "left behind, as no tensors, texts or numbers of 64 bits, or as attributes of tensors:"
                    + " \(found.left.listed(first: 5))")
        }
        self.contents = contents
        self.arrays = arrays
    }

    /// Names the file, and the place in it, where a pickle is at fault.
    private static func reporting<R>(_ path: FilePath, _ pickle: String, _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let fault as PickleFault {
            throw CheckpointError(
                path, .part("\(pickle), byte \(fault.offset)"), expected: fault.expected, found: fault.found)
        }
    }

    /// What a tensor that stands alone is called.
    private static func stem(of path: FilePath) -> String { path.lastComponent?.stem ?? "" }

    // MARK: Tensors

    /// What makes two names the same tensor.
    private struct View: Hashable {
        var key: ExactName
        var type: ElementType
        var byteOffset: Int
        var sizes: [Int]
        var strides: [Int]

        init(_ tensor: TorchTensor, _ storage: TorchStorage) {
            key = ExactName(storage.key)
            type = tensor.type.elementType
            byteOffset = TorchReader.byteOffset(of: tensor, storage)
            (sizes, strides) = (tensor.sizes, tensor.strides)
        }
    }

    private static func info(_ name: String, _ tensor: TorchTensor, _ path: FilePath) throws -> TensorInfo {
        var sizes = tensor.sizes
        if tensor.type.elementsPerItem > 1 {
            guard let last = sizes.last, !last.multipliedReportingOverflow(by: tensor.type.elementsPerItem).overflow
            else {
                throw CheckpointError(
                    path, .tensor(name), expected: "pairs along the last dimension", found: "\(sizes)")
            }
            sizes[sizes.count - 1] = last * tensor.type.elementsPerItem
        }
        guard let shape = Shape(sizes),
            let info = TensorInfo(name: name, elementType: tensor.type.elementType, shape: shape)
        else {
            throw CheckpointError(
                path, .tensor(name), expected: "a shape whose bytes fit 63 bits", found: "\(sizes.prefix(8))")
        }
        return info
    }

    /// A part of a storage begins at a number of the storage's elements, a tensor at one of its own.
    fileprivate static func byteOffset(of tensor: TorchTensor, _ storage: TorchStorage) -> Int {
        guard !tensor.sizes.contains(0) else { return 0 }
        return storage.first * storage.elementByteCount + tensor.offset * tensor.type.elementType.unitByteCount
    }

    private static func array(
        _ tensor: TorchTensor, _ storage: TorchStorage, _ source: any ByteSource, _ byteCount: Int, isBigEndian: Bool
    ) -> StridedArray {
        let type = tensor.type.elementType
        return StridedArray(
            source, isRest: byteCount == source.byteCount, offset: byteOffset(of: tensor, storage),
            elementByteCount: type.unitByteCount,
            axes: zip(tensor.sizes, tensor.strides).map { StridedArray.Axis(count: $0, stride: $1) },
            byteOrder: StoredByteOrder(isBigEndian: isBigEndian, type))
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        precondition(range.lowerBound >= 0 && range.upperBound <= contents.tensors[tensor].byteCount)
        try arrays[tensor].read(range, into: buffer)
    }

    func granularity(of tensor: Int) -> Int { arrays[tensor].granularity }

    func requireIntact(_ tensor: Int) throws { try arrays[tensor].requireIntact() }
}
