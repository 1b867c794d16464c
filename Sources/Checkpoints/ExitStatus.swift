/// The exit codes of the command line; every error of the library maps to one.
public enum ExitStatus: Int32, Sendable {
    case done = 0
    /// Numbers differ more than allowed.
    case numbersDiffer = 1
    /// Structure differs: tensors missing, extra or misshapen, or an architecture unknown.
    case structureDiffers = 2
    /// A file is invalid or damaged.
    case invalidFile = 3
    /// The system failed us: disk full, permission, input or output.
    case systemFailed = 4
    case usage = 64
}
