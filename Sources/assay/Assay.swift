import ArgumentParser

@main
struct Assay: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Move model checkpoints, and prove what arrives.", subcommands: [HDF5ListingCommand.self])
}
