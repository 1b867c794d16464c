import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

extension FilePath {
    /// The same place by the shortest name: no final slash, no dots, and no ".." that the text answers. Behind a link ".."
    /// leads elsewhere than the text says; there the links are followed, as the system follows them.
    package func settled() -> FilePath {
        let plain = lexicallyNormalized()
        guard let last = components.lastIndex(where: { $0.kind == .parentDirectory }),
            components[..<last].contains(where: { $0.kind == .regular })
        else { return plain }
        let begin = FilePath(root: root, components[...last])
        let rest = components[components.index(after: last)...]
        // What leads nowhere stays as it is, for the system to say so.
        guard let meant = try? SystemCall.status(begin), let place = try? SystemCall.resolved(begin) else {
            return self
        }
        let textual = begin.lexicallyNormalized()
        let isPlain = (try? SystemCall.status(textual.isEmpty ? "." : textual))?.isSameFile(as: meant) ?? false
        return isPlain ? plain : place.appending(rest).lexicallyNormalized()
    }

    /// The folder that a path lies in.
    package var folder: FilePath {
        let folder = removingLastComponent()
        return folder.isEmpty ? "." : folder
    }

    /// A path beside this one: its name, byte for byte, and something more.
    package func beside(_ suffix: String) -> FilePath {
        let name = lastComponent?.withPlatformString { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) }
        let bytes = (name ?? []) + Array(suffix.utf8) + [0]
        return bytes.withUnsafeBytes {
            removingLastComponent().pushing(
                FilePath(platformString: $0.baseAddress!.assumingMemoryBound(to: CInterop.PlatformChar.self)))
        }
    }
}
