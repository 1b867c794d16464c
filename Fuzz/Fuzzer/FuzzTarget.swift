import AssayCheckpoints

/// A parser that is fed whatever the fuzzer makes up.
struct FuzzTarget: Sendable {
    /// What `scripts/fuzz` takes; also its folder in `Fuzz/Corpus`.
    let name: String
    /// Patterns of files in `fixtures` that are inputs to begin with.
    var fixtures: [String] = []
    /// What the format is made of, so that the fuzzer need not guess it byte by byte.
    var words: [String] = []
    /// Longer inputs are not tried.
    var maximumByteCount = 8192
    /// What it throws must be an `AssayError` about the file; all else is a finding.
    let run: @Sendable ([UInt8]) throws -> Void

    /// One line an entry.
    static let all = [
        safetensors, gguf, numpy, npz, zip, pickle, torch, ztensor, cbor, ztensorManifest, zplanes, zplanesIndex,
        zplanesChunk, seekableZstd, hdf5, hdf5Listing, lzf, keras, json, shardIndex, configuration, tokens, inputs,
        tokenizer, vocabulary, debugTree, certificate, signature, map, anyFormat,
    ]
}
