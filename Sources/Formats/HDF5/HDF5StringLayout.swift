import AssayCHDF5

/// How strings of an attribute are stored. Its name in JSON: "string" (UTF-8 of any length), "string ascii",
/// "string[12]" (12 bytes, filled up with zeros), "string[12] ascii nullterm", "string[12] spacepad".
struct HDF5StringLayout: Equatable {
    enum Padding: String, CaseIterable {
        case zeros = "nullpad"
        case terminated = "nullterm"
        case spaces = "spacepad"

        var libraryValue: H5T_str_t {
            switch self {
            case .zeros: H5T_STR_NULLPAD
            case .terminated: H5T_STR_NULLTERM
            case .spaces: H5T_STR_SPACEPAD
            }
        }
    }

    /// Bytes, or nil for strings of any length.
    var size: Int?
    var isASCII = false
    var padding = Padding.zeros

    init(size: Int? = nil) { self.size = size }

    /// The layout of a string type of libhdf5, or nil where it is none that we know.
    init?(_ type: hid_t) {
        let isVariable = H5Tis_variable_str(type)
        guard isVariable >= 0 else { return nil }
        size = isVariable > 0 ? nil : H5Tget_size(type)
        isASCII = H5Tget_cset(type) == H5T_CSET_ASCII
        let library = H5Tget_strpad(type)
        guard let padding = Padding.allCases.first(where: { $0.libraryValue == library }) else { return nil }
        // Strings of any length have no padding that means something.
        self.padding = size == nil ? .zeros : padding
    }

    /// - Returns: nil where the name is no string's.
    init?(name: String) {
        let words = name.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard let first = words.first else { return nil }
        if first != "string" {
            guard first.hasPrefix("string["), first.hasSuffix("]"), let size = Int(first.dropFirst(7).dropLast()),
                size > 0, size <= HDF5Limits.attributeByteCount
            else { return nil }
            self.size = size
        }
        for word in words.dropFirst() {
            if word == "ascii" {
                isASCII = true
            } else if let padding = Padding(rawValue: word) {
                self.padding = padding
            } else {
                return nil
            }
        }
    }

    var name: String {
        var text = size.map { "string[\($0)]" } ?? "string"
        if isASCII { text += " ascii" }
        if padding != .zeros { text += " \(padding.rawValue)" }
        return text
    }

    /// The string without its padding.
    func content(of bytes: [UInt8]) -> [UInt8] {
        switch padding {
        case .terminated: return Array(bytes.prefix { $0 != 0 })
        case .zeros: return Array(bytes[..<((bytes.lastIndex { $0 != 0 } ?? -1) + 1)])
        case .spaces: return Array(bytes[..<((bytes.lastIndex { $0 != 0x20 } ?? -1) + 1)])
        }
    }

    /// The string with its padding, or nil where it does not fit.
    func padded(_ content: [UInt8]) -> [UInt8]? {
        guard let size, content.count <= size else { return nil }
        return content + [UInt8](repeating: padding == .spaces ? 0x20 : 0, count: size - content.count)
    }

    /// The type of libhdf5, or a negative number.
    func makeType() -> hid_t {
        let type = H5Tcopy(chdf5_c_string())
        guard type >= 0 else { return type }
        H5Tset_size(type, size ?? chdf5_variable())
        H5Tset_cset(type, isASCII ? H5T_CSET_ASCII : H5T_CSET_UTF8)
        if size != nil { H5Tset_strpad(type, padding.libraryValue) }
        return type
    }
}
