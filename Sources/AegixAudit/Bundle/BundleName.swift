// Pure. What can be in a bundle: nothing else is ever written, read or made.

import AegixSystem

/// The names of a bundle's entries. A path of the sandbox is never one: contents are named by their digest.
enum BundleName {
    static let index = "bundle.json"
    static let record = "audit.json"
    static let recordSignature = "audit.dsse.json"
    static let changes = "changes.jsonl"
    static let blobList = "blobs.jsonl"
    static let ledger = "ledger.jsonl"
    static let inputs = "inputs.jsonl"
    static let signature = "bundle.dsse.json"
    static let blobs = "blobs"
    static let inputBlobs = "inputs"

    /// The files of a run directory, and the two lists of the bundle's own, in the order in which they stand; with the most
    /// that is taken of each.
    static let files: [(name: String, most: UInt64)] = [
        ("audit.dsse.json", UInt64(Envelope.longest)),
        ("audit.json", 64 << 20),
        ("blobs.jsonl", UInt64(BundleBounds.blobs) * UInt64(BlobTable.longestLine)),
        ("changes.jsonl", 512 << 20),
        ("events.jsonl", BundleBounds.file),
        ("inputs.jsonl", 512 << 20),
        ("ledger.jsonl", 64 << 10),
        ("manifest.json", UInt64(Manifest.longest)),
        ("policy.toml", 64 << 20),
        ("script", 16 << 20),
        ("stderr.log", BundleBounds.file),
        ("stdin.log", BundleBounds.file),
        ("stdout.log", BundleBounds.file),
    ]

    /// nil: no such file.
    static func most(_ name: String) -> UInt64? { files.first { $0.name == name }?.most }

    /// Those that no manifest names.
    static let outsideManifest: Set<String> = [Manifest.name, recordSignature, ledger, blobList]
}

/// How much of a bundle is taken from anybody.
enum BundleBounds {
    /// What a header's eleven octal digits can say.
    static let file: UInt64 = 8 << 30 - 1
    static let blobs = 400_000
    static let index = 4 << 20
    /// Contents, all together.
    static let total: UInt64 = 64 << 30
    /// How often the contents may be as long as the file, where they are longer than `freely`.
    static let ratio: UInt64 = 1000
    static let freely: UInt64 = 1 << 30
    /// Of a list: a path with each byte escaped, twice.
    static let line = 1 << 20
    /// Paths that are named as left out; the others are counted.
    static let leftOut = 1000

    /// A few bytes that make endless ones are none of a run.
    static func isBomb(_ contents: UInt64, in file: UInt64) -> Bool {
        contents > freely && contents / ratio > file
    }
}

/// A SHA-256 as a value: a bundle has a hundred thousand of them.
struct ContentDigest: Hashable, Comparable, Sendable {
    private let words: (UInt64, UInt64, UInt64, UInt64)

    /// 64 lower-case digits.
    init?(_ hex: String) {
        guard hex.utf8.count == 64, let bytes = Hex.decode(hex.utf8) else { return nil }
        func word(_ start: Int) -> UInt64 { bytes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) } }
        words = (word(0), word(8), word(16), word(24))
    }

    var hex: String {
        var bytes = Bytes()
        bytes.reserveCapacity(32)
        for word in [words.0, words.1, words.2, words.3] {
            for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
        return Hex.encode(bytes)
    }

    static func == (a: ContentDigest, b: ContentDigest) -> Bool { a.words == b.words }
    static func < (a: ContentDigest, b: ContentDigest) -> Bool { a.words < b.words }

    func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}
