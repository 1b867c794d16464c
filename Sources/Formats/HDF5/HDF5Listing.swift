import AssayCHDF5
import AssayCheckpoints

#if canImport(Glibc)
    import Glibc
#endif

/// The far side of the wall: a process of its own that asks libhdf5 where the bytes of a file lie.
///
/// It reads a range of the file that is open as descriptor 3, which is a HDF5 file by itself, and prints a listing, one JSON object a line: groups, datasets,
/// second links, warnings, and as its last line either `{"end":LINES}` or what is wrong. The page
/// `formats/hdf5.md` shows the lines.
public enum HDF5Listing {
    /// The descriptor under which the file is handed over.
    static let descriptor: CInt = 3

    /// An exit code from here on is this and the error of the system over which the file could not be read.
    static let unreadable: CInt = 64

    /// Serves one listing on standard output. To be called by a program's subcommand `hdf5-listing BEGIN COUNT`.
    ///
    /// - Parameters:
    ///   - begin: where the HDF5 file begins in the file that is open, in bytes.
    ///   - byteCount: its bytes; places in the listing count from its begin.
    public static func serve(begin: UInt64, byteCount: UInt64) -> Never {
        // First of all the limits: nothing of the file has been looked at yet.
        let memory = addressSpace() + HDF5Limits.helperMemory
        limit(RLIMIT_AS, memory, memory)
        let seconds = UInt(HDF5Limits.helperProcessorSeconds(fileByteCount: Int(clamping: byteCount)))
        limit(RLIMIT_CPU, seconds, seconds + 1)
        limit(RLIMIT_CORE, 0, 0)
        chdf5_end_with_parent()
        chdf5_lock_down()
        var output = ListingOutput()
        do {
            try list(begin, byteCount, into: &output)
        } catch let failure as ListingFailure {
            output.line(failure.json)
        } catch {
            output.line(ListingFailure(.init("file"), "a listing", "\(error)").json)
        }
        // What could not be read is not damaged; the parent is told by the exit code.
        if chdf5_last_errno() != 0 { _exit(unreadable + chdf5_last_errno()) }
        output.flush()
        // Not `exit`: libhdf5's clean-up is known to crash over damaged files.
        _exit(0)
    }

    /// A stricter limit that the user set stays: nobody may raise it.
    private static func limit(_ resource: __rlimit_resource, _ soft: UInt, _ hard: UInt) {
        let resource = __rlimit_resource_t(resource.rawValue)
        var bound = rlimit()
        guard getrlimit(resource, &bound) == 0 else { _exit(4) }
        bound.rlim_max = min(bound.rlim_max, rlim_t(hard))
        bound.rlim_cur = min(bound.rlim_max, rlim_t(soft))
        guard setrlimit(resource, &bound) == 0 else { _exit(4) }
    }

    /// Bytes of addresses that the process has from its start: little, unless a sanitizer watches it.
    private static func addressSpace() -> UInt {
        var text = [CChar](repeating: 0, count: 64)
        let descriptor = open("/proc/self/statm", O_RDONLY)
        defer { close(descriptor) }
        guard read(descriptor, &text, text.count - 1) > 0 else { _exit(4) }
        return strtoul(text, nil, 10) * UInt(sysconf(CInt(_SC_PAGESIZE)))
    }

    private static func list(_ begin: UInt64, _ byteCount: UInt64, into output: inout ListingOutput) throws {
        guard let access = HDF5Identifier(chdf5_access()),
            let file = HDF5Identifier(chdf5_open(descriptor, haddr_t(begin), haddr_t(byteCount), access.raw))
        else { throw ListingFailure.damaged("file") }
        guard let root = HDF5Identifier(H5Oopen(file.raw, "/", chdf5_default())) else {
            throw ListingFailure.damaged("group '/'")
        }
        var walk = HDF5Walk(file: file.raw, byteCount: byteCount, root: chdf5_address(root.raw))
        try walk.run(into: &output)
        output.line("{\"end\":\(output.lineCount)}")
    }
}

/// What is wrong with a file, on its way to the parent.
struct ListingFailure: Error {
    struct Place {
        var text: String
        init(_ text: String) { self.text = text }
    }

    var place: Place
    var expected: String
    var found: String

    init(_ place: Place, _ expected: String, _ found: String) {
        self.place = place
        self.expected = expected
        self.found = found
    }

    /// libhdf5 refused; its innermost message is what we know. One about a version may also mean a later form than it
    /// knows.
    static func damaged(_ place: String) -> ListingFailure {
        let message = HDF5Library.errorText()
        // Of attributes with types of a later form it says nothing at all.
        let isPerhapsLater = NamePattern("*version*").matches(message) || message == "no message"
        return ListingFailure(
            .init(place), "what libhdf5 can read",
            (isPerhapsLater ? "a version that is not read yet, or damage" : "damage") + " ('\(message)')"
                + (isPerhapsLater ? "; what h5py writes with libver='v110' is read" : "")
                + (NamePattern("truncated file*").matches(message) ? ": the file is cut off; download it again" : ""))
    }

    var json: String {
        "{\"error\":[\(JSONValue.quoted(place.text)),\(JSONValue.quoted(expected)),\(JSONValue.quoted(found))]}"
    }
}

/// Lines on standard output, in large writes.
struct ListingOutput {
    private var bytes: [UInt8] = []
    private(set) var lineCount = 0

    mutating func line(_ text: String) {
        bytes.append(contentsOf: text.utf8)
        bytes.append(UInt8(ascii: "\n"))
        lineCount += 1
        if bytes.count >= 1 << 16 { flush() }
    }

    mutating func flush() {
        bytes.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count {
                let count = write(1, buffer.baseAddress! + done, buffer.count - done)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { _exit(4) }
                done += count
            }
        }
        bytes.removeAll(keepingCapacity: true)
    }
}
