import AssayCheckpoints
import AssayFormats
import AssayVerification

/// A verification's findings as text and as JSON.
public enum VerificationText {
    /// - Parameter width: that lines are to fit; nil where nothing needs to.
    public static func text(
        _ report: VerificationReport, _ checkpoint: Checkpoint, width: Int? = Terminal.outputWidth
    ) -> String {
        let indent = String(repeating: " ", count: 8)
        var lines = "\(checkpoint.path.forDisplay): content \(report.contentDigest)".wrapped(to: width, indent: "  ")
        for statement in report.statements {
            lines += statement.statement.wrapped(to: width, first: "  \(mark(statement.result))  ", indent: indent)
            lines += statement.detail.wrapped(to: width, first: indent, indent: indent)
        }
        lines.append(report.exitStatus == .done ? "verified" : "NOT verified")
        return lines.joined(separator: "\n") + "\n"
    }

    private static func mark(_ result: VerifiedStatement.Result) -> String {
        switch result {
        case .holds: "holds"
        case .fails: "FAILS"
        case .notChecked: "not checked"
        }
    }

    public static func json(_ report: VerificationReport, _ checkpoint: Checkpoint) -> String {
        let value: JSONValue = [
            "path": .string(checkpoint.path.string), "contentDigest": .string("\(report.contentDigest)"),
            "statements": .array(
                report.statements.map {
                    [
                        "statement": .string($0.statement), "result": .string(mark($0.result).lowercased()),
                        "detail": .string($0.detail),
                    ]
                }),
            "verified": .bool(report.exitStatus == .done),
        ]
        return value.prettyText + "\n"
    }
}
