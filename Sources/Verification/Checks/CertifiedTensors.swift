import AssayCheckpoints

/// The tensors of a checkpoint, held against a certificate: names, types, shapes, bytes.
struct CertifiedTensors {
    let tensors: DigestedTensors
    let certificate: Certificate

    func check() -> VerifiedStatement {
        let wanted = NameSet(certificate.destinationTensors.map(\.info.name))
        var missing = certificate.destinationTensors.filter { tensors[$0.info.name] == nil }
        var extra = tensors.infos.map(\.name).filter { !wanted.contains($0) }
        let renamed = Self.takeRenamed(&missing, &extra, tensors)
        var misshapen: [String] = []
        var wrong: [VerifiedStatement.Item] = []
        for tensor in certificate.destinationTensors {
            guard let (info, digest) = tensors[tensor.info.name] else { continue }
            if info.shape != tensor.info.shape || info.elementType != tensor.info.elementType {
                misshapen.append(info.name)
            } else if digest != tensor.digest {
                wrong.append(.init(name: info.name, file: tensor.file, found: digest, expected: tensor.digest))
            }
        }
        var statement = VerifiedStatement(
            "the tensors are the certificate's, byte for byte",
            checked: certificate.destinationTensors.count - missing.count)
        statement.add("other bytes", wrong, .invalidFile)
        statement.add("under another name", renamed, .invalidFile)
        statement.add("missing", missing.map { .init(name: $0.info.name, file: $0.file) }, .structureDiffers)
        statement.add("not in the certificate", extra, .structureDiffers)
        statement.add("of another shape or type", misshapen, .structureDiffers)
        statement.remark =
            tensors.contentDigest == certificate.destinationContentDigest
            ? "content digest as the certificate says"
            : "the certificate's content digest is \(certificate.destinationContentDigest)"
        return statement
    }

    /// Tensors that are there, byte for byte, under a name that the certificate does not have: a damaged header, or an
    /// altered one. They are taken out of both lists.
    private static func takeRenamed(
        _ missing: inout [Certificate.Tensor], _ extra: inout [String], _ tensors: DigestedTensors
    ) -> [String] {
        var strangers = Dictionary(grouping: extra) { tensors[$0]!.digest }
        var (renamed, taken) = ([String](), NameSet())
        missing.removeAll { wanted in
            let match = strangers[wanted.digest]?.firstIndex { name in
                let info = tensors[name]!.info
                return info.shape == wanted.info.shape && info.elementType == wanted.info.elementType
            }
            guard let match, let name = strangers[wanted.digest]?.remove(at: match) else { return false }
            renamed.append("\(wanted.info.name) (as \(name))")
            return taken.insert(name)
        }
        extra.removeAll { taken.contains($0) }
        return renamed
    }
}
