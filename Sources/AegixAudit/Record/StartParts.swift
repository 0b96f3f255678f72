// Pure. The first half of the record, serialised once before anything runs: it goes into the first event, from which an
// interrupted run's record is made, and again, as it stands, into audit.json.

import AegixSystem

struct StartParts: Sendable {
    let aegix: Bytes
    let determinism: Bytes
    let environment: Bytes
    let host: Bytes
    let identity: Bytes
    let invocation: Bytes
    let labels: Bytes
    let parent: Bytes
    let policy: Bytes
    let runID: Bytes
    let startedAt: Bytes
    let views: Bytes
    let workspace: Bytes
    private(set) var cuts = Cuts()

    init(_ start: RunStart) {
        var cuts = Cuts()
        aegix = part { json in
            json.object { json in
                json.key("build")
                json.string(start.aegix.build)
                json.key("version")
                json.string(start.aegix.version)
            }
        }
        determinism = part { StartParts.write(start.determinism, into: &$0) }
        environment = part { StartParts.write(start.environment, into: &$0, &cuts) }
        host = part { $0.optional(start.host) { $0.raw($1) } }
        identity = part { $0.optional(start.identity) { StartParts.write($1, into: &$0) } }
        invocation = part { json in
            json.object { json in
                json.key("argv")
                json.strings(StartParts.kept(start.invocation.argv, "invocation.argv", &cuts))
                json.key("cwd")
                json.optional(start.invocation.cwd) { $0.string($1) }
                json.key("how")
                json.optional(start.invocation.how) { $0.string($1) }
            }
        }
        labels = part { StartParts.write(start.labels, into: &$0, &cuts) }
        parent = part { $0.optional(start.parent) { $0.string($1) } }
        policy = part { $0.optional(start.policy) { StartParts.write($1, into: &$0, &cuts) } }
        runID = part { $0.string(start.id.description) }
        startedAt = part { $0.time(start.startedAt) }
        views = part { StartParts.write(start.views, into: &$0, &cuts) }
        workspace = part { json in
            json.optional(start.workspace) { json, workspace in
                json.object { json in
                    json.key("layer")
                    json.optional(workspace.layer) { $0.string($1.rawValue) }
                    json.key("mode")
                    json.string(workspace.mode)
                    json.key("path")
                    json.string(workspace.path)
                    json.key("sandbox")
                    json.optional(workspace.sandbox) { $0.string($1.name) }
                }
            }
        }
        self.cuts = cuts
    }

    static func write(_ command: RunStart.Command, digest: String?, into json: inout JSONWriter, _ cuts: inout Cuts) {
        json.object { json in
            json.key("argv")
            json.strings(kept(command.argv, "command.argv", &cuts))
            json.key("digest")
            json.optional(digest) { $0.string($1) }
            json.key("program")
            json.optional(command.program) { $0.string($1) }
            json.key("script")
            json.optional(command.script) { json, script in
                json.object { json in
                    json.key("kept")
                    json.bool(script.content != nil)
                    json.key("path")
                    json.string(script.path)
                    json.key("sha256")
                    json.string(script.digest)
                }
            }
        }
    }

    private static func kept(_ argv: [Bytes], _ name: String, _ cuts: inout Cuts) -> ArraySlice<Bytes> {
        let kept = bounded(argv, count: .max, bytes: RecordBounds.argv) { $0.count + 1 }
        cuts.note(name, kept: kept.count, of: UInt64(argv.count))
        return kept
    }

    /// Values only of what the policy or aegix itself set, and of the few names that say how a terminal looks: what the
    /// caller passes on may be a credential under any name (E1).
    private static func write(_ variables: [RunStart.Variable], into json: inout JSONWriter, _ cuts: inout Cuts) {
        let sorted = variables.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        let kept = bounded(sorted, count: RecordBounds.variables, bytes: RecordBounds.variableBytes) {
            $0.name.count + $0.value.count
        }
        cuts.note("environment", kept: kept.count, of: UInt64(sorted.count))
        json.array(kept) { json, variable in
            json.object { json in
                json.key("name")
                json.string(variable.name)
                json.key("origin")
                json.string(variable.origin.rawValue)
                json.key("value")
                if isRecorded(variable) { json.string(variable.value) } else { json.null() }
            }
        }
    }

    private static let plain = ["LANG", "LANGUAGE", "TERM", "TZ", "USER", "LOGNAME", "COLUMNS", "LINES"]

    private static func isRecorded(_ variable: RunStart.Variable) -> Bool {
        switch variable.origin {
        case .builtIn, .policy: return true
        case .secret: return false
        case .option, .caller:
            return plain.contains { variable.name.elementsEqual($0.utf8) } || variable.name.starts(with: "LC_".utf8)
        }
    }

    private static func write(_ views: [RunStart.View], into json: inout JSONWriter, _ cuts: inout Cuts) {
        let kept = bounded(views, count: RecordBounds.views, bytes: RecordBounds.viewBytes) { $0.path.count }
        cuts.note("views", kept: kept.count, of: UInt64(views.count))
        json.array(kept) { json, view in
            json.object { json in
                json.key("access")
                json.string(view.isWritable ? "write" : "read")
                json.key("path")
                json.string(view.path)
            }
        }
    }

    private static func write(_ pins: [RunStart.Pin], into json: inout JSONWriter) {
        json.array(pins) { json, pin in
            json.object { json in
                json.key("mechanism")
                json.optional(pin.mechanism) { $0.string($1) }
                json.key("name")
                json.string(pin.name)
                json.key("pinned")
                json.bool(pin.isPinned)
                json.key("value")
                json.optional(pin.value) { $0.string($1) }
            }
        }
    }

    private static func write(_ identity: RunStart.Identity, into json: inout JSONWriter) {
        func pair(_ json: inout JSONWriter, _ uid: UInt32, _ gid: UInt32) {
            json.object { json in
                json.key("gid")
                json.int(gid)
                json.key("uid")
                json.int(uid)
            }
        }
        json.object { json in
            json.key("inside")
            pair(&json, identity.insideUID, identity.insideGID)
            json.key("outside")
            pair(&json, identity.outsideUID, identity.outsideGID)
        }
    }

    private static func write(_ labels: [String: String], into json: inout JSONWriter, _ cuts: inout Cuts) {
        let kept = sortedLabels(labels, count: RecordBounds.labels, bytes: RecordBounds.labelBytes)
        cuts.note("labels", kept: kept.count, of: UInt64(labels.count))
        json.labels(kept)
    }

    private static func write(_ policy: RunStart.PolicyFacts, into json: inout JSONWriter, _ cuts: inout Cuts) {
        let sources = policy.sources.prefix(RecordBounds.sources)
        cuts.note("policy.sources", kept: sources.count, of: UInt64(policy.sources.count))
        json.object { json in
            json.key("digest")
            json.string(policy.digest)
            json.key("effective")
            json.raw(policy.effective)
            json.key("name")
            json.string(policy.name)
            json.key("origins")
            json.object { json in
                for (key, place) in policy.origins {
                    json.key(key)
                    json.string(place)
                }
            }
            json.key("sources")
            json.array(sources) { json, source in
                json.object { json in
                    json.key("digest")
                    json.string(source.digest)
                    json.key("name")
                    json.string(source.name)
                }
            }
        }
    }
}

private func part(_ write: (inout JSONWriter) -> Void) -> Bytes {
    var json = JSONWriter(capacity: 256)
    write(&json)
    return json.bytes
}
