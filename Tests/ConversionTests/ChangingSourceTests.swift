import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import Synchronization
import SystemPackage
import Testing

@testable import AssayConversion

#if canImport(Glibc)
    import Glibc
#endif

/// A source that is changed while it is converted: between its first piece and its last.
@Suite struct ChangingSources {
    enum Change: CaseIterable {
        case touched, grown, replaced, removed

        func apply(to file: FilePath, other: FilePath) throws {
            switch self {
            case .touched:
                var times = [timespec(tv_sec: 1, tv_nsec: 2), timespec(tv_sec: 3, tv_nsec: 4)]
                try #require(utimensat(AT_FDCWD, file.string, &times, 0) == 0)
            case .grown: try #require(truncate(file.string, 1000) == 0)
            case .replaced: try SystemCall.rename(other, to: file, replacing: true)
            case .removed: SystemCall.removeIfPresent(file)
            }
        }
    }

    @Test(arguments: Change.allCases) func areRefusedAndNothingIsPublished(_ change: Change) throws {
        let folder = try TemporaryFolder()
        let bytes = SafetensorsBytes.file(SafetensorsBytes.entry(), data: SafetensorsBytes.zeros(8))
        let source = try folder.write("a.safetensors", bytes)
        let other = try folder.write("other", bytes)
        let destination = folder.path.appending("b.safetensors")
        let plan = try ConversionPlan.convert(
            Checkpoint.open(source), ConversionOptions(destination: destination), to: nil)
        let wasChanged = Mutex(false)
        let error = #expect(throws: SystemError.self) {
            try plan.run { phase, _ in
                guard phase == .converting,
                    wasChanged.withLock({ old in
                        defer { old = true }; return !old
                    })
                else {
                    return
                }
                do { try change.apply(to: source, other: other) } catch { Issue.record(error) }
            }
        }
        #expect(wasChanged.withLock { $0 })
        #expect(error?.path == source)
        #expect(error?.operation == "trust what was read")
        #expect(!folder.names.contains("b.safetensors") && !folder.names.contains { $0.hasSuffix(".assay-partial") })
    }

    @Test func areFineWhereNothingChanges() throws {
        let folder = try TemporaryFolder()
        let bytes = SafetensorsBytes.file(SafetensorsBytes.entry(), data: SafetensorsBytes.zeros(8))
        let source = try folder.write("a.safetensors", bytes)
        let destination = folder.path.appending("b.safetensors")
        try ConversionPlan.convert(Checkpoint.open(source), ConversionOptions(destination: destination), to: nil)
            .run().publish()
        #expect(try TestFiles.bytes(destination) == bytes)
    }
}
