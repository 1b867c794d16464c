import AssayCheckpoints
import SystemPackage

/// One thing said of a checkpoint: how much was looked at for it, and what speaks against it.
///
/// The result follows from that evidence, so that nothing holds of which nothing was looked at.
public struct VerifiedStatement: Sendable {
    public enum Result: Sendable, Equatable {
        case holds
        case fails(ExitStatus)
        /// Nothing contradicts it, but some of it, or all, was not looked at.
        case notChecked
    }

    /// What was found instead, under one heading.
    public struct Finding: Sendable {
        /// "missing", "other bytes".
        public var what: String
        public var items: [Item]
        /// How grave it is; nil where it means that something could not be checked.
        public var status: ExitStatus?
    }

    /// A tensor, a file or a key of the configuration, with the digests where those differ.
    public struct Item: Sendable {
        public var name: String
        /// Of a tensor: the file of the folder that holds it, or should.
        public var file: String?
        public var found: Digest?
        public var expected: Digest?
    }

    public var statement: String
    /// What is counted: "tensor", "file".
    public var unit: String
    /// How many were looked at.
    public var checkedCount: Int
    public var findings: [Finding] = []
    /// More about what was looked at: "28 × copy".
    public var remark: String?

    init(_ statement: String, checked count: Int, _ unit: String = "tensor", remark: String? = nil) {
        self.statement = statement
        checkedCount = count
        self.unit = unit
        self.remark = remark
    }

    public var result: Result {
        let statuses = findings.compactMap(\.status)
        if let gravest = ExitStatus.gravest(of: statuses) { return .fails(gravest) }
        return checkedCount == 0 || !findings.isEmpty ? .notChecked : .holds
    }

    /// Adds a finding; nothing where there are no items.
    mutating func add(_ what: String, _ items: [Item], _ status: ExitStatus?) {
        if !items.isEmpty { findings.append(Finding(what: what, items: items, status: status)) }
    }

    mutating func add(_ what: String, _ names: [String], _ status: ExitStatus?) {
        add(what, names.map { Item(name: $0) }, status)
    }
}

/// One thing that a certificate says and that was not looked at, because something was not given that it takes.
public struct UncheckedStatement: Sendable {
    public var statement: String
    /// "--against SRC"; one or more.
    public var missing: [String]
}

/// What verification found.
public struct VerificationReport: Sendable {
    /// Of the tensors as they were read, whatever a certificate says.
    public var contentDigest: Digest
    /// The certificates that were used.
    public var certificates: [CertificateOnHand.Document]
    public var statements: [VerifiedStatement]
    /// What the certificate says and nobody asked about.
    public var unchecked: [UncheckedStatement] = []
    /// Sentences about what no statement covers.
    public var notes: [String] = []

    /// The gravest of what failed. What could not be checked is not verified.
    public var exitStatus: ExitStatus {
        let failures = statements.compactMap { statement -> ExitStatus? in
            if case .fails(let status) = statement.result { status } else { nil }
        }
        if let gravest = ExitStatus.gravest(of: failures) { return gravest }
        return statements.isEmpty || statements.contains { $0.result == .notChecked } ? .structureDiffers : .done
    }
}

extension ExitStatus {
    /// Damage outranks structure, and structure numbers.
    static func gravest(of statuses: [ExitStatus]) -> ExitStatus? {
        [.invalidFile, .structureDiffers].first { statuses.contains($0) } ?? statuses.first
    }
}
