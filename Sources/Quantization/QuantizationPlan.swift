import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors

/// A weight that might be quantized, as a model's table of tensors sees it.
public struct CandidateWeight: Sendable {
    /// The stored name: "transformer.h.0.attn.c_attn.weight".
    public var name: String
    public var tensor: any LogicalTensor
    /// Which dimension belongs to the input of the product.
    public var orientation: WeightOrientation
    /// Whether the model lets it be quantized.
    public var isEligible: Bool
    /// Why not: "embedding".
    public var reason: String?

    public init(
        name: String, tensor: any LogicalTensor, orientation: WeightOrientation, isEligible: Bool = true,
        reason: String? = nil
    ) {
        self.name = name
        self.tensor = tensor
        self.orientation = orientation
        self.isEligible = isEligible
        self.reason = reason
    }
}

/// What becomes of every weight under a scheme, known before the first byte is written; then the work, weight by weight.
public struct QuantizationPlan: Sendable {
    public enum Decision: Sendable, Equatable {
        /// Into these stored tensors, in this order; `note` says what is not as the user might expect.
        case quantize(outputs: [TensorInfo], note: String?)
        /// Left as it is.
        case keep(reason: String)
    }

    public let scheme: QuantizationScheme
    public let weights: [CandidateWeight]
    /// One a weight.
    public let decisions: [Decision]
    private let options: QuantizationOptions

    /// Decides. Only where scales are to be stored as f16, whose range is narrow, the weights are read for it: a tensor
    /// with a scale that f16 cannot hold as a normal number gets f32 scales.
    ///
    /// - Throws: `UsageError` where the type of the scales is none; what reading throws.
    public init(
        _ scheme: QuantizationScheme, weights: [CandidateWeight], options: QuantizationOptions = QuantizationOptions()
    ) throws {
        if let type = options.scaleType, ck_scale_type(type) == nil {
            throw UsageError("scales are stored as f32, bf16 or f16; \(type.name.lowercased()) was asked for")
        }
        self.scheme = scheme
        self.weights = weights
        self.options = options
        decisions = try weights.map { try Self.decide($0, scheme, options) }
    }

    /// Quantizes some rows of one weight.
    ///
    /// - Parameters:
    ///   - rows: output channels, from a multiple of `rowUnit` on and as many, but for the last ones.
    ///   - tensor: where the values are read, if not in the weight itself.
    /// - Precondition: its decision is `.quantize`.
    /// - Throws: `QuantizationError` where an element is not finite or a group has no scale.
    public func quantize(
        _ index: Int, rows: Range<Int>, from tensor: (any LogicalTensor)? = nil
    ) throws -> QuantizedRows {
        let (work, outputs) = work(index, tensor)
        return try work.quantized(rows, as: outputs)
    }

    /// How many output channels of a weight are quantized together at least; nil where it is all of them, because they lie
    /// across the rows of the file.
    public func rowUnit(of index: Int) -> Int? { work(index, nil).work.rowUnit }

    /// Output channels of a weight.
    public func rowCount(of index: Int) -> Int { work(index, nil).work.rows.outputs }

    /// What was lost of a weight.
    ///
    /// - Parameter errors: of all its rows.
    public func statistics(of index: Int, _ errors: ErrorSums) -> WeightStatistics {
        let (work, outputs) = work(index, nil)
        return WeightStatistics(
            errors, elementCount: work.rows.outputs * work.rows.inputs,
            byteCount: outputs.dropLast().reduce(0) { $0 + $1.byteCount }, hasGroups: true)
    }

    private func work(_ index: Int, _ tensor: (any LogicalTensor)?) -> (work: RoundToNearest, outputs: [TensorInfo]) {
        guard case .quantize(let outputs, _) = decisions[index] else {
            preconditionFailure("the plan keeps \(weights[index].name)")
        }
        var weight = weights[index]
        weight.tensor = tensor ?? weight.tensor
        return (Self.work(weight, scheme, scaleType: ck_scale_type(outputs[1].elementType)!, options), outputs)
    }

    /// The name of the weight that a plan makes some tensors of; nil where none does.
    public static func weightName(ofParts outputs: [TensorInfo]) -> String? {
        guard let packed = outputs.first?.name, packed.hasSuffix(".weight_packed") else { return nil }
        return String(packed.dropLast("_packed".count))
    }

    // MARK: - Decisions

    private static func decide(
        _ weight: CandidateWeight, _ scheme: QuantizationScheme, _ options: QuantizationOptions
    ) throws -> Decision {
        if let reason = reasonToKeep(weight, scheme) { return .keep(reason: reason) }
        guard case .plain(let type) = weight.tensor.storage else { return .keep(reason: "is packed") }
        let wanted = options.scaleType ?? (type == .bf16 || type == .f16 ? type : .f32)
        guard wanted == .f16, try !work(weight, scheme, scaleType: CK_SCALE_F16, options).scalesFit() else {
            return .quantize(outputs: outputs(of: weight, scheme, scaleType: wanted), note: nil)
        }
        return .quantize(
            outputs: outputs(of: weight, scheme, scaleType: .f32),
            note: "scales are f32: f16 cannot hold some of them")
    }

    private static func reasonToKeep(_ weight: CandidateWeight, _ scheme: QuantizationScheme) -> String? {
        if let reason = weight.reasonToKeep { return reason }
        guard weight.name.hasSuffix(".weight") else { return "its name does not end in .weight" }
        let inputs = weight.tensor.shape.dimensions[weight.orientation == .outputInput ? 1 : 0]
        if let groupSize = scheme.groupSize, inputs % groupSize != 0 {
            return "its input dimension \(inputs) is not a multiple of the group size \(groupSize)"
        }
        return nil
    }

    private static func work(
        _ weight: CandidateWeight, _ scheme: QuantizationScheme, scaleType: ck_scale_type,
        _ options: QuantizationOptions
    ) -> RoundToNearest {
        RoundToNearest(
            name: weight.name,
            rows: WeightRows(
                tensor: weight.tensor, orientation: weight.orientation, groupSize: scheme.groupSize,
                schemeName: scheme.name),
            scheme: scheme, scaleType: scaleType, options: options)
    }

    /// The stored tensors of a quantized weight, always [out, in].
    private static func outputs(
        of weight: CandidateWeight, _ scheme: QuantizationScheme, scaleType: ElementType
    ) -> [TensorInfo] {
        let rows = WeightRows(tensor: weight.tensor, orientation: weight.orientation, groupSize: nil)
        let groups = rows.inputs / (scheme.groupSize ?? rows.inputs)
        func info(_ part: String, _ type: ElementType, _ dimensions: [Int]) -> TensorInfo {
            // Smaller in every dimension than a tensor that exists.
            TensorInfo(name: weight.module + "." + part, elementType: type, shape: Shape(dimensions)!)!
        }
        var outputs = [
            info("weight_packed", .i32, [rows.outputs, (rows.inputs * scheme.bits + 31) / 32]),
            info("weight_scale", scaleType, [rows.outputs, groups]),
        ]
        if !scheme.isSymmetric {
            outputs.append(info("weight_zero_point", .i32, [(rows.outputs * scheme.bits + 31) / 32, groups]))
        }
        outputs.append(info("weight_shape", .i64, [2]))
        return outputs
    }
}

extension CandidateWeight {
    /// Why no scheme quantizes it; nil where one might.
    public var reasonToKeep: String? {
        guard isEligible else { return reason ?? "is not to be quantized" }
        let shape = tensor.shape
        guard case .plain(let type) = tensor.storage else { return "is already \(tensor.storage.label)" }
        guard !type.isBlock else { return "is already \(tensor.storage.label)" }
        guard type.isFloating else { return "holds \(type.name), no floating-point numbers" }
        guard shape.rank == 2 else { return "has \(shape.rank) dimensions, a linear weight has 2" }
        return shape.elementCount > 0 ? nil : "holds no elements"
    }

    /// The module that owns the weight: its name without ".weight".
    var module: String { name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : name }
}

extension ck_scale_type {
    /// "BF16".
    var name: String { self == CK_SCALE_BF16 ? "BF16" : self == CK_SCALE_F16 ? "F16" : "F32" }

    /// Nil where scales are not stored so.
    init?(_ type: ElementType) {
        switch type {
        case .f32: self = CK_SCALE_F32
        case .bf16: self = CK_SCALE_BF16
        case .f16: self = CK_SCALE_F16
        default: return nil
        }
    }
}
