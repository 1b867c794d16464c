import AssayCheckpoints
import AssayTestSupport
import Testing

@testable import AssayModels

/// What may be wrong with the tensors of a checkpoint, tried on every golden model.
@Suite struct EveryTableTests {
    private func model(_ golden: Golden, _ edit: (inout MemoryCheckpoint) throws -> Void) throws -> Model {
        try golden.model(editingWeights: { reader in
            var checkpoint = try MemoryCheckpoint(copying: reader)
            try edit(&checkpoint)
            return checkpoint
        })
    }

    /// The weights that stand and must, but for those whose standing says what kind of model it is.
    private func required(_ golden: Golden) throws -> [(names: [String], preferred: String)] {
        let model = try golden.model()
        return model.table.entries.compactMap { entry in
            guard entry.presence == .required, ![.pooler, .headTransform, .headBiasRow].contains(entry.slot.module)
            else {
                return nil
            }
            return (entry.names.filter { model.checkpoint[$0] != nil }, entry.name)
        }
    }

    @Test(arguments: Golden.all) func aMissingTensorIsNamed(_ golden: Golden) throws {
        for (names, preferred) in try required(golden) {
            let report = try model(golden) { for name in names { $0.remove(name) } }.report
            #expect(report.missing == [preferred] && report.extra == [] && report.misshapen == [], "\(names)")
        }
    }

    @Test(arguments: Golden.all) func aMisshapenTensorIsNamed(_ golden: Golden) throws {
        for (names, _) in try required(golden) {
            let name = try #require(names.first)
            let report = try model(golden) {
                let shape = $0.shape(name)
                $0.set(name, shape + [1, 1], .init(repeating: 0, count: shape.reduce(1, *)))
            }.report
            #expect(report.misshapen.map(\.name) == [name] && report.missing == [] && report.extra == [])
        }
    }

    @Test(arguments: Golden.all) func aStrangerIsExtra(_ golden: Golden) throws {
        for (_, preferred) in try required(golden) where preferred.hasSuffix(".weight") {
            let name = preferred.dropLast("weight".count) + "stranger"
            let report = try model(golden) { $0.set(String(name), [1], [0]) }.report
            #expect(report.extra == [String(name)] && report.missing == [] && report.misshapen == [])
        }
    }

    @Test(arguments: Golden.all) func buffersAreIgnored(_ golden: Golden) throws {
        let buffers = try golden.model().table.buffers
        let report = try model(golden) { for name in buffers { $0.set(name, [1], [0]) } }.report
        #expect(report.isSound && Set(buffers).isSubset(of: report.ignored))
    }

    @Test(arguments: Golden.all) func namesMayStandWithPrefixOrWithout(_ golden: Golden) throws {
        let original = try golden.model()
        let naming = try ArchitectureRegistry.architecture(for: golden.configuration(), file: "config.json").naming
        guard !naming.prefix.isEmpty else { return }
        let isPrefixed = !original.report.prefix.isEmpty
        let outside =
            original.table.entries.filter { entry in
                naming.modules.contains { $0.module == entry.slot.module && $0.isOutsidePrefix }
            }.flatMap(\.names) + naming.uncomputed
        let other = try golden.model(editingWeights: { reader in
            var renamed = MemoryCheckpoint()
            for (index, info) in reader.contents.tensors.enumerated() {
                let name =
                    outside.contains(info.name)
                    ? info.name
                    : isPrefixed ? String(info.name.dropFirst(naming.prefix.count)) : naming.prefix + info.name
                renamed.set(name, info.elementType, info.shape.dimensions, try reader.bytes(of: index))
            }
            return renamed
        })
        #expect(other.report.sentences == [] && other.report.prefix == (isPrefixed ? "" : naming.prefix))
    }

    @Test(arguments: Golden.all) func aTiedHeadMayStandWithWhatItIsTiedTo(_ golden: Golden) throws {
        let original = try golden.model()
        for entry in original.table.entries {
            guard case .tied(let slot) = entry.presence else { continue }
            let source = try #require(original.tensor(slot)).name
            func store(_ checkpoint: inout MemoryCheckpoint, _ change: (inout [UInt8]) -> Void) throws {
                let index = try #require(checkpoint.contents.tensors.firstIndex { $0.name == source })
                let info = checkpoint.contents.tensors[index]
                checkpoint.set(entry.name, info.elementType, info.shape.dimensions, try checkpoint.bytes(of: index))
                checkpoint.change(entry.name, change)
            }
            let same = try model(golden) { try store(&$0) { _ in } }
            // With some architectures a head that stands is not tied.
            guard case .tied = same.table[entry.slot]?.presence else { continue }
            #expect(
                same.report.isSound && same.report.copies.contains { $0.name == entry.name && $0.of == source },
                "\(entry.name) as \(source)")
            _ = try BlockRunner(same, tokens: golden.tokens())
            let other = try model(golden) { try store(&$0) { $0[0] ^= 1 } }
            #expect(throws: StructureError.self) { try BlockRunner(other, tokens: golden.tokens()) }
        }
    }
}
