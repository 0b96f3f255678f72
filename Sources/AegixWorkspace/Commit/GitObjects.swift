// Side effects: reads and writes a repository's objects. No git is run: what its configuration names is never looked at.

import AegixSystem
import CAegix
import Glibc

/// SHA-1 or SHA-256, as the repository was made.
enum GitFormat: Sendable {
    case sha1, sha256

    /// Of an id, in bytes.
    var length: Int { self == .sha1 ? 20 : 32 }

    func id(_ kind: GitObject.Kind, _ body: Bytes) -> GitID {
        let head = GitObject.head(kind, body.count)
        return GitID(hex: self == .sha1 ? SHA1.hex(head, body) : SHA256.hex(head + body))
    }

    func checksum(_ bytes: Bytes) -> Bytes {
        Hex.decode((self == .sha1 ? SHA1.hex([], bytes) : SHA256.hex(bytes)).utf8) ?? []
    }

    /// As it stands in a file; nil: it isn't one.
    func parse(_ text: some Collection<UInt8>) -> GitID? {
        guard text.count == length * 2, Hex.decode(text) != nil else { return nil }
        return GitID(hex: String(decoding: text, as: UTF8.self))
    }

    func parse(raw: ArraySlice<UInt8>) -> GitID? {
        raw.count == length ? GitID(hex: Hex.encode(Bytes(raw))) : nil
    }
}

struct GitID: Hashable, Sendable {
    let hex: String
    var raw: Bytes { Hex.decode(hex.utf8) ?? [] }
}

struct GitObject: Sendable {
    enum Kind: String, Sendable {
        case commit, tree, blob, tag
    }

    var kind: Kind
    var body: Bytes

    static func head(_ kind: Kind, _ count: Int) -> Bytes { Bytes("\(kind.rawValue) \(count)") + [0] }

    /// What one object may come to in memory.
    static let longest = 512 << 20
}

final class GitObjects {
    let format: GitFormat
    private let tree: Tree
    private let owner: (uid: uid_t, gid: gid_t)?
    private var packs: [GitPack]?

    /// - tree: `objects`.
    /// - owner: whose files made here are to be; nil: the caller's.
    init(_ tree: Tree, _ format: GitFormat, owner: (uid: uid_t, gid: gid_t)?) {
        (self.tree, self.format, self.owner) = (tree, format, owner)
    }

    func read(_ id: GitID, _ kind: GitObject.Kind) throws(SystemError) -> Bytes {
        guard let object = try find(id) else { throw SystemError("read", Bytes(id.hex), errno: ENOENT) }
        guard object.kind == kind, format.id(kind, object.body) == id else {
            throw SystemError("read", Bytes(id.hex), errno: EUCLEAN)
        }
        return object.body
    }

    private func find(_ id: GitID) throws(SystemError) -> GitObject? {
        if let loose = try loose(id) { return loose }
        for pack in try allPacks() {
            if let offset = try pack.offset(of: id) { return try GitObjects.unpacked(pack, at: offset) }
        }
        return nil
    }

    /// Down the chain of deltas to what is whole, and up again: of the deltas only one is in memory at a time. A chain never
    /// leaves its pack, as for git.
    private static func unpacked(_ pack: GitPack, at place: UInt64) throws(SystemError) -> GitObject {
        var budget = GitBudget()
        var deltas: [GitPack.Packed] = []
        var at = place
        var base: GitObject?
        while base == nil {
            try budget.visit(at)
            switch try pack.entry(at: at) {
            case .whole(let kind, let packed):
                try budget.inflate(packed.size)
                base = GitObject(kind: kind, body: try pack.inflated(packed))
            case .delta(let of, let packed):
                try budget.inflate(packed.size)
                deltas.append(packed)
                switch of {
                case .at(let next): at = next
                case .named(let id):
                    guard let next = try pack.offset(of: id) else { throw GitPack.damaged }
                    at = next
                }
            }
        }
        guard var object = base else { throw GitPack.damaged }
        for packed in deltas.reversed() {
            let delta = try GitDelta(try pack.inflated(packed))
            try budget.make(delta.to)
            object.body = try delta.applied(to: object.body)
        }
        return object
    }

    /// Whether git finds just this under its id. Git looks into packs first and checks nothing, so one that lies is refused: what
    /// is written loose wouldn't be seen.
    private func holds(_ id: GitID, _ kind: GitObject.Kind, _ body: Bytes) throws(SystemError) -> Bool {
        var isPacked = false
        for pack in try allPacks() {
            guard let offset = try pack.offset(of: id) else { continue }
            let object = try GitObjects.unpacked(pack, at: offset)
            guard object.kind == kind, object.body == body else {
                throw SystemError("read", Bytes(id.hex), errno: EUCLEAN)
            }
            isPacked = true
        }
        guard let facts = try tree.facts(GitObjects.place(id)) else { return isPacked }
        guard facts.isFile else { throw SystemError("replace", GitObjects.place(id), errno: EINVAL) }
        do throws(SystemError) {
            let object = try loose(id, limit: body.count)
            return object?.kind == kind && object?.body == body
        } catch {
            // Not an object, or a longer one: it is replaced.
            if [EUCLEAN, EFBIG].contains(error.errno) { return false }
            throw error
        }
    }

    private static func place(_ id: GitID) -> Bytes { Bytes("\(id.hex.prefix(2))/\(id.hex.dropFirst(2))") }

    private func loose(_ id: GitID, limit: Int = GitObject.longest) throws(SystemError) -> GitObject? {
        let place = GitObjects.place(id)
        guard let facts = try tree.facts(place), facts.isFile else { return nil }
        // Deflated it is hardly longer than by itself.
        var packed = try tree.file(place).readAll(limit: limit + limit >> 8 + 4096)
        var all = try Inflation.run(limit: limit + 64) { () throws(SystemError) in
            defer { packed = [] }
            return packed
        }
        guard let end = all.firstIndex(of: 0), let space = all[..<end].firstIndex(of: 0x20),
            let kind = Bytes(all[..<space]).text.flatMap(GitObject.Kind.init),
            Bytes(all[(space + 1)..<end]).text.flatMap({ Int($0) }) == all.count - end - 1
        else { throw SystemError("read", place, errno: EUCLEAN) }
        all.removeSubrange(...end)
        return GitObject(kind: kind, body: all)
    }

    private func allPacks() throws(SystemError) -> [GitPack] {
        if let packs { return packs }
        var found: [GitPack] = []
        if try tree.facts(Bytes("pack")) != nil {
            let directory = try tree.directory(Bytes("pack"))
            for entry in try directory.entries() {
                guard entry.name.count > 4, entry.name.suffix(4).elementsEqual(Bytes(".idx")) else { continue }
                found.append(try GitPack(Bytes(entry.name.dropLast(4)), in: directory, format))
            }
        }
        packs = found
        return found
    }

    /// A loose object, put in place under its own name by a rename. What somebody planted under that name gives way.
    @discardableResult
    func write(_ kind: GitObject.Kind, _ body: Bytes) throws(SystemError) -> GitID {
        let id = format.id(kind, body)
        if try holds(id, kind, body) { return id }
        let directory = Bytes(String(id.hex.prefix(2)))
        if try tree.facts(name: directory) == nil {
            let made = directory.withCString { aegix_mkdirat(tree.raw, $0, 0o777) }
            if made < 0, errno != EEXIST { throw SystemError.last("mkdir", directory) }
            try give(try tree.place(directory))
        }
        let above = try tree.directory(directory)
        let temporary = Bytes("tmp_obj_\(try RunID.make())")
        do throws(SystemError) {
            let file = try above.create(temporary)
            try file.writeAll(GitText.deflated(GitObject.head(kind, body.count) + body))
            if fchmod(file.raw, 0o444) < 0 { throw SystemError.last("chmod", temporary) }
            try give(file)
            if fsync(file.raw) < 0 { throw SystemError.last("fsync", temporary) }
            try above.replace(Bytes(String(id.hex.dropFirst(2))), by: temporary)
        } catch {
            _ = temporary.withCString { unlinkat(above.raw, $0, 0) }
            throw error
        }
        return id
    }

    private func give(_ file: borrowing Descriptor) throws(SystemError) {
        guard let owner else { return }
        if aegix_change_owner(file.raw, owner.uid, owner.gid) < 0 { throw SystemError.last("chown") }
    }
}

extension Tree {
    /// Whatever has the name gives way at once.
    func replace(_ name: Bytes, by new: Bytes) throws(SystemError) {
        let done = new.withCString { new in name.withCString { renameat(raw, new, raw, $0) } }
        if done < 0 { throw SystemError.last("rename", name) }
    }
}
