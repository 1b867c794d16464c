import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayQuantization

/// What a certificate says of where tensors come from, held against a map that was given.
struct CertifiedMapping {
    private let map: TensorMap
    private let certificate: Certificate
    private let origins: NameMap<TensorOrigin>

    /// - Throws: what applying the map throws.
    init(_ source: Checkpoint, _ map: TensorMap, _ certificate: CertificateOnHand) throws {
        self.map = map
        self.certificate = certificate.part
        let dropped = NameSet(certificate.whole.dropped.map(\.name))
        let mapping = try MappedCheckpoint(source, map, leaving: dropped)
        let tensors = mapping.checkpoint.contents.tensors
        origins = NameMap(tensors.indices.map { (tensors[$0].name, mapping.origin(of: $0)) })
    }

    func check() -> VerifiedStatement {
        let outputs = NameMap(certificate.destinationTensors.map { ($0.info.name, $0.info) })
        let elsewhere = certificate.transforms.filter { transform in
            // A weight that was packed is known by its parts.
            let name = QuantizationPlan.weightName(ofParts: transform.outputs.compactMap { outputs[$0] })
            return origins[name ?? transform.outputs[0]] != transform.origin
        }
        var statement = VerifiedStatement(
            "the tensors come from where \(map.path.forDisplay) says", checked: certificate.transforms.count)
        statement.add(
            "from elsewhere, the certificate says", elsewhere.map { $0.outputs[0] }, .structureDiffers)
        return statement
    }
}
