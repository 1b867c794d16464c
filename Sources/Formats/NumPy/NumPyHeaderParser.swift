import AssayCheckpoints

/// Parses the header's dictionary by a grammar of its own: strings, integers, `True`, `False`, one flat tuple. Nothing is
/// evaluated, nothing is nested.
struct NumPyHeaderParser {
    struct Fault: Error {
        /// From the beginning of the dictionary.
        var offset: Int
        var expected: String
        var found: String
    }

    struct Entries {
        var description: String
        var isFortranOrder: Bool
        var shape: [Int]
    }

    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func entries() throws -> Entries {
        var (description, isFortranOrder, shape): (String?, Bool?, [Int]?)
        try expect("{")
        while !take("}") {
            let start = position
            let key = try string("a key")
            try expect(":")
            switch key {
            case "descr" where description == nil: description = try self.description()
            case "fortran_order" where isFortranOrder == nil: isFortranOrder = try boolean()
            case "shape" where shape == nil: shape = try tuple()
            default:
                throw Fault(
                    offset: start, expected: "descr, fortran_order and shape, each once",
                    found: "'\(key.escapedForDisplay.prefix(40))'")
            }
            if !take(",") {
                try expect("}")
                break
            }
        }
        skipSpace()
        guard position == bytes.count else { throw fault("nothing behind the dictionary") }
        guard let description, let isFortranOrder, let shape else {
            throw Fault(offset: 0, expected: "descr, fortran_order and shape", found: "not all of them")
        }
        return Entries(description: description, isFortranOrder: isFortranOrder, shape: shape)
    }

    /// The element type; a list describes a structure, and is refused with its beginning.
    private mutating func description() throws -> String {
        skipSpace()
        if position < bytes.count, bytes[position] == UInt8(ascii: "[") || bytes[position] == UInt8(ascii: "(") {
            let rest = bytes[position...].prefix(60)
            let end = rest.firstIndex(of: UInt8(ascii: "]")).map { $0 + 1 } ?? rest.endIndex
            let text = String(decoding: rest[..<end], as: UTF8.self)
            throw Fault(
                offset: position, expected: "one type for all elements",
                found: "a structured type, \(text.escapedForDisplay)")
        }
        return try string("a type")
    }

    private mutating func string(_ what: String) throws -> String {
        skipSpace()
        guard position < bytes.count, bytes[position] == UInt8(ascii: "'") || bytes[position] == UInt8(ascii: "\"")
        else { throw fault("\(what), a string") }
        let quote = bytes[position]
        guard let end = bytes[(position + 1)...].firstIndex(of: quote),
            !bytes[position..<end].contains(UInt8(ascii: "\\"))
        else { throw fault("\(what), a string without escapes that ends") }
        defer { position = end + 1 }
        return String(decoding: bytes[position + 1..<end], as: UTF8.self)
    }

    private mutating func boolean() throws -> Bool {
        skipSpace()
        for (word, value) in [("True", true), ("False", false)] where bytes[position...].starts(with: word.utf8) {
            position += word.utf8.count
            return value
        }
        throw fault("True or False")
    }

    private mutating func tuple() throws -> [Int] {
        var numbers: [Int] = []
        try expect("(")
        while !take(")") {
            numbers.append(try integer())
            if !take(",") {
                // What has no comma is a number in brackets, no tuple.
                try expect(numbers.count == 1 ? "," : ")")
                break
            }
        }
        return numbers
    }

    /// A dimension; Python 2 wrote some with an `L`.
    private mutating func integer() throws -> Int {
        skipSpace()
        let digits = bytes[position...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard let number = Int(String(decoding: digits, as: UTF8.self)),
            digits.count == 1 || digits.first != UInt8(ascii: "0")
        else { throw fault("a dimension that is not negative, fits 63 bits and begins with no 0") }
        position = digits.endIndex
        if position < bytes.count, bytes[position] == UInt8(ascii: "L") { position += 1 }
        return number
    }

    // MARK: Characters

    private mutating func skipSpace() {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws {
        guard take(character) else { throw fault("'\(character)'") }
    }

    private func fault(_ expected: String) -> Fault {
        let rest = String(decoding: bytes[position...].prefix(20), as: UTF8.self)
        return Fault(
            offset: position, expected: expected, found: rest.isEmpty ? "the end" : "'\(rest.escapedForDisplay)'")
    }
}
