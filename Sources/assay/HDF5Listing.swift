import ArgumentParser
import AssayFormats

/// The process of its own in which libhdf5 looks at files that nobody vouches for; readers start it.
struct HDF5ListingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "hdf5-listing", shouldDisplay: false)

    @Argument(help: "Where the HDF5 file begins in the file that is open as descriptor 3.")
    var begin: UInt64

    @Argument(help: "Its bytes.")
    var byteCount: UInt64

    func run() { HDF5Listing.serve(begin: begin, byteCount: byteCount) }
}
