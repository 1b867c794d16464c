import SystemPackage

/// Steps that put finished work in its place, of which either all are done or none: where one fails, those before it are
/// taken back, the last one first.
///
/// Each step is on the disk before the next one begins, so that a power loss too leaves nothing but the first few of them.
/// No other process of ours publishes in the folder meanwhile, and a signal that ends this one waits until all is done.
public final class Publication {
    private var takingBack: [() throws -> Void] = []
    private var aside: [FilePath] = []

    private init() {}

    /// Runs steps.
    ///
    /// - Parameter folder: where they happen.
    /// - Throws: what a step throws, after those before it were taken back.
    public static func run<R>(in folder: FilePath, _ steps: (Publication) throws -> R) throws -> R {
        let lock = SystemCall.lockFolder(folder)
        defer { if let lock { SystemCall.unlock(lock) } }
        let publication = Publication()
        let result = try Temporaries.uninterrupted {
            do {
                let result = try steps(publication)
                for path in publication.aside { Temporaries.add(path) }
                return result
            } catch {
                throw publication.takeBack(after: error)
            }
        }
        for path in publication.aside { Temporaries.remove(path) }
        return result
    }

    /// Puts an output in its place. Its files must have been flushed.
    public func publish(_ output: StagedOutput) throws {
        takingBack.append(try output.takePlace())
        try SystemCall.synchronizeFolder(output.folder)
    }

    /// Takes a file away; it is removed for good when all is done.
    public func setAside(_ path: FilePath) throws {
        let place = StagedOutput.asidePath(for: path)
        try SystemCall.rename(path, to: place, replacing: false)
        takingBack.append { try SystemCall.rename(place, to: path, replacing: false) }
        aside.append(place)
        try SystemCall.synchronizeFolder(path.folder)
    }

    /// Says how something is taken back that is about to be done otherwise.
    public func takeBack(_ step: @escaping () throws -> Void) { takingBack.append(step) }

    /// - Returns: what to throw.
    private func takeBack(after error: any Error) -> any Error {
        for step in takingBack.reversed() {
            do {
                try step()
            } catch let failure {
                // What was done before it is right only together with it.
                let addition = "what had been done could not be taken back: \(failure)"
                guard var cause = error as? SystemError else { return UsageError("\(error); \(addition)") }
                cause.advice = addition
                return cause
            }
        }
        return error
    }
}
