// Pure. Artifacts as the record and the manifest have them.

import AegixSystem

extension Artifact {
    public func write(into json: inout JSONWriter) {
        json.object { json in
            json.key("kind")
            json.string(kind.rawValue)
            json.key("mode")
            json.string("0" + String(mode, radix: 8))
            json.key("path")
            json.string(path)
            json.key("redacted")
            json.size(redacted)
            json.key("sha256")
            json.optional(digest) { $0.string($1) }
            json.key("size")
            json.size(size)
            json.key("skipped")
            json.optional(skipped) { $0.string($1.rawValue) }
            json.key("source")
            json.string(source.rawValue)
        }
    }
}

extension ArtifactCollection {
    /// - path: where the copies are.
    public func write(into json: inout JSONWriter, path: Bytes) {
        json.object { json in
            json.key("bounds")
            json.array(Bound.allCases.filter(bounds.contains)) { $0.string($1.rawValue) }
            json.key("bytes")
            json.size(bytes)
            json.key("error")
            json.optional(error) { $0.string($1) }
            json.key("files")
            json.int(artifacts.count)
            json.key("out")
            json.optional(out) { json, out in
                json.object { json in
                    json.key("error")
                    json.optional(out.error) { $0.string($1) }
                    json.key("path")
                    json.string(out.path)
                }
            }
            json.key("path")
            json.string(path)
            json.key("patterns")
            json.array(patterns) { json, pattern in
                json.object { json in
                    json.key("matched")
                    json.size(pattern.matched)
                    json.key("pattern")
                    json.string(pattern.text)
                }
            }
            json.key("skipped")
            json.size(skippedCount)
        }
    }
}
