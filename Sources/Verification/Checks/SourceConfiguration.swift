import AssayCheckpoints
import AssayConversion
import AssayFormats

/// The `config.json` of a folder held against that of its source: another value makes another model of the same weights.
struct SourceConfiguration {
    let source: Checkpoint
    let checkpoint: Checkpoint

    /// What a conversion changes in `config.json`.
    private static let changing = NameSet(["dtype", "torch_dtype", "quantization_config"])

    /// Nil where one side is no folder, neither has any, or both say nothing.
    func check() throws -> VerifiedStatement? {
        guard let (mine, theirs) = try configurations() else { return nil }
        let keys = NameSet((mine?.members ?? []).map(\.key))
        let all = (mine?.members ?? []).map(\.key) + (theirs?.members ?? []).map(\.key).filter { !keys.contains($0) }
        let compared = all.filter { !Self.changing.contains($0) }
        if compared.isEmpty, mine != nil, theirs != nil { return nil }
        var statement = VerifiedStatement(
            "config.json says the same as that of \(source.path.forDisplay)", checked: compared.count, "key")
        let different = compared.filter { key in
            guard let value = mine?[key], let other = theirs?[key] else { return true }
            return !value.isSame(as: other)
        }
        statement.add("other values", different, .structureDiffers)
        return statement
    }

    /// Of both folders; nil where one side is no folder, or neither has any.
    private func configurations() throws -> (mine: JSONObject?, theirs: JSONObject?)? {
        guard let folder = checkpoint.folder, let other = source.folder else { return nil }
        let (mine, theirs) = (try ModelConfiguration.read(in: folder), try ModelConfiguration.read(in: other))
        return mine == nil && theirs == nil ? nil : (mine, theirs)
    }
}
