// Pure. `audit.json`, whole: the parts known before the run and those known after it, in canonical order.

import AegixSandbox
import AegixSystem
import AegixWorkspace

public enum AuditRecord {
    public static let schema = "aegix.audit/v1"

    /// The record of a run whose directory is `directory`.
    public static func encode(_ start: RunStart, _ end: RunEnd, directory: Bytes, layer: RunLayer.State) -> Bytes {
        encode(start, StartParts(start), end, directory: directory, layer: layer)
    }

    static func encode(
        _ start: RunStart, _ parts: StartParts, _ end: RunEnd, directory: Bytes, layer: RunLayer.State
    ) -> Bytes {
        var cuts = parts.cuts
        let processes = self.processes(end, &cuts)
        let changes = self.changes(end.changes, &cuts)
        let artifacts = self.artifacts(end.artifacts, &cuts)
        let network = self.network(end, &cuts)
        let inputs = InputParts.inputs(end, &cuts)
        let loaded = InputParts.loaded(end, &cuts)
        let violations = end.violations.prefix(RecordBounds.violations)
        if end.hasAllViolations {
            cuts.note("violations", kept: violations.count, of: UInt64(end.violations.count))
        } else {
            cuts.note("violations", kept: violations.count)
        }
        if let enforcement = end.enforcement {
            let kept = min(enforcement.controls.count, RecordBounds.controls)
            cuts.note("enforcement.controls", kept: kept, of: UInt64(enforcement.controls.count))
        }
        var json = JSONWriter(capacity: 8192 + processes.count + network.count)
        json.object { json in
            json.key("aegix")
            json.raw(parts.aegix)
            json.key("artifacts")
            json.raw(artifacts)
            json.key("changes")
            json.optional(changes) { $0.raw($1) }
            json.key("collection")
            json.optional(end.artifacts) { $0.collection($1, in: directory) }
            json.key("command")
            var command = start.command
            command.program = end.program ?? command.program
            StartParts.write(command, digest: end.programDigest ?? command.digest, into: &json, &cuts)
            json.key("cut")
            cuts.write(into: &json)
            json.key("determinism")
            json.raw(parts.determinism)
            json.key("duration_ns")
            json.big(end.durationNanoseconds)
            json.key("enforcement")
            json.optional(end.enforcement) { $0.enforcement($1) }
            json.key("environment")
            json.raw(parts.environment)
            json.key("finished_at")
            json.time(end.finishedAt)
            json.key("host")
            json.raw(parts.host)
            json.key("identity")
            json.raw(parts.identity)
            json.key("inputs")
            json.raw(inputs)
            json.key("invocation")
            json.raw(parts.invocation)
            json.key("labels")
            json.raw(parts.labels)
            json.key("layer")
            json.layer(layer, start.workspace?.layer ?? .user, in: start.workspace?.sandbox?.path ?? directory)
            json.key("loaded")
            json.raw(loaded)
            json.key("network")
            json.raw(network)
            json.key("outcome")
            json.outcome(end.outcome)
            json.key("parent")
            json.raw(parts.parent)
            json.key("policy")
            json.raw(parts.policy)
            json.key("processes")
            json.raw(processes)
            json.key("retention")
            json.optional(end.keeps) { $0.retention($1, end, in: directory) }
            json.key("run_id")
            json.raw(parts.runID)
            json.key("schema")
            json.string(schema)
            json.key("started_at")
            json.raw(parts.startedAt)
            json.key("streams")
            json.object { json in
                json.key("redacted")
                json.size((end.stdout?.redacted ?? 0) + (end.stderr?.redacted ?? 0))
                json.key("stderr")
                json.optional(end.stderr) { $0.stream($1, "stderr.log", in: directory, text: end.includeText) }
                json.key("stdin")
                json.optional(end.stdin) { $0.input($1, in: directory) }
                json.key("stdout")
                json.optional(end.stdout) { $0.stream($1, "stdout.log", in: directory, text: end.includeText) }
            }
            json.key("usage")
            json.optional(end.usage) { $0.usage($1) }
            json.key("views")
            json.raw(parts.views)
            json.key("violations")
            json.array(violations) { $0.violation($1) }
            json.key("workspace")
            json.raw(parts.workspace)
        }
        return json.bytes
    }

    /// nil: not known.
    private static func changes(_ changes: RunEnd.Changes, _ cuts: inout Cuts) -> Bytes? {
        switch changes {
        case .unknown: nil
        case .none: self.changes(ChangeList(), &cuts)
        case .listed(let list): self.changes(list, &cuts)
        }
    }

    /// As an array that keeps to its count and its bytes.
    static func changes(_ list: ChangeList, _ cuts: inout Cuts) -> Bytes {
        var json = JSONWriter(capacity: 64 + min(list.changes.count, RecordBounds.changes) * 384)
        var kept = 0
        json.array(list.changes.prefix(RecordBounds.changes)) { json, change in
            if json.bytes.count > RecordBounds.changeBytes { return }
            change.write(into: &json, withIdentity: false)
            kept += 1
        }
        if list.cut.isEmpty {
            cuts.note("changes", kept: kept, of: UInt64(list.changes.count))
        } else {
            cuts.note("changes", kept: kept)
        }
        return json.bytes
    }

    private static func artifacts(_ collection: ArtifactCollection?, _ cuts: inout Cuts) -> Bytes {
        guard let collection else { return Bytes("[]") }
        let all = collection.all
        var json = JSONWriter(capacity: 64 + min(all.count, RecordBounds.artifacts) * 256)
        var kept = 0
        json.array(all.prefix(RecordBounds.artifacts)) { json, artifact in
            if json.bytes.count > RecordBounds.artifactBytes { return }
            artifact.write(into: &json)
            kept += 1
        }
        let total = UInt64(collection.artifacts.count) + collection.skippedCount
        cuts.note("artifacts", kept: kept, of: total)
        return json.bytes
    }

    private static func network(_ end: RunEnd, _ cuts: inout Cuts) -> Bytes {
        var json = JSONWriter(capacity: 320 * min(end.network.count, RecordBounds.network) + 16)
        var kept = 0
        json.array(end.network.prefix(RecordBounds.network)) { json, event in
            if json.bytes.count > RecordBounds.networkBytes { return }
            json.network(event)
            kept += 1
        }
        cuts.note("network", kept: kept, of: UInt64(end.network.count) + end.networkLeftOut)
        return json.bytes
    }

    /// The execs, in the same way.
    private static func processes(_ end: RunEnd, _ cuts: inout Cuts) -> Bytes {
        var json = JSONWriter(capacity: 256 * min(end.execs.count, RecordBounds.execs) + 16)
        var kept = 0
        json.array(end.execs.prefix(RecordBounds.execs)) { json, exec in
            if json.bytes.count > RecordBounds.execBytes { return }
            json.process(exec)
            kept += 1
        }
        cuts.note("processes", kept: kept, of: UInt64(end.execs.count) + end.execsLeftOut)
        return json.bytes
    }
}

extension JSONWriter {
    fileprivate mutating func collection(_ collection: ArtifactCollection, in directory: Bytes) {
        collection.write(into: &self, path: Path.join(directory, Bytes(RunDirectory.artifactsName)))
    }

    fileprivate mutating func usage(_ usage: Usage) {
        object { json in
            json.key("execs")
            json.size(usage.execs)
            json.key("io_read_bytes")
            json.optional(usage.cgroup.ioRead) { $0.size($1) }
            json.key("io_written_bytes")
            json.optional(usage.cgroup.ioWritten) { $0.size($1) }
            json.key("memory_max_hits")
            json.optional(usage.cgroup.memoryMaxHits) { $0.size($1) }
            json.key("memory_peak_bytes")
            json.optional(usage.cgroup.memoryPeak) { $0.size($1) }
            json.key("oom_kills")
            json.optional(usage.cgroup.oomKills) { $0.size($1) }
            json.key("peak_resident_bytes")
            json.size(usage.peakResidentBytes)
            json.key("pids_refused")
            json.optional(usage.cgroup.pidsRefused) { $0.size($1) }
            json.key("system_ns")
            json.big(usage.systemNanoseconds)
            json.key("throttled_ns")
            json.optional(usage.cgroup.throttled) { $0.big($1) }
            json.key("user_ns")
            json.big(usage.userNanoseconds)
        }
    }

    fileprivate mutating func layer(_ state: RunLayer.State, _ style: Layer.Style, in directory: Bytes) {
        guard state == .kept else { return null() }
        object { json in
            json.key("path")
            json.string(Path.join(directory, Bytes("layer/upper")))
            json.key("style")
            json.string(style.rawValue)
        }
    }

    /// `text` is null where the record doesn't carry it; the log has it.
    fileprivate mutating func stream(_ stream: StreamSummary, _ log: String, in directory: Bytes, text: Bool) {
        let head = shortened(stream.head, to: RecordBounds.text)
        let isCut = UInt64(head.count) < stream.captured
        object { json in
            json.key("bytes")
            json.size(stream.bytes)
            json.key("captured")
            json.size(stream.captured)
            json.key("path")
            json.string(Path.join(directory, Bytes(log)))
            json.key("redacted")
            json.size(stream.redacted)
            json.key("sha256")
            json.string(stream.digest)
            json.key("terminal")
            json.bool(stream.terminal)
            json.key("text")
            if text { json.string(isCut ? wholeCharacters(head) : head) } else { json.null() }
            json.key("text_cut")
            json.bool(text && isCut)
            json.key("truncated")
            json.bool(stream.truncated)
        }
    }
}

/// Without the first bytes of a character at the end, where the reader of a stream stopped.
private func wholeCharacters(_ bytes: Bytes) -> Bytes {
    for dropped in 0..<min(4, bytes.count) {
        let lead = bytes[bytes.count - 1 - dropped]
        if lead & 0xC0 == 0x80 { continue }
        let length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2
        return length > dropped + 1 ? Bytes(bytes.dropLast(dropped + 1)) : bytes
    }
    return bytes
}
