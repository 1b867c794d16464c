import AssayCheckpoints

@testable import AssayFormats

extension FuzzTarget {
    /// Every member, inflated, with and without its checksum.
    static let zip = FuzzTarget(
        name: "zip", fixtures: ["golden/numpy/*.npz", "golden/pytorch/*"],
        words: ["PK\u{1}\u{2}", "PK\u{3}\u{4}", "PK\u{5}\u{6}"]
    ) { bytes in
        let archive = try ZipArchive(MemoryFile.holding(bytes))
        var left = 4 << 20
        for position in archive.members.indices {
            for isChecked in [false, true] {
                let source = archive.source(of: position, isChecked: isChecked)
                Judge.require(archive.position(of: archive.members[position].name) == position, "position")
                for offset in stride(from: 0, to: source.byteCount, by: 1 << 16) where left > 0 {
                    _ = try source.bytes(offset..<min(offset + 1 << 16, source.byteCount))
                    left -= 1 << 16
                }
            }
        }
    }
}
