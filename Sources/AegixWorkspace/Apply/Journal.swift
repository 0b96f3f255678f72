// Pure. The journal of a transaction as lines of canonical JSON, and back.

import AegixSystem
import Glibc

/// What a transaction is about to do, so that any later command can undo it, or finish what only has to be tidied. After
/// the last step it is the record of what was done, from which a reset is made.
struct Journal: Equatable, Sendable {
    var head: Head
    var steps: [Step] = []
    var state = State.begun

    struct Head: Equatable, Sendable {
        var verb: Verb
        var run: String
        /// Absolute.
        var workspace: Bytes
        var device: UInt64
        var inode: UInt64
        /// Name right in the workspace.
        var staging: Bytes
        /// The pre-images lie on another file system than the workspace, so they are copied there, not moved.
        var copies: Bool
        /// Changes of the run, applied or undone.
        var changes: Int
        /// Nanoseconds since 1970.
        var time: UInt64
    }

    enum Verb: String, Sendable {
        case apply, reset
    }

    /// Each is a line of its own.
    enum State: String, Sendable {
        /// Nothing of the workspace has been touched.
        case begun
        /// All that follows may have happened, or not.
        case ready
        /// All of it has.
        case done
    }

    static let schema = "aegix.journal/v1"

    static func encode(_ head: Head) -> Bytes {
        var json = JSONWriter()
        json.object { json in
            json.key("changes")
            json.int(head.changes)
            json.key("copies")
            json.bool(head.copies)
            json.key("device")
            json.big(head.device)
            json.key("inode")
            json.big(head.inode)
            json.key("run")
            json.string(head.run)
            json.key("schema")
            json.string(schema)
            json.key("staging")
            json.string(head.staging)
            json.key("time")
            json.big(head.time)
            json.key("verb")
            json.string(head.verb.rawValue)
            json.key("workspace")
            json.string(head.workspace)
        }
        json.newline()
        return json.bytes
    }

    /// The steps and, only when all of them are written, the line that says so.
    static func encode(_ steps: [Step]) -> Bytes {
        var json = JSONWriter(capacity: 256 + steps.count * 900)
        for step in steps {
            step.write(into: &json)
            json.newline()
        }
        return json.bytes + encode(.ready)
    }

    static func encode(_ state: State) -> Bytes { Bytes("{\"state\":\"\(state.rawValue)\"}\n") }

    /// What a crash left of it: lines that aren't whole are as good as not written. nil: not even the head is there, so
    /// nothing was begun.
    static func decode(_ bytes: Bytes) -> Journal? {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        lines.removeLast()
        guard let first = lines.first.flatMap({ parse(Bytes($0)) }), let head = Head(first) else { return nil }
        var journal = Journal(head: head)
        for line in lines.dropFirst() {
            guard let json = parse(Bytes(line)) else { return journal }
            if let state = json["state"]?.string.flatMap(State.init(rawValue:)) {
                journal.state = state
            } else if let step = Step(json) {
                journal.steps.append(step)
            } else {
                return journal
            }
        }
        return journal
    }

    private static func parse(_ line: Bytes) -> JSON? {
        do throws(JSONError) { return try JSON.parse(line) } catch { return nil }
    }
}

extension Journal.Head {
    init?(_ json: JSON) {
        guard json["schema"]?.string == Journal.schema,
            let verb = json["verb"]?.string.flatMap(Journal.Verb.init(rawValue:)), let run = json["run"]?.string,
            let workspace = json["workspace"]?.bytesValue, let staging = json["staging"]?.bytesValue,
            let device = json["device"]?.string.flatMap({ UInt64($0) }),
            let inode = json["inode"]?.string.flatMap({ UInt64($0) }), let copies = json["copies"]?.bool,
            let changes = json["changes"]?.int, let time = json["time"]?.string.flatMap({ UInt64($0) })
        else { return nil }
        self.init(
            verb: verb, run: run, workspace: workspace, device: device, inode: inode, staging: staging, copies: copies,
            changes: changes, time: time)
    }
}

extension Step {
    func write(into json: inout JSONWriter) {
        json.object { json in
            json.key("new")
            json.optional(new) { $1.write(into: &$0) }
            json.key("new_attributes")
            json.optional(newAttributes) { $1.write(into: &$0) }
            json.key("old")
            json.optional(old) { $1.write(into: &$0) }
            json.key("old_attributes")
            json.optional(oldAttributes) { $1.write(into: &$0) }
            json.key("path")
            json.string(path)
            json.key("slot")
            json.int(slot)
            json.key("verb")
            json.string(verb.rawValue)
        }
    }

    init?(_ json: JSON) {
        guard let verb = json["verb"]?.string.flatMap(Verb.init(rawValue:)), let path = json["path"]?.bytesValue,
            let slot = json["slot"]?.int
        else { return nil }
        self.init(verb: verb, path: path, slot: slot)
        for (name, place) in [("old", \Step.old), ("new", \Step.new)] {
            guard let value = json[name] else { return nil }
            if value == .null { continue }
            guard let image = Image(value) else { return nil }
            self[keyPath: place] = image
        }
        for (name, place) in [("old_attributes", \Step.oldAttributes), ("new_attributes", \Step.newAttributes)] {
            guard let value = json[name] else { return nil }
            if value == .null { continue }
            guard let attributes = FileAttributes(value) else { return nil }
            self[keyPath: place] = attributes
        }
    }
}

extension Image {
    func write(into json: inout JSONWriter) {
        json.object { json in
            json.key("nodes")
            json.array(nodes) { json, node in
                json.object { json in
                    json.key("entry")
                    node.entry.write(into: &json, withIdentity: true)
                    json.key("path")
                    json.string(node.path)
                }
            }
            json.key("whole")
            json.bool(isWhole)
        }
    }

    init?(_ json: JSON) {
        guard let items = json["nodes"]?.array, !items.isEmpty, let isWhole = json["whole"]?.bool else { return nil }
        var nodes: [Node] = []
        for item in items {
            guard let path = item["path"]?.bytesValue, let entry = item["entry"].flatMap(Entry.init) else { return nil }
            nodes.append(Node(path: path, entry: entry))
        }
        self.init(nodes, isWhole: isWhole)
    }
}

extension FileAttributes {
    func write(into json: inout JSONWriter) {
        json.object { json in
            json.key("extended")
            json.array(extended) { json, one in
                json.array([one.name, one.value]) { $0.string($1) }
            }
            json.key("mode")
            json.string("0" + String(mode, radix: 8))
            json.key("modified")
            json.optional(modified) { $0.string(String($1)) }
        }
    }

    init?(_ json: JSON) {
        guard let mode = json["mode"]?.string.flatMap({ UInt32($0, radix: 8) }), mode <= 0o7777,
            let time = json["modified"], let items = json["extended"]?.array
        else { return nil }
        self.init(mode: mode, modified: time.string.flatMap { Int64($0) }, extended: [])
        for item in items {
            guard let name = item.array?.first?.bytesValue, let value = item.array?.last?.bytesValue else { return nil }
            extended.append(Extended(name: name, value: value))
        }
    }
}
