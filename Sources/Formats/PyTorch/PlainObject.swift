import AssayCheckpoints

/// Python's own objects that stand beside tensors and are no containers.
enum PlainObject {
    static func call(
        _ global: TorchGlobal, _ arguments: [PickleValue], _ fault: PickleRefusal
    ) throws -> PickleValue {
        switch global {
        case .complex:
            guard arguments.count == 2, case .float(let real) = arguments[0], case .float(let imaginary) = arguments[1]
            else { throw fault("two numbers", arguments.prefix(3).map(\.kind).joined(separator: ", ")) }
            return .text(complex(real, imaginary))
        default:
            switch arguments.count {
            case 0: return .bytes([])
            case 1:
                guard case .bytes = arguments[0] else { throw fault("bytes", arguments[0].kind) }
                return arguments[0]
            default: return try NumPyScalar.call(.encode, arguments, fault)
            }
        }
    }

    /// "(1+2j)"
    private static func complex(_ real: Double, _ imaginary: Double) -> String {
        "(\(text(real))\(imaginary.sign == .minus ? "-" : "+")\(text(imaginary.magnitude))j)"
    }

    private static func text(_ value: Double) -> String {
        guard value == value.rounded(), value.magnitude < 1e15 else { return "\(value)" }
        return value == 0 && value.sign == .minus ? "-0" : String(Int(value))
    }
}
