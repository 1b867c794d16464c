/// A change of one metadata entry that a user asks for.
public struct MetadataEdit: Sendable, Equatable {
    public var key: String
    /// The text it gets; nil takes the entry away.
    public var value: String?

    public init(key: String, value: String?) {
        self.key = key
        self.value = value
    }

    /// The option of the command line that asks for it: "--set-metadata general.name".
    package var option: String {
        "\(value == nil ? "--remove-metadata" : "--set-metadata") \(key.escapedForDisplay)"
    }
}
