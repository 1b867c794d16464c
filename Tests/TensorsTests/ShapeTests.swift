import Testing

@testable import AssayTensors

@Suite struct ShapeTests {
    struct Row: Sendable { var dimensions: [Int], elements: Int, rows: Int, rowElements: Int, text: String }

    @Test(arguments: [
        Row(dimensions: [], elements: 1, rows: 1, rowElements: 1, text: "[]"),
        Row(dimensions: [5], elements: 5, rows: 5, rowElements: 1, text: "[5]"),
        Row(dimensions: [2, 3, 4], elements: 24, rows: 2, rowElements: 12, text: "[2, 3, 4]"),
        Row(dimensions: [0, 3], elements: 0, rows: 0, rowElements: 0, text: "[0, 3]"),
        Row(dimensions: [3, 0], elements: 0, rows: 3, rowElements: 0, text: "[3, 0]"),
        Row(dimensions: [Int.max], elements: Int.max, rows: Int.max, rowElements: 1, text: "[\(Int.max)]"),
        Row(dimensions: [0, Int.max], elements: 0, rows: 0, rowElements: 0, text: "[0, \(Int.max)]"),
    ])
    func countsFollowFromTheDimensions(_ row: Row) throws {
        let shape = try #require(Shape(row.dimensions))
        #expect(shape.dimensions == row.dimensions)
        #expect(shape.rank == row.dimensions.count)
        #expect(shape.elementCount == row.elements)
        #expect(shape.rowCount == row.rows)
        #expect(shape.rowElementCount == row.rowElements)
        #expect(shape.description == row.text)
    }

    @Test(arguments: [
        [-1], [2, -3], [0, -1], [Int.max, 2], [1 << 32, 1 << 31], [0, Int.max, 2], [Int.min],
        [Int](repeating: 1, count: 65),
    ])
    func impossibleDimensionsAreNoShape(_ dimensions: [Int]) {
        #expect(Shape(dimensions) == nil)
    }

    @Test func theHighestRankIsAShape() {
        #expect(Shape([Int](repeating: 1, count: 64))?.elementCount == 1)
    }
}
