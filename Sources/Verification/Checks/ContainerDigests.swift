import AssayCheckpoints

/// The digests that a container stores beside its tensors (zplanes).
struct ContainerDigests {
    let tensors: DigestedTensors
    let stored: [Digest]

    func check() -> VerifiedStatement {
        var statement = VerifiedStatement("the container's own digests hold", checked: stored.count)
        let wrong = stored.indices.filter { stored[$0] != tensors.digests[$0] }.map {
            VerifiedStatement.Item(name: tensors.infos[$0].name, found: tensors.digests[$0], expected: stored[$0])
        }
        statement.add("other bytes", wrong, .invalidFile)
        return statement
    }
}
