// Pure. `bundle.json`: what a bundle holds, what it doesn't, and why.

import AegixSystem

/// The first entry, from which follows what each other byte of the archive has to be.
public struct BundleIndex: Equatable, Sendable {
    public var run: RunID
    /// Of the aegix that made the bundle.
    public var version: String
    public var build: String
    /// The id of the key that `bundle.dsse.json` is signed with; nil: there is no such entry.
    public var signer: String?
    var files: [File] = []
    public var blobs = 0
    public var blobBytes: UInt64 = 0
    public var leftOut: [LeftOut] = []
    /// So many more were left out than are listed.
    public var leftOutMore = 0

    struct File: Equatable, Sendable {
        var name: String
        var size: UInt64
        var digest: String
    }

    public struct LeftOut: Equatable, Sendable {
        public var part: Part
        /// nil: all of that part.
        public var path: Bytes?
        public var reason: Reason

        public enum Part: String, CaseIterable, Sendable {
            case artifacts, changes, inputs, layer
        }

        public enum Reason: String, CaseIterable, Sendable {
            /// The caller of `export` didn't want it.
            case asked
            /// It isn't what the run left there any more.
            case changed
            /// It was applied, dropped or moved away.
            case gone
            /// The run wrote its workspace in place, and no content is kept.
            case direct
            /// Larger than an entry can be.
            case large
            /// A secret of the run is in the layer.
            case secret
            /// It was too large or closed when the run ended, so nobody knows what it was.
            case undigested
            case unreadable
        }
    }

    static let schema = "aegix.bundle/v1"

    init(run: RunID, version: String, build: String) {
        (self.run, self.version, self.build) = (run, version, build)
    }

    func file(_ name: String) -> File? { files.first { $0.name == name } }

    func leftOutWhole(_ part: LeftOut.Part) -> Bool { leftOut.contains { $0.part == part && $0.path == nil } }

    /// A path of that part may be missing.
    func isLeftOut(_ part: LeftOut.Part, _ path: Bytes) -> Bool {
        leftOutMore > 0 || leftOut.contains { $0.part == part && ($0.path == nil || $0.path == path) }
    }

    mutating func leaveOut(_ part: LeftOut.Part, _ path: Bytes? = nil, _ reason: LeftOut.Reason) {
        if leftOut.count < BundleBounds.leftOut {
            leftOut.append(LeftOut(part: part, path: path, reason: reason))
        } else {
            leftOutMore += 1
        }
    }

    var encoded: Bytes {
        let json: JSON = [
            "aegix": ["build": .string(build), "version": .string(version)],
            "blobs": ["bytes": .int(Int(blobBytes)), "count": .int(blobs)],
            "files": .array(
                files.map { ["name": .string($0.name), "sha256": .string($0.digest), "size": .int(Int($0.size))] }),
            "left_out": .array(leftOut.map(\.json)), "left_out_more": .int(leftOutMore),
            "run_id": .string(run.description), "schema": .string(BundleIndex.schema),
            "signer": signer.map(JSON.string) ?? .null,
        ]
        return json.canonical
    }

    /// nil: not what `encoded` writes, to the byte, or beyond the bounds.
    init?(_ bytes: Bytes) {
        guard
            case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(bytes, maxDepth: 4) }),
            let run = json["run_id"]?.string.flatMap({ RunID($0) }), let version = json["aegix"]?["version"]?.string,
            let build = json["aegix"]?["build"]?.string, let files = json["files"]?.array,
            files.count <= BundleName.files.count, let blobs = json["blobs"]?["count"]?.int,
            (0...BundleBounds.blobs).contains(blobs), let blobBytes = json["blobs"]?["bytes"]?.int,
            (0...Int(BundleBounds.total)).contains(blobBytes), let left = json["left_out"]?.array,
            left.count <= BundleBounds.leftOut, let more = json["left_out_more"]?.int, more >= 0
        else { return nil }
        self.init(run: run, version: version, build: build)
        signer = json["signer"]?.string
        (self.blobs, self.blobBytes, leftOutMore) = (blobs, UInt64(blobBytes), more)
        var total = self.blobBytes
        for file in files {
            guard let name = file["name"]?.string, let most = BundleName.most(name), let size = file["size"]?.int,
                size >= 0, UInt64(size) <= most, let digest = file["sha256"]?.string, ContentDigest(digest) != nil,
                self.files.last.map({ $0.name < name }) ?? true
            else { return nil }
            total += UInt64(size)
            self.files.append(File(name: name, size: UInt64(size), digest: digest))
        }
        for json in left {
            guard let one = LeftOut(json) else { return nil }
            leftOut.append(one)
        }
        guard total <= BundleBounds.total, encoded == bytes else { return nil }
    }

    /// The contents of all entries that it names.
    var total: UInt64 { files.reduce(blobBytes) { $0 + $1.size } }
}

extension BundleIndex.LeftOut {
    public var json: JSON {
        ["part": .string(part.rawValue), "path": path.map(JSON.bytes) ?? .null, "reason": .string(reason.rawValue)]
    }

    fileprivate init?(_ json: JSON) {
        guard let part = json["part"]?.string.flatMap(Part.init(rawValue:)),
            let reason = json["reason"]?.string.flatMap(Reason.init(rawValue:)), let path = json["path"]
        else { return nil }
        if path != .null, path.bytesValue == nil { return nil }
        self.init(part: part, path: path.bytesValue, reason: reason)
    }

    /// For a person.
    public var words: String {
        let what: String
        switch part {
        case .artifacts: what = path == nil ? "the artifacts" : "an artifact"
        case .changes: what = "the list of all changes"
        case .inputs: what = path == nil ? "the inputs" : "an input"
        case .layer: what = path == nil ? "the layer" : "a changed file"
        }
        let place = path.map { " (\($0.shown))" } ?? ""
        switch reason {
        case .asked: return "\(what)\(place): by --without"
        case .changed: return "\(what)\(place): it was changed after the run"
        case .gone: return "\(what)\(place): it isn't kept any more (applied, dropped or moved away)"
        case .direct: return "\(what)\(place): the run wrote its workspace in place, so no content is kept"
        case .large: return "\(what)\(place): too large for a bundle"
        case .secret: return "\(what)\(place): a secret of the run is in the layer"
        case .undigested: return "\(what)\(place): it had no digest when the run ended"
        case .unreadable: return "\(what)\(place): it can't be read"
        }
    }
}
