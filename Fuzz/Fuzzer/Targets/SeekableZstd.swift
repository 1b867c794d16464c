import AssayFormats

extension FuzzTarget {
    static let seekableZstd = files(
        of: SeekableZstd<Safetensors>.self, "seekable-zstd", fixtures: ["golden/seekable-zstd/*.zst"])
}
