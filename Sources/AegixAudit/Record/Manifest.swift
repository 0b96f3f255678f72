// Pure. `manifest.json`: the SHA-256 of each file of a run directory. Not of the layer: that is the user's until it is
// applied or discarded.

import AegixSystem

struct Manifest: Equatable, Sendable {
    static let name = "manifest.json"
    static let schema = "aegix.manifest/v1"
    /// With the paths of all artifacts, each byte of them escaped.
    static let longest = 64 << 20
    /// In canonical order.
    static let files = [
        "audit.json", "changes.jsonl", "events.jsonl", "inputs.jsonl", "policy.toml", "script", "stderr.log",
        "stdin.log",
        "stdout.log",
    ]

    /// Files beneath `artifacts/`, whose names may be any bytes: in the order of their paths.
    var artifacts: [(path: Bytes, bytes: UInt64, digest: String)] = []
    private(set) var entries: [(name: String, bytes: UInt64, digest: String)] = []

    mutating func add(_ name: String, bytes: UInt64, digest: String) { entries.append((name, bytes, digest)) }

    mutating func add(_ name: String, _ content: Bytes) {
        add(name, bytes: UInt64(content.count), digest: SHA256.hex(content))
    }

    func encode(_ id: RunID) -> Bytes {
        var json = JSONWriter(capacity: 1024)
        json.object { json in
            json.key("artifacts")
            json.array(artifacts) { json, artifact in
                json.object { json in
                    json.key("bytes")
                    json.size(artifact.bytes)
                    json.key("path")
                    json.string(artifact.path)
                    json.key("sha256")
                    json.string(artifact.digest)
                }
            }
            json.key("files")
            json.object { json in
                for entry in entries.sorted(by: { $0.name < $1.name }) {
                    json.key(entry.name)
                    json.object { json in
                        json.key("bytes")
                        json.size(entry.bytes)
                        json.key("sha256")
                        json.string(entry.digest)
                    }
                }
            }
            json.key("run_id")
            json.string(id.description)
            json.key("schema")
            json.string(Manifest.schema)
        }
        return json.bytes
    }

    static func == (a: Manifest, b: Manifest) -> Bool {
        a.entries.elementsEqual(b.entries) { $0 == $1 } && a.artifacts.elementsEqual(b.artifacts) { $0 == $1 }
    }
}
