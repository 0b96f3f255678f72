// Pure. What a run read, in the record: `inputs`, `loaded`, `retention` and `streams.stdin`.

import AegixSandbox
import AegixSystem
import AegixWorkspace

enum InputParts {
    static func inputs(_ end: RunEnd, _ cuts: inout Cuts) -> Bytes {
        let told = end.inputs?.told ?? []
        var json = JSONWriter(capacity: 64 + min(told.count, RecordBounds.inputs) * 256)
        var kept = 0
        json.array(told.prefix(RecordBounds.inputs)) { json, input in
            if json.bytes.count > RecordBounds.inputBytes { return }
            input.write(into: &json, isListed: false)
            kept += 1
        }
        // Of opens that there was no room for nobody knows how many files they were of.
        if end.readsLeftOut > 0 || end.inputs?.cut.isDisjoint(with: [.count, .time]) == false {
            cuts.note("inputs", kept: kept)
        } else {
            cuts.note("inputs", kept: kept, of: UInt64(told.count))
        }
        return json.bytes
    }

    static func loaded(_ end: RunEnd, _ cuts: inout Cuts) -> Bytes {
        var json = JSONWriter(capacity: 64 + min(end.loaded.count, RecordBounds.loaded) * 192)
        var kept = 0
        json.array(end.loaded.prefix(RecordBounds.loaded)) { json, loaded in
            if json.bytes.count > RecordBounds.loadedBytes { return }
            json.object { json in
                json.key("kind")
                json.string(loaded.kind.rawValue)
                json.key("path")
                json.string(loaded.path)
                json.key("sha256")
                json.optional(loaded.digest) { $0.string($1) }
            }
            kept += 1
        }
        if end.isLoadedCut {
            cuts.note("loaded", kept: kept)
        } else {
            cuts.note("loaded", kept: kept, of: UInt64(end.loaded.count))
        }
        return json.bytes
    }
}

extension JSONWriter {
    /// What was kept of the workspace.
    mutating func retention(_ mode: InputList.Mode, _ end: RunEnd, in directory: Bytes) {
        let found = end.inputs ?? InputFindings()
        object { json in
            json.key("bounds")
            json.array(InputList.Bound.allCases.filter(found.cut.contains)) { $0.string($1.rawValue) }
            json.key("bytes")
            json.size(found.bytes)
            json.key("contents")
            json.int(found.contents)
            json.key("error")
            json.optional(found.error) { $0.string(shortened(Bytes($1), to: RecordBounds.message)) }
            json.key("listed")
            json.int(found.list?.inputs.count ?? 0)
            json.key("mode")
            json.string(mode.rawValue)
            json.key("path")
            json.optional(found.list) { json, _ in
                json.string(Path.join(directory, Bytes(InputList.directoryName)))
            }
            json.key("unlisted")
            json.int(found.nameless)
        }
    }

    /// `streams.stdin`.
    mutating func input(_ input: InputSummary, in directory: Bytes) {
        object { json in
            json.key("bytes")
            json.size(input.bytes)
            json.key("captured")
            json.size(input.captured)
            json.key("path")
            json.optional(input.digest) { json, _ in
                json.string(Path.join(directory, Bytes(RunDirectory.Log.stdin.rawValue)))
            }
            json.key("reason")
            json.optional(input.reason) { $0.string($1.rawValue) }
            json.key("sha256")
            json.optional(input.digest) { $0.string($1) }
            json.key("truncated")
            json.bool(input.truncated)
        }
    }
}
