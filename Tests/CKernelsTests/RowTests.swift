import AssayCKernels
import Foundation
import Testing

@Suite struct RowTests {
    /// Every row kernel of a level on one input, in a fixed order.
    private static func all(_ kernels: ck_math, _ x: [Float], _ weight: [Float], _ bias: [Float], rows: Int)
        -> [[Float]]
    {
        let columns = weight.count
        var outputs: [[Float]] = []
        func collect(_ body: (UnsafeMutablePointer<Float>) -> Void) {
            var out = [Float](repeating: -7, count: x.count)
            body(&out)
            outputs.append(out)
        }
        collect { kernels.layer_norm_f32(x, weight, bias, 1e-5, $0, rows, columns) }
        collect { kernels.layer_norm_f32(x, weight, nil, 1e-5, $0, rows, columns) }
        collect { kernels.layer_norm_f32(x, nil, nil, 1e-5, $0, rows, columns) }
        collect { kernels.rms_norm_f32(x, weight, 1e-6, $0, rows, columns) }
        collect { kernels.softmax_rows_f32(x, $0, rows, columns) }
        collect { kernels.log_softmax_rows_f32(x, $0, rows, columns) }
        collect {
            $0.update(from: x, count: x.count); kernels.add_row_f32($0, bias, rows, columns)
        }
        collect {
            $0.update(from: x, count: x.count); kernels.scale_f32($0, 0.3, x.count)
        }
        collect { kernels.add_f32(x, x.reversed(), $0, x.count) }
        collect { kernels.multiply_f32(x, x.reversed(), $0, x.count) }
        collect {
            $0.update(from: x, count: x.count); kernels.clamp_f32($0, -1.5, 2, x.count)
        }
        return outputs
    }

    private static func wide(_ kernels: ck_math, _ x: [Float], _ weight: [Float], _ bias: [Float], rows: Int)
        -> [[Double]]
    {
        let columns = weight.count
        var input = [Double](repeating: 0, count: x.count)
        kernels.widen_f32_f64(x, &input, x.count)
        var outputs: [[Double]] = []
        func collect(_ body: (UnsafeMutablePointer<Double>) -> Void) {
            var out = [Double](repeating: -7, count: x.count)
            body(&out)
            outputs.append(out)
        }
        collect { kernels.layer_norm_f64(input, weight, bias, 1e-5, $0, rows, columns) }
        collect { kernels.rms_norm_f64(input, weight, 1e-6, $0, rows, columns) }
        collect { kernels.softmax_rows_f64(input, $0, rows, columns) }
        collect { kernels.log_softmax_rows_f64(input, $0, rows, columns) }
        collect {
            $0.update(from: outputs[3], count: x.count); kernels.round_f64_to_f32_in_place($0, x.count)
        }
        collect {
            $0.update(from: input, count: x.count); kernels.clamp_f64($0, -.infinity, 2, x.count)
        }
        return outputs
    }

    @Test func everyLevelHasTheSameBitsForEveryRowLength() {
        for columns in Array(1...40) + [768, 1025] {
            var random = Seeded(UInt64(columns))
            let x = random.floats(3 * columns, scale: 5), weight = random.floats(columns), bias = random.floats(columns)
            let narrow = MathLevel.available.map { Self.all($0.kernels, x, weight, bias, rows: 3) }
            let wide = MathLevel.available.map { Self.wide($0.kernels, x, weight, bias, rows: 3) }
            for level in narrow.dropFirst() { #expect(zip(level, narrow[0]).allSatisfy(sameBits)) }
            for level in wide.dropFirst() { #expect(zip(level, wide[0]).allSatisfy(sameBits)) }
        }
    }

    /// The float64 kernels against the formulas, the float32 ones against the float64 ones.
    @Test func theFormulasHold() {
        let columns = 333
        var random = Seeded(77)
        let x = random.floats(columns, scale: 5), weight = random.floats(columns), bias = random.floats(columns)
        let kernels = MathLevel.available.last!.kernels
        let wide = Self.wide(kernels, x, weight, bias, rows: 1), narrow = Self.all(kernels, x, weight, bias, rows: 1)
        let values = x.map(Double.init), count = Double(columns)
        let mean = values.reduce(0, +) / count
        let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count + 1e-5).squareRoot()
        let size = (values.reduce(0) { $0 + $1 * $1 } / count + 1e-6).squareRoot()
        let most = values.max()!, sum = values.reduce(0) { $0 + exp($1 - most) }
        #expect(narrow[10] == x.map { min(max($0, -1.5), 2) } && wide[5] == values.map { min($0, 2) })
        for (i, value) in values.enumerated() {
            #expect(abs(wide[0][i] - ((value - mean) / deviation * Double(weight[i]) + Double(bias[i]))) < 1e-13)
            #expect(abs(wide[1][i] - value / size * Double(weight[i])) < 1e-13)
            #expect(abs(wide[2][i] - exp(value - most) / sum) < 1e-15)
            #expect(abs(wide[3][i] - (value - most - log(sum))) < 1e-13)
            #expect(wide[4][i] == Double(Float(wide[3][i])))
            #expect(abs(Double(narrow[0][i]) - wide[0][i]) < 2e-6)
            #expect(abs(Double(narrow[3][i]) - wide[1][i]) < 1e-6)
            #expect(abs(Double(narrow[4][i]) - wide[2][i]) < 1e-7)
            #expect(abs(Double(narrow[5][i]) - wide[3][i]) < 2e-6)
        }
    }
}

@Suite struct ComparisonTests {
    private static func compare(_ kernels: ck_math, _ reference: [Float], _ test: [Float]) -> ck_comparison {
        var result = ck_comparison()
        kernels.compare_f32(reference, test, reference.count, &result)
        return result
    }

    @Test func figuresAreThoseOfTheDefinition() {
        for count in Array(1...35) + [1000] {
            var random = Seeded(UInt64(count))
            let reference = random.floats(count)
            var test = reference
            test[count / 2] += 0.5
            test[count - 1] += 0.5
            for level in MathLevel.available {
                let result = Self.compare(level.kernels, reference, test)
                let differences = zip(reference, test).map { Double($1) - Double($0) }
                let greatest = differences.map(\.magnitude).max()!
                #expect(abs(result.sum_diff2 - differences.reduce(0) { $0 + $1 * $1 }) < 1e-12)
                #expect(abs(result.sum_ref2 - reference.reduce(0) { $0 + Double($1) * Double($1) }) < 1e-9)
                #expect(
                    abs(result.sum_dot - zip(reference, test).reduce(0) { $0 + Double($1.0) * Double($1.1) }) < 1e-9)
                #expect(result.max_abs_diff == greatest)
                #expect(result.index_of_max == UInt64(differences.firstIndex { $0.magnitude == greatest }!))
                #expect(result.max_abs_ref == reference.map { Double($0.magnitude) }.max()!)
                #expect(
                    result.count_equal_bits == UInt64(zip(reference, test).count { $0.bitPattern == $1.bitPattern }))
                #expect(result.count == UInt64(count))
            }
        }
    }

    @Test func whatIsNotFiniteIsCountedAndLeftOut() {
        let reference: [Float] = [1, .nan, 2, -.infinity, 3], test: [Float] = [1, 5, .nan, -.infinity, 4]
        for level in MathLevel.available {
            let result = Self.compare(level.kernels, reference, test)
            #expect(result.count_nonfinite_ref == 2 && result.count_nonfinite_test == 2)
            #expect(result.sum_ref2 == 10 && result.sum_diff2 == 1 && result.max_abs_ref == 3)
            #expect(result.index_of_max == 4 && result.count_equal_bits == 2)
        }
    }

    @Test func partsAddUp() {
        var random = Seeded(31)
        let reference = random.floats(500), test = random.floats(500)
        for level in MathLevel.available {
            var total = ck_comparison()
            for begin in stride(from: 0, to: 500, by: 128) {
                let range = begin..<min(begin + 128, 500)
                var part = Self.compare(level.kernels, Array(reference[range]), Array(test[range]))
                ck_comparison_add(&total, &part, UInt64(begin))
            }
            let whole = Self.compare(level.kernels, reference, test)
            #expect(total.index_of_max == whole.index_of_max && total.max_abs_diff == whole.max_abs_diff)
            #expect(total.count == 500 && abs(total.sum_diff2 - whole.sum_diff2) < 1e-10)
        }
    }
}
