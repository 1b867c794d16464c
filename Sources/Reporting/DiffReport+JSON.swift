import AssayCheckpoints
import AssayComparison
import AssayModels
import AssayPackings

extension DiffReport {
    /// Everything, as one JSON document.
    public var json: String { jsonValue.prettyText + "\n" }

    public var jsonValue: JSONValue {
        var object = JSONObject([
            ("reference", side(result.reference)), ("test", side(result.test)),
            ("profile", .string(result.profile.rawValue)), ("arithmeticVersion", JSONValue(Arithmetic.version)),
            ("structure", structure),
        ])
        object["weights"] = result.weights.map { .array($0.map(json)) }
        object["tokens"] = result.tokens.map {
            [
                "sequences": JSONValue($0.batchCount), "length": JSONValue($0.length),
                "readPositions": JSONValue($0.readCount), "digest": .string($0.digest.description),
            ]
        }
        object["accumulatedOnly"] = result.taps == nil ? nil : .bool(result.isAccumulatedOnly)
        object["tolerance"] = [
            "floorFactor": JSONValue(result.tolerance.floorFactor),
            "storageFactor": JSONValue(result.tolerance.storageFactor),
            "leastArithmetic": JSONValue(result.tolerance.leastArithmetic),
            "limit": JSONValue(result.tolerance.limit),
        ]
        object["taps"] = result.taps.map { .array($0.map(json)) }
        object["routing"] = result.routing.isEmpty ? nil : .array(result.routing.map(json))
        object["suspects"] = result.suspects.isEmpty ? nil : .array(result.suspects.map(json))
        object["logits"] = result.logits.map(json)
        object["notes"] = result.notes.isEmpty ? nil : .array(result.notes.map { .string($0) })
        object["verdict"] = verdictValue
        return .object(object)
    }

    private var verdictValue: JSONValue {
        [
            "sentence": .string(verdict),
            // What differs in structure has no class of numbers.
            "class": JSONValue(result.structure.differs ? "structure" : result.differenceClass?.rawValue),
            "firstTap": JSONValue(result.firstOutside?.name),
            "cause": result.diagnosis.map(json) ?? .null,
            "largestBlock": result.largestContribution.map { JSONValue($0.layer) } ?? .null,
            "exitCode": JSONValue(Int(result.exitStatus.rawValue)),
        ]
    }

    private func json(_ diagnosis: Diagnosis) -> JSONValue {
        [
            "side": .string(diagnosis.isOfReference ? "A" : "B"), "tap": .string(diagnosis.tap),
            "mistake": .string(diagnosis.mistake),
            "alternatives": .array(diagnosis.alternatives.map { .string($0) }),
            "relativeL2": JSONValue(diagnosis.before), "relativeL2WithMistake": JSONValue(diagnosis.after),
        ]
    }

    private func side(_ side: ComparisonResult.Side) -> JSONValue {
        ["path": .string(side.name), "description": .string(side.description), "storage": .string(side.storages)]
    }

    private var structure: JSONValue {
        let structure = result.structure
        return [
            "differs": .bool(structure.differs),
            "facts": .array(
                structure.facts.map {
                    ["name": .string($0.name), "reference": .string($0.reference), "test": .string($0.test)]
                }),
            "missing": .array(structure.missing.map { .string($0) }),
            "extra": .array(structure.extra.map { .string($0) }),
            "misshapen": .array(
                structure.misshapen.map {
                    [
                        "name": .string($0.name), "reference": .array($0.reference.dimensions.map { JSONValue($0) }),
                        "test": .array($0.test.dimensions.map { JSONValue($0) }),
                    ]
                }),
            "faults": .array((structure.faults + structure.taps).map { .string($0) }),
        ]
    }

    private func json(_ figures: DifferenceFigures) -> JSONValue {
        [
            "relativeL2": JSONValue(figures.relativeL2), "maxAbs": JSONValue(figures.maximumDifference),
            "maxAbsReference": JSONValue(figures.maximumReference),
            "indexOfMax": figures.indexOfMaximum.map { JSONValue($0) } ?? .null,
            "sqnrDecibels": JSONValue(figures.sqnrDecibels), "cosine": JSONValue(figures.cosine),
            "count": JSONValue(figures.count), "equalBits": JSONValue(figures.equalBitsCount),
            "notFiniteReference": JSONValue(figures.referenceNonFiniteCount),
            "notFiniteTest": JSONValue(figures.testNonFiniteCount),
            "notFiniteUnmatched": JSONValue(figures.unmatchedCount),
        ]
    }

    private func json(_ weight: WeightFigures) -> JSONValue {
        var object = JSONObject([
            ("name", .string(weight.name)), ("shape", .array(weight.shape.dimensions.map { JSONValue($0) })),
            ("referenceStorage", .string(weight.referenceStorage.label)),
            ("testStorage", .string(weight.testStorage.label)),
            ("transposed", .bool(weight.isTransposed)),
            ("exact", .bool(weight.figures?.isIdentical ?? (weight.differenceClass == .identical))),
            ("sameBits", .bool(weight.hasSameBits)), ("class", .string(weight.differenceClass.rawValue)),
        ])
        object["figures"] = weight.figures.map { json($0) }
        if weight.figures != nil {
            object["beyondRounding"] = [
                "count": JSONValue(weight.beyond.count), "worst": JSONValue(weight.beyond.worst),
                "first": weight.beyond.first.map { JSONValue($0) } ?? .null,
            ]
        }
        if weight.isEqualWhenTurned { object["equalWhenTurned"] = true }
        if let twin = weight.twin { object["holds"] = .string(twin) }
        return .object(object)
    }

    private func json(_ tap: TapFigures) -> JSONValue {
        [
            "name": .string(tap.name), "layer": tap.layer.map { JSONValue($0) } ?? .null,
            "accumulated": json(tap.accumulated), "isolated": tap.isolated.map { json($0) } ?? .null,
            "noiseFloor": JSONValue(tap.noiseFloor),
            "storageTerm": JSONValue(tap.storageTerm), "allowed": JSONValue(tap.allowed),
            "class": .string(tap.differenceClass.rawValue),
            "tensorsBeyondStorage": .array(tap.tensorsBeyond.map { .string($0) }),
        ]
    }

    private func json(_ logits: LogitsFigures) -> JSONValue {
        let kl = logits.kl
        return [
            "kl": [
                "mean": JSONValue(kl.mean), "standardError": JSONValue(kl.standardError),
                "median": JSONValue(kl.median), "p99": JSONValue(kl.p99), "p99.9": JSONValue(kl.p999),
                "min": JSONValue(kl.minimum), "max": JSONValue(kl.maximum), "positions": JSONValue(kl.count),
            ],
            "notFinite": JSONValue(logits.notFiniteCount),
            "klByPosition": .array(logits.meanByPosition.map { .array([JSONValue($0.position), JSONValue($0.kl)]) }),
            "flipRate": JSONValue(logits.flipRate),
            "flips": .array(
                logits.flips.map {
                    [
                        "sequence": JSONValue($0.sequence), "position": JSONValue($0.position),
                        "reference": JSONValue($0.referenceTop), "test": JSONValue($0.testTop),
                        "margin": JSONValue($0.margin),
                    ]
                }),
            "perplexityReference": JSONValue(logits.referencePerplexity),
            "perplexityTest": JSONValue(logits.testPerplexity),
            "nextTokens": JSONValue(logits.nextTokenCount),
        ]
    }
}
