import AssayCheckpoints
import AssayComparison
import AssayFormats
import AssayModels
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayReporting

private let root = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
    .appending("fixtures").appending("golden").appending("models")

/// A golden model with one configuration value changed, under some name.
private func side(_ model: String, name: String, _ change: (inout JSONObject) -> Void = { _ in }) throws
    -> ComparisonSide
{
    let folder = root.appending(model)
    let file = try InputFile(folder.appending("config.json"))
    var configuration = try #require(JSONValue(parsing: file.bytes(0..<file.byteCount)).object)
    change(&configuration)
    return try ComparisonSide(
        Checkpoint.open(folder.appending("model.safetensors")).reader, configuration: configuration, name: name)
}

private func report(
    _ a: String, _ b: String, name: String = "b", _ change: (inout JSONObject) -> Void = { _ in }
) throws -> DiffReport {
    var options = ComparisonOptions(threads: 1)
    options.tokens = try TokensFile.read(root.appending(a).appending("tokens.json"))
    options.showsWeights = true
    return DiffReport(try Comparison(side(a, name: "a"), side(b, name: name, change), options).run())
}

/// A golden model against itself with a number that is none.
private func brokenReport() throws -> DiffReport {
    let folder = root.appending("gpt2-untied")
    let temporary = try TemporaryFolder()
    var bytes = try TestFiles.bytes(folder.appending("model.safetensors"))
    let length = bytes[..<8].enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    let header = try #require(JSONValue(parsing: Array(bytes[8..<8 + length])).object)
    let offsets = header["transformer.h.0.mlp.c_proj.bias"]?.object?["data_offsets"]?.array
    let begin = 8 + length + (try #require(offsets?[0].int))
    bytes.replaceSubrange(begin..<begin + 4, with: [0, 0, 0xC0, 0x7F])
    let copy = try temporary.write("model.safetensors", bytes)
    var options = ComparisonOptions(threads: 1)
    options.tokens = try TokensFile.read(folder.appending("tokens.json"))
    let object = try JSONValue(parsing: TestFiles.bytes(folder.appending("config.json"))).object
    let broken = try ComparisonSide(Checkpoint.open(copy).reader, configuration: object, name: "b")
    return DiffReport(try Comparison(side("gpt2-untied", name: "a"), broken, options).run())
}

@Test func whatIsNotFiniteIsSaidInEveryForm() throws {
    let report = try brokenReport()
    for form in [report.text(width: 80), HTMLReport(report).html] {
        #expect(form.contains("not finite"))
        #expect(!form.lowercased().contains("nan<") && !form.contains("mean NaN"))
    }
    #expect(report.text(width: 80).contains("1 NaN or infinity"))
    #expect(report.text(width: 80).contains("adds nothing"))
    let value = try #require(JSONValue(parsing: Array(report.json.utf8)).object)
    let tap = try #require(
        value["taps"]?.array?.compactMap(\.object).first { $0["name"]?.string == "layers.0.mlp_out" })
    #expect(tap["isolated"]?.object?["relativeL2"] == .string("Infinity"))
    #expect((tap["isolated"]?.object?["notFiniteUnmatched"]?.int ?? 0) > 0)
    #expect(value["verdict"]?.object?["firstTap"]?.string == "layers.0.mlp_out")
}

private func pages() throws -> [(String, DiffReport)] {
    [
        ("equal", try report("gpt2-untied", "gpt2-untied")),
        ("other activation", try report("gpt2-untied", "gpt2-untied") { $0["activation_function"] = "gelu" }),
        ("no head", try report("bert-pooler", "bert-pooler")),
        ("other architecture", try report("bert-pooler", "gpt2-untied")),
        ("other weights", try report("gpt2-act-gelu", "gpt2-act-relu")),
        ("hostile name", try report("gpt2-untied", "gpt2-untied", name: "<script>alert('1')</script>&\"\u{1B}[31m")),
    ]
}

/// The first tag that is closed without having been opened, or left open; nil where all match.
private func imbalance(_ html: String) -> String? {
    let void: Set<String> = ["meta", "br", "img", "link", "hr"]
    var open: [String] = []
    var rest = html[...]
    while let start = rest.firstIndex(of: "<") {
        guard let end = rest[start...].firstIndex(of: ">") else { return "an open <" }
        let tag = rest[rest.index(after: start)..<end]
        rest = rest[rest.index(after: end)...]
        if tag.hasPrefix("!") || tag.hasSuffix("/") { continue }
        let name = String(tag.drop { $0 == "/" }.prefix { $0.isLetter || $0.isNumber })
        if tag.hasPrefix("/") {
            guard open.popLast() == name else { return name }
        } else if !void.contains(name) {
            open.append(name)
        }
    }
    return open.last
}

@Test func pagesAreWellFormedAndRefersToNothing() throws {
    for (name, report) in try pages() {
        let html = HTMLReport(report).html
        #expect(imbalance(html) == nil, "\(name)")
        for reference in [
            "http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "onload",
        ] {
            #expect(!html.contains(reference), "\(name): \(reference)")
        }
        #expect(html.utf8.count < 200_000)
        #expect(!html.unicodeScalars.contains { $0.value < 32 && $0 != "\n" })
        #expect(!html.contains("NaN"), "\(name)")
        #expect(html.contains("prefers-color-scheme: dark"))
    }
}

@Test func theCheckOfTagsFindsMistakes() {
    #expect(imbalance("<p><b></p></b>") == "p")
    #expect(imbalance("<p>") == "p")
    #expect(imbalance("<p><rect/></p>") == nil)
}

@Test func pagesShowWhatTheyHave() throws {
    let other = HTMLReport(try report("gpt2-untied", "gpt2-untied") { $0["activation_function"] = "gelu" }).html
    for title in [
        "Error by layer", "Taps by layer", "Predictions by position", "Structure", "Every tap", "Every weight",
    ] {
        #expect(other.contains(title), "\(title)")
    }
    #expect(HTMLReport(try report("gpt2-act-gelu", "gpt2-act-relu")).html.contains("<h2>Weights</h2>"))
}

@Test func textFitsEightyColumnsAndEndsWithTheVerdict() throws {
    for (name, report) in try pages() {
        let text = report.text(width: 80)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.filter { $0.count > 80 } == [], "\(name)")
        #expect(lines.last == "")
        let end = text.split(separator: "\n\n").last!.split(separator: "\n").joined(separator: " ")
        #expect(end.hasSuffix(report.verdict), "\(name)")
    }
}

@Test func verdictsAreWholeSentences() throws {
    #expect(try report("gpt2-untied", "gpt2-untied").verdict == "B equals A, bit for bit at every tap.")
    let verdict = try report("gpt2-untied", "gpt2-untied") { $0["activation_function"] = "gelu" }.verdict
    #expect(
        verdict.hasPrefix(
            "The structure of B differs from A's: feed forward activation: gelu tanh in A, gelu erf in B; activations "
                + "differ from layers.0.mlp_act on. The cause: B has GELU with the error function for the model's "
                + "activation: with that A gives the same at layers.0.mlp_act, to "))
}

@Test func jsonHoldsEverything() throws {
    let report = try report("gpt2-untied", "gpt2-untied") { $0["activation_function"] = "gelu" }
    let value = try #require(JSONValue(parsing: Array(report.json.utf8)).object)
    #expect(value["taps"]?.array?.count == report.result.taps?.count)
    #expect(value["weights"]?.array?.count == report.result.weights?.count)
    #expect(value["verdict"]?.object?["exitCode"]?.int == 2)
    #expect(value["verdict"]?.object?["class"]?.string == "structure")
    #expect(value["verdict"]?.object?["firstTap"]?.string == "layers.0.mlp_act")
    let cause = try #require(value["verdict"]?.object?["cause"]?.object)
    let page = HTMLReport(report).html
    #expect(page.contains("<h2>Cause</h2>") && page.contains("GELU with the error function"))
    #expect(cause["side"]?.string == "B" && cause["tap"]?.string == "layers.0.mlp_act")
    #expect(cause["mistake"]?.string == "GELU with the error function for the model's activation")
    #expect(try #require(cause["relativeL2WithMistake"]?.double) < #require(cause["relativeL2"]?.double) / 4)
    #expect(value["structure"]?.object?["facts"]?.array?.count == 1)
    #expect(value["logits"]?.object?["kl"]?.object?["p99.9"]?.double != nil)
}

@Test func axesCoverTheirValues() throws {
    let logarithmic = try #require(Axis([3e-7, 2e-3], isLogarithmic: true))
    #expect(logarithmic.ticks.map(\.label) == ["1e-7", "1e-6", "1e-5", "1e-4", "1e-3", "1e-2"])
    #expect(logarithmic.share(of: 1e-7) == 0)
    #expect(logarithmic.share(of: 1e-2) == 1)
    #expect(Axis([0, .infinity, .nan], isLogarithmic: true) == nil)
    let plain = try #require(Axis([0, 47], isLogarithmic: false))
    #expect(plain.ticks.map(\.value) == [0, 10, 20, 30, 40, 50])
    #expect(try #require(Axis([20, 20], isLogarithmic: false, beginsAtZero: false)).ticks.count >= 2)
}

@Test func placesAreNamedWhereThereIsRoom() {
    func names(_ places: [String], marked: Int? = nil) -> [String] {
        let plot = LinePlot(
            title: "t", places: places,
            series: [LinePlot.Series(name: "s", style: "isolated", values: places.map { _ in 1 })],
            placesTitle: "p", valuesTitle: "v", marked: marked)
        return (plot.svg ?? "").split(separator: "\n").filter { $0.contains("class=\"middle\"") }.map {
            String($0.split(separator: ">")[1].split(separator: "<")[0])
        }
    }
    #expect(names(["embed", "0", "1", "2", "norm", "logits"]) == ["embed", "0", "1", "2", "norm", "logits"])
    let many = names((0..<100).map(String.init), marked: 33)
    #expect(many.contains("0") && many.contains("99") && many.contains("33") && many.contains("50"))
    #expect(many.count < 20)
    #expect(names(["embed"] + (0..<48).map(String.init) + ["norm", "logits"]).contains("logits"))
}
