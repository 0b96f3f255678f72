// Pure. Changes as canonical JSON, and back.

import AegixSystem

extension ChangeList {
    /// `changes.jsonl`: a first line with the bounds that were met, then one line a change, with what it takes to find the
    /// base unchanged.
    public func encode() -> Bytes {
        var json = JSONWriter(capacity: 256 + changes.count * 640)
        json.object { json in
            json.key("changes")
            json.int(changes.count)
            json.key("cut")
            json.array(ChangeList.Bound.allCases.filter(cut.contains)) { $0.string($1.rawValue) }
            json.key("schema")
            json.string(ChangeList.schema)
        }
        json.newline()
        for change in changes {
            change.write(into: &json, withIdentity: true)
            json.newline()
        }
        return json.bytes
    }

    public static let schema = "aegix.changes/v1"

    /// nil: these bytes aren't what `encode` writes.
    public static func decode(_ bytes: Bytes) -> ChangeList? {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
        guard let head = lines.popFirst().flatMap({ parse(Bytes($0)) }), head["schema"]?.string == schema,
            let count = head["changes"]?.int, let bounds = head["cut"]?.array, lines.last?.isEmpty == true,
            lines.count == count + 1
        else { return nil }
        var list = ChangeList()
        list.changes.reserveCapacity(count)
        for bound in bounds {
            guard let known = bound.string.flatMap(Bound.init(rawValue:)) else { return nil }
            list.cut.insert(known)
        }
        for line in lines.dropLast() {
            guard let change = parse(Bytes(line)).flatMap(Change.init) else { return nil }
            list.changes.append(change)
        }
        return list
    }

    private static func parse(_ line: Bytes) -> JSON? {
        do throws(JSONError) { return try JSON.parse(line) } catch { return nil }
    }
}

extension Change {
    public func write(into json: inout JSONWriter, withIdentity: Bool) {
        json.object { json in
            json.key("after")
            json.optional(after) { $1.write(into: &$0, withIdentity: withIdentity) }
            json.key("before")
            json.optional(before) { $1.write(into: &$0, withIdentity: withIdentity) }
            json.key("flags")
            json.array(Flag.allCases.filter(flags.contains)) { $0.string($1.rawValue) }
            json.key("from")
            json.optional(from) { $0.string($1) }
            json.key("kind")
            json.string(kind.rawValue)
            json.key("link_of")
            json.optional(linkOf) { $0.string($1) }
            json.key("path")
            json.string(path)
        }
    }

    init?(_ json: JSON) {
        guard let path = json["path"]?.bytesValue, let kind = json["kind"]?.string.flatMap(Kind.init(rawValue:)),
            let flags = json["flags"]?.array
        else { return nil }
        self.init(path, kind, before: nil, after: nil)
        from = json["from"]?.bytesValue
        linkOf = json["link_of"]?.bytesValue
        for flag in flags {
            guard let known = flag.string.flatMap(Flag.init(rawValue:)) else { return nil }
            self.flags.insert(known)
        }
        for (name, place) in [("before", \Change.before), ("after", \Change.after)] {
            guard let value = json[name] else { return nil }
            if value == .null { continue }
            guard let entry = Entry(value) else { return nil }
            self[keyPath: place] = entry
        }
    }
}

extension Entry {
    func write(into json: inout JSONWriter, withIdentity: Bool) {
        json.object { json in
            json.key("attributes")
            json.optional(attributes) { $0.string($1) }
            if withIdentity {
                json.key("changed")
                json.string(String(identity.changed))
                json.key("device")
                json.big(identity.device)
                json.key("inode")
                json.big(identity.inode)
                json.key("links")
                json.big(identity.links)
            }
            json.key("mode")
            json.string("0" + String(mode, radix: 8))
            json.key("modified")
            json.string(String(modified))
            json.key("sha256")
            json.optional(digest) { $0.string($1) }
            json.key("size")
            json.size(size)
            json.key("target")
            json.optional(target) { $0.string($1) }
            json.key("type")
            json.string(kind.rawValue)
        }
    }

    init?(_ json: JSON) {
        func number<N: FixedWidthInteger>(_ name: String) -> N? { json[name]?.string.flatMap { N($0) } }
        guard let kind = json["type"]?.string.flatMap(Kind.init(rawValue:)), let size = json["size"]?.int, size >= 0,
            let mode = json["mode"]?.string.flatMap({ UInt32($0, radix: 8) }), mode <= 0o1777,
            let modified: Int64 = number("modified"), let changed: Int64 = number("changed"),
            let device: UInt64 = number("device"), let inode: UInt64 = number("inode"),
            let links: UInt64 = number("links")
        else { return nil }
        self.init(
            kind, mode: mode, size: UInt64(size), modified: modified, digest: json["sha256"]?.string,
            target: json["target"]?.bytesValue, attributes: json["attributes"]?.string,
            identity: Identity(device: device, inode: inode, changed: changed, links: links))
    }
}
