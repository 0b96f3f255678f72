// Pure. Which contents the lists of a run name: `changes.jsonl`, `inputs.jsonl`, and the artifacts of `manifest.json`.

import AegixSystem
import AegixWorkspace

/// A content by its digest.
struct NamedContent: Sendable {
    let digest: ContentDigest
    let size: UInt64

    init?(_ digest: JSON?, _ size: JSON?) {
        guard let digest = digest?.string.flatMap({ ContentDigest($0) }), let size = size?.int, size >= 0 else {
            return nil
        }
        (self.digest, self.size) = (digest, UInt64(size))
    }
}

enum ChangeFiles {
    static let schema = ChangeList.schema

    /// As far as a bundle has to know it.
    struct Line {
        let path: Bytes
        /// nil: there is no file, or it has no digest.
        var content: NamedContent?
        /// There is a file, and nobody knows its digest.
        var isUndigested = false
        let linkOf: Bytes?
        let isSecret: Bool
        /// What it was as an object on disk.
        let identity: Entry.Identity?

        init?(_ json: JSON) {
            guard let path = json["path"]?.bytesValue, !path.contains(0), let flags = json["flags"]?.array,
                let after = json["after"]
            else { return nil }
            self.path = path
            linkOf = json["link_of"]?.bytesValue
            if linkOf?.contains(0) == true { return nil }
            isSecret = flags.contains { $0.string == Change.Flag.secret.rawValue }
            guard after["type"]?.string == Entry.Kind.file.rawValue else {
                identity = nil
                return
            }
            func number<N: FixedWidthInteger>(_ name: String) -> N? { after[name]?.string.flatMap { N($0) } }
            guard let device: UInt64 = number("device"), let inode: UInt64 = number("inode"),
                let changed: Int64 = number("changed"), let links: UInt64 = number("links")
            else { return nil }
            identity = Entry.Identity(device: device, inode: inode, changed: changed, links: links)
            guard let digest = after["sha256"] else { return nil }
            if digest == .null {
                isUndigested = true
                return
            }
            guard let content = NamedContent(digest, after["size"]) else { return nil }
            self.content = content
        }
    }
}

enum InputFiles {
    struct Line {
        let path: Bytes
        /// nil: nothing was kept of it.
        let content: NamedContent?

        init?(_ json: JSON) {
            guard let path = json["path"]?.bytesValue, let isKept = json["kept"]?.bool else { return nil }
            self.path = path
            content = isKept && json["kind"]?.string == "file" ? NamedContent(json["sha256"], json["size"]) : nil
            if isKept, json["kind"]?.string == "file", content == nil { return nil }
        }
    }
}

enum ArtifactFiles {
    struct Line {
        let path: Bytes
        let content: NamedContent

        init?(_ json: JSON) {
            guard let path = json["path"]?.bytesValue, !path.isEmpty, !path.contains(0),
                let content = NamedContent(json["sha256"], json["bytes"])
            else { return nil }
            (self.path, self.content) = (path, content)
        }
    }
}
