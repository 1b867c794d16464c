import AssayCZstd
import AssayCheckpoints
import AssayTensors

@testable import AssayFormats

extension FuzzTarget {
    static let zplanes = files(of: ZPlanes.self, "zplanes", fixtures: ["zplanes/*.zplanes"], atMost: 16_384)

    /// The text of an index, a NUL, and the data before it: the frame and the footer are put around it.
    static let zplanesIndex = FuzzTarget(
        name: "zplanes-index",
        words: [
            "\"zplanes\":1", "\"codec\":", "\"content_digest\":", "\"metadata\":", "\"header\":", "\"tensors\":",
            "\"name\":", "\"type\":", "\"shape\":", "\"sha256\":", "\"same_as\":", "\"chunk_size\":", "\"offset\":",
            "\"chunks\":", "\"ranks\"", "\"bytes\"", "\"rotated-bytes\"", "\"none\"", "\"text_size\":", "BF16", "q4_0",
        ]
    ) { bytes in
        let cut = bytes.firstIndex(of: 0) ?? bytes.endIndex
        let text = Array(bytes[..<cut])
        let data = ZPlanesMark.head.bytes(version: ZPlanes.version) + bytes.dropFirst(cut + 1)
        let frame = try TextFrame.encode(text)
        let digest = frame.withUnsafeBytes { Digest.of($0) }
        let footer = ZPlanesFooter(
            index: data.count..<data.count + frame.count, textByteCount: text.count, digest: digest)
        let file = MemoryFile.holding(data + frame + footer.bytes)
        try Reading.everything(of: ZPlanes.open(file, ReadingOptions()))
    }

    /// A transform, an element type, sizes, runs, and frames with a check that fits.
    static let zplanesChunk = FuzzTarget(name: "zplanes-chunk", maximumByteCount: 4096) { bytes in
        var rest = bytes[...]
        func next() -> Int { Int(rest.popFirst() ?? 0) }
        let transform = PlaneTransform.allCases[next() % PlaneTransform.allCases.count]
        let type = ElementType.allCases[next() % ElementType.allCases.count]
        let chunkByteCount = (next() << 8 | next()) * type.unitByteCount
        let runs = transform == .ranks ? (0..<next() % 16).map { _ in UInt16(next() << 8 | next()) } : nil
        var sizes = (0..<next() % 10).map { _ in next() << 8 | next() }
        let frames = Array(rest)
        // What the index parser lets through.
        if sizes.reduce(0, +) > frames.count { sizes = sizes.map { min($0, frames.count / max(1, sizes.count)) } }
        let count = sizes.reduce(0, +)
        guard chunkByteCount > 0, sizes.allSatisfy({ $0 > 0 }), transform.applies(to: type),
            sizes.count == transform.planeByteCounts(ofChunk: chunkByteCount, type).count
        else { return }
        let pairs = runs.flatMap(PairRuns.init)
        guard (pairs == nil) == (runs == nil) else { return }
        let record = ChunkRecord(
            transform: transform, runs: pairs, frameByteCounts: sizes, check: czstd_xxh64(frames, count))
        var chunk = [UInt8](repeating: 0, count: chunkByteCount)
        do {
            try chunk.withUnsafeMutableBytes { chunk in
                try frames[..<count].withUnsafeBytes { try ChunkCodec().decode($0, record, type, into: chunk) }
            }
        } catch let fault as ChunkFault {
            Judge.require(Judge.isSentence("\(fault.expected) \(fault.found)"), "\(fault)")
        }
    }
}
