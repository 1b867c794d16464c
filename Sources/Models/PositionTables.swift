import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors

extension Model {
    /// Requires that stored tables of positions hold the sines and cosines that are computed in their place, as far as their
    /// element type can tell.
    ///
    /// - Throws: `StructureError` naming the tensor where they differ.
    func checkPositionTables() throws {
        for stack in spec.stacks {
            guard let name = positionTables[stack.role], let stored = checkpoint[name],
                let sinusoids = stack.embedding.sinusoids
            else { continue }
            guard try Self.hold(stored, sinusoids, width: stack.hiddenSize) else {
                throw StructureError(
                    "\(self.name): tensor '\(name.escapedForDisplay)': expected the sines and cosines that the"
                        + " architecture computes in its place, found others")
            }
        }
    }

    private static func hold(
        _ table: any LogicalTensor, _ sinusoids: SinusoidalPositions, width: Int
    ) throws -> Bool {
        guard table.shape.rank == 2, table.shape.dimensions[1] == width else { return false }
        let tolerance = tolerance(of: table)
        let expected = SinusoidalVectors(sinusoids, width: width, KernelTable(pointer: ck_math_at(CK_SCALAR)!))
        var row = [Double](repeating: 0, count: width)
        for place in 0..<table.shape.rowCount {
            try row.withUnsafeMutableBufferPointer { try table.read(rows: place..<place + 1, into: $0) }
            // A NaN is no neighbour of anything.
            guard zip(row, expected.vector(at: place)).allSatisfy({ abs($0 - $1) <= tolerance }) else {
                return false
            }
        }
        return true
    }

    /// Twice what rounding a number up to 1 may change; angles of far positions were float32 in some programs.
    private static func tolerance(of table: any LogicalTensor) -> Double {
        switch table.storage {
        case .plain(.f16): 1e-3
        case .plain(.bf16): 8e-3
        default: 1e-4
        }
    }
}
