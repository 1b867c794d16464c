import AssayCheckpoints
import AssayFormats
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayConversion

@Suite struct NameTemplates {
    @Test(
        arguments: [
            ("a.b", "a.b", []), ("a.b", "a.b.c", nil), ("a.b", "a", nil), ("", "", []), ("*", "", [""]),
            ("*", "a.b", ["a.b"]), ("h.*.w", "h.10.w", ["10"]), ("h.*.w", "h.w", nil), ("h.*.w", "h..w", [""]),
            ("h.*.w", "h.0.attn.w", ["0.attn"]), ("*.*", "a.b.c", ["a", "b.c"]), ("**", "ab", ["", "ab"]),
            ("*a*a", "aaa", ["", "a"]), ("*.w*", "x.w.w", ["x", ".w"]), ("a*a", "a", nil), ("é*", "é1", ["1"]),
            ("é*", "e\u{301}1", nil), ("h.{i}.w", "h.10.w", ["10"]), ("h.{i}.w", "h.x.w", nil),
            ("h.{i}.w", "h..w", nil), ("b_{i}.o", "b_0/n.o", nil), ("{i}", "007", ["007"]), ("{i}", "", nil),
            ("{i}*", "12ab", ["12", "ab"]), ("*.{i}", "a.3", ["a", "3"]), ("{i}{i}", "12", nil), ("a{i", "a{i", []),
            // A star goes on as long as no number follows.
            ("*.{i}.w", "model.h.0.w", ["model.h", "0"]), ("*.{i}.w", "h.0.v", nil), ("*{i}", "ab12", ["ab", "12"]),
            ("*.{i}", "a.b.3", ["a.b", "3"]), ("*.{i}*", "a.x.7z.8", ["a.x", "7", "z.8"]),
            ("{i}*{i}", "1a2b3", ["1", "a2b", "3"]), ("*{i}.{i}", "1.2.3", ["1.", "2", "3"]),
            ("*.{i}.*.{i}.w", "a.b.1.c.d.2.w", ["a.b", "1", "c.d", "2"]), ("*.{i}.w", "a.0.w.1.w", ["a.0.w", "1"]),
            ("*{i}a*", "1b22a", ["1b", "22", ""]),
        ] as [(String, String, [String]?)])
    func takeNamesApartInOneWay(_ template: String, _ name: String, _ texts: [String]?) {
        let template = NameTemplate(template)
        #expect(template.match(name) == texts)
        if let texts { #expect(Array(template.filled(with: texts).utf8) == Array(name.utf8)) }
    }

    @Test func areNotHungByMany() {
        let template = NameTemplate(String(repeating: "a*", count: 500) + "b")
        #expect(template.match(String(repeating: "a", count: 10_000)) == nil)
        let numbers = NameTemplate(String(repeating: "*{i}a", count: 500) + "b")
        #expect(numbers.match(String(repeating: "1", count: 100_000)) == nil)
        #expect(numbers.match(String(repeating: "1a", count: 50_000)) == nil)
    }
}

/// Tensors arranged anew, against a plain walk over all elements.
@Suite struct Rearranging {
    /// Elements that know their places.
    private static func checkpoint(_ shapes: [[Int]], _ type: ElementType) -> MemoryCheckpoint {
        var random = SeededRandom(seed: 7)
        return MemoryCheckpoint(
            shapes.enumerated().map { number, shape in
                let count = type.byteCount(of: Shape(shape)!)!
                return ("t\(number)", type, shape, (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
            })
    }

    private static func bytes(_ reader: some CheckpointReader, _ tensor: Int, _ range: Range<Int>) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBytes { try reader.read(tensor, range, into: $0) }
        return bytes
    }

    /// What an arrangement means, element by element.
    private static func expected(
        _ reader: MemoryCheckpoint, _ arrangement: Arrangement, _ made: Shape, size: Int
    ) throws -> [UInt8] {
        let tensors = reader.contents.tensors
        let sources = try tensors.indices.map { try bytes(reader, $0, 0..<tensors[$0].byteCount) }
        return (0..<made.elementCount).flatMap { position in
            var index = made.indices(ofElement: position)
            var source = 0
            if let axis = arrangement.axis {
                index[axis] += arrangement.slice?.lowerBound ?? 0
                while true {
                    let dimensions = tensors[source].shape.dimensions
                    let length = dimensions[arrangement.axes.map { $0[axis] } ?? axis]
                    if index[axis] < length { break }
                    index[axis] -= length
                    source += 1
                }
            }
            var place = index
            if let axes = arrangement.axes { for (to, from) in axes.enumerated() { place[from] = index[to] } }
            let dimensions = tensors[source].shape.dimensions
            let element = zip(place, dimensions).reduce(0) { $0 * $1.1 + $1.0 }
            return sources[source][element * size..<(element + 1) * size]
        }
    }

    private static func check(_ reader: MemoryCheckpoint, _ arrangement: Arrangement) throws {
        let infos = reader.contents.tensors
        let (type, shape) = try arrangement.result(of: infos)
        let info = try #require(TensorInfo(name: "made", elementType: type, shape: shape))
        let part = RearrangedReader.Part(sources: Array(infos.indices), arrangement: arrangement)
        let made = RearrangedReader(reader, [part], tensors: [info])
        let size = type.unitByteCount
        let wanted = try expected(reader, arrangement, shape, size: size)
        #expect(try bytes(made, 0, 0..<info.byteCount) == wanted, "\(arrangement)")
        var random = SeededRandom(seed: 3)
        for _ in 0..<20 where info.byteCount > 0 {
            let borders = [0, 0].map { _ in Int.random(in: 0...shape.elementCount, using: &random) * size }.sorted()
            #expect(try bytes(made, 0, borders[0]..<borders[1]) == Array(wanted[borders[0]..<borders[1]]))
        }
    }

    private static let orders =
        [nil, [0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] as [[Int]?]

    @Test(arguments: orders, [ElementType.u8, .bf16, .f32, .i64])
    func joinsAndCutsAndTurns(_ axes: [Int]?, _ type: ElementType) throws {
        for axis in 0..<3 {
            // The shapes agree but for the axis along which the turned ones are joined.
            let shapes = [2, 0, 3].map { length in
                var shape = [3, 2, 4]
                shape[axes?[axis] ?? axis] = length
                return shape
            }
            try Self.check(Self.checkpoint(shapes, type), Arrangement(axes: axes, axis: axis))
            let whole = Self.checkpoint([[3, 5, 4]], type)
            for slice in [0..<2, 1..<3, 2..<2, 0..<3] {
                try Self.check(whole, Arrangement(axes: axes, axis: axis, slice: slice))
            }
            try Self.check(whole, Arrangement(axes: axes))
        }
    }

    /// Where there is no element, the other axes may be longer than any number of bytes.
    @Test(arguments: [
        ([0, 1 << 62], Arrangement(axes: [1, 0])), ([1 << 62, 0], Arrangement(axes: [1, 0])),
        ([1 << 62, 0], Arrangement(axis: 0, slice: 1 << 61..<1 << 62)),
        ([0, 1 << 62], Arrangement(axis: 1, slice: 1 << 61..<1 << 62)),
    ])
    func nothingIsArrangedToo(_ shape: [Int], _ arrangement: Arrangement) throws {
        try Self.check(MemoryCheckpoint([("t", .f32, shape, [])]), arrangement)
    }

    /// A matrix that is turned in several bands, by ranges that begin anywhere.
    @Test func turnsWhatIsLargerThanABand() throws {
        let (rows, columns) = (3_000, 4_001)
        var reader = MemoryCheckpoint()
        reader.set("t", [rows, columns], (0..<rows * columns).map { Float($0) })
        let info = try #require(TensorInfo(name: "made", elementType: .f32, shape: Shape([columns, rows])!))
        let made = RearrangedReader(
            reader, [.init(sources: [0], arrangement: Arrangement(axes: [1, 0]))], tensors: [info])
        let count = rows * columns
        for element in [0, 1, 2_999, 3_000, 7_000_000, 8_388_607, 8_388_608, count - 1_500_000] {
            let elements = element..<min(element + 1_500_000, count)
            let bytes = try Self.bytes(made, 0, elements.lowerBound * 4..<elements.upperBound * 4)
            let isRight = bytes.withUnsafeBytes { bytes in
                zip(elements, bytes.bindMemory(to: Float.self)).allSatisfy {
                    $1 == Float($0 % rows * columns + $0 / rows)
                }
            }
            #expect(isRight, "from element \(element)")
        }
    }

    /// Blocks of 18 bytes and bytes of two elements stay whole.
    @Test(arguments: [ElementType.q40, .f4]) func packedElementsStayTogether(_ type: ElementType) throws {
        let unit = type.elementsPerUnit
        let reader = Self.checkpoint([[4, 3 * unit]], type)
        let whole = try Self.bytes(reader, 0, 0..<reader.contents.tensors[0].byteCount)
        let row = 3 * type.unitByteCount
        for (arrangement, wanted) in [
            (Arrangement(axis: 0, slice: 1..<3), Array(whole[row..<3 * row])),
            (
                Arrangement(axis: 1, slice: unit..<3 * unit),
                (0..<4).flatMap { whole[$0 * row + type.unitByteCount..<($0 + 1) * row] }
            ),
        ] {
            let (_, shape) = try arrangement.result(of: reader.contents.tensors)
            let info = try #require(TensorInfo(name: "made", elementType: type, shape: shape))
            let made = RearrangedReader(reader, [.init(sources: [0], arrangement: arrangement)], tensors: [info])
            #expect(try Self.bytes(made, 0, 0..<info.byteCount) == wanted)
        }
        #expect(throws: Arrangement.Misfit.self) { try Arrangement(axes: [1, 0]).result(of: reader.contents.tensors) }
        #expect(throws: Arrangement.Misfit.self) {
            try Arrangement(axis: 1, slice: 0..<1).result(of: reader.contents.tensors)
        }
    }
}

@Suite struct TensorMaps {
    private static func tensors(_ shapes: [(String, [Int])]) -> [TensorInfo] {
        shapes.map { TensorInfo(name: $0, elementType: .f32, shape: Shape($1)!)! }
    }

    private static func map(_ rules: String) throws -> TensorMap {
        try TensorMap(JSONValue(parsing: Array(#"{"assayMap":1,"rules":\#(rules)}"#.utf8)), "map.json")
    }

    private static let model = tensors([
        ("a.0.q", [4, 2]), ("a.0.k", [2, 2]), ("a.1.k", [2, 2]), ("a.1.q", [4, 2]), ("b", [3]), ("c.x", [6, 5]),
    ])

    @Test(
        arguments: [
            (#"[{"from":"a.*","to":"z.*"}]"#, ["z.0.q", "z.0.k", "z.1.k", "z.1.q", "b", "c.x"]),
            // The first rule that knows a name takes it.
            (
                #"[{"from":"b","to":"B"},{"from":"*","to":"m.*"}]"#,
                ["m.a.0.q", "m.a.0.k", "m.a.1.k", "m.a.1.q", "B", "m.c.x"]
            ),
            (#"[{"from":["a.*.q","a.*.k"],"to":"a.*.qk","axis":0}]"#, ["a.0.qk", "a.1.qk", "b", "c.x"]),
            (
                #"[{"from":"c.*","to":["c.0*","c.1*"],"axis":0}]"#,
                ["a.0.q", "a.0.k", "a.1.k", "a.1.q", "b", "c.0x", "c.1x"]
            ),
            // Names may be exchanged.
            (
                #"[{"from":"a.0.q","to":"a.0.k"},{"from":"a.0.k","to":"a.0.q"}]"#,
                ["a.0.k", "a.0.q", "a.1.k", "a.1.q", "b", "c.x"]
            ),
        ])
    func giveEveryTensorItsName(_ rules: String, _ names: [String]) throws {
        let made = try Self.map(rules).apply(to: Self.model, of: "model")
        #expect(made.map(\.name) == names)
        #expect(Set(made.flatMap(\.part.sources)) == Set(Self.model.indices))
    }

    @Test(
        arguments: [
            (#"[{"from":"a.*.q","to":"x"}]"#, "as many * and {i} in every name"),
            (#"[{"from":"nothing.*","to":"x.*"}]"#, "rules[0]: 'nothing.*' is the name of no tensor"),
            (
                #"[{"from":"*","to":"*"},{"from":"b","to":"B"}]"#,
                "rules[1]: 'b' is the name of no tensor that an earlier"
            ),
            (#"[{"from":"b","to":"c.x"}]"#, "'b' and 'c.x' of model would both be named 'c.x'"),
            (
                #"[{"from":"a.*.q","to":"same*"},{"from":"a.*.k","to":"same*"}]"#,
                "'a.0.q' and 'a.0.k' of model would both"
            ),
            (
                #"[{"from":["a.*.q","a.*.v"],"to":"a.*.qv","axis":0}]"#,
                "tensor 'a.0.v' is missing, which map.json joins"
            ),
            (#"[{"from":["b","c.x"],"to":"bc","axis":0}]"#, "'b', 'c.x' cannot be joined along axis 0"),
            (#"[{"from":["a.*.q","a.*.k"],"to":"a.*.qk","axis":1}]"#, "cannot be joined along axis 1"),
            (#"[{"from":["a.*.q","a.*.k"],"to":"a.*.qk","axis":2}]"#, "have no axis 2"),
            (#"[{"from":"c.x","to":["y","z"],"axis":1}]"#, "cannot be cut into 2 equal parts along an axis of 5"),
            (#"[{"from":"c.x","to":["y","z"],"axis":0,"sizes":[4,3]}]"#, "cannot be cut into parts of [4, 3]"),
            (#"[{"from":"c.x","to":["y","z"],"axis":0,"sizes":[9223372036854775807,9]}]"#, "cannot be cut into parts"),
            (#"[{"from":"c.x","to":"y","transpose":[0,0]}]"#, "cannot be turned to the axes [0, 0]"),
            (#"[{"from":"c.x","to":"y","transpose":[0]}]"#, "cannot be turned to the axes [0]"),
            (#"[{"from":"c.x","to":"y","axis":0}]"#, "an 'axis' only to join or cut along"),
            (#"[{"from":["b","c.x"],"to":"y"}]"#, "an 'axis' along which they are joined or cut"),
            (#"[{"from":["b","c.x"],"to":["y","z"],"axis":0}]"#, "one name on one side"),
            (#"[{"from":"c.x","to":["y","z"],"axis":0,"sizes":[6]}]"#, "'sizes' of the 2 parts"),
            (#"[{"from":"b"}]"#, "'from' and 'to'"), (#"[{"from":"b","to":7}]"#, "rules[0].to: expected a name"),
            (#"[{"from":"b","to":"c","axes":0}]"#, "'axes'"),
            ("[]", "rules: expected a list of at least one, found an empty one"),
            (#"[{"from":["a","a"],"to":"z","axis":0}]"#, "each name once in 'from', found one of them twice"),
            (#"[{"from":"a","to":"z","sizes":[4]}]"#, "'sizes' only where several parts are cut out"),
            (#"[{"from":"c.x","to":"y","transpose":[-1,0]}]"#, "rules[0].transpose[0]: expected a whole number"),
        ])
    func refuseWhatIsNoBijection(_ rules: String, _ words: String) {
        let error = #expect(throws: (any Error).self) {
            _ = try Self.map(rules).apply(to: Self.model, of: "model")
        }
        #expect((error as? any AssayError)?.description.contains(words) == true, "\(String(describing: error))")
    }

    /// Rules times names may be more than anybody waits for.
    @Test(.timeLimit(.minutes(1)), arguments: [false, true]) func takeNoLongerForManyRules(_ joins: Bool) throws {
        let names = (0..<14_000).map { "t\($0)" }
        let tensors = names.map { TensorInfo(name: $0, elementType: .u8, shape: Shape([1])!)! }
        let rules =
            joins
            ? #"[{"from":[\#(names.map { "\"\($0)\"" }.joined(separator: ","))],"to":"z","axis":0}]"#
            : "["
                + names.map { #"{"from":"\#($0)*.{i}","to":"q\#($0)*.{i}"},{"from":"\#($0)","to":"r\#($0)"}"# }
                .joined(separator: ",") + "]"
        guard joins else {
            let error = #expect(throws: UsageError.self) { try Self.map(rules).apply(to: tensors, of: "model") }
            return #expect(error?.sentence.contains("rules[0]: 't0*.{i}' is the name of no tensor") == true)
        }
        #expect(try Self.map(rules).apply(to: tensors, of: "model").map(\.name) == ["z"])
    }
}
