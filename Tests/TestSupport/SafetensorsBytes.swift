/// Safetensors files put together by hand, right or wrong.
public enum SafetensorsBytes {
    /// A file with this header text (padded by nothing) and these bytes of data.
    public static func file(_ header: String, data: [UInt8] = []) -> [UInt8] {
        file(Array(header.utf8), data: data)
    }

    public static func file(_ header: [UInt8], length: UInt64? = nil, data: [UInt8] = []) -> [UInt8] {
        let length = length ?? UInt64(header.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + header + data
    }

    /// One tensor "a".
    public static func entry(_ dtype: String = "F32", _ shape: String = "[2]", _ offsets: String = "[0,8]") -> String {
        #"{"a":{"dtype":"\#(dtype)","shape":\#(shape),"data_offsets":\#(offsets)}}"#
    }

    public static func zeros(_ count: Int) -> [UInt8] { Array(repeating: 0, count: count) }
}
