import AssayCKernels
import Foundation
import Testing

private typealias Unary32 = @convention(c) (UnsafePointer<Float>?, UnsafeMutablePointer<Float>?, Int) -> Void
private typealias Unary64 = @convention(c) (UnsafePointer<Double>?, UnsafeMutablePointer<Double>?, Int) -> Void

/// A float32 function, what it should be in float64, and the error that is allowed.
private struct Function: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var kernel: @Sendable (ck_math) -> Unary32
    var exact: @Sendable (Double) -> Double
    var span: Double
    var units: Double  // units in the last place
    var absolute: Double = 0  // or this, whichever is greater

    static let all = [
        Function(testDescription: "exp", kernel: { $0.exp_f32 }, exact: { exp($0) }, span: 105, units: 1.01),
        Function(testDescription: "tanh", kernel: { $0.tanh_f32 }, exact: { tanh($0) }, span: 12, units: 1.5),
        Function(testDescription: "erf", kernel: { $0.erf_f32 }, exact: { erf($0) }, span: 5, units: 1.5),
        Function(
            testDescription: "sigmoid", kernel: { $0.sigmoid_f32 }, exact: { 1 / (1 + exp(-$0)) }, span: 100,
            units: 2.5, absolute: 1e-40),
        Function(
            testDescription: "silu", kernel: { $0.silu_f32 }, exact: { $0 / (1 + exp(-$0)) }, span: 100, units: 3.5,
            absolute: 1e-40),
        Function(
            testDescription: "gelu_tanh", kernel: { $0.gelu_tanh_f32 },
            exact: { $0 / (1 + exp(-2 * (2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) },
            span: 12, units: 3.5, absolute: 1e-7),
        Function(
            testDescription: "gelu_erf", kernel: { $0.gelu_erf_f32 },
            exact: { 0.5 * $0 * erfc(-$0 * 0.5.squareRoot()) },
            span: 14, units: 3.5, absolute: 1e-7),
        Function(
            testDescription: "gelu_quick", kernel: { $0.gelu_quick_f32 }, exact: { $0 / (1 + exp(-1.702 * $0)) },
            span: 60, units: 3.5, absolute: 1e-7),
    ]
}

/// The distance in units in the last place of float32, subnormal ones included.
private func units(_ computed: Float, _ exact: Double) -> Double {
    let rounded = Float(exact)
    if computed == rounded || (computed.isNaN && exact.isNaN) { return 0 }
    guard rounded.isFinite, computed.isFinite else { return .infinity }
    return abs(Double(computed) - exact) / Double(max(rounded.magnitude.ulp, Float.leastNonzeroMagnitude))
}

@Suite struct FunctionTests {
    @Test(arguments: Function.all) fileprivate func float32StaysWithinItsError(function: Function) {
        var random = Seeded(21)
        let dense = (0..<60_001).map { Float(function.span * (Double($0) / 30_000 - 1)) }
        let anything = (0..<60_000).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: random.bits())) }
        let arguments = dense + anything.filter { !$0.isNaN }
        for level in MathLevel.available {
            var values = [Float](repeating: 0, count: arguments.count)
            function.kernel(level.kernels)(arguments, &values, arguments.count)
            var worst = (units: 0.0, argument: Float(0))
            for (x, y) in zip(arguments, values) where x.isFinite {
                let exact = function.exact(Double(x))
                if abs(Double(y) - exact) <= function.absolute { continue }
                if units(y, exact) > worst.units { worst = (units(y, exact), x) }
            }
            #expect(worst.units <= function.units, "\(level): \(worst)")
        }
    }

    @Test func infinitiesAndNaNsComeOutAsTheyShould() {
        let arguments: [Float] = [.infinity, -.infinity, .nan, -.nan, 0, -0.0]
        let nan = Float.nan
        let expected: [(KeyPath<ck_math, Unary32?>, [Float])] = [
            (\.exp_f32, [.infinity, 0, nan, nan, 1, 1]), (\.tanh_f32, [1, -1, nan, nan, 0, -0.0]),
            (\.erf_f32, [1, -1, nan, nan, 0, -0.0]), (\.sigmoid_f32, [1, 0, nan, nan, 0.5, 0.5]),
            (\.silu_f32, [.infinity, -0.0, nan, nan, 0, -0.0]),
            (\.gelu_tanh_f32, [.infinity, -0.0, nan, nan, 0, -0.0]),
            (\.gelu_erf_f32, [.infinity, -0.0, nan, nan, 0, -0.0]),
            (\.gelu_quick_f32, [.infinity, -0.0, nan, nan, 0, -0.0]),
            (\.relu_f32, [.infinity, 0, nan, nan, 0, -0.0]),
        ]
        for level in MathLevel.available {
            for (kernel, values) in expected {
                var computed = [Float](repeating: -7, count: arguments.count)
                level.kernels[keyPath: kernel]!(arguments, &computed, arguments.count)
                #expect(sameBits(computed, values), "\(level) \(kernel): \(computed)")
            }
        }
    }

    @Test func float64StaysWithinItsErrorOfTheGoldens() {
        let functions: [(String, KeyPath<ck_math, Unary64?>, [(argument: UInt64, value: UInt64)])] = [
            ("exp", \.exp_f64, FunctionGoldens.exp), ("tanh", \.tanh_f64, FunctionGoldens.tanh),
            ("erf", \.erf_f64, FunctionGoldens.erf), ("log", \.log_f64, FunctionGoldens.log),
            ("sine", \.sine_f64, FunctionGoldens.sine), ("cosine", \.cosine_f64, FunctionGoldens.cosine),
        ]
        for level in MathLevel.available {
            for (name, kernel, goldens) in functions {
                let arguments = goldens.map { Double(bitPattern: $0.argument) }
                var computed = [Double](repeating: 0, count: arguments.count)
                level.kernels[keyPath: kernel]!(arguments, &computed, arguments.count)
                for (index, golden) in goldens.enumerated() {
                    let value = Double(bitPattern: golden.value)
                    #expect(
                        computed[index] == value || abs(computed[index] - value) <= 2 * value.ulp,
                        "\(level) \(name)(\(arguments[index]))")
                }
            }
        }
    }

    /// Every kind of bit pattern, and every tail of a group of sixteen.
    @Test func everyLevelHasTheSameBits() {
        var random = Seeded(8)
        let unary32: [KeyPath<ck_math, Unary32?>] = [
            \.exp_f32, \.tanh_f32, \.erf_f32, \.sigmoid_f32, \.silu_f32, \.relu_f32, \.gelu_tanh_f32, \.gelu_erf_f32,
            \.gelu_quick_f32,
        ]
        let unary64: [KeyPath<ck_math, Unary64?>] = [
            \.exp_f64, \.tanh_f64, \.erf_f64, \.sigmoid_f64, \.silu_f64, \.relu_f64, \.gelu_tanh_f64, \.gelu_erf_f64,
            \.gelu_quick_f64, \.log_f64, \.sine_f64, \.cosine_f64,
        ]
        for count in Array(0...33) + [1000, 4099] {
            let x = (0..<count).map { _ in
                random.below(2) == 0
                    ? Float(bitPattern: UInt32(truncatingIfNeeded: random.bits())) : Float(random.unit() * 20)
            }
            let wide = x.map { Double($0) * 1.000000001 }
            for kernel in unary32 {
                let results = MathLevel.available.map { level in
                    var out = [Float](repeating: -7, count: count)
                    level.kernels[keyPath: kernel]!(x, &out, count)
                    return out
                }
                #expect(results.allSatisfy { sameBits($0, results[0]) })
            }
            for kernel in unary64 {
                let results = MathLevel.available.map { level in
                    var out = [Double](repeating: -7, count: count)
                    level.kernels[keyPath: kernel]!(wide, &out, count)
                    return out
                }
                #expect(results.allSatisfy { sameBits($0, results[0]) })
            }
        }
    }
}
