// Pure. One line of the ledger.

import AegixSystem

/// What the ledger says of a run, at its start, at its end, when its changes are applied, reset or dropped, and when it is removed: enough for `history` and `last` without opening
/// any run.
public struct LedgerEntry: Equatable, Sendable {
    public var kind: Kind
    public var run: RunID
    /// Wall-clock nanoseconds since 1970.
    public var time: UInt64
    public var workspace: Bytes?
    /// The command's argv, shortened.
    public var command: Bytes
    public var labels: [String: String] = [:]
    public var closing: Closing?
    /// Of what was done to the workspace later.
    public var result: Result?

    public enum Kind: String, CaseIterable, Sendable {
        case start
        case finish
        /// Closed by a later command, since the run's own aegix was killed.
        case interrupted
        /// The run's changes were put into the workspace, taken out again, or dropped.
        case applied, reset, discarded
        /// They were applied, and are in a commit, whose id is the result.
        case committed
        /// All of the run was removed but for what this ledger says of it.
        case pruned

        /// Whether the run is over with this.
        public var isEnd: Bool { self == .finish || self == .interrupted }
    }

    public struct Result: Equatable, Sendable {
        public var changes: Int
        /// SHA-256 of the journal, or of what says that the layer was dropped, in hex; or the id of a commit.
        public var digest: String
    }

    public struct Closing: Equatable, Sendable {
        public var status: String
        /// What aegix exited with; nil where it was killed.
        public var exitCode: Int?
        public var durationNanoseconds: UInt64?
        /// SHA-256 of `audit.json` and of `manifest.json`, in hex.
        public var audit: String
        public var manifest: String
        /// The id of the key that `audit.dsse.json` is signed with; nil: there is none. So a signature can't be taken away unseen.
        public var signer: String?
    }

    init(_ kind: Kind, _ run: RunID, time: UInt64, workspace: Bytes?, command: Bytes) {
        self.kind = kind
        self.run = run
        self.time = time
        self.workspace = workspace
        self.command = command
    }

    /// Lines are bounded so that a bounded read of the tail always finds the last one.
    static let commandBytes = 200
    static let labelBytes = 2048

    /// argv as one would type it, shortened.
    static func summary(_ argv: [Bytes]) -> Bytes {
        var out = Bytes()
        for argument in argv {
            if !out.isEmpty { out.append(UInt8(ascii: " ")) }
            if !argument.isEmpty, argument.allSatisfy(isPlain) {
                out += argument
            } else {
                // In single quotes a single quote is written '\''.
                out.append(UInt8(ascii: "'"))
                for byte in argument.prefix(commandBytes) {
                    if byte == UInt8(ascii: "'") { out += "'\\''".utf8 } else { out.append(byte) }
                }
                out.append(UInt8(ascii: "'"))
            }
            if out.count > commandBytes { return shortened(out, to: commandBytes) + "…".utf8 }
        }
        return out
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80...0xFF: true
        case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "="): true
        case UInt8(ascii: ":"), UInt8(ascii: "@"), UInt8(ascii: "%"), UInt8(ascii: "+"), UInt8(ascii: ","): true
        default: false
        }
    }

    /// The line without its newline. Members that don't apply are left out.
    func line(seq: UInt64, prev: String, torn: Ledger.Torn?) -> Bytes {
        let labels = sortedLabels(self.labels, count: RecordBounds.labels, bytes: LedgerEntry.labelBytes)
        var json = JSONWriter(capacity: 1024)
        json.object { json in
            if let torn {
                json.key("after_torn")
                json.object { json in
                    json.key("bytes")
                    json.int(torn.bytes)
                    json.key("sha256")
                    json.string(torn.digest)
                }
            }
            if let closing {
                json.key("audit")
                json.string(closing.audit)
            }
            if let result {
                json.key("changes")
                json.int(result.changes)
            }
            json.key("command")
            json.string(command)
            if let closing {
                if let duration = closing.durationNanoseconds {
                    json.key("duration_ns")
                    json.big(duration)
                }
                if let exitCode = closing.exitCode {
                    json.key("exit_code")
                    json.int(exitCode)
                }
            }
            json.key("kind")
            json.string(kind.rawValue)
            json.key("labels")
            json.labels(labels)
            if let closing {
                json.key("manifest")
                json.string(closing.manifest)
            }
            json.key("prev")
            json.string(prev)
            if let result {
                json.key("result")
                json.string(result.digest)
            }
            json.key("run")
            json.string(run.description)
            json.key("seq")
            json.size(seq)
            if let closing {
                if let signer = closing.signer {
                    json.key("signer")
                    json.string(signer)
                }
                json.key("status")
                json.string(closing.status)
            }
            json.key("time")
            json.time(time)
            if let workspace {
                json.key("workspace")
                json.string(workspace)
            }
        }
        return json.bytes
    }

    /// What `line` wrote, by its members; nil for anything else.
    init?(_ member: (String) -> JSON?) {
        guard let kind = member("kind")?.string.flatMap(Kind.init),
            let run = member("run")?.string.flatMap({ RunID($0) }),
            let time = member("time")?.string.flatMap(Timestamp.parse), let command = member("command")?.bytesValue
        else { return nil }
        self.init(kind, run, time: time, workspace: member("workspace")?.bytesValue, command: command)
        labels = (member("labels")?.object ?? [:]).compactMapValues(\.string)
        if kind == .start || kind == .pruned { return }
        if !kind.isEnd {
            guard let changes = member("changes")?.int, let digest = member("result")?.string else { return nil }
            result = Result(changes: changes, digest: digest)
            return
        }
        guard let status = member("status")?.string, let audit = member("audit")?.string,
            let manifest = member("manifest")?.string
        else { return nil }
        closing = Closing(
            status: status, exitCode: member("exit_code")?.int,
            durationNanoseconds: member("duration_ns")?.string.flatMap { UInt64($0) },
            audit: audit, manifest: manifest, signer: member("signer")?.string)
    }
}
