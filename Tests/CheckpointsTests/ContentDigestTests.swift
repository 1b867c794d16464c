import AssayCheckpoints
import AssayTensors
import Testing

@Suite struct ContentDigests {
    /// The test vector of `formats/content-digest.md`, made with Python's json and hashlib.
    @Test func agreeWithThePagesVector() throws {
        let tensors = [
            try #require(TensorInfo(name: "b", elementType: .u8, shape: Shape([2])!)),
            try #require(TensorInfo(name: "a\"", elementType: .f32, shape: Shape([])!)),
        ]
        let bytes: [[UInt8]] = [[1, 2], [0, 0, 0x80, 0x3F]]
        let digests = bytes.map { bytes in bytes.withUnsafeBytes { Digest.of($0) } }
        #expect(
            "\(ContentDigest.of(tensors, digests))"
                == "1cf6e17509addc9fad7726a35c40b9b8ef9361dbf9f914b31efc537b79727ca4")
    }

    @Test func dependOnNamesTypesShapesAndValuesAlone() throws {
        let a = try #require(TensorInfo(name: "a", elementType: .u8, shape: Shape([4])!))
        let b = try #require(TensorInfo(name: "b", elementType: .u8, shape: Shape([4])!))
        let (one, two) = (Digest.of("1"), Digest.of("2"))
        let reference = ContentDigest.of([a, b], [one, two])
        #expect(ContentDigest.of([b, a], [two, one]) == reference)
        #expect(ContentDigest.of([a, b], [two, one]) != reference)
        let reshaped = try #require(TensorInfo(name: "b", elementType: .u8, shape: Shape([2, 2])!))
        #expect(ContentDigest.of([a, reshaped], [one, two]) != reference)
        let retyped = try #require(TensorInfo(name: "b", elementType: .i8, shape: Shape([4])!))
        #expect(ContentDigest.of([a, retyped], [one, two]) != reference)
    }
}
