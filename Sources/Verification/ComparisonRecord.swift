import AssayCheckpoints
import AssayComparison
import AssayModels

/// What `diff` found between a checkpoint and the one that its certificate speaks of, as the certificate says it.
///
/// All figures are the same on every machine with the same arithmetic version, so that whoever has both checkpoints and
/// the tokens can compute them again and hold them against these, text against text.
public struct ComparisonRecord: Sendable {
    /// The members of an entry of `comparisons`.
    let json: JSONObject

    /// The reference of a comparison.
    public struct Reference: Sendable {
        /// The last part of its path.
        public var name: String
        public var contentDigest: Digest
        /// SHA-256 of its `config.json`.
        public var configuration: Digest?
    }

    init(_ result: ComparisonResult, _ reference: Reference, tool: String) {
        var about = JSONObject([
            ("name", .string(reference.name)), ("contentDigest", .string("\(reference.contentDigest)")),
        ])
        about["configuration"] = reference.configuration.map { .string("\($0)") }
        var json = JSONObject([
            ("reference", .object(about)), ("tool", .string(tool)),
            ("arithmeticVersion", JSONValue(Arithmetic.version)), ("profile", .string(result.profile.rawValue)),
            ("tolerance", Self.json(result.tolerance)),
            ("class", JSONValue(result.differenceClass?.rawValue)), ("weights", Self.counts(result.weights ?? [])),
        ])
        json["tokens"] = result.tokens.map {
            [
                "digest": .string("\($0.digest)"), "sequences": JSONValue($0.batchCount),
                "length": JSONValue($0.length), "readPositions": JSONValue($0.readCount),
            ]
        }
        json["taps"] = result.taps.map { .array($0.map(Self.json)) }
        json["logits"] = result.logits.map(Self.json)
        self.json = json
    }

    /// - Returns: nil where a member is missing that says what was compared, how, or what was found.
    init?(_ value: JSONValue) {
        guard let json = value.object, let reference = json["reference"]?.object, reference["name"]?.string != nil,
            reference["contentDigest"]?.string.flatMap({ Digest(hexadecimal: $0) }) != nil,
            reference["configuration"].map({ $0.string.flatMap { Digest(hexadecimal: $0) } != nil }) ?? true,
            json["tool"]?.string != nil, json["arithmeticVersion"]?.int != nil,
            json["profile"]?.string.flatMap({ Profile(rawValue: $0) }) != nil,
            json["class"]?.string.flatMap({ DifferenceClass(rawValue: $0) }) != nil,
            json["tokens"].map({ $0.object?["digest"]?.string.flatMap { Digest(hexadecimal: $0) } != nil }) ?? true
        else { return nil }
        self.json = json
    }

    // MARK: What it says

    private var reference: JSONObject { json["reference"]!.object! }
    var referenceName: String { reference["name"]!.string! }
    var referenceDigest: Digest { Digest(hexadecimal: reference["contentDigest"]!.string!)! }
    var referenceConfiguration: Digest? { reference["configuration"]?.string.flatMap { Digest(hexadecimal: $0) } }
    var tokensDigest: Digest? { json["tokens"]?.object?["digest"]?.string.flatMap { Digest(hexadecimal: $0) } }
    var profile: Profile { Profile(rawValue: json["profile"]!.string!)! }
    var arithmeticVersion: Int { json["arithmeticVersion"]!.int! }
    var limit: Double? { json["tolerance"]?.object?["limit"]?.figure }
    var differenceClass: String { json["class"]!.string! }

    /// Whether both are about the same: the later one then takes the place of the other.
    func concerns(theSameAs other: ComparisonRecord) -> Bool {
        referenceDigest == other.referenceDigest && tokensDigest == other.tokensDigest && profile == other.profile
            && arithmeticVersion == other.arithmeticVersion
    }

    /// The figures without what names the tool and the reference.
    var figures: JSONValue {
        var figures = json
        figures["tool"] = nil
        figures["reference"] = nil
        return .object(figures)
    }

    /// The members, and the taps, in which another record has other figures.
    func differences(from other: ComparisonRecord) -> [String] {
        var names: [String] = []
        for key in ["tolerance", "tokens", "class", "weights", "logits"]
        where json[key]?.canonicalText != other.json[key]?.canonicalText { names.append(key) }
        let (mine, theirs) = (json["taps"]?.array ?? [], other.json["taps"]?.array ?? [])
        if mine.count != theirs.count { names.append("taps") }
        for (tap, same) in zip(mine, theirs) where tap.canonicalText != same.canonicalText {
            names.append(tap.object?["name"]?.string ?? "taps")
        }
        return names
    }

    // MARK: Figures

    private static func json(_ tolerance: Tolerance) -> JSONValue {
        var json = JSONObject([
            ("floorFactor", JSONValue(tolerance.floorFactor)), ("storageFactor", JSONValue(tolerance.storageFactor)),
        ])
        json["limit"] = tolerance.limit.map { JSONValue($0) }
        return .object(json)
    }

    /// How many weights are of which class.
    private static func counts(_ weights: [WeightFigures]) -> JSONValue {
        let counts = Dictionary(grouping: weights, by: \.differenceClass).mapValues(\.count)
        return .object(
            JSONObject(DifferenceClass.allCases.map { ($0.rawValue, JSONValue(counts[$0] ?? 0)) }))
    }

    /// Relative L2 of everything.
    private static func json(_ tap: TapFigures) -> JSONValue {
        var json = JSONObject([
            ("name", .string(tap.name)), ("accumulated", JSONValue(tap.accumulated.relativeL2)),
            ("allowed", JSONValue(tap.allowed)), ("class", .string(tap.differenceClass.rawValue)),
        ])
        json["isolated"] = tap.isolated.map { JSONValue($0.relativeL2) }
        json["noiseFloor"] = tap.noiseFloor.map { JSONValue($0) }
        json["storageTerm"] = tap.storageTerm.map { JSONValue($0) }
        return .object(json)
    }

    /// KL divergence in nats.
    private static func json(_ logits: LogitsFigures) -> JSONValue {
        let kl = logits.kl
        return [
            "klMean": JSONValue(kl.mean), "klMedian": JSONValue(kl.median), "klP99": JSONValue(kl.p99),
            "klMax": JSONValue(kl.maximum), "positions": JSONValue(kl.count), "flips": JSONValue(logits.flips.count),
            "notFinite": JSONValue(logits.notFiniteCount),
        ]
    }
}
