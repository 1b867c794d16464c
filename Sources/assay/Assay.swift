import ArgumentParser

/// The root of the command line.
struct Assay: ParsableCommand {
    static let version = "0.1.0"
    /// As certificates name it.
    static let tool = "assay \(version)"

    static let configuration = CommandConfiguration(
        commandName: "assay",
        abstract:
            "Move model checkpoints between formats and precisions, and prove that what arrives still computes the same.",
        discussion: """
            Start with 'assay inspect MODEL' on a checkpoint file or a model folder; 'assay help convert' and its like \
            show examples.

            Exit codes: 0 done or within tolerance, 1 numbers differ more than allowed, 2 structure differs, \
            3 a file is invalid or damaged, 4 the system failed us, 64 usage.
            """,
        version: "assay \(version)",
        subcommands: [
            Inspect.self, Convert.self, Quantize.self, Run.self, Diff.self, Verify.self, HDF5ListingCommand.self,
            Manual.self,
        ])
}
