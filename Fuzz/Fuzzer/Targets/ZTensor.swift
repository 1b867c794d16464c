@testable import AssayCheckpoints
@testable import AssayFormats

extension FuzzTarget {
    static let ztensor = files(
        of: ZTensor.self, "ztensor", fixtures: ["golden/ztensor/*.zt", "golden/ztensor/refuse/*"], atMost: 20_000)

    static let cbor = FuzzTarget(name: "cbor", maximumByteCount: 1024) { bytes in
        do {
            let value = try CBORDecoder.decode(bytes)
            // A value has one encoding.
            Judge.require(value.encoded == bytes, "another encoding")
        } catch let fault as CBORDecoder.Fault {
            Judge.require(fault.offset <= bytes.count, "offset \(fault.offset)")
        }
    }

    /// A manifest alone, in a file of zeros: its checksum and its place are made to fit.
    static let ztensorManifest = FuzzTarget(
        name: "ztensor-manifest",
        words: [
            "iobjects", "gobjects", "fshards", "jattributes", "eshape", "flayout", "edense", "jsparse_csr", "eparts",
            "ddata", "dtype", "foffset", "flength", "hencoding", "fdigest", "eshard", "gstorage", "glogical",
        ],
        maximumByteCount: 4096
    ) { bytes in
        let blobs = ZTensorFile.mark + [UInt8](repeating: 0, count: 4 * ZTensorFile.alignment - ZTensorFile.mark.count)
        let hash = bytes.withUnsafeBytes { XXH3.hash(of: $0) }
        let footer = ZTensorFile.footerBytes(manifest: blobs.count..<blobs.count + bytes.count, hash: hash)
        try Reading.everything(of: ZTensor.open(MemoryFile.holding(blobs + bytes + footer), ReadingOptions()))
    }
}
