import AssayQuantization
import AssayTestSupport
import Testing

/// Error figures do not depend on how the work was divided.
@Suite struct ErrorSummation {
    @Test(arguments: [1, 2, 7, 64, 1000, 4097]) func isTheSameHoweverItIsDivided(_ count: Int) {
        var random = SeededRandom(seed: UInt64(count))
        let parts = (0..<count).map { _ in
            ErrorPart(
                signal: Double(random.float(1000)), noise: Double(random.float(1)) * 1e-9,
                maximum: Double(random.next(below: 1000)))
        }
        func sums(_ range: Range<Int>) -> ErrorSums {
            var sums = ErrorSums()
            for index in range { sums.append(parts[index], at: index) }
            return sums
        }
        let whole = sums(0..<count).total
        #expect(whole.maximum == parts.map(\.maximum).max())
        let plain = parts.reduce(0) { $0 + $1.signal }
        #expect(abs(whole.signal - plain) <= 1e-9 * parts.reduce(0) { $0 + abs($1.signal) })
        for _ in 0..<20 {
            var borders = (0..<random.next(below: 9)).map { _ in random.next(below: count + 1) }
            borders = [0] + borders.sorted() + [count]
            var divided = ErrorSums()
            // Pieces are done in any order.
            for (low, high) in zip(borders, borders.dropFirst()).shuffled(using: &random) {
                divided.append(sums(low..<high))
            }
            #expect(divided.total == whole)
        }
    }

    @Test func ofNothingIsNothing() { #expect(ErrorSums().total == ErrorPart()) }
}
