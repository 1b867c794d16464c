import AssayCheckpoints
import AssayTensors

/// How a tensor is made of others without computing anything: each is turned, then they are joined, or a part is cut out.
public struct Arrangement: Sendable, Equatable {
    /// The order of the axes, outermost first, where the sources are turned: [1, 0] of a matrix.
    public var axes: [Int]?
    /// Along which axis (of what was turned) several are joined, or one is cut.
    public var axis: Int?
    /// The part that is cut out, in steps along `axis`; nil for all.
    public var slice: Range<Int>?

    public static let identity = Arrangement()

    public init(axes: [Int]? = nil, axis: Int? = nil, slice: Range<Int>? = nil) {
        self.axes = axes
        self.axis = axis
        self.slice = slice
    }

    public var isIdentity: Bool { self == .identity }

    /// What comes of some tensors.
    ///
    /// - Parameter infos: at least one.
    /// - Throws: `Misfit` where they cannot be arranged so.
    public func result(of infos: [TensorInfo]) throws(Misfit) -> (elementType: ElementType, shape: Shape) {
        let type = infos[0].elementType
        guard infos.allSatisfy({ $0.elementType == type }) else { throw Misfit("are of different types") }
        guard isIdentity || infos.allSatisfy({ ($0.shape.dimensions.last ?? 0) % type.elementsPerUnit == 0 }) else {
            throw Misfit("have rows that are no whole packs of \(type.elementsPerUnit) elements of \(type.name)")
        }
        var dimensions: [[Int]] = []
        for info in infos { dimensions.append(try turned(info.shape.dimensions, type)) }
        let made = infos.count > 1 || slice != nil ? try joined(dimensions, type) : dimensions[0]
        guard let shape = Shape(made), type.byteCount(of: shape) != nil else { throw Misfit("are too large together") }
        return (type, shape)
    }

    private func turned(_ dimensions: [Int], _ type: ElementType) throws(Misfit) -> [Int] {
        guard let axes else { return dimensions }
        guard axes.sorted() == Array(dimensions.indices) else {
            throw Misfit("cannot be turned to the axes \(axes), having the shape \(dimensions)")
        }
        guard type.elementsPerUnit == 1 else {
            throw Misfit("cannot be turned, as \(type.name) packs \(type.elementsPerUnit) elements of a row")
        }
        return axes.map { dimensions[$0] }
    }

    private func joined(_ shapes: [[Int]], _ type: ElementType) throws(Misfit) -> [Int] {
        guard let axis, shapes.allSatisfy({ $0.indices.contains(axis) }) else {
            throw Misfit("have no axis \(axis.map(String.init) ?? "given"), having the shape \(shapes[0])")
        }
        var result = shapes[0]
        var length = 0
        for shape in shapes {
            result[axis] = shape[axis]
            guard shape == result else {
                throw Misfit("cannot be joined along axis \(axis), having the shapes \(shapes[0]) and \(shape)")
            }
            let (sum, overflow) = length.addingReportingOverflow(shape[axis])
            guard !overflow else { throw Misfit("are too large together") }
            length = sum
        }
        let part = slice ?? 0..<length
        guard part.lowerBound >= 0, part.upperBound <= length else {
            throw Misfit("have no steps \(part) along axis \(axis), having the shape \(shapes[0])")
        }
        let unit = axis == result.count - 1 ? type.elementsPerUnit : 1
        guard part.lowerBound % unit == 0, part.upperBound % unit == 0 else {
            throw Misfit("cannot be cut at \(part), as \(type.name) packs \(unit) elements of a row")
        }
        result[axis] = part.count
        return result
    }

    /// Why tensors cannot be arranged so, in words that follow their names.
    public struct Misfit: Error, Equatable {
        public let reason: String
        init(_ reason: String) { self.reason = reason }
    }
}

/// The tensors of another reader under other names and arrangements: nothing is held, every reading goes on to the
/// tensors that it is made of.
public struct RearrangedReader: CheckpointReader {
    /// One tensor: what it is made of.
    public struct Part: Sendable {
        /// Positions in the other reader.
        public var sources: [Int]
        public var arrangement: Arrangement

        public init(sources: [Int], arrangement: Arrangement = .identity) {
            self.sources = sources
            self.arrangement = arrangement
        }

        /// The tensor that this is, byte for byte, whatever its name.
        public var copied: Int? { arrangement.isIdentity ? sources.first : nil }
    }

    public let contents: CheckpointContents
    private let reader: any CheckpointReader
    private let parts: [Part]
    /// Nil for what is passed on as it is.
    private let joins: [Join?]

    /// - Parameter tensors: what the parts are, as `Arrangement.result` says.
    public init(_ reader: any CheckpointReader, _ parts: [Part], tensors: [TensorInfo]) {
        var contents = reader.contents
        // They are of tensors that are no more.
        contents.storedDigests = nil
        contents.tensors = tensors
        contents.originalHeader = nil
        self.contents = contents
        self.reader = reader
        self.parts = parts
        let bands = BufferCache<Band>()
        joins = parts.enumerated().map { number, part in
            part.copied == nil ? Join(part, of: reader, number: number, bands) : nil
        }
    }

    public func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        if let join = joins[tensor] {
            if parts[tensor].arrangement.slice != nil { try requireIntact(tensor) }
            try join.read(range, into: buffer)
        } else {
            try reader.read(parts[tensor].sources[0], range, into: buffer)
        }
    }

    public func granularity(of tensor: Int) -> Int {
        joins[tensor] == nil ? reader.granularity(of: parts[tensor].sources[0]) : 0
    }

    public func contentCheck(of tensor: Int) -> (any ContentCheck)? {
        parts[tensor].copied.flatMap { reader.contentCheck(of: $0) }
    }

    public func requireIntact(_ tensor: Int) throws {
        for source in parts[tensor].sources { try reader.requireIntact(source) }
    }
}

/// A tensor of a reader as a run of bytes.
private struct TensorBytes: ByteSource {
    let reader: any CheckpointReader
    let tensor: Int

    var byteCount: Int { reader.contents.tensors[tensor].byteCount }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        try reader.read(tensor, offset..<offset + buffer.count, into: buffer)
    }
}

/// Rows of a turned array that were gathered at once.
private struct Band: Hashable, Sendable {
    var tensor: Int
    var member: Int
    var number: Int
}

/// An array of which any range is asked for: one that is turned is gathered in bands of whole rows, as every band takes a
/// walk through all of it, and the next range finds what is left of its band.
private struct BandedArray: Sendable {
    let array: StridedArray
    let byteCount: Int
    let isTurned: Bool
    /// What this array's bands are called.
    let name: Band
    let bands: BufferCache<Band>

    func read(_ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        let size = isTurned ? array.granularity : 0
        guard size > 0 else { return try array.read(range, into: buffer) }
        var position = range.lowerBound
        while position < range.upperBound {
            var name = name
            name.number = position / size
            let band = name.number * size..<min((name.number + 1) * size, byteCount)
            let part = position..<min(band.upperBound, range.upperBound)
            let target = UnsafeMutableRawBufferPointer(
                rebasing: buffer[part.lowerBound - range.lowerBound..<part.upperBound - range.lowerBound])
            if part == band {
                try array.read(band, into: target)
            } else {
                let bytes = try bands.bytes(name) { try gathered(band) }
                defer { withExtendedLifetime(bytes) {} }
                target.copyBytes(
                    from: bytes.readOnly[part.lowerBound - band.lowerBound..<part.upperBound - band.lowerBound])
            }
            position = part.upperBound
        }
    }

    private func gathered(_ band: Range<Int>) throws -> ByteBuffer {
        let bytes = try ByteBuffer(byteCount: band.count)
        try array.read(band, into: bytes.bytes)
        return bytes
    }
}

/// Arrays side by side along an axis: of every round one stretch of each.
private struct Join: Sendable {
    private struct Member: Sendable {
        var array: BandedArray
        /// Bytes of a round.
        var stretch: Int
        /// Where its stretch begins in the joint round.
        var start: Int
    }

    private let members: [Member]
    /// Bytes of a round of all.
    private let round: Int

    /// - Parameter number: of the tensor, by which its bands are known.
    init(
        _ part: RearrangedReader.Part, of reader: any CheckpointReader, number: Int, _ bands: BufferCache<Band>
    ) {
        var members: [Member] = []
        var round = 0
        for (member, source) in part.sources.enumerated() {
            let info = reader.contents.tensors[source]
            let view = StridedView(info, part.arrangement)
            let size = info.elementType.unitByteCount
            let array = StridedArray(
                TensorBytes(reader: reader, tensor: source), offset: view.isEmpty ? 0 : view.first * size,
                elementByteCount: size, axes: view.axes)
            let banded = BandedArray(
                array: array, byteCount: view.count(from: 0) * size,
                isTurned: part.arrangement.axes != nil, name: Band(tensor: number, member: member, number: 0),
                bands: bands)
            let stretch = view.count(from: part.arrangement.axis ?? 0) * size
            members.append(Member(array: banded, stretch: stretch, start: round))
            round += stretch
        }
        self.members = members
        self.round = round
    }

    func read(_ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        guard !range.isEmpty else { return }
        if members.count == 1 { return try members[0].array.read(range, into: buffer) }
        for member in members {
            let own = position(in: member, of: range.lowerBound)..<position(in: member, of: range.upperBound)
            guard !own.isEmpty else { continue }
            let target = place(of: own.lowerBound, in: member) - range.lowerBound
            if own.lowerBound / member.stretch == (own.upperBound - 1) / member.stretch {
                try member.array.read(
                    own, into: UnsafeMutableRawBufferPointer(rebasing: buffer[target..<target + own.count]))
            } else {
                try scatter(member, own, into: buffer, from: range.lowerBound)
            }
        }
    }

    /// Reads bytes of a member that belong to several rounds, and lays each stretch where it goes.
    private func scatter(
        _ member: Member, _ own: Range<Int>, into buffer: UnsafeMutableRawBufferPointer, from first: Int
    ) throws {
        let bytes = try ByteBuffer(byteCount: own.count)
        defer { withExtendedLifetime(bytes) {} }
        try member.array.read(own, into: bytes.bytes)
        var position = own.lowerBound
        while position < own.upperBound {
            let end = min(own.upperBound, (position / member.stretch + 1) * member.stretch)
            let target = place(of: position, in: member) - first
            buffer[target..<target + end - position].copyBytes(
                from: bytes.readOnly[position - own.lowerBound..<end - own.lowerBound])
            position = end
        }
    }

    /// How many bytes of a member lie before a place of the whole.
    private func position(in member: Member, of place: Int) -> Int {
        place / round * member.stretch + min(max(place % round - member.start, 0), member.stretch)
    }

    /// Where a byte of a member stands in the whole.
    private func place(of position: Int, in member: Member) -> Int {
        position / member.stretch * round + member.start + position % member.stretch
    }
}

/// The axes of a tensor, counted in units of its type, as an arrangement turns and cuts them.
private struct StridedView {
    /// The first unit.
    var first = 0
    var axes: [StridedArray.Axis]

    var isEmpty: Bool { axes.contains { $0.count == 0 } }

    /// Units of one step of what stands before an axis. Where there are none in all, the other axes may be of any length
    /// that no number of bytes can be made of.
    func count(from axis: Int) -> Int { isEmpty ? 0 : axes[axis...].reduce(1) { $0 * $1.count } }

    init(_ info: TensorInfo, _ arrangement: Arrangement) {
        var counts = info.shape.dimensions
        let packed = info.elementType.elementsPerUnit
        if let last = counts.indices.last { counts[last] /= packed }
        axes = zip(counts, Shape.strides(of: counts)).map { StridedArray.Axis(count: $0, stride: $1) }
        if let order = arrangement.axes { axes = order.map { axes[$0] } }
        guard let axis = arrangement.axis, let slice = arrangement.slice else { return }
        let factor = axis == axes.count - 1 ? packed : 1
        first = slice.lowerBound / factor * axes[axis].stride
        axes[axis].count = slice.count / factor
    }
}
