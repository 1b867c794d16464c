import AssayCheckpoints
import AssayFormats
import AssayTensors

/// What every command does with a checkpoint that could be opened: everything in it is looked at, and read.
enum Reading {
    private static let pieceByteCount = 64 << 10
    /// Of one checkpoint; data beyond are like those before.
    private static let readByteCount = 4 << 20
    private static let tensorCount = 64
    /// Read once more, in other pieces.
    private static let comparedByteCount = 4096

    /// - Throws: what reading throws, once everything was tried.
    static func everything(of reader: any CheckpointReader) throws {
        check(reader.contents)
        var left = readByteCount
        var fault: (any Error)?
        for (index, info) in reader.contents.tensors.enumerated().prefix(tensorCount) where left > 0 {
            do {
                try read(index, info, of: reader, atMost: &left)
            } catch {
                fault = error
            }
        }
        if let fault { throw fault }
    }

    private static func check(_ contents: CheckpointContents) {
        var seen = NameSet()
        for info in contents.tensors {
            Judge.require(
                info.byteCount == info.elementType.byteCount(of: info.shape), "\(info.name): \(info.byteCount) bytes")
            if let other = info.aliasOf { Judge.require(seen.contains(other), "\(info.name): alias of \(other)") }
            Judge.require(seen.insert(info.name), "\(info.name): twice")
        }
        Judge.require(contents.storedDigests.map { $0.count == contents.tensors.count } ?? true, "digests")
        for warning in contents.warnings { Judge.require(Judge.isSentence(warning), "warning \(warning)") }
    }

    private static func read(
        _ index: Int, _ info: TensorInfo, of reader: any CheckpointReader, atMost left: inout Int
    ) throws {
        let granularity = reader.granularity(of: index)
        Judge.require(granularity >= 0 && granularity % info.elementType.unitByteCount == 0, "granularity")
        var check = reader.contentCheck(of: index)
        var bytes: [UInt8] = []
        for range in reader.pieces(of: index, target: pieceByteCount) {
            guard left > 0 else { return }
            left -= range.count
            let buffer = try ByteBuffer(byteCount: range.count)
            try reader.read(index, range, into: buffer.bytes)
            check?.update(buffer.readOnly)
            if bytes.count < comparedByteCount { bytes += buffer.readOnly.prefix(comparedByteCount - bytes.count) }
        }
        try compare(bytes, index, info, of: reader)
        try check?.finish()
    }

    /// The same bytes must come whatever is asked for.
    private static func compare(
        _ bytes: [UInt8], _ index: Int, _ info: TensorInfo, of reader: any CheckpointReader
    ) throws {
        let unit = info.elementType.unitByteCount
        let unitCount = bytes.count / unit
        let third = unitCount / 3
        for range in [third..<unitCount, 0..<third, max(0, unitCount - 1)..<unitCount] {
            let range = range.lowerBound * unit..<range.upperBound * unit
            var again = [UInt8](repeating: 0, count: range.count)
            try again.withUnsafeMutableBytes { try reader.read(index, range, into: $0) }
            Judge.require(again == Array(bytes[range]), "\(info.name): other bytes in \(range)")
        }
    }
}

extension FuzzTarget {
    /// Files of one format, opened and read.
    static func files(
        of format: any CheckpointFormat.Type, _ name: String, fixtures: [String], words: [String] = [],
        atMost byteCount: Int = 8192, named fileName: String = "input"
    ) -> FuzzTarget {
        FuzzTarget(name: name, fixtures: fixtures, words: words, maximumByteCount: byteCount) { bytes in
            let file = MemoryFile.holding(bytes, named: fileName)
            _ = try format.recognizes(file)
            try Reading.everything(of: format.open(file, ReadingOptions()))
        }
    }
}
