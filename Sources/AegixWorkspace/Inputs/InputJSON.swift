// Pure. Inputs as canonical JSON, and back. What is read may come from anywhere: nothing in it is believed that `encode` wouldn't have written.

import AegixSystem

extension InputList {
    public static let schema = "aegix.inputs/v1"
    /// No list within the bounds is longer.
    public static let longest = 256 << 20

    /// `inputs.jsonl`: a first line with its length and the bounds that were met, then a line a path.
    public func encode() -> Bytes {
        var json = JSONWriter(capacity: 256 + inputs.count * 256)
        json.object { json in
            json.key("cut")
            json.array(Bound.allCases.filter(cut.contains)) { $0.string($1.rawValue) }
            json.key("inputs")
            json.int(inputs.count)
            json.key("mode")
            json.string(mode.rawValue)
            json.key("schema")
            json.string(InputList.schema)
        }
        json.newline()
        for input in inputs {
            input.write(into: &json, isListed: true)
            json.newline()
        }
        return json.bytes
    }

    /// nil: these bytes aren't what `encode` writes, or name what no workspace has.
    public static func decode(_ bytes: Bytes, _ bounds: InputBounds = InputBounds()) -> InputList? {
        if bytes.count > longest || bytes.last != UInt8(ascii: "\n") { return nil }
        var list: InputList?
        var (count, names) = (0, 0)
        var directories: Set<Bytes> = []
        var start = bytes.startIndex
        while start < bytes.endIndex {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.endIndex
            guard let line = parse(Bytes(bytes[start..<end])) else { return nil }
            start = end + 1
            guard list != nil else {
                guard let head = InputList(head: line), let told = line["inputs"]?.int,
                    (0...bounds.count).contains(told)
                else { return nil }
                (list, count) = (head, told)
                continue
            }
            guard let input = Input(line), list?.inputs.count ?? count < count,
                list?.inputs.last.map({ $0.path.lexicographicallyPrecedes(input.path) }) ?? true,
                input.path.isEmpty ? input.kind == .directory : directories.contains(Path.relativeParent(input.path))
            else { return nil }
            names += input.path.count
            if names > bounds.names { return nil }
            if input.kind == .directory { directories.insert(input.path) }
            list?.inputs.append(input)
        }
        // No byte of it is free.
        return list?.inputs.count == count && list?.encode() == bytes ? list : nil
    }

    private init?(head: JSON) {
        guard head["schema"]?.string == InputList.schema, let mode = head["mode"]?.string.flatMap(Mode.init),
            let cut = head["cut"]?.array
        else { return nil }
        self.init(mode)
        for bound in cut {
            guard let known = bound.string.flatMap(Bound.init) else { return nil }
            self.cut.insert(known)
        }
    }

    private static func parse(_ line: Bytes) -> JSON? {
        do throws(JSONError) { return try JSON.parse(line, maxDepth: 4) } catch { return nil }
    }
}

extension Input {
    /// - isListed: a line of inputs.jsonl; else a member of the record's array.
    public func write(into json: inout JSONWriter, isListed: Bool) {
        json.object { json in
            json.key("kept")
            json.bool(isKept)
            json.key("kind")
            json.string(kind.rawValue)
            if isListed {
                json.key("mode")
                json.string("0" + String(mode, radix: 8))
                json.key("modified")
                json.string(String(modified))
            }
            json.key("path")
            json.string(path)
            json.key("reason")
            json.optional(reason) { $0.string($1.rawValue) }
            json.key("sha256")
            json.optional(digest) { $0.string($1) }
            json.key("size")
            json.size(size)
            if isListed {
                json.key("target")
                json.optional(target) { $0.string($1) }
            }
            json.key("use")
            json.array(Use.allCases.filter(uses.contains)) { $0.string($1.rawValue) }
        }
    }

    fileprivate init?(_ json: JSON) {
        guard let path = json["path"]?.bytesValue, Input.isName(path),
            let kind = json["kind"]?.string.flatMap(Kind.init),
            let mode = json["mode"]?.string.flatMap({ UInt32($0, radix: 8) }), mode <= 0o1777,
            let modified = json["modified"]?.string.flatMap({ Int64($0) }), let size = json["size"]?.int, size >= 0,
            let isKept = json["kept"]?.bool, let use = json["use"]?.array, use.count <= Use.allCases.count
        else { return nil }
        self.init(path, kind)
        (self.mode, self.modified, self.size, self.isKept) = (mode, modified, UInt64(size), isKept)
        for word in use {
            guard let known = word.string.flatMap(Use.init) else { return nil }
            uses.insert(known)
        }
        if let told = json["reason"], told != .null {
            guard let known = told.string.flatMap(Reason.init) else { return nil }
            reason = known
        }
        if let told = json["sha256"], told != .null {
            guard kind == .file, let text = told.string, InputList.isDigest(text) else { return nil }
            digest = text
        }
        if let told = json["target"], told != .null {
            guard kind == .symlink, let text = told.bytesValue, (1...4095).contains(text.count), !text.contains(0)
            else {
                return nil
            }
            target = text
        }
        if isKept, digest == nil { return nil }
        if kind != .file, size != 0 { return nil }
    }

    /// Relative, and no way out: `.` and `..` are no names of a workspace's.
    private static func isName(_ path: Bytes) -> Bool {
        if path.isEmpty { return true }
        if path.contains(0) { return false }
        let names = path.split(separator: Path.slash, omittingEmptySubsequences: false)
        return names.count <= 256
            && names.allSatisfy { name in
                (1...255).contains(name.count) && name != [0x2E] && name != [0x2E, 0x2E]
            }
    }
}

extension InputList {
    static func isDigest(_ text: String) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
