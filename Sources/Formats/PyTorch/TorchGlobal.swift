import AssayCheckpoints
import AssayTensors

/// The names that may stand in a checkpoint's pickle: those that tensors are made of, and some that are harmless
/// metadata. A name counts only if module and name are exactly one of these.
enum TorchGlobal: Sendable, Equatable, CustomStringConvertible {
    case rebuildTensor, rebuildTensorV2, rebuildTensorV3, rebuildParameter, rebuildParameterWithState
    /// Calls another of these, for a tensor with attributes.
    case rebuildFromType
    /// A class that tensors and parameters have.
    case tensorClass
    case orderedDictionary, counter, set, byteArray, complex
    /// A storage of one type; nil: of bytes.
    case storage(ElementType?)
    case elementType(TorchType)
    /// An element type that no tensor here can have: only a name.
    case otherType(String)
    case size, device, layout
    case numpyScalar, numpyType, encode

    init?(module: String, name: String) {
        switch (module, name) {
        case ("torch._utils", "_rebuild_tensor"): self = .rebuildTensor
        case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensorV2
        case ("torch._utils", "_rebuild_tensor_v3"): self = .rebuildTensorV3
        case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
        case ("torch._utils", "_rebuild_parameter_with_state"): self = .rebuildParameterWithState
        case ("torch._tensor", "_rebuild_from_type_v2"): self = .rebuildFromType
        case ("torch", "Tensor"), ("torch.nn.parameter", "Parameter"), ("torch.nn.parameter", "Buffer"):
            self = .tensorClass
        case ("collections", "OrderedDict"): self = .orderedDictionary
        case ("collections", "Counter"): self = .counter
        case ("builtins", "set"), ("__builtin__", "set"): self = .set
        case ("builtins", "bytearray"), ("__builtin__", "bytearray"): self = .byteArray
        case ("builtins", "complex"), ("__builtin__", "complex"): self = .complex
        case ("torch.serialization", "_get_layout"): self = .layout
        case ("torch", "Size"): self = .size
        case ("torch", "device"): self = .device
        case ("torch.storage", "UntypedStorage"), ("torch", "UntypedStorage"): self = .storage(nil)
        case ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"): self = .numpyScalar
        case ("numpy", "dtype"): self = .numpyType
        case ("_codecs", "encode"): self = .encode
        case ("torch", _):
            if let type = TorchType.storages[name] {
                self = .storage(type)
            } else if let type = TorchType(name: name) {
                self = .elementType(type)
            } else if Self.otherTypes.contains(name) {
                self = .otherType("torch." + name)
            } else {
                return nil
            }
        default: return nil
        }
    }

    private static let otherTypes: Set<String> = [
        "complex32", "chalf", "complex128", "cdouble", "qint8", "quint8", "qint32", "quint4x2", "quint2x4", "bits1x8",
        "bits2x4", "bits4x2", "bits8", "bits16",
    ]

    var description: String {
        switch self {
        case .rebuildTensor: "torch._utils._rebuild_tensor"
        case .rebuildTensorV2: "torch._utils._rebuild_tensor_v2"
        case .rebuildTensorV3: "torch._utils._rebuild_tensor_v3"
        case .rebuildParameter: "torch._utils._rebuild_parameter"
        case .rebuildParameterWithState: "torch._utils._rebuild_parameter_with_state"
        case .rebuildFromType: "torch._tensor._rebuild_from_type_v2"
        case .tensorClass: "a class of tensors"
        case .orderedDictionary: "collections.OrderedDict"
        case .counter: "collections.Counter"
        case .set: "set"
        case .byteArray: "bytearray"
        case .complex: "complex"
        case .layout: "torch.serialization._get_layout"
        case .storage(let type): "a storage class (\(type?.name ?? "bytes"))"
        case .elementType(let type): "torch.\(type.name)"
        case .otherType(let name): name
        case .size: "torch.Size"
        case .device: "torch.device"
        case .numpyScalar: "a NumPy scalar"
        case .numpyType: "numpy.dtype"
        case .encode: "_codecs.encode"
        }
    }

    /// Whether a call of it gives a tensor, by itself.
    var rebuilds: Bool {
        switch self {
        case .rebuildTensor, .rebuildTensorV2, .rebuildTensorV3, .rebuildParameter, .rebuildParameterWithState: true
        default: false
        }
    }

    /// What to do about a refused name, where we know.
    static func remark(_ module: String, _ name: String) -> String {
        switch (module, name) {
        case ("torch", _) where name.hasSuffix("Storage"): "; tensors of this type cannot be read"
        case ("torch._utils", "_rebuild_qtensor"): "; dequantize its tensors and save them again"
        case ("torch._utils", "_rebuild_sparse_tensor"): "; make its tensors dense and save them again"
        case ("torch._utils", "_rebuild_meta_tensor_no_storage"):
            "; a tensor on the device 'meta' has no data, give it some or leave it out and save again"
        default:
            ": a checkpoint may hold tensors and plain data only, nothing was run; if you trust the file, load it with"
                + " the program that wrote it and save its state_dict() alone"
        }
    }
}

/// An element type as PyTorch names it.
struct TorchType: Sendable, Equatable {
    /// "float32".
    var name: String
    var elementType: ElementType

    /// Elements that PyTorch counts as one: two packed 4-bit numbers are an element of its shape.
    var elementsPerItem: Int { elementType.elementsPerUnit }

    init?(name: String) {
        guard let type = Self.types[name] else { return nil }
        self.name = name
        elementType = type
    }

    init?(_ type: ElementType) {
        guard let name = Self.names[type] else { return nil }
        self.name = name
        elementType = type
    }

    static let names: [ElementType: String] = [
        .bool: "bool", .u8: "uint8", .i8: "int8", .i16: "int16", .i32: "int32", .i64: "int64", .f16: "float16",
        .bf16: "bfloat16", .f32: "float32", .f64: "float64", .c64: "complex64", .u16: "uint16", .u32: "uint32",
        .u64: "uint64", .f8e4m3: "float8_e4m3fn", .f8e5m2: "float8_e5m2", .f8e4m3fnuz: "float8_e4m3fnuz",
        .f8e5m2fnuz: "float8_e5m2fnuz", .f8e8m0: "float8_e8m0fnu", .f4: "float4_e2m1fn_x2",
    ]

    private static let types: [String: ElementType] = {
        var types = Dictionary(uniqueKeysWithValues: names.map { ($0.value, $0.key) })
        let others: [String: ElementType] = [
            "float": .f32, "double": .f64, "half": .f16, "short": .i16, "int": .i32, "long": .i64, "cfloat": .c64,
        ]
        types.merge(others) { first, _ in first }
        return types
    }()

    /// Storage classes of the types that have one; the others lie in storages of bytes.
    static let storages: [String: ElementType] = [
        "BoolStorage": .bool, "ByteStorage": .u8, "CharStorage": .i8, "ShortStorage": .i16, "IntStorage": .i32,
        "LongStorage": .i64, "HalfStorage": .f16, "BFloat16Storage": .bf16, "FloatStorage": .f32,
        "DoubleStorage": .f64, "ComplexFloatStorage": .c64,
    ]

    static let storageNames = Dictionary(uniqueKeysWithValues: storages.map { ($0.value, $0.key) })
}
