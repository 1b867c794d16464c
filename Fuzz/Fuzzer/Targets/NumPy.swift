import AssayFormats

extension FuzzTarget {
    static let numpy = files(
        of: NumPyArray.self, "numpy", fixtures: ["golden/numpy/*.npy", "golden/numpy/refuse/*.npy"],
        words: ["'descr': ", "'fortran_order': ", "'shape': ", "True", "False", "'<f4'", "'>f8'", "'|b1'", "'<c8'"],
        atMost: 2048, named: "input.npy")

    static let npz = files(of: NumPyArchive.self, "npz", fixtures: ["golden/numpy/*.npz", "golden/numpy/refuse/*.npz"])
}
