import AssayCheckpoints
import AssayFormats
import AssayTensors
import SystemPackage

// What was written is read again, with new descriptors, and compared with what was meant: before anything of it is published.

extension ConversionPlan {
    /// Reads every written file with a new descriptor and compares it with what was meant.
    func reread(
        _ outcome: inout ConversionOutcome, in place: FilePath, progress: @escaping @Sendable (Int) -> Void
    ) throws {
        for (index, file) in outcome.files.enumerated() {
            let path = isFolder ? place.appending(file.name) : place
            outcome.files[index].metadata = try reread(file, files[index].plan, at: path, progress: progress)
        }
        for (name, digest) in outcome.sideFiles {
            guard try InputFile(place.appending(name)).digest() == digest else {
                throw readOtherwise("'\(name.escapedForDisplay)'")
            }
        }
    }

    private func readOtherwise(_ what: String) -> SystemError {
        SystemError(
            "read \(what) back as it was written", destination, .ioError,
            advice: "the disk or the memory may be faulty; nothing was published")
    }

    private func reread(
        _ file: ConversionOutcome.File, _ plan: WritePlan, at path: FilePath,
        progress: @escaping @Sendable (Int) -> Void
    ) throws -> [(key: String, value: String)] {
        let reader = try openWritten(file, plan, at: path)
        let positions = reader.contents.indexByName()
        try requireStructure(plan, reader.contents, positions)
        let stored = zip(file.tensors, file.digests!).filter { $0.0.aliasOf == nil }
            .sorted { $0.0.byteCount > $1.0.byteCount }
        try Parallel.forEach(stored.count, threads: options.threads) { index in
            let (info, digest) = stored[index]
            let found: Digest?
            // What the format's own checksums tell is the disk's fault too.
            do { found = try reader.digest(of: positions[info.name]!) } catch is CheckpointError { found = nil }
            guard found == digest else { throw readOtherwise("tensor '\(info.name.escapedForDisplay)'") }
            progress(info.byteCount)
        }
        return reader.contents.metadata
    }

    /// Values of metadata that are not text, which formats list anew when they are read, stand in the header.
    func requireHeader(_ writer: any CheckpointWriter, in path: FilePath) throws {
        guard let header = writer.header else { return }
        let file = try InputFile(path)
        guard file.byteCount >= header.byteCount,
            try file.bytes(0..<header.byteCount).withUnsafeBytes({ Digest.of($0) }) == header.digest
        else { throw readOtherwise("its header") }
    }

    /// All that a file says beside the bytes of its tensors: what they are and which share their bytes, metadata.
    ///
    /// - Parameter positions: of the found tensors, by name.
    private func requireStructure(
        _ plan: WritePlan, _ found: CheckpointContents, _ positions: NameMap<Int>
    ) throws {
        func tensor(_ name: String) -> TensorInfo? { positions[name].map { found.tensors[$0] } }
        func stored(_ name: String) -> ExactName? { tensor(name).map { ExactName($0.aliasOf ?? $0.name) } }
        for info in plan.tensors {
            guard tensor(info.name)?.isShaped(like: info) ?? false,
                info.aliasOf.map({ stored($0) == stored(info.name) }) ?? true
            else { throw readOtherwise("tensor '\(info.name.escapedForDisplay)'") }
        }
        guard found.tensors.count == plan.tensors.count else { throw readOtherwise("the list of tensors") }
        // Of numbered parts only the first holds any.
        guard plan.part?.number ?? 0 == 0 else { return }
        let texts = NameMap(found.metadata)
        for (key, value) in plan.metadata where key != CheckpointContents.foreignKey {
            // The mark that safetensors puts in is left out of files that are to be what they were before.
            if key == "format", value == "pt", texts[key] == nil { continue }
            guard texts[key].map({ ExactName($0) }) == ExactName(value) else {
                throw readOtherwise("metadata '\(key.escapedForDisplay)'")
            }
        }
    }

    /// Its structure is our own, so that what cannot be read of it are metadata that came along, or the disk failed.
    private func openWritten(
        _ file: ConversionOutcome.File, _ plan: WritePlan, at path: FilePath
    ) throws -> any CheckpointReader {
        var reading = options.reading
        reading.fileName = file.name
        let reason: String
        do {
            return try format.open(try InputFile(path, cache: reading.cache), reading)
        } catch let error as CheckpointError {
            reason = "\(error.place): expected \(error.expected), found \(error.found)"
        } catch let error as StructureError {
            reason = error.description.replacing("\(path.forDisplay): ", with: "")
        }
        guard try isMetadataUnreadable(plan, beside: path) else { throw readOtherwise("\(file.name) (\(reason))") }
        throw UsageError(
            "\(destination.forDisplay): what was written for it cannot be read again, and is not put there: \(reason);"
                + " where metadata of the source are to blame, --remove-metadata leaves them out")
    }

    /// Whether a file with nothing but the metadata cannot be read either.
    private func isMetadataUnreadable(_ plan: WritePlan, beside path: FilePath) throws -> Bool {
        guard !plan.metadata.isEmpty else { return false }
        var alone = WritePlan(tensors: [], metadata: plan.metadata)
        alone.removedMetadata = plan.removedMetadata
        let probe = path.beside(".metadata")
        Temporaries.add(probe)
        defer { Temporaries.remove(probe) }
        let output = try OutputFile(creating: probe)
        try format.makeWriter(alone, output, options.writing).finish(digests: [])
        do {
            _ = try format.open(InputFile(probe), options.reading)
            return false
        } catch is CheckpointError {
            return true
        } catch is StructureError {
            return true
        }
    }
}
