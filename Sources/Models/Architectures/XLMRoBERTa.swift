/// XLM-RoBERTa: RoBERTa under another name.
///
/// - Source: `models/xlm_roberta` of transformers 5.
enum XLMRoBERTa: RoBERTaKind {
    static let modelType = "xlm-roberta"
    static let classPrefix = "XLMRoberta"
}
