import AssayCheckpoints
import SystemPackage

/// A file in memory. To read what it does not hold is a finding: readers know how long their file is.
struct MemoryFile: ByteSource {
    let bytes: [UInt8]

    var byteCount: Int { bytes.count }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) {
        precondition(offset >= 0 && offset <= bytes.count && buffer.count <= bytes.count - offset)
        bytes.withUnsafeBytes { bytes in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + buffer.count]))
        }
    }

    static func holding(_ bytes: [UInt8], named name: String = "input") -> InputFile {
        InputFile(FilePath(name), holding: MemoryFile(bytes: bytes))
    }
}
