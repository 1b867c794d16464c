import AssayCheckpoints
import AssayConversion
import AssayFormats
import SystemPackage

extension CertificateFile {
    /// After the metadata of a file was changed in place: makes the certificates true again that spoke of it, with the
    /// changes in them. One that was not true of the old metadata is left as it is, and so is one of something else.
    ///
    /// - Returns: the certificates that were written anew.
    /// - Throws: `SystemError`; what reading the file throws.
    public static func renew(after edit: HeaderEdit, _ reading: ReadingOptions) throws -> [FilePath] {
        let old = MetadataDigest.of(edit.contents.metadata)
        let new = MetadataDigest.of(try Checkpoint.reader(of: edit.path, reading).contents.metadata)
        let own = path(for: edit.path, isFolder: false)
        let around = path(for: edit.path.lexicallyNormalized().removingLastComponent(), isFolder: true)
        return try [own, around].filter { path in
            guard try SystemCall.status(path, followingLinks: false)?.kind == .file,
                var certificate = try? Certificate(reading: path),
                certificate.isFolder == (path == around),
                let file = certificate.files.firstIndex(where: { file in
                    !certificate.isFolder || ExactName(file.name) == ExactName(edit.path.lastComponent?.string ?? "")
                }),
                certificate.files[file].metadataDigest == old
            else { return false }
            certificate.files[file].metadataDigest = new
            // The digest of the whole file would say more than was looked at.
            certificate.files[file].digest = nil
            certificate.metadataEdits += edit.edits
            try write(certificate, to: path)
            return true
        }
    }
}
