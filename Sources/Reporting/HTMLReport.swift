import AssayCheckpoints
import AssayComparison

/// The findings of a comparison as one HTML file without outside references.
public struct HTMLReport {
    let report: DiffReport

    public init(_ report: DiffReport) { self.report = report }

    public var html: String { "<!doctype html>\n" }

    /// - Throws: `SystemError` where it cannot be written.
    public func write(to destination: StagedOutput) throws {
        let file = try OutputFile(creating: destination.staging)
        try file.write(at: 0, Array(html.utf8))
        try file.synchronize()
        try destination.publish()
    }
}
