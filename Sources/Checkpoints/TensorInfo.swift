import AssayTensors
import SystemPackage

/// One tensor of a checkpoint, as its file describes it; reading the data is the reader's business.
public struct TensorInfo: Sendable, Equatable {
    public var name: String
    public var elementType: ElementType
    public var shape: Shape
    /// Bytes of the data in row-major, little-endian order, whatever the file stores.
    public var byteCount: Int
    /// The tensor whose bytes these are too, where the file stores them once under two names.
    public var aliasOf: String?

    /// - Returns: nil where the byte count overflows or the elements do not fill whole bytes.
    public init?(name: String, elementType: ElementType, shape: Shape, aliasOf: String? = nil) {
        guard let byteCount = elementType.byteCount(of: shape) else { return nil }
        self.name = name
        self.elementType = elementType
        self.shape = shape
        self.byteCount = byteCount
        self.aliasOf = aliasOf
    }

    /// Whether both have one shape and element type, whatever their names.
    package func isShaped(like other: TensorInfo) -> Bool {
        shape == other.shape && elementType == other.elementType
    }
}

/// What a checkpoint holds, known from its header alone.
public struct CheckpointContents: Sendable {
    /// The format's name: "safetensors".
    public var formatName: String
    /// In the order of the file's data (shards one after the other); aliases behind what they name.
    public var tensors: [TensorInfo]
    /// Text metadata, in the file's order. What is not text travels as JSON under `CheckpointContents.foreignKey`.
    public var metadata: [(key: String, value: String)]
    /// SHA-256 of each tensor's bytes, where the file stores them; same order as `tensors`.
    public var storedDigests: [Digest]?
    /// The header of the safetensors file that this checkpoint came from, byte for byte with its padding, where the
    /// file keeps it: lets a conversion back give the very same file.
    public var originalHeader: OriginalHeader?
    /// Facts of the file's form, for people: its version.
    public var details: [(key: String, value: String)] = []
    /// Metadata that is not text, for people: long lists shortened.
    public var shownMetadata: [(key: String, value: String)] = []
    /// Which of several files this is, where the file says so.
    public var part: CheckpointPart?
    /// Bytes of the files.
    public var fileByteCount: Int
    /// Files beside the one that was opened which hold some of the data, whether or not they are there.
    public var otherFiles: [FilePath] = []
    /// Sentences about what was seen and tolerated.
    public var warnings: [String] = []
    /// What makes the file invalid; only where it was opened all the same, to be shown.
    public var fault: CheckpointError?

    public init(
        formatName: String, tensors: [TensorInfo], metadata: [(key: String, value: String)] = [],
        storedDigests: [Digest]? = nil, originalHeader: OriginalHeader? = nil, fileByteCount: Int = 0,
        warnings: [String] = []
    ) {
        self.formatName = formatName
        self.tensors = tensors
        self.metadata = metadata
        self.storedDigests = storedDigests
        self.originalHeader = originalHeader
        self.fileByteCount = fileByteCount
        self.warnings = warnings
    }

    /// The reserved metadata key under which a format keeps metadata that is not text, as JSON.
    public static let foreignKey = "assay.foreign"

    /// The position of every name.
    public func indexByName() -> NameMap<Int> {
        NameMap(tensors.enumerated().map { ($1.name, $0) })
    }

    /// Gives a metadata key that stands again a number behind it, `KEY#2`, so that each key has one text, as most formats
    /// want it; a warning names those keys.
    public mutating func tellMetadataApart() {
        var known = NameSet(metadata.map(\.key))
        guard known.count < metadata.count else { return }
        var counts = NameMap<Int>()
        var again: [String] = []
        for position in metadata.indices {
            let key = metadata[position].key
            guard let count = counts.updateValue(1, forKey: key) else { continue }
            var number = count + 1
            while !known.insert("\(key)#\(number)") { number += 1 }
            counts[key] = number
            metadata[position].key = "\(key)#\(number)"
            again.append(key)
        }
        warnings.append(
            "some names stand for several values, told apart by numbers from '#2' on: \(again.listed(first: 5))")
    }
}

/// Which of several files one is, as formats without an index note it in every file.
public struct CheckpointPart: Sendable, Equatable {
    /// From 0 on.
    public var number: Int
    public var count: Int
    /// Of all files.
    public var tensorCount: Int?

    public init(number: Int, count: Int, tensorCount: Int?) {
        self.number = number
        self.count = count
        self.tensorCount = tensorCount
    }
}

/// A header kept verbatim so that a round trip gives the same file.
public struct OriginalHeader: Sendable, Equatable {
    public var formatName: String
    public var bytes: [UInt8]

    public init(formatName: String, bytes: [UInt8]) {
        self.formatName = formatName
        self.bytes = bytes
    }
}
