// Pure. The contents of a bundle by digest: `blobs.jsonl`, and who names which of them.

import AegixSystem

/// What lies in `blobs/`, in the order of the digests, each once.
struct BlobTable: Sendable {
    struct Blob: Sendable {
        let digest: ContentDigest
        let size: UInt64
        /// Something that was kept of the workspace for a replay.
        var isInput = false
        /// An artifact, or a file of the layer.
        var isOutput = false

        var name: String { "\(BundleName.blobs)/\(digest.hex)" }
    }

    private(set) var blobs: [Blob] = []
    private(set) var bytes: UInt64 = 0

    /// `{"sha256":"…","size":N}` and its newline.
    static let longestLine = 64 + 23 + 20

    enum Flaw: Error {
        case malformed, order, many, large
    }

    /// A line of the list; only in the form that `line` has.
    mutating func add(line: UnsafeRawBufferPointer) throws(Flaw) {
        let text = Bytes(line)
        guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(text, maxDepth: 1) }),
            let digest = json["sha256"]?.string.flatMap({ ContentDigest($0) }), let size = json["size"]?.int, size >= 0,
            BlobTable.line(digest, UInt64(size)) == text
        else { throw .malformed }
        try add(digest, UInt64(size))
    }

    mutating func add(_ digest: ContentDigest, _ size: UInt64) throws(Flaw) {
        if let last = blobs.last, last.digest >= digest { throw .order }
        if blobs.count >= BundleBounds.blobs { throw .many }
        if size > BundleBounds.file { throw .large }
        bytes += size
        blobs.append(Blob(digest: digest, size: size))
    }

    /// Without the newline.
    static func line(_ digest: ContentDigest, _ size: UInt64) -> Bytes {
        Bytes("{\"sha256\":\"\(digest.hex)\",\"size\":\(size)}")
    }

    var encoded: Bytes {
        var lines = Bytes()
        lines.reserveCapacity(blobs.count * BlobTable.longestLine)
        for blob in blobs { lines += BlobTable.line(blob.digest, blob.size) + [UInt8(ascii: "\n")] }
        return lines
    }

    // MARK: - Who names them

    /// false: it isn't there, or of another size.
    mutating func name(_ digest: ContentDigest, _ size: UInt64, asInput: Bool) -> Bool {
        var (low, high) = (0, blobs.count)
        while low < high {
            let middle = (low + high) / 2
            if blobs[middle].digest < digest { low = middle + 1 } else { high = middle }
        }
        guard low < blobs.count, blobs[low].digest == digest, blobs[low].size == size else { return false }
        if asInput { blobs[low].isInput = true } else { blobs[low].isOutput = true }
        return true
    }
}

/// Takes a file apart as it comes: lines that end with a newline, none longer than the bound.
struct LineSplitter {
    private var rest = Bytes()
    private(set) var lines = 0

    /// false: a line is too long, or `each` said so.
    mutating func feed(_ bytes: UnsafeRawBufferPointer, _ each: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        var start = 0
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            lines += 1
            let line = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            start = end + 1
            if rest.isEmpty {
                if line.count > BundleBounds.line || !each(line) { return false }
                continue
            }
            rest.append(contentsOf: line)
            if rest.count > BundleBounds.line || !rest.withUnsafeBytes(each) { return false }
            rest.removeAll(keepingCapacity: true)
        }
        rest.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[start...]))
        return rest.count <= BundleBounds.line
    }

    /// Whether the last line ended, too.
    var isComplete: Bool { rest.isEmpty }
}
