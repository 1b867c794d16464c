/// What a HDF5 file may ask of us at most. Everything beyond is refused by a sentence that names the limit.
package enum HDF5Limits {
    /// Groups inside groups.
    package static let depth = 128
    /// Groups, datasets and links in one file.
    package static let objectCount = 250_000
    /// Chunks of all datasets of a file together, stored or not: so many in any, as most of them need not be there, and the
    /// more the larger it is.
    package static let chunkCount = 1 << 17

    static func chunkCount(fileByteCount: Int) -> Int { min(chunkCount + fileByteCount / 8, 1 << 21) }

    /// Bytes of one chunk in memory.
    package static let chunkByteCount = 1 << 30
    /// Bytes of one attribute's value.
    package static let attributeByteCount = 16 << 20
    /// Bytes of the values of all attributes together that are restored.
    static let attributesByteCount = 128 << 20
    /// Attributes of one object whose header is of the first form: libhdf5 looks for each from the first one on.
    static let attributeCount = 1 << 14
    /// Attributes in a file, and the values in them; a list of numbers that is listed as bytes is one. The more the larger the
    /// file is.
    package static func valueCount(fileByteCount: Int) -> Int { min(1 << 20 + fileByteCount / 8, 1 << 22) }

    /// Numbers of an attribute that are listed one by one; of more, their bytes are.
    package static let listedNumberCount = 256

    /// Bytes of the listing that the helper may send: names are paths there, so that it may be longer than the file.
    package static func listingByteCount(fileByteCount: Int) -> Int {
        min(16 << 20 + min(fileByteCount, 1 << 30) * 4, 256 << 20)
    }

    /// Bytes that one stored byte of a chunk may become: deflate's own limit.
    package static let expansion = 1032
    /// Bytes that may be declared without being stored at all (fill values), in one dataset and in a whole file.
    package static let unstoredByteCount = 16 << 20

    /// Address space of the helper, beyond what it has when it starts.
    static let helperMemory: UInt = 1 << 30

    /// Processor time that the helper gets for a file. Cost follows the bytes that are there: 20,000 datasets are 7 MB
    /// of structure and take 0.6 seconds.
    static func helperProcessorSeconds(fileByteCount: Int) -> Int { min(5 + fileByteCount >> 22, 60) }

    /// How long we wait for it, where others have the processor or the disk.
    static func helperSeconds(fileByteCount: Int) -> Int {
        30 + 10 * helperProcessorSeconds(fileByteCount: fileByteCount)
    }

    /// Whether `declared` bytes are believable where `stored` bytes are there.
    package static func allows(declared: Int, stored: Int) -> Bool {
        let (expanded, overflow) = stored.multipliedReportingOverflow(by: expansion)
        return overflow || declared <= expanded || declared - expanded <= unstoredByteCount
    }
}
