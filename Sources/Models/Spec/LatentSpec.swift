/// Keys and values, and perhaps queries, that are made of vectors narrower than all heads together:
///
///     queries = up(norm(down(x))), or query(x)
///     [latent | shared] = down(x)
///     [keys | values] of every head = up(norm(latent))
///     a head's key = [its keys | shared]
///
/// The matrices down have biases where the attention's inputs have; those up, and that of the queries, have none.
///
/// - Source: DeepSeek-AI 2024, "DeepSeek-V2" (arXiv 2405.04434), section 2.1.
public struct LatentSpec: Sendable, Equatable {
    /// Features of the vector that queries are made of; nil where they are made of x.
    public var queryRank: Int?
    /// Features of the vector that keys and values are made of.
    public var keyValueRank: Int
    /// Features at the end of a head's key that all heads have in common.
    public var sharedWidth: Int
    /// The norm of both vectors.
    public var norm: NormSpec

    public init(queryRank: Int?, keyValueRank: Int, sharedWidth: Int, norm: NormSpec) {
        self.queryRank = queryRank
        self.keyValueRank = keyValueRank
        self.sharedWidth = sharedWidth
        self.norm = norm
    }
}
