// Side effects: reads a run's directory and its layer. What the bundle of a run will hold, before a byte of it is written.

import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// What the caller of an export wants.
public struct BundleRequest: Sendable {
    public var without: Set<BundleIndex.LeftOut.Part> = []
    public var version = ""
    public var build = ""

    public init() {}
}

/// Names and digests of all entries, and where each lies.
///
/// Stages: the ledger names record and manifest; the manifest names the files and the artifacts; the lists among them name the
/// contents of the layer and of the inputs. A file of the run that isn't the one that is named ends it: a damaged run has no
/// bundle, since no reader would take it. The layer is the user's until it is applied, so there what was changed is left out.
final class BundleContent {
    let id: RunID
    private(set) var index: BundleIndex
    private(set) var record = Bytes()
    private(set) var manifest = Bytes()
    private(set) var ledgerLines = Bytes()
    private(set) var start: LedgerHead?
    private(set) var blobs: [Blob] = []
    private(set) var blobList = Bytes()
    let run: Descriptor
    private(set) var layer: LayerFiles?
    private let request: BundleRequest

    struct Blob: Sendable {
        enum Kind: UInt8, Sendable {
            case artifact, layer, input
        }
        let digest: ContentDigest
        let size: UInt64
        let kind: Kind
        /// Of an artifact or of a change; an input is named by its digest.
        let path: Bytes
    }

    init(_ id: RunID, in state: StateDirectory, _ request: BundleRequest) throws(Failure) {
        self.id = id
        self.request = request
        index = BundleIndex(run: id, version: request.version, build: request.build)
        let told = try BundleContent.told(id, in: state)
        run = try BundleContent.open(id, in: state)
        start = told.start
        for line in told.lines { ledgerLines += line + [UInt8(ascii: "\n")] }
        guard let closing = told.closing else {
            if told.start == nil { throw BundleContent.damaged(id, "the ledger doesn't tell of it") }
            throw Failure("run.unfinished", "run \(id) is still going: there is no record of it to export yet")
        }
        record = try named(BundleName.record, 64 << 20, closing.audit)
        manifest = try named(Manifest.name, Manifest.longest, closing.manifest)
        let json = try parse(record, BundleName.record)
        try takeManifest()
        if closing.signer != nil {
            try add(BundleName.recordSignature, try bytes(BundleName.recordSignature, Envelope.longest))
        }
        try takeLayer(json, in: state)
        try takeInputs()
        try arrange()
        try add(BundleName.ledger, ledgerLines)
        try add(BundleName.blobList, blobList)
        index.files.sort { $0.name < $1.name }
        if index.total > BundleBounds.total {
            throw Failure(
                "export.large",
                "run \(id) has \(index.total) bytes, and a bundle holds \(BundleBounds.total) at most. Leave some out: --without layer"
            )
        }
    }

    func sign(with key: VerifyingKey) { index.signer = key.id }

    private static func told(_ id: RunID, in state: StateDirectory) throws(Failure) -> StateDirectory.Told {
        do throws(SystemError) { return try state.told(id) } catch {
            throw Failure("run.unreadable", "can't look for run \(id) in the ledger", error)
        }
    }

    private static func open(_ id: RunID, in state: StateDirectory) throws(Failure) -> Descriptor {
        do throws(SystemError) { return try state.openRun(id) } catch {
            throw Failure("run.unreadable", "can't look at the files of run \(id)", error)
        }
    }

    static func damaged(_ id: RunID, _ why: String) -> Failure {
        Failure("run.damaged", "run \(id) can't be exported: \(why). `aegix verify \(id)` tells all that is wrong")
    }

    private func parse(_ bytes: Bytes, _ name: String) throws(Failure) -> JSON {
        do throws(JSONError) { return try JSON.parse(bytes) } catch {
            throw BundleContent.damaged(id, "\(name) can't be read")
        }
    }

    // MARK: - Files

    private func bytes(_ name: String, _ most: Int) throws(Failure) -> Bytes {
        do throws(SystemError) { return try StateFile.read(name, in: run, limit: most) } catch {
            throw BundleContent.damaged(id, "\(name) can't be read (\(error.reason))")
        }
    }

    private func named(_ name: String, _ most: Int, _ digest: String) throws(Failure) -> Bytes {
        let found = try bytes(name, most)
        if SHA256.hex(found) != digest {
            throw BundleContent.damaged(id, "\(name) isn't the one that the ledger names")
        }
        try add(name, found)
        return found
    }

    private func add(_ name: String, _ bytes: Bytes) throws(Failure) {
        try add(name, UInt64(bytes.count), SHA256.hex(bytes))
    }

    private func add(_ name: String, _ size: UInt64, _ digest: String) throws(Failure) {
        guard let most = BundleName.most(name), size <= most else {
            throw Failure("export.large", "\(name) of run \(id) is larger than any in a bundle can be")
        }
        if index.file(name) == nil { index.files.append(.init(name: name, size: size, digest: digest)) }
    }

    private func takeManifest() throws(Failure) {
        let json = try parse(manifest, Manifest.name)
        for (name, told) in (json["files"]?.object ?? [:]).sorted(by: { $0.key < $1.key }) {
            guard BundleName.most(name) != nil, !BundleName.outsideManifest.contains(name),
                let size = told["bytes"]?.int, size >= 0, let digest = told["sha256"]?.string,
                ContentDigest(digest) != nil
            else { throw BundleContent.damaged(id, "\(Manifest.name) names what no bundle has: \(Bytes(name).shown)") }
            try add(name, UInt64(size), digest)
        }
        let artifacts = json["artifacts"]?.array ?? []
        if request.without.contains(.artifacts) {
            if !artifacts.isEmpty { index.leaveOut(.artifacts, nil, .asked) }
            return
        }
        for told in artifacts {
            guard let artifact = ArtifactFiles.Line(told) else {
                throw BundleContent.damaged(id, "\(Manifest.name) names an artifact that can't be")
            }
            add(artifact.content, .artifact, artifact.path, .artifacts)
        }
    }

    private func add(
        _ content: NamedContent, _ kind: Blob.Kind, _ path: Bytes, _ part: BundleIndex.LeftOut.Part
    ) {
        if content.size > BundleBounds.file { return index.leaveOut(part, path, .large) }
        blobs.append(Blob(digest: content.digest, size: content.size, kind: kind, path: path))
    }

    // MARK: - The layer

    /// Line by line: the list may be as long as all else is large.
    private func takeLayer(_ record: JSON, in state: StateDirectory) throws(Failure) {
        guard index.file(BundleName.changes) != nil else { return }
        var files: [ChangeFiles.Line] = []
        var holdsSecret = false
        try lines(of: BundleName.changes) { json in
            guard let line = ChangeFiles.Line(json) else { return false }
            if line.isSecret { holdsSecret = true }
            if line.identity != nil { files.append(line) }
            return true
        }
        if holdsSecret {
            // A name or where a link points may be the secret itself, so the list stays here as well.
            index.files.removeAll { $0.name == BundleName.changes }
            index.leaveOut(.changes, nil, .secret)
            return index.leaveOut(.layer, nil, .secret)
        }
        if files.isEmpty { return }
        if request.without.contains(.layer) { return index.leaveOut(.layer, nil, .asked) }
        if record["workspace"]?["mode"]?.string == "direct" { return index.leaveOut(.layer, nil, .direct) }
        guard let place = try state.layer(of: id, record).layer else { return index.leaveOut(.layer, nil, .gone) }
        do throws(SystemError) { layer = try LayerFiles(place) } catch {
            return index.leaveOut(.layer, nil, error.errno == ENOENT ? .gone : .unreadable)
        }
        let standing = files.map { file in layer.map { BundleContent.standing(file, in: $0) } ?? .gone }
        if !standing.contains(nil), standing.allSatisfy({ $0 == .gone }) { return index.leaveOut(.layer, nil, .gone) }
        for (file, reason) in zip(files, standing) {
            if let reason {
                index.leaveOut(.layer, file.path, reason)
            } else if let content = file.content {
                let place = BundleContent.place(file, in: layer)
                add(content, .layer, place, .layer)
            }
        }
    }

    /// Why it can't be taken along; nil: it is what the run left. One that was touched since is read to know it.
    private static func standing(_ file: ChangeFiles.Line, in layer: LayerFiles) -> BundleIndex.LeftOut.Reason? {
        guard let content = file.content else { return file.isUndigested ? .undigested : nil }
        do throws(SystemError) {
            let place = place(file, in: layer)
            guard let found = try layer.facts(place) else { return .gone }
            if found.size != content.size { return .changed }
            if found.identity == file.identity { return nil }
            return try layer.open(place).digest().digest == content.digest.hex ? nil : .changed
        } catch {
            return .unreadable
        }
    }

    /// A further name of a file may be there in the list only: the first one holds the content.
    private static func place(_ file: ChangeFiles.Line, in layer: LayerFiles?) -> Bytes {
        guard let linkOf = file.linkOf, let layer else { return file.path }
        do throws(SystemError) { return try layer.facts(file.path) == nil ? linkOf : file.path } catch {
            return file.path
        }
    }

    // MARK: - Inputs

    private func takeInputs() throws(Failure) {
        guard index.file(BundleName.inputs) != nil else { return }
        if request.without.contains(.inputs) { return index.leaveOut(.inputs, nil, .asked) }
        var kept: [(path: Bytes, content: NamedContent)] = []
        try lines(of: BundleName.inputs) { json in
            guard let line = InputFiles.Line(json) else { return false }
            if let content = line.content { kept.append((line.path, content)) }
            return true
        }
        for input in kept { add(input.content, .input, input.path, .inputs) }
    }

    /// Without the first line, which is about the others. The list has to be the one that the manifest names.
    private func lines(of name: String, _ each: (JSON) -> Bool) throws(Failure) {
        var splitter = LineSplitter()
        var isFine = true
        let found: (bytes: UInt64, digest: String)
        do throws(SystemError) {
            found = try StateFile.openRegular(name, in: run).digest { piece in
                if !isFine { return }
                var number = splitter.lines
                isFine = splitter.feed(piece) { line in
                    number += 1
                    if number == 1 { return true }
                    do throws(JSONError) { return each(try JSON.parse(Bytes(line), maxDepth: 6)) } catch {
                        return false
                    }
                }
            }
        } catch {
            throw BundleContent.damaged(id, "\(name) can't be read (\(error.reason))")
        }
        guard let told = index.file(name), told.digest == found.digest, told.size == found.bytes else {
            throw BundleContent.damaged(id, "\(name) isn't the one that \(Manifest.name) names")
        }
        if !isFine || !splitter.isComplete { throw BundleContent.damaged(id, "\(name) can't be read") }
    }

    // MARK: - Blobs

    /// In order, each once; an artifact before a file of the layer, since it is where aegix alone writes.
    private func arrange() throws(Failure) {
        blobs.sort { ($0.digest, $0.kind.rawValue) < ($1.digest, $1.kind.rawValue) }
        var table = BlobTable()
        var kept: [Blob] = []
        kept.reserveCapacity(blobs.count)
        for blob in blobs {
            if let last = kept.last, last.digest == blob.digest {
                if last.size != blob.size { throw BundleContent.damaged(id, "two sizes are told of one content") }
                continue
            }
            do throws(BlobTable.Flaw) { try table.add(blob.digest, blob.size) } catch {
                throw Failure(
                    "export.large",
                    "run \(id) has more than the \(BundleBounds.blobs) contents that a bundle holds. Leave some out: --without layer"
                )
            }
            kept.append(blob)
        }
        blobs = kept
        blobList = table.encoded
        (index.blobs, index.blobBytes) = (table.blobs.count, table.bytes)
    }

    /// For reading, from where it lies.
    func open(_ blob: Blob) throws(SystemError) -> Descriptor {
        switch blob.kind {
        case .artifact:
            let place = Path.join(Bytes(RunDirectory.artifactsName), blob.path)
            let file = try Descriptor.openBeneath(run.raw, place, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
            if try StateFile.facts(file).mode & S_IFMT != S_IFREG { throw SystemError("open", place, errno: EINVAL) }
            return file
        case .input: return try StateFile.openRegular("\(BundleName.inputBlobs)/\(blob.digest.hex)", in: run)
        case .layer:
            guard let layer else { throw SystemError("open", blob.path, errno: ENOENT) }
            return try layer.open(blob.path)
        }
    }
}
