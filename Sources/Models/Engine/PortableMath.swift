import AssayCKernels

/// Functions of one number with the same bits on every machine, for the constants of a model. libm's would not do.
enum PortableMath {
    static func logarithm(_ value: Double) -> Double { apply(kernels.log_f64, value) }

    static func exponential(_ value: Double) -> Double { apply(kernels.exp_f64, value) }

    private static let kernels = ck_math_at(CK_SCALAR)!.pointee

    private static func apply(
        _ function: (UnsafePointer<Double>?, UnsafeMutablePointer<Double>?, Int) -> Void, _ value: Double
    ) -> Double {
        var result = 0.0
        withUnsafePointer(to: value) { function($0, &result, 1) }
        return result
    }
}
