import AssayCheckpoints

/// Keras' bfloat16: opaque elements of two bytes, little-endian, and an attribute that says so.
enum KerasBFloat16 {
    private static let attribute = "dtype"

    /// Whether the attributes of a dataset say so.
    static func isNoted(in attributes: JSONObject) -> Bool {
        guard let note = attributes[attribute]?.object, note["shape"] == [] else { return false }
        return note["value"]?.string == "bfloat16"
    }

    /// The attributes without saying so: Keras would round numbers of another type.
    static func withoutNote(_ attributes: JSONObject) -> JSONObject {
        var result = attributes
        if isNoted(in: attributes) { result[attribute] = nil }
        return result
    }
}
