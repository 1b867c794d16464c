import AssayCheckpoints
import AssayFormats
import AssayVerification
import SystemPackage

/// A verification's findings as text and as JSON.
public enum VerificationText {
    public static func text(_ report: VerificationReport, _ checkpoint: Checkpoint, width: Int) -> String {
        var lines = [checkpoint.path.forDisplay]
        func add(_ mark: String, _ text: String) {
            lines += shortened(text, width - 15).labelled(mark, column: 15, to: width)
        }
        add("content", "\(report.contentDigest)")
        for document in report.certificates.prefix(5) {
            add("certificate", "\(shown(document.path, beside: checkpoint)), SHA-256 \(document.digest)")
        }
        if report.certificates.count > 5 { add("", "... (\(report.certificates.count) in all)") }
        for statement in report.statements {
            add(mark(statement.result), statement.statement.escaped)
            for line in details(of: statement) { add("", line) }
        }
        for unchecked in report.unchecked {
            add("not checked", unchecked.statement.escapedForDisplay)
            if !unchecked.missing.isEmpty { add("", "takes \(unchecked.missing.joined(separator: ", "))") }
        }
        for note in report.notes { add("note", note.escapedForDisplay) }
        lines.append(report.exitStatus == .done ? "verified" : "NOT verified")
        return lines.joined(separator: "\n") + "\n"
    }

    /// A certificate's name where it lies in its usual place, else its path.
    private static func shown(_ certificate: FilePath, beside checkpoint: Checkpoint) -> String {
        let home = checkpoint.folder ?? checkpoint.path.removingLastComponent()
        return certificate.removingLastComponent() == home.settled()
            ? (certificate.lastComponent?.string ?? "").escapedForDisplay : certificate.forDisplay
    }

    /// Words too long for a line are cut in their middle; paths are not, they are for use.
    private static func shortened(_ text: String, _ width: Int) -> String {
        text.split(separator: " ", omittingEmptySubsequences: false).map { word in
            word.contains("/") ? String(word) : TextTable.shortened(String(word), to: width)
        }.joined(separator: " ")
    }

    private static func mark(_ result: VerifiedStatement.Result) -> String {
        switch result {
        case .holds: "holds"
        case .fails: "FAILS"
        case .notChecked: "not checked"
        }
    }

    /// "28 tensors; 28 × copy", then a line a finding.
    private static func details(of statement: VerifiedStatement) -> [String] {
        let count =
            statement.checkedCount == 0
            ? "no \(statement.unit) to look at" : Quantities.plural(statement.checkedCount, statement.unit)
        let remark = statement.remark.flatMap { $0.isEmpty ? nil : "; " + $0.escapedForDisplay } ?? ""
        return [count + remark]
            + statement.findings.map { "\($0.what): \(list($0.items, digests: statement.unit == "file"))" }
    }

    /// The first few, and how many there are.
    private static func list(_ items: [VerifiedStatement.Item], digests: Bool) -> String {
        items.prefix(5).map { item in
            let name = item.name.escapedForDisplay + (item.file.map { " in " + $0.escapedForDisplay } ?? "")
            guard digests, let found = item.found, let expected = item.expected else { return name }
            return "\(name) has \(found), the certificate says \(expected)"
        }.joined(separator: ", ") + (items.count > 5 ? ", ... (\(items.count) in all)" : "")
    }

    // MARK: JSON

    public static func json(_ report: VerificationReport, _ checkpoint: Checkpoint) -> String {
        let value: JSONValue = [
            "path": .string(checkpoint.path.string), "contentDigest": .string("\(report.contentDigest)"),
            "certificates": .array(
                report.certificates.map { ["path": .string($0.path.string), "sha256": .string("\($0.digest)")] }),
            "statements": .array(report.statements.map(json)),
            "unchecked": .array(
                report.unchecked.map {
                    ["statement": .string($0.statement), "missing": .array($0.missing.map { .string($0) })]
                }),
            "notes": .array(report.notes.map { .string($0) }),
            "verified": .bool(report.exitStatus == .done), "exitCode": JSONValue(Int(report.exitStatus.rawValue)),
        ]
        return value.prettyText + "\n"
    }

    private static func json(_ statement: VerifiedStatement) -> JSONValue {
        [
            "statement": .string(statement.statement), "result": .string(mark(statement.result).lowercased()),
            "checked": JSONValue(statement.checkedCount), "unit": .string(statement.unit),
            "detail": JSONValue(statement.remark),
            "findings": .array(
                statement.findings.map { finding in
                    [
                        "what": .string(finding.what), "items": .array(finding.items.map(json)),
                        "exitCode": finding.status.map { JSONValue(Int($0.rawValue)) } ?? .null,
                    ]
                }),
        ]
    }

    private static func json(_ item: VerifiedStatement.Item) -> JSONValue {
        var object = JSONObject([("name", .string(item.name))])
        object["file"] = item.file.map { .string($0) }
        object["found"] = item.found.map { .string("\($0)") }
        object["expected"] = item.expected.map { .string("\($0)") }
        return .object(object)
    }
}
