import AssayCheckpoints
import Synchronization
import SystemPackage

/// A stored member whose CRC-32 is taken of the pieces that are read, and compared once all bytes were.
final class CheckedSource: ByteSource {
    private let stored: FileRange
    private let member: ZipMember
    private let path: FilePath
    private let state: Mutex<State>
    /// Held while all bytes are read for the checksum alone, so that it is done once.
    private let turn = Mutex(())

    private enum State {
        case reading(PieceChecksums)
        case right
        case wrong(UInt32)
    }

    init(_ stored: FileRange, _ member: ZipMember, _ path: FilePath) {
        self.stored = stored
        self.member = member
        self.path = path
        state = Mutex(.reading(PieceChecksums()))
    }

    var byteCount: Int { stored.byteCount }

    private var isRight: Bool { state.withLock { if case .right = $0 { true } else { false } } }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        try stored.read(at: offset, into: buffer)
        if isRight { return }
        let checksum = PieceChecksums.checksum(of: UnsafeRawBufferPointer(buffer))
        let isLost = try state.withLock { try take(checksum, offset..<offset + buffer.count, &$0) }
        if isLost { try check() }
    }

    /// Compares the checksum now, by reading all bytes unless that was done.
    func check() throws {
        if isRight { return }
        try turn.withLock { _ in
            if !isRight { try checkWhole() }
        }
    }

    private func checkWhole() throws {
        let buffer = try ByteBuffer(byteCount: 1 << 20)
        defer { withExtendedLifetime(buffer) {} }
        var checksum: UInt32 = 0
        for start in stride(from: 0, to: byteCount, by: buffer.bytes.count) {
            let part = buffer.prefix(min(buffer.bytes.count, byteCount - start))
            try stored.read(at: start, into: part)
            checksum = PieceChecksums.checksum(of: UnsafeRawBufferPointer(part), after: checksum)
        }
        state.withLock { $0 = checksum == member.checksum ? .right : .wrong(checksum) }
        guard checksum == member.checksum else { throw member.checksumError(checksum, path) }
    }

    /// - Returns: whether as much was read as there is and does not fit together, so that it never will.
    private func take(_ checksum: UInt32, _ range: Range<Int>, _ state: inout State) throws -> Bool {
        if case .reading(var pieces) = state {
            state = .right  // Empties the place, so that the pieces are not copied.
            pieces.add(checksum, of: range)
            switch pieces.joined(byteCount) {
            case nil:
                let isLost = pieces.byteCount >= byteCount
                state = .reading(isLost ? PieceChecksums() : pieces)
                return isLost
            case member.checksum?: break
            case let found?: state = .wrong(found)
            }
        }
        guard case .wrong(let found) = state else { return false }
        throw member.checksumError(found, path)
    }
}

extension ZipMember {
    func checksumError(_ found: UInt32, _ path: FilePath) -> CheckpointError {
        CheckpointError(
            path, place, expected: "bytes with the CRC-32 \(String(checksum, radix: 16)), as the archive says",
            found: "\(String(found, radix: 16)): the data is damaged")
    }
}
