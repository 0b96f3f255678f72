// Side effects: reads a run, writes a bundle. The stages of an export.

import AegixSystem
import CAegix
import Glibc

public struct BundleSigning {
    public var key: SigningKey
    public var predicate: BundlePredicate

    public init(key: SigningKey, predicate: BundlePredicate) { (self.key, self.predicate) = (key, predicate) }
}

public struct ExportReport: Sendable {
    public var index: BundleIndex
    /// Of the file.
    public var bytes: UInt64
    public var digest: String
    public var contents: UInt64
    /// The Sigstore form of a statement on the file itself.
    public var sigstore: Bytes?
}

extension StateDirectory {
    /// Stages: what is to be in it; `bundle.json`, which names that, and the signature over it; all of them in their order; the digest
    /// of the file. The same run gives the same bytes.
    ///
    /// - fileName: what a statement on the file calls it; nil: none is wanted.
    public func export(
        _ id: RunID, to file: borrowing Descriptor, _ request: BundleRequest, signing: BundleSigning?,
        fileName: String?
    ) throws(Failure) -> ExportReport {
        let content = try BundleContent(id, in: self, request)
        if let signing { content.sign(with: signing.key.publicKey) }
        let index = content.index.encoded
        if index.count > BundleBounds.index {
            throw Failure(
                "export.large",
                "the paths that run \(id) leaves out are too long to be listed. Leave all out: --without layer")
        }
        let signature = try signing.map { signing throws(Failure) in
            try content.envelope(signing, [.init(BundleName.index, SHA256.hex(index))]).json.canonical
        }
        var report: ExportReport
        do throws(BundleWriter.Fault) {
            report = try content.write(index, signature, to: file)
        } catch {
            switch error {
            case .changed: throw BundleContent.damaged(id, "a file of it isn't what it was when it was named")
            case .source(let error): throw BundleContent.damaged(id, "a file of it can't be read (\(error.reason))")
            case .target(let error): throw Failure("export.unwritable", "can't write the bundle", error)
            }
        }
        if BundleBounds.isBomb(content.index.total, in: report.bytes) {
            throw Failure(
                "export.large",
                "run \(id) has contents that pack more than \(BundleBounds.ratio)-fold, and no reader takes such a bundle. "
                    + "Leave them out: --without layer")
        }
        if let signing, let fileName {
            let envelope = try content.envelope(
                signing, [.init(fileName, report.digest), .init(BundleName.index, SHA256.hex(index))])
            report.sigstore = SigstoreBundle.encode(envelope, key: signing.key.publicKey)
        }
        return report
    }
}

extension BundleContent {
    /// - first: what isn't a file of the run.
    fileprivate func envelope(
        _ signing: BundleSigning, _ first: [Statement.Subject]
    ) throws(Failure) -> Envelope {
        let json: JSON
        let told: JSON
        do throws(JSONError) { (json, told) = (try JSON.parse(record), try JSON.parse(manifest)) } catch {
            throw BundleContent.damaged(id, "its record can't be read")
        }
        let artifacts = (told["artifacts"]?.array ?? []).compactMap { ArtifactFiles.Line($0) }.map {
            Statement.Subject("artifacts/" + ($0.path.text ?? $0.path.shown), $0.content.digest.hex)
        }
        let subjects = first + index.files.map { Statement.Subject($0.name, $0.digest) }
        let statement = signing.predicate.statement(subjects, json, start: start, artifacts: artifacts)
        guard let envelope = Envelope.sign(statement.json.canonical, with: signing.key) else {
            throw Failure("export.unsigned", "libcrypto makes no signature")
        }
        if envelope.json.canonical.count > Envelope.longest {
            throw Failure(
                "export.unsigned",
                "run \(id) has too many artifacts for a statement that names each. Sign with --predicate run")
        }
        return envelope
    }

    fileprivate func write(
        _ index: Bytes, _ signature: Bytes?, to file: borrowing Descriptor
    ) throws(BundleWriter.Fault) -> ExportReport {
        let writer: BundleWriter
        do throws(SystemError) { writer = try BundleWriter(to: file) } catch { throw .target(error) }
        try writer.add(BundleName.index, index)
        for file in self.index.files { try write(file, to: writer) }
        for blob in blobs { try write(blob, to: writer) }
        if let signature { try writer.add(BundleName.signature, signature) }
        let digest = try writer.finish()
        return ExportReport(index: self.index, bytes: writer.bytes, digest: digest, contents: writer.contents)
    }

    fileprivate func write(_ file: BundleIndex.File, to writer: BundleWriter) throws(BundleWriter.Fault) {
        switch file.name {
        case "audit.json": try writer.add(file.name, record)
        case Manifest.name: try writer.add(file.name, manifest)
        case BundleName.ledger: try writer.add(file.name, ledgerLines)
        case BundleName.blobList: try writer.add(file.name, blobList)
        default:
            let source: Descriptor
            do throws(SystemError) { source = try StateFile.openRegular(file.name, in: run) } catch {
                throw .source(error)
            }
            try writer.add(file.name, size: file.size, digest: file.digest, from: source)
        }
    }

    fileprivate func write(_ blob: Blob, to writer: BundleWriter) throws(BundleWriter.Fault) {
        let source: Descriptor
        do throws(SystemError) { source = try open(blob) } catch { throw .source(error) }
        try writer.add(
            "\(BundleName.blobs)/\(blob.digest.hex)", size: blob.size, digest: blob.digest.hex, from: source)
    }
}
