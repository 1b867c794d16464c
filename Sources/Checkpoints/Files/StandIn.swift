/// Files that stand where another was expected, whatever their name says: nothing, a pointer, an error page.
package enum StandIn {
    /// Says what a file plainly is instead of what its name says, and what to do; nil for any other.
    ///
    /// - Parameter prefix: the first few hundred bytes.
    package static func describe(_ prefix: [UInt8]) -> String? {
        guard !prefix.isEmpty else { return "an empty file" }
        let text = String(decoding: prefix, as: UTF8.self)
        if text.hasPrefix("version https://git-lfs.github.com/spec/") {
            return "a Git LFS pointer, which stands for the real file; fetch that with 'git lfs pull'"
        }
        let lowered = text.drop { $0.isWhitespace }.lowercased()
        if lowered.hasPrefix("<!doctype html") || lowered.hasPrefix("<html") {
            return "an HTML page, most likely an error page of a failed download; download the file again"
        }
        return nil
    }
}
