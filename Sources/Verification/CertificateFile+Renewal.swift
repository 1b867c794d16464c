import AssayCheckpoints
import AssayConversion
import AssayFormats
import SystemPackage

extension CertificateFile {
    /// Changes the metadata of a file in place, and makes the certificates true again that spoke of it, with the changes
    /// in them. One that was not true of the old metadata is left as it is, and so is one of something else.
    ///
    /// - Returns: the certificates that were written anew.
    /// - Throws: as `HeaderEdit.run`.
    public static func carryOut(_ edit: HeaderEdit) throws -> [FilePath] {
        let certificates = try concerned(by: edit)
        try edit.run { metadata in
            let digest = MetadataDigest.of(metadata)
            return try certificates.map { path, certificate, file in
                var renewed = certificate
                renewed.files[file].metadataDigest = digest
                // The digest of the whole file would say more than was looked at.
                renewed.files[file].digest = nil
                renewed.metadataEdits += edit.edits
                return try stage(renewed, at: path)
            }
        }
        return certificates.map(\.path)
    }

    /// The certificates that are true of the old metadata, and which of their files it is that is changed.
    private static func concerned(
        by edit: HeaderEdit
    ) throws -> [(path: FilePath, certificate: Certificate, file: Int)] {
        let old = MetadataDigest.of(edit.contents.metadata)
        var seen = Set<FilePath>()
        return try [edit.path, edit.givenPath].flatMap {
            place -> [(path: FilePath, certificate: Certificate, file: Int)] in
            let own = path(for: place, isFolder: false)
            let around = path(for: place.settled().removingLastComponent(), isFolder: true)
            return try [own, around].compactMap { name -> (path: FilePath, certificate: Certificate, file: Int)? in
                guard try SystemCall.status(name)?.kind == .file else { return nil }
                // What takes its place takes that of the file, not of a link to it.
                let path = try SystemCall.followed(name)
                guard seen.insert(path).inserted, let certificate = try readIfIntact(path),
                    certificate.isFolder == (name == around),
                    let file = certificate.files.firstIndex(where: { file in
                        !certificate.isFolder || ExactName(file.name) == ExactName(place.lastComponent?.string ?? "")
                    }),
                    certificate.files[file].metadataDigest == old
                else { return nil }
                try certificate.requireWritable(path)
                return (path, certificate, file)
            }
        }
    }
}
