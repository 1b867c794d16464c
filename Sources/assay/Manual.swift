import ArgumentParser
import AssayCheckpoints
import AssayReporting

/// Prints the manual page; scripts/install puts it in its place.
struct Manual: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual", _superCommandName: "assay", abstract: "Print the manual page, in roff.",
        shouldDisplay: false)

    func run() throws {
        let help = try JSONValue(parsing: Array(Assay._dumpHelp().utf8))
        try Terminal.write(ManualPage(help, version: Assay.version)!.text)
    }
}
