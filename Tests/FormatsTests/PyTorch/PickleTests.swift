import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

/// Pickles written by hand, each a step away from one that is accepted.
@Suite struct Pickles {
    struct Case: Sendable, CustomTestStringConvertible {
        var pickle: [UInt8]
        var words: String
        var testDescription: String { words }
        /// - Parameter pickle: Latin letters stand for themselves, `\xNN` for a byte.
        init(_ pickle: String, _ words: String) {
            self.pickle = Pickles.bytes(pickle)
            self.words = words
        }
    }

    static func bytes(_ text: String) -> [UInt8] {
        var result: [UInt8] = []
        var rest = Substring(text)
        while let first = rest.first {
            if rest.hasPrefix("\\x") {
                result.append(UInt8(rest.dropFirst(2).prefix(2), radix: 16)!)
                rest = rest.dropFirst(4)
            } else {
                result += Array(String(first).utf8)
                rest = rest.dropFirst()
            }
        }
        return result
    }

    /// A storage "0" of 6 float32 as a persistent id on the stack.
    static let storage = storage(key: "0", count: "K\\x06")

    static func storage(key: String, count: String, type: String = "ctorch\nFloatStorage\n") -> String {
        "(U\\x07storage\(type)U\\x0\(key.count)\(key)U\\x03cpu\(count)tQ"
    }

    static func tensor(
        storage: String = storage, offset: String = "K\\x00", sizes: String = "K\\x02K\\x03\\x86",
        strides: String = "K\\x03K\\x01\\x86", rest: String = "\\x89ccollections\nOrderedDict\n)R",
        function: String = "ctorch._utils\n_rebuild_tensor_v2\n"
    ) -> String {
        "\(function)(\(storage)\(offset)\(sizes)\(strides)\(rest)tR"
    }

    private func archive(_ pickle: [UInt8]) -> [UInt8] {
        ZipBytes([
            .init("x/data.pkl", pickle), .init("x/version", Array("3\n".utf8)),
            .init("x/data/0", Array(repeating: 0, count: 24)),
        ]).bytes
    }

    private func open(_ pickle: [UInt8]) throws -> CheckpointContents {
        let folder = try TemporaryFolder()
        return try Checkpoint.open(folder.write("x.pt", archive(pickle))).contents
    }

    private func dictionary(_ value: String) -> [UInt8] { Self.bytes("\\x80\\x02}U\\x01w\(value)s.") }

    @Test func theTwinIsAccepted() throws {
        #expect(try open(dictionary(Self.tensor())).tensors.map(\.name) == ["w"])
        #expect(try open(Self.bytes("}U\\x01w\(Self.tensor())s.")).tensors.count == 1)
        let old = "ctorch._utils\n_rebuild_tensor\n(\(Self.storage)K\\x00K\\x02K\\x03\\x86K\\x03K\\x01\\x86tR"
        #expect(try open(dictionary(old)).tensors.count == 1)
        let deepest = String(repeating: "\\x85", count: 90)
        #expect(try open(dictionary("N" + deepest)).metadata.count == 1)
        // A memo far away is a name like any other.
        #expect(try open(dictionary(Self.tensor() + "r\\xff\\xff\\xff\\xffj\\xff\\xff\\xff\\xff0")).tensors.count == 1)
    }

    static let refused: [Case] = [
        // What would run code.
        Case("cos\nsystem\n(U\\x04truetR.", "os.system"), Case("cposix\nsystem\n.", "posix.system"),
        Case("\\x80\\x04\\x8c\\x02os\\x8c\\x06system\\x93.", "os.system"), Case("(ios\nsystem\n.", "os.system"),
        Case("(ccollections\nOrderedDict\no.", "an object built"),
        Case("ccollections\nOrderedDict\n)\\x81.", "an object built"),
        Case("ccollections\nOrderedDict\n)}\\x92.", "an object built"),
        Case("ccollections\nOrderedDict2\n.", "OrderedDict2"),
        Case("ctorch\n_utils.os.system\n.", "_utils.os.system"),
        Case("ctorch._utils.os\nsystem\n.", "torch._utils.os.system"),
        Case("ctorch\nload\n.", "torch.load"), Case("ctorch\nfloat31\n.", "torch.float31"),
        Case("cnumpy\nload\n.", "numpy.load"), Case("c_codecs\ndecode\n.", "_codecs.decode"),
        // Found by fuzzing: a sentence that listed them all.
        Case(
            "cnumpy.core.multiarray\nscalar\n(" + String(repeating: "K\\x01", count: 2000) + "tR.",
            "expected a NumPy type and bytes, found 2000 arguments"),
        Case("U\\x01aK\\x01\\x85R.", "a call of the text"), Case("ctorch\nfloat32\n)R.", "a call of torch.float32"),
        Case("}}b.", "OrderedDict to give"), Case("ccollections\nOrderedDict\n)RNb.", "attributes in a dictionary"),
        Case("\(tensor())}b.", "OrderedDict to give"), Case("(lp0\nI1\na.", "which is not supported"),
        Case("Pkey\n.", "which is not supported"),
        Case("\\x82\\x01.", "which is not supported"), Case("\\x80\\x06N.", "protocol 6"),
        // Values of other kinds than asked for.
        Case("]K\\x01K\\x02s.", "a dictionary to fill"), Case("](K\\x01K\\x02u.", "a dictionary to fill"),
        Case("}K\\x01a.", "a list to append to"),
        Case("}(K\\x01e.", "a list to append to"), Case("}(K\\x01u.", "keys and values"),
        Case("ccollections\nOrderedDict\nK\\x01R.", "arguments in a tuple"),
        Case("ccollections\nOrderedDict\nK\\x01\\x85R.", "a list of pairs"),
        Case("ccollections\nOrderedDict\n]K\\x01a\\x85R.", "a pair of key"),
        Case("K\\x01Q.", "a reference to a storage"), Case("(U\\x06moduleNNNNtQ.", "a reference to a storage"),
        // The stack and the memo.
        Case("0.", "a value on the stack"), Case("s.", "a value on the stack"), Case("\\x85.", "a value on the stack"),
        Case("(\\x85.", "a value on the stack"), Case("t.", "a mark"), Case("u.", "a mark"), Case("1.", "a mark"),
        Case(".", "a value on the stack"),
        Case("NN.", "one value at the end"), Case("(N.", "one value at the end"), Case("h\\x05.", "memorized"),
        Case("j\\xff\\xff\\xff\\x7f.", "memorized"),
        Case("q\\x00.", "a value on the stack"), Case("N", "cut off"), Case("", "cut off"),
        Case("N.N", "the pickle to end"),
        // Lengths beyond the bytes.
        Case("X\\xff\\xff\\xff\\xffa.", "4294967295 bytes"),
        Case("\\x8d\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x7fa.", "bytes"),
        Case("\\x8d\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xffa.", "bytes"),
        Case("\\x8b\\xff\\xff\\xff\\x7f.", "2147483647 bytes"), Case("\\x8b\\xff\\xff\\xff\\xff.", "-1 bytes"),
        Case("T\\xff\\xff\\xff\\xff.", "-1 bytes"), Case("X\\x01\\x00\\x00\\x00\\xff.", "UTF-8"),
        Case("cos", "cut off"),
        // Keys.
        Case(
            "}B\\x00\\x00\\x01\\x00\(String(repeating: "k", count: 65536))q\\x01N"
                + String(repeating: "sh\\x01N", count: 100) + "s.", "keys of at most"),
        // Structures.
        Case("]q\\x00h\\x00a.", "holds itself"), Case("}q\\x00U\\x01ah\\x00s.", "holds itself"),
        Case("}(]U\\x01as.", "a value on the stack"),
        Case("K\\x01.", "tensors by names"), Case("}]K\\x01s.", "keys that are text"),
        Case("}K\\x01]\\x86K\\x01s.", "keys that are text, numbers of 64 bits or tuples of such"),
        Case("}(U\\x03a.b\(tensor())U\\x01a}U\\x01b\(tensor())su.", "each name once"),
        Case(
            "}U\\x01w" + String(repeating: "]", count: 1) + String(repeating: "\\x85", count: 5000) + "s.",
            "levels of containers"),
        // Tensors.
        Case("}U\\x01w\(tensor(offset: "K\\x01"))s.", "inside its storage"),
        Case("}U\\x01w\(tensor(offset: "J\\xff\\xff\\xff\\xff"))s.", "none of them negative"),
        Case("}U\\x01w\(tensor(strides: "K\\x04K\\x01\\x86"))s.", "inside its storage"),
        Case("}U\\x01w\(tensor(strides: "J\\xff\\xff\\xff\\xffK\\x01\\x86"))s.", "negative"),
        Case("}U\\x01w\(tensor(strides: "K\\x01\\x85"))s.", "as many strides"),
        Case("}U\\x01w\(tensor(sizes: "J\\xff\\xff\\xff\\xffK\\x01\\x86"))s.", "negative"),
        Case(
            "}U\\x01w\(tensor(sizes: "\\x8a\\x08\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x7fK\\x02\\x86"))s.",
            "inside its storage"),
        Case(
            "}U\\x01w\(tensor(sizes: "\\x8a\\x08\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x7fK\\x02\\x86", strides: "K\\x00K\\x00\\x86"))s.",
            "63 bits"),
        Case(
            "}U\\x01w\(tensor(sizes: "J\\x00\\x00\\x00\\x40K\\x02\\x86", strides: "K\\x00K\\x01\\x86"))s.",
            "bytes that it repeats"),
        Case(
            "}U\\x01w\(tensor(sizes: "\\x8a\\x09\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x7fK\\x02\\x86"))s.",
            "an offset, sizes"),
        Case("}U\\x01w\(tensor(storage: "K\\x01"))s.", "a storage"),
        Case("}U\\x01w\(tensor(rest: "\\x89}}U\\x04conj\\x88s"))s.", "conjugate"),
        Case("}U\\x01w\(tensor(rest: ""))s.", "6 to 7 arguments"),
        Case("}U\\x01w\(tensor(function: "ctorch._utils\n_rebuild_tensor_v3\n"))s.", "7 to 8 arguments"),
        Case("}U\\x01wctorch._utils\n_rebuild_parameter\nK\\x01\\x89}\\x87Rs.", "a tensor as parameter"),
        // Storages.
        Case("}U\\x01w\(tensor(storage: storage(key: "1", count: "K\\x06")))s.", "no such member"),
        Case("}U\\x01w\(tensor(storage: storage(key: "../x", count: "K\\x06")))s.", "no such member"),
        Case("}U\\x01w\(tensor(storage: storage(key: "/etc/x", count: "K\\x06")))s.", "no such member"),
        Case("}U\\x01w\(tensor(storage: storage(key: "0", count: "K\\x07")))s.", "24 bytes"),
        // Named again, it would reach into what lies behind it.
        Case(
            "}(U\\x01a\(tensor())U\\x01b\(tensor(storage: storage(key: "0", count: "K\\x08"), offset: "K\\x02"))u.",
            "24 bytes"),
        Case("}U\\x01w\(tensor(storage: storage(key: "0", count: "J\\xff\\xff\\xff\\xff")))s.", "a storage's class"),
        Case(
            "}U\\x01w\(tensor(storage: storage(key: "0", count: "\\x8a\\x08\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x7f")))s.",
            "63 bits"),
        Case(
            "}U\\x01w\(tensor(storage: storage(key: "0", count: "K\\x06", type: "ctorch\nHalfStorage\n")))s.",
            "6 elements of 2 bytes"),
        Case(
            "}U\\x01w\(tensor(storage: storage(key: "0", count: "K\\x06", type: "ctorch\nfloat32\n")))s.",
            "a storage's class"),
        Case(
            "}U\\x01w\(tensor(storage: storage(key: "0", count: "K\\x18", type: "ctorch.storage\nUntypedStorage\n")))s.",
            "one of bytes"),
    ]

    @Test(arguments: refused) func whatIsNotAllowedIsRefusedWithItsPlace(_ pickle: Case) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("x.pt", archive(pickle.pickle))
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
        #expect(error?.description.contains(pickle.words) == true, "\(error?.description ?? "none")")
        let twin = try folder.write("twin.pt", archive(dictionary(Self.tensor())))
        try EveryCommand.mustRefuse(path, words: [pickle.words], twin: twin)
    }

    @Test func everyCommandTakesTheTwin() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("twin.pt", archive(dictionary(Self.tensor())))
        try EveryCommand.mustAccept(path)
    }

    /// Lists of lists, each twice in the next: 2^40 leaves of 200 bytes.
    @Test func sharedContainersDoNotMultiply() throws {
        var pickle = Self.bytes("}U\\x01w]Na")
        for index in 0..<40 as Range<UInt8> {
            let remember: [UInt8] = [0x71, index, 0x30]  // BINPUT, POP
            let recall: [UInt8] = [0x68, index, 0x61]  // BINGET, APPEND
            pickle += remember + [0x5D] + recall + recall  // EMPTY_LIST
        }
        pickle += Self.bytes("s.")
        let error = #expect(throws: CheckpointError.self) { try open(pickle) }
        #expect(error?.description.contains("stand in many places") == true, "\(error?.description ?? "none")")
    }

    /// A list of 20,000 pairs, of which 10,000 dictionaries are made.
    @Test func whatWasMemorizedIsNotCopiedWithoutEnd() throws {
        var pickle = Self.bytes("}ccollections\nOrderedDict\nq\\x00NN\\x86q\\x01](")
        for _ in 0..<20_000 { pickle += Self.bytes("h\\x01") }
        pickle += Self.bytes("e\\x85q\\x02")
        for _ in 0..<10_000 { pickle += Self.bytes("h\\x00h\\x02R") }
        let folder = try TemporaryFolder()
        let path = try folder.write("x.pt", archive(pickle))
        try EveryCommand.mustRefuse(path, words: ["as many arguments as the pickle has bytes"], twin: nil)
    }

    /// Python's dictionaries have each key once.
    @Test(arguments: [
        ("}(U\\x01a\(tensor())U\\x01aK\\x05u.", [], ["a=5"]),
        ("}(U\\x01aK\\x05U\\x01bK\\x06U\\x01aK\\x07u.", [], ["a=7", "b=6"]),
        ("}(K\\x01K\\x05K\\x01K\\x06u.", [], ["1=6"]),
        ("}(U\\x01a}U\\x01x\(tensor())sU\\x01a}U\\x01y\(tensor())su.", ["a.y"], []),
        ("ccollections\nOrderedDict\n](U\\x01aK\\x05\\x86U\\x01aK\\x06\\x86e\\x85R.", [], ["a=6"]),
    ]) func aKeySetTwiceHasItsLastValue(_ pickle: String, _ tensors: [String], _ metadata: [String]) throws {
        let contents = try open(Self.bytes(pickle))
        #expect(contents.tensors.map(\.name) == tensors)
        #expect(contents.metadata.map { "\($0.key)=\($0.value)" } == metadata)
    }

    /// Names that are joined of keys with dots in them can be the same; all formats hold what is read all the same.
    @Test func metadataOfOneNameIsToldApart() throws {
        let values = "U\\x03a.bK\\x01U\\x05a.b#2K\\x09U\\x01a}U\\x01bK\\x02sK\\x01K\\x03U\\x011K\\x04"
        let pickle = Self.bytes("}(U\\x01w\(Self.tensor())\(values)u.")
        let contents = try open(pickle)
        #expect(
            contents.metadata.map { "\($0.key)=\($0.value)" } == ["a.b=1", "a.b#2=9", "a.b#3=2", "1=3", "1#2=4"])
        #expect(contents.warnings.count == 1 && contents.warnings[0].hasSuffix("a.b, 1"), "\(contents.warnings)")
        let folder = try TemporaryFolder()
        try EveryCommand.mustAccept(folder.write("x.pt", archive(pickle)))
    }

    /// Views that repeat what is stored share one allowance.
    @Test func viewsOfLittleMayNotStandForMuch() throws {
        func expanded(_ name: String, _ offset: Int) -> String {
            let sizes = "J\\x00\\x00\\x28\\x02\\x85"  // 36,175,872 numbers, 138 MiB
            return "U\\x01\(name)\(Self.tensor(offset: "K\\x0\(offset)", sizes: sizes, strides: "K\\x00\\x85"))"
        }
        #expect(try open(Self.bytes("}(\(expanded("a", 0))\(expanded("b", 0))u.")).tensors[1].aliasOf == "a")
        let error = #expect(throws: CheckpointError.self) {
            try open(Self.bytes("}(\(expanded("a", 0))\(expanded("b", 1))u."))
        }
        #expect(error?.description.contains("'b': expected at most") == true)
    }

    /// Views of one storage of 2 MiB, each another one: every byte may be in several of them.
    @Test(arguments: [(140, true), (160, false)]) func storedBytesMayBeInSeveralViews(_ count: Int, _ isRead: Bool)
        throws
    {
        var pickle = "}("
        for index in 0..<count {
            let digits = String(index + 16, radix: 16)
            let storage = Self.storage(key: "0", count: "J\\x00\\x00\\x20\\x00", type: "ctorch\nByteStorage\n")
            let sizes = "J\\x\(digits)\\xff\\x1f\\x00\\x85"
            pickle += "K\\x\(digits)\(Self.tensor(storage: storage, sizes: sizes, strides: "K\\x01\\x85"))"
        }
        let folder = try TemporaryFolder()
        let path = try folder.write(
            "x.pt",
            ZipBytes([
                .init("x/data.pkl", Self.bytes(pickle + "u.")), .init("x/version", Array("3\n".utf8)),
                .init("x/data/0", Array(repeating: 0, count: 2 << 20)),
            ]).bytes)
        guard !isRead else {
            #expect(try Checkpoint.open(path).contents.tensors.count == count)
            return
        }
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
        #expect(error?.description.contains("as a view of what others view") == true, "\(error?.description ?? "none")")
    }

    /// Of old files: a part of a storage, and another part by the same key, which PyTorch takes for the first.
    @Test func partsOfStoragesAreWhatTheirKeysMeantFirst() throws {
        func part(_ first: Int, _ sizes: String) -> String {
            let view = "U\\x01vK\\x0\(first)K\\x02\\x87"
            return Self.tensor(
                storage: "(U\\x07storagectorch\nFloatStorage\nU\\x010U\\x03cpuK\\x06\(view)tQ", sizes: sizes,
                strides: "K\\x01\\x85")
        }
        func open(_ values: String) throws -> any CheckpointReader {
            let begin = "\\x80\\x02\\x8a\\x0al\\xfc\\x9cF\\xf9 j\\xa8P\\x19.\\x80\\x02M\\xe9\\x03.}."
            let data = UInt64(6).littleEndianBytes + (0..<24).map { UInt8($0) }
            let folder = try TemporaryFolder()
            let stream = Self.bytes(begin + "}(\(values)u.]U\\x010a.") + data
            return try Checkpoint.open(folder.write("x.pt", stream)).reader
        }
        let reader = try open("U\\x01a\(part(1, "K\\x02\\x85"))U\\x01b\(part(3, "K\\x02\\x85"))")
        #expect(reader.contents.tensors[1].aliasOf == "a")
        #expect(try reader.bytes(of: 1) == Array(4..<12))
        // One key for a part and a storage: PyTorch would take what it stood for first.
        let whole = Self.tensor(
            storage: "(U\\x07storagectorch\nFloatStorage\nU\\x01vU\\x03cpuK\\x06NtQ", sizes: "K\\x02\\x85",
            strides: "K\\x01\\x85")
        for pickle in ["U\\x01a\(whole)U\\x01b", "U\\x01b\(part(1, "K\\x02\\x85"))U\\x01a\(whole)U\\x01c"] {
            let both = #expect(throws: CheckpointError.self) { try open(pickle + part(1, "K\\x02\\x85")) }
            #expect(both?.description.contains("found one for both") == true, "\(both?.description ?? "none")")
        }
        let error = #expect(throws: CheckpointError.self) { try open("U\\x01a\(part(1, "K\\x03\\x85"))") }
        #expect(error?.description.contains("its storage of 2 elements") == true, "\(error?.description ?? "none")")
    }

    /// Metadata is counted in bytes, wherever it stands.
    @Test func oneTextMayNotStandForMuch() throws {
        func pickle(_ count: Int) -> [UInt8] {
            let text = Self.bytes("}(K\\x00X\\xa0\\x86\\x01\\x00") + Array(repeating: 0x61, count: 100_000)
            let others = (1..<count).flatMap {
                Self.bytes("M") + [UInt8($0 & 0xFF), UInt8($0 >> 8)] + Self.bytes("h\\x00")
            }
            return text + Self.bytes("q\\x00") + others + Self.bytes("u.")
        }
        #expect(try open(pickle(20)).metadata.count == 20)
        let error = #expect(throws: CheckpointError.self) { try open(pickle(3000)) }
        #expect(error?.description.contains("by containers that stand in many places") == true)
    }

    @Test func aPickleMayNotKeepMoreValuesThanAnyModelHas() throws {
        let error = #expect(throws: CheckpointError.self) { try open(Array(repeating: 0x4E, count: 17 << 20)) }
        #expect(error?.description.contains("at most 16777216 values") == true, "\(error?.description ?? "none")")
    }

    @Test func nestingAsDeepAsTheFileIsRefusedWithoutRecursion() throws {
        let pickle = Self.bytes("}U\\x01w]") + Array(repeating: 0x85, count: 1_000_000) + Self.bytes("s.")
        let error = #expect(throws: CheckpointError.self) { try open(pickle) }
        #expect(error?.description.contains("levels of containers") == true)
    }

    @Test func thePartsOfTheArchiveAreAskedFor() throws {
        let good = Self.bytes("}U\\x01w\(Self.tensor())s.")
        let folder = try TemporaryFolder()
        let cases: [([ZipBytes.Member], String)] = [
            ([.init("x/data.pkl", good), .init("x/data/0", [1])], "version"),
            ([.init("x/data.pkl", good), .init("x/version", Array("11".utf8))], "from 1 to 10"),
            ([.init("x/data.pkl", good), .init("x/version", Array("x".utf8))], "from 1 to 10"),
            (
                [.init("x/data.pkl", good), .init("y/data.pkl", good), .init("x/version", Array("3".utf8))],
                "y/data.pkl"
            ),
            ([.init("data.pkl", good), .init("version", Array("3".utf8))], "FOLDER/data.pkl"),
            (
                [.init("p/x/data.pkl", good), .init("p/x/version", Array("3".utf8)), .init("p/x/data/0", [1])],
                "FOLDER/data.pkl"
            ),
            (
                [
                    .init("x/data.pkl", good), .init("x/version", Array("3".utf8)),
                    .init("x/byteorder", Array("little\n".utf8)),
                ], "little or big"
            ),
            (
                [
                    .init("x/data.pkl", good), .init("x/version", Array("3".utf8)),
                    .init("x/byteorder", Array("middle".utf8)),
                ], "little or big"
            ),
            (
                [.init("x/data.pkl", good), .init("x/version", Array("3".utf8)), .init("x/code/a.py", [])],
                "TorchScript"
            ),
            (
                [.init("x/data.pkl", good), .init("x/version", Array("3".utf8)), .init("x/constants.pkl", [])],
                "TorchScript"
            ),
            (
                [
                    .init("x/data.pkl", good), .init("x/version", Array("3".utf8)),
                    .init("x/data/0", Array(repeating: 0, count: 24)),
                    .init("x/assay.metadata.json", Array("[[\"a\"]]".utf8)),
                ], "pairs of texts"
            ),
            // PyTorch finds members without regard to the case of ASCII letters.
            (
                [
                    .init("x/data.pkl", good), .init("x/version", Array("3".utf8)),
                    .init("x/data/0", Array(repeating: 0, count: 24)),
                    .init("X/Data/0", Array(repeating: 1, count: 24)),
                ], "upper and lower case"
            ),
            // Deflate makes a thousandth of such members; in memory they take dozens of times their bytes.
            (
                [
                    .deflated("x/data.pkl", Self.bytes("]B\\x00\\x00\\x30\\x00") + Array(repeating: 0, count: 3 << 20)),
                    .init("x/version", Array("3".utf8)),
                ], "a pickle of at most"
            ),
            // Beside what does not become smaller, too.
            (
                [
                    .deflated(
                        "x/data.pkl",
                        Self.bytes("]B\\xa0\\x86\\x01\\x00") + SeededBytes.random(100_000, seed: 3)
                            + Array(repeating: 0x4E, count: 1_600_000)),
                    .init("x/version", Array("3".utf8)),
                ], "values"
            ),
            (
                [
                    .init("x/data.pkl", good), .init("x/version", Array("3".utf8)),
                    .init("x/data/0", Array(repeating: 0, count: 24)),
                    .deflated("x/assay.metadata.json", Array("[".utf8) + Array(repeating: 0x20, count: 3 << 20)),
                ], "are read"
            ),
        ]
        for (members, words) in cases {
            let path = try folder.write("x.pt", ZipBytes(members).bytes)
            let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
            #expect(error?.description.contains(words) == true, "\(words): \(error?.description ?? "none")")
            let twin = try folder.write("twin.pt", archive(good))
            try EveryCommand.mustRefuse(path, words: [words], twin: twin)
        }
    }
}
