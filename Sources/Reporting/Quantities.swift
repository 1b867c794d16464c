import AssayCSystem

#if canImport(Glibc)
    import Glibc
#endif

/// Numbers as people read them.
public enum Quantities {
    /// "1.5 G": a count of operations, in thousands of thousands.
    static func operations(_ count: Int) -> String {
        for (unit, size) in [("T", 1e12), ("G", 1e9), ("M", 1e6)] where Double(count) >= size {
            return rounded(Double(count) / size, digits: 1) + " " + unit
        }
        return Self.count(count)
    }

    /// "512 B", "7.9 MB", "1.09 GB": decimal units, as disks and downloads count.
    public static func bytes(_ count: Int) -> String {
        if count < 1000 { return "\(count) B" }
        let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
        var value = Double(count)
        var unit = 0
        while value >= 999.5, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        return "\(rounded(value, digits: value < 9.995 ? 2 : value < 99.95 ? 1 : 0)) \(units[unit])"
    }

    /// "124,439,808".
    public static func count(_ count: Int) -> String {
        var digits = Array(String(count.magnitude))
        for position in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: position) }
        return (count < 0 ? "-" : "") + String(digits)
    }

    /// A figure with so many significant digits, exponent only where it is far from one: "0.00123", "4.56e-09".
    public static func figure(_ value: Double, significant: Int = 3) -> String {
        guard value.isFinite else { return value.isNaN ? "NaN" : value > 0 ? "inf" : "-inf" }
        guard value != 0 else { return "0" }
        let exponent = Int(floor(log10(abs(value))))
        guard (-4...6).contains(exponent) else { return scientific(value, significant: significant) }
        return rounded(value, digits: max(0, significant - 1 - exponent))
    }

    /// Rounded to so many digits behind the point.
    public static func rounded(_ value: Double, digits: Int) -> String {
        formatted(value, digits, withExponent: false)
    }

    private static func scientific(_ value: Double, significant: Int) -> String {
        formatted(value, significant - 1, withExponent: true)
    }

    private static func formatted(_ value: Double, _ digits: Int, withExponent: Bool) -> String {
        var buffer = [CChar](repeating: 0, count: 512)
        let count = csystem_format(&buffer, buffer.count, value, CInt(digits), withExponent ? 1 : 0)
        return String(
            decoding: buffer.prefix(max(0, min(Int(count), 511))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// "3 s", "2 min 05 s", "1 h 12 min".
    public static func duration(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded(.up))
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min \(whole % 60 < 10 ? "0" : "")\(whole % 60) s" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }

    /// "1 tensor", "3 tensors".
    public static func plural(_ count: Int, _ noun: String, _ nouns: String? = nil) -> String {
        "\(self.count(count)) \(count == 1 ? noun : nouns ?? noun + "s")"
    }
}
