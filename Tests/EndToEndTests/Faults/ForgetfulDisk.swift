import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// A disk that lost power in the middle of a run: made of what the run was recorded to do, and of what the system promises
/// to have kept of that.
///
/// What was done to a file, or to the entries of a folder, is kept once that was flushed. Of the rest anything may be lost:
/// a folder keeps a first part of its changes, a file any of its writes, the last of them cut short. What is moved from one
/// folder into another may be in both, or in none.
struct ForgetfulDisk {
    private enum Node {
        case file([UInt8])
        case folder([String: Int])
    }

    private enum Change {
        case write(offset: Int, bytes: [UInt8])
        case length(Int, isLeast: Bool)
        case entry(String, Int?)
        case move(String, String)
        case exchange(String, String)
        case flush
    }

    /// A change of one node; nodes that a run makes have numbers below zero, as inodes are used again.
    private struct Step {
        var node: Int
        var change: Change
        var isOfFolder: Bool
    }

    private var initial: [Int: Node] = [:]
    private let root: Int
    private var steps: [Step] = []
    private var made: [Int: Node] = [:]

    /// - Parameter folder: as it is before the run.
    init(_ folder: FilePath) throws {
        root = Int(try #require(try SystemCall.status(folder)).inode)
        try add(folder, root)
    }

    private mutating func add(_ folder: FilePath, _ number: Int) throws {
        var entries: [String: Int] = [:]
        for name in try SystemCall.names(in: folder) {
            let path = folder.appending(name)
            let status = try #require(try SystemCall.status(path, followingLinks: false))
            entries[name] = Int(status.inode)
            if status.kind == .folder {
                try add(path, Int(status.inode))
            } else {
                initial[Int(status.inode)] = .file(try TestFiles.bytes(path))
            }
        }
        initial[number] = .folder(entries)
    }

    // MARK: What was done

    /// Takes a record apart.
    mutating func replay(_ calls: [RecordedCall]) throws {
        var numbers: [Int: Int] = [:]
        func node(_ inode: Int) -> Int { numbers[inode] ?? inode }
        func make(_ inode: Int, _ content: Node, _ disk: inout ForgetfulDisk) -> Int {
            let number = -1 - disk.made.count
            numbers[inode] = number
            disk.made[number] = content
            return number
        }
        for call in calls where call.result >= 0 {
            let name = call.paths.first?.lastComponent?.string ?? ""
            let other = call.paths.last?.lastComponent?.string ?? ""
            let folder = node(call.inode)
            switch call.name {
            case "create": add(folder, .entry(name, make(call.numbers.0, .file([]), &self)), isOfFolder: true)
            case "mkdir": add(folder, .entry(name, make(call.numbers.1, .folder([:]), &self)), isOfFolder: true)
            case "remove", "unlink", "rmdir": add(folder, .entry(name, nil), isOfFolder: true)
            case "rename", "renameWithoutReplacing", "exchange":
                let target = node(call.numbers.0)
                if target == folder {
                    add(
                        folder, call.name == "exchange" ? .exchange(name, other) : .move(name, other),
                        isOfFolder: true)
                } else {
                    try #require(call.name != "exchange")
                    let moved: Int = try #require(entry(name, in: folder))
                    add(target, .entry(other, moved), isOfFolder: true)
                    add(folder, .entry(name, nil), isOfFolder: true)
                }
            case "pwrite": add(folder, .write(offset: call.numbers.0, bytes: call.data), isOfFolder: false)
            case "ftruncate": add(folder, .length(call.numbers.0, isLeast: false), isOfFolder: false)
            case "fallocate":
                add(folder, .length(call.numbers.0 + call.numbers.1, isLeast: true), isOfFolder: false)
            case "fsync": add(folder, .flush, isOfFolder: false)
            case "link", "symlink": Issue.record("nothing is known of \(call.name)")
            default: break
            }
        }
    }

    /// What a name in a folder stands for after all steps.
    private func entry(_ name: String, in folder: Int) -> Int? {
        var node = initial[folder] ?? made[folder]
        for step in steps where step.node == folder { Self.apply(step.change, to: &node, isCut: false) }
        guard case .folder(let entries) = node else { return nil }
        return entries[name]
    }

    private mutating func add(_ node: Int, _ change: Change, isOfFolder: Bool) {
        steps.append(Step(node: node, change: change, isOfFolder: isOfFolder))
    }

    // MARK: What may be left

    /// Calls `body` with each folder that a power loss may leave: after each step, with nothing, all, each first part, all
    /// but one, only files', only folders' and some random part of what was not flushed.
    ///
    /// - Returns: how many.
    func forEachLoss(
        _ random: inout SeededRandom, _ body: (_ step: Int, _ isLast: Bool, _ state: FolderState) -> Void
    ) -> Int {
        var count = 0
        for end in 0...steps.count {
            let pending = pending(at: end)
            var kept: Set<Set<Int>> = [[], Set(pending)]
            for index in pending.indices {
                kept.insert(Set(pending[...index]))
                // A folder's changes stay in order, so of those only the last can be missing alone.
                if !steps[pending[index]].isOfFolder { kept.insert(Set(pending).subtracting([pending[index]])) }
                kept.insert(Set(pending[...index].filter { steps[$0].isOfFolder }))
            }
            kept.insert(Set(pending.filter { !steps[$0].isOfFolder }))
            for _ in 0..<8 { kept.insert(someOf(pending, &random)) }
            for part in kept {
                body(end, end == steps.count, state(end, lost: Set(pending).subtracting(part), cut: nil))
                count += 1
            }
            // The last write, half done.
            if let last = pending.last(where: { !steps[$0].isOfFolder }) {
                body(end, end == steps.count, state(end, lost: [], cut: last))
                count += 1
            }
        }
        return count
    }

    /// The steps before `end` that no flush covers.
    private func pending(at end: Int) -> [Int] {
        var flushed: Set<Int> = []
        var pending: [Int] = []
        for index in (0..<end).reversed() {
            if case .flush = steps[index].change {
                flushed.insert(steps[index].node)
            } else if !flushed.contains(steps[index].node) {
                pending.append(index)
            }
        }
        return pending.reversed()
    }

    private func someOf(_ pending: [Int], _ random: inout SeededRandom) -> Set<Int> {
        var isOver: Set<Int> = []
        return Set(
            pending.filter { index in
                guard steps[index].isOfFolder else { return random.next() & 1 == 0 }
                if random.next(below: 4) == 0 { isOver.insert(steps[index].node) }
                return !isOver.contains(steps[index].node)
            })
    }

    private func state(_ end: Int, lost: Set<Int>, cut: Int?) -> FolderState {
        var nodes = initial.merging(made) { first, _ in first }
        for index in 0..<end where !lost.contains(index) {
            Self.apply(steps[index].change, to: &nodes[steps[index].node], isCut: index == cut)
        }
        var state = FolderState()
        Self.list(root, "", nodes, &state)
        return state
    }

    private static func apply(_ change: Change, to node: inout Node?, isCut: Bool) {
        switch (node, change) {
        case (.file(var bytes), .write(let offset, let data)):
            let data = isCut ? data.prefix(data.count / 2) : data[...]
            if bytes.count < offset + data.count {
                bytes += Array(repeating: 0, count: offset + data.count - bytes.count)
            }
            bytes.replaceSubrange(offset..<offset + data.count, with: data)
            node = .file(bytes)
        case (.file(var bytes), .length(let length, let isLeast)):
            if bytes.count < length { bytes += Array(repeating: 0, count: length - bytes.count) }
            if !isLeast { bytes.removeLast(bytes.count - length) }
            node = .file(bytes)
        case (.folder(var entries), let change):
            switch change {
            case .entry(let name, let number): entries[name] = number
            case .move(let from, let to):
                entries[to] = entries[from]
                entries[from] = nil
            case .exchange(let a, let b): (entries[a], entries[b]) = (entries[b], entries[a])
            default: break
            }
            node = .folder(entries)
        default: break
        }
    }

    private static func list(_ folder: Int, _ prefix: String, _ nodes: [Int: Node], _ state: inout FolderState) {
        guard case .folder(let entries) = nodes[folder] else { return }
        for (name, number) in entries {
            switch nodes[number] {
            case .file(let bytes): state.entries[prefix + name] = .file(bytes)
            case .folder:
                state.entries[prefix + name] = .folder
                list(number, prefix + name + "/", nodes, &state)
            case nil: break
            }
        }
    }
}
