import AssayCheckpoints
import AssayTensors

/// Numbers that training programs leave in their checkpoints as NumPy scalars.
enum NumPyScalar {
    static func call(
        _ global: TorchGlobal, _ arguments: [PickleValue], _ fault: PickleRefusal
    ) throws -> PickleValue {
        switch global {
        case .numpyType:
            guard let name = arguments.first?.text else { throw fault("a NumPy type's name", "none") }
            return .numpyType(name)
        case .encode:
            guard arguments.count == 2, let text = arguments[0].text,
                ["latin1", "latin-1"].contains(arguments[1].text)
            else { throw fault("text to be encoded as latin1", "something else") }
            let bytes = text.unicodeScalars.compactMap { UInt8(exactly: $0.value) }
            guard bytes.count == text.unicodeScalars.count else { throw fault("text in latin1", "other characters") }
            return .bytes(bytes)
        default:
            let expected = "a NumPy type and bytes"
            guard arguments.count == 2 else { throw fault(expected, "\(arguments.count) arguments") }
            guard case .numpyType(let type) = arguments[0], case .bytes(let bytes) = arguments[1] else {
                throw fault(expected, arguments.map(\.kind).joined(separator: ", "))
            }
            return try number(type, bytes, fault)
        }
    }

    private static func number(_ name: String, _ bytes: [UInt8], _ fault: PickleRefusal) throws -> PickleValue {
        let letters = name.drop { "<|=".contains($0) }
        guard let (type, order) = try? NumPyType.parse(String(letters)), order == .little,
            type.unitByteCount == bytes.count
        else { throw fault("a NumPy scalar that is a number", "type '\(name.escapedForDisplay.prefix(20))'") }
        switch type {
        case .bool: return .bool(bytes[0] != 0)
        case .u8: return .int(Int(bytes[0]))
        case .i8: return .int(Int(Int8(bitPattern: bytes[0])))
        case .u16: return .int(Int(bytes.number(0, UInt16.self)))
        case .i16: return .int(Int(bytes.number(0, Int16.self)))
        case .u32: return .int(Int(bytes.number(0, UInt32.self)))
        case .i32: return .int(Int(bytes.number(0, Int32.self)))
        case .i64: return .int(Int(bytes.number(0, Int64.self)))
        case .u64: return Int(exactly: bytes.number(0, UInt64.self)).map { .int($0) } ?? .long(bytes + [0])
        case .f32: return .float(Double(Float(bitPattern: bytes.number(0, UInt32.self))))
        case .f64: return .float(Double(bitPattern: bytes.number(0, UInt64.self)))
        default: return .bytes(bytes)
        }
    }
}
