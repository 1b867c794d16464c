import AssayCheckpoints
import AssayTensors

/// How a two-dimensional weight is turned: which dimension belongs to the product's input.
public enum WeightOrientation: Sendable, Equatable {
    /// [out, in], as PyTorch's `Linear` stores it: y = x Wᵀ.
    case outputInput
    /// [in, out], as GPT-2's `Conv1D` stores it: y = x W.
    case inputOutput
}

/// One weight as a model sees it, whoever packed it: it lends its dequantized values.
public protocol LogicalTensor: Sendable {
    /// "transformer.h.0.attn.c_attn.weight", without the suffixes of a packing.
    var name: String { get }

    /// The logical shape.
    var shape: Shape { get }

    /// The orientation where the packing fixes it, whatever the model's own convention; nil where the tensor is stored
    /// plainly and the model's table knows.
    var orientation: WeightOrientation? { get }

    /// How the values are stored.
    var storage: TensorStorage { get }

    /// The stored tensors (positions in the checkpoint) that make up this one.
    var parts: [Int] { get }

    /// Dequantized values of some rows (first dimension; a scalar has one), as the packing's owner computes them in
    /// float32. Wider stored values are rounded to nearest even.
    ///
    /// - Parameter values: exactly `rows.count * shape.rowElementCount` elements.
    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws

    /// The same in float64: float64 tensors exactly, everything else the float32 values widened.
    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Double>) throws

    /// The scales of the quantization steps for some rows, where the tensor is quantized: every group's scale as it is
    /// used for each element would be too much, so one a group, [rows, groups per row]; nil where it is not quantized.
    func readScales(rows: Range<Int>) throws -> [Float]?

    /// Compares it with what its file says of its bytes, before some rows are read of those that no check would pass by.
    func requireIntact() throws
}

extension LogicalTensor {
    public func requireIntact() throws {}
}

/// How a logical tensor's values are stored.
public enum TensorStorage: Sendable, Equatable {
    /// One number an element.
    case plain(ElementType)
    /// Integers and scales.
    case quantized(bits: Int, groupSize: Int?, isSymmetric: Bool, packing: String)

    /// "bf16", "int4-g32".
    public var label: String {
        switch self {
        case .plain(let type): type.name.lowercased()
        case .quantized(let bits, let groupSize?, let isSymmetric, _):
            "int\(bits)-g\(groupSize)" + (isSymmetric ? "" : "-asym")
        case .quantized(let bits, nil, let isSymmetric, _): "int\(bits)" + (isSymmetric ? "" : "-asym")
        }
    }
}

/// An encoding of weights over several stored tensors.
///
/// Adding one: a file here with a type of this protocol, a line in `PackingRegistry`, a golden file.
public protocol Packing: Sendable {
    /// "compressed-tensors".
    static var name: String { get }

    /// Requires that the weights are packed in no other way than is read here.
    ///
    /// - Parameter declared: the value of `quantization_config`.
    /// - Throws: `StructureError` naming the key.
    static func check(_ declared: JSONObject) throws(StructureError)

    /// What is declared beside the weights, and not computed: sentences.
    static func notes(of declared: JSONObject) -> [String]

    /// Whether a stored tensor belongs to what is declared beside the weights, and is not computed.
    static func isUnused(_ name: String) -> Bool

    /// Recognises the tensors of a checkpoint that it packs.
    ///
    /// - Parameter configuration: the model's `config.json`, where there is one.
    /// - Returns: the logical tensors; their `parts` are taken out of the plain ones.
    /// - Throws: `StructureError` where a packed tensor is incomplete or contradicts itself.
    static func logicalTensors(
        in reader: any CheckpointReader, configuration: JSONObject?
    ) throws -> [any LogicalTensor]
}
