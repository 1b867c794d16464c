/// CamemBERT: RoBERTa under another name.
///
/// - Source: `models/camembert` of transformers 5.
enum CamemBERT: RoBERTaKind {
    static let modelType = "camembert"
    static let classPrefix = "Camembert"
}
