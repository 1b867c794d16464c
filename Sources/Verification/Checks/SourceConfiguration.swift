import AssayCheckpoints
import AssayConversion
import AssayFormats

/// The `config.json` of a folder held against that of its source: another value makes another model of the same weights.
struct SourceConfiguration {
    let source: Checkpoint
    let checkpoint: Checkpoint

    /// What a conversion changes in `config.json` where it makes other types.
    private static let types = ["dtype", "torch_dtype"]
    private static let packing = "quantization_config"

    /// Nil where one side is no folder, neither has any, or both say nothing.
    func check() throws -> VerifiedStatement? {
        guard let (mine, theirs) = try configurations() else { return nil }
        let keys = NameSet((mine?.members ?? []).map(\.key))
        let all = (mine?.members ?? []).map(\.key) + (theirs?.members ?? []).map(\.key).filter { !keys.contains($0) }
        let isPacked = all.contains(Self.packing) && !holdsTheSameTensors
        let exempt = NameSet(Self.types + (isPacked ? [Self.packing] : []))
        let compared = all.filter { !exempt.contains($0) }
        if compared.isEmpty, mine != nil, theirs != nil { return nil }
        var statement = VerifiedStatement(
            "config.json says the same as that of \(source.path.forDisplay)", checked: compared.count, "key")
        func differs(_ key: String) -> Bool {
            guard let value = mine?[key], let other = theirs?[key] else { return true }
            return !value.isSame(as: other)
        }
        let absent = mine == nil ? checkpoint : theirs == nil ? source : nil
        if let absent {
            statement.add("there is none", [absent.path.forDisplay], .structureDiffers)
        } else {
            statement.add("other values", compared.filter(differs), .structureDiffers)
        }
        let changed = all.filter { exempt.contains($0) && differs($0) }
        if !changed.isEmpty { statement.remark = "not compared, as conversions change it: \(changed.listed(first: 3))" }
        return statement
    }

    /// Whether nothing was packed, or unpacked: then the same configuration says how.
    private var holdsTheSameTensors: Bool {
        let theirs = NameMap(source.contents.tensors.map { ($0.name, $0) })
        return checkpoint.contents.tensors.allSatisfy { tensor in
            theirs[tensor.name]?.isShaped(like: tensor) ?? false
        }
    }

    /// Of both folders; nil where one side is no folder, or neither has any.
    private func configurations() throws -> (mine: JSONObject?, theirs: JSONObject?)? {
        guard let folder = checkpoint.folder, let other = source.folder else { return nil }
        let (mine, theirs) = (try ModelConfiguration.read(in: folder), try ModelConfiguration.read(in: other))
        return mine == nil && theirs == nil ? nil : (mine, theirs)
    }
}
