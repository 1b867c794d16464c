import ArgumentParser
import AssayFormats

/// The process of its own in which libhdf5 looks at files that nobody vouches for; readers start it.
struct HDF5ListingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "hdf5-listing", shouldDisplay: false)

    func run() { HDF5Listing.serve() }
}
