import AssayCKernels

#if canImport(Glibc)
    import Glibc
#endif

/// Which instructions the inner loops use. Every level gives the same bits; the faster ones are only faster.
public enum DispatchLevel: String, CaseIterable, Sendable {
    case scalar, avx2, avx512, neon

    package var kernelLevel: ck_level {
        switch self {
        case .scalar: CK_SCALAR
        case .avx2: CK_AVX2
        case .avx512: CK_AVX512
        case .neon: CK_NEON
        }
    }

    /// Whether this machine can run the level.
    public var isAvailable: Bool { ck_level_is_available(kernelLevel) != 0 }

    /// The fastest level of this machine, or the one that the environment variable `ASSAY_CPU` asks for, unless that is empty.
    ///
    /// - Throws: `UnavailableLevel` where `ASSAY_CPU` names no level, or one that this machine lacks.
    public static func requested() throws(UnavailableLevel) -> DispatchLevel {
        guard let text = getenv("ASSAY_CPU"), text.pointee != 0 else { return best }
        let name = String(cString: text)
        guard let level = DispatchLevel(rawValue: name), level.isAvailable else {
            throw UnavailableLevel(name: name)
        }
        return level
    }

    /// The fastest level of this machine.
    public static let best = allCases.first { $0.kernelLevel == ck_best_level() } ?? .scalar

    /// The level this process runs at; an unusable `ASSAY_CPU` is refused earlier, at the command line.
    package static let current = (try? requested()) ?? best

    /// `ASSAY_CPU` asked for what this machine cannot do.
    public struct UnavailableLevel: Error, CustomStringConvertible {
        public let name: String
        public var description: String {
            let available = DispatchLevel.allCases.filter(\.isAvailable).map(\.rawValue).joined(separator: ", ")
            return "ASSAY_CPU: this machine offers \(available); '\(name)' was asked for"
        }
    }
}
