import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// `assay verify` on a checkpoint that a test has made and perhaps damaged: what it says as text and as JSON, which must
/// be the same.
struct Verification {
    let exitCode: Int32
    /// The text with every run of white space as one space; empty where verification could not be done.
    let text: String
    let errors: String
    let json: JSONObject

    init(_ arguments: String...) throws { try self.init(arguments) }

    init(_ arguments: [String]) throws {
        let outcome = try AssayTool.run(["verify"] + arguments)
        let document = try AssayTool.run(["verify"] + arguments + ["--json"])
        let json = try #require(JSONValue(parsing: Array(document.output.utf8)).object)
        exitCode = outcome.exitCode
        text = outcome.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        errors = outcome.errors
        self.json = json
        #expect(document.exitCode == exitCode)
        #expect(json["exitCode"]?.int == Int(exitCode))
        #expect(json["verified"]?.bool ?? false == (exitCode == 0))
        for line in outcome.output.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
        if let error = json["error"]?.string {
            #expect(outcome.output.isEmpty && errors == "error: \(error)\n")
        } else {
            expectSameFacts()
        }
    }

    private func expectSameFacts() {
        #expect(text.contains("content \(json["contentDigest"]?.string ?? "")"))
        #expect(text.hasSuffix(exitCode == 0 ? " verified" : " NOT verified"))
        for statement in statements {
            let (result, words) = (statement["result"]?.string ?? "", statement["statement"]?.string ?? "")
            #expect(text.contains("\(result == "fails" ? "FAILS" : result) \(words)"), "\(text)")
            for finding in statement["findings"]?.array ?? [] {
                let first = finding.object?["items"]?.array?.first?.object?["name"]?.string ?? ""
                #expect(text.contains("\(finding.object?["what"]?.string ?? ""): \(first)"), "\(text)")
            }
        }
    }

    /// Where the certificates lie that were used.
    var certificates: [String] {
        (json["certificates"]?.array ?? []).compactMap { $0.object?["path"]?.string }
    }

    /// Their own digests.
    var certificateDigests: [String] {
        (json["certificates"]?.array ?? []).compactMap { $0.object?["sha256"]?.string }
    }

    /// What takes something that was not given, by what it takes.
    var missing: [String] {
        (json["unchecked"]?.array ?? []).flatMap { $0.object?["missing"]?.array ?? [] }.compactMap(\.string)
    }

    /// What nobody looked at.
    var unchecked: [String] { (json["unchecked"]?.array ?? []).compactMap { $0.object?["statement"]?.string } }

    var statements: [JSONObject] { (json["statements"]?.array ?? []).compactMap(\.object) }

    /// The names under a heading, in whichever statement.
    func names(_ what: String) -> [String] {
        statements.flatMap { $0["findings"]?.array ?? [] }.filter { $0.object?["what"]?.string == what }
            .flatMap { $0.object?["items"]?.array ?? [] }.compactMap { $0.object?["name"]?.string }
    }
}

/// A conversion or quantization that a test relies on.
func make(_ arguments: String...) throws { try make(arguments) }

func make(_ arguments: [String]) throws {
    let outcome = try AssayTool.run(arguments + ["--quiet"])
    try #require(outcome.exitCode == 0, "\(outcome.errors)")
}

func flipBit(at offset: Int, of path: FilePath) throws {
    var bytes = try TestFiles.bytes(path)
    bytes[offset < 0 ? bytes.count + offset : offset] ^= 4
    try TestFiles.write(bytes, to: path)
}

func replace(_ old: String, _ new: String, in path: FilePath) throws {
    let text = String(decoding: try TestFiles.bytes(path), as: UTF8.self)
    let pieces = text.split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
    try #require(pieces.count == 2, "\(text)")
    try TestFiles.write(Array((pieces[0] + new + pieces[1]).utf8), to: path)
}

extension Trials {
    static let certificates = Trials(
        "Proof", "certificates, and what they speak of, with a bit, a name, a transform or a figure changed",
        findings: [
            "a statement held of which nothing was looked at",
            "the digest that was shown was the certificate's, not that of what was read",
            "other bytes passed as the second name of a tensor, and a tensor that was left out as joined with another",
            "a file without a digest, a figure, and the file of a tensor were claimed and neither checked nor listed",
            "parts of a tensor along two axes passed as all of it",
            "metadata, tokenizer and packing other than the source's went unmentioned",
        ])
    static let maps = Trials(
        "Proof", "maps that do not fit, and tensors that came from elsewhere than a map or a certificate says")
    static let manifests = Trials(
        "Proof", "manifests that were changed after they were signed, and files that are not those of theirs")
}
