// Side effects: reads HEAD and the refs of a repository. A command may have written them.

import AegixSystem
import Glibc

/// What a work tree is on.
struct GitHead: Equatable {
    /// `refs/heads/main`; nil: HEAD holds a commit itself.
    private(set) var branch: Bytes?
    /// nil: nothing was ever committed.
    private(set) var commit: GitID?

    /// What there is instead of a branch that can be committed to.
    enum Defect: Error {
        case unreadable(SystemError)
        case neither
        /// One branch lies in the other's place, as a file in that of a directory.
        case beside(Bytes)
    }

    init(_ own: Tree, _ common: Tree, _ format: GitFormat) throws(Defect) {
        guard let text = try GitHead.line(Bytes("HEAD"), in: own) else { throw .neither }
        commit = format.parse(text)
        if commit != nil { return }
        guard text.starts(with: Bytes("ref: ")) else { throw .neither }
        let name = Bytes(text.dropFirst(5).drop { $0 == 0x20 })
        guard name.starts(with: GitHead.branches), GitHead.isName(name) else { throw .neither }
        branch = name
        let packed = try GitHead.packed(common)
        commit = try GitHead.value(of: name, common, packed, format)
        // Of a branch that is there only its directory may be in the way, of one that isn't all others.
        let isBorn = commit != nil
        if let other = try GitHead.conflict(with: name, common, isBorn ? [:] : packed) { throw .beside(other) }
    }

    private static let branches = Bytes("refs/heads/")

    /// git's own rules, of `git check-ref-format`.
    static func isName(_ name: Bytes) -> Bool {
        let (dot, at, brace) = (UInt8(ascii: "."), UInt8(ascii: "@"), UInt8(ascii: "{"))
        let parts = name.split(separator: Path.slash, omittingEmptySubsequences: false)
        let isOfParts = parts.allSatisfy { part in
            !part.isEmpty && part.first != dot && !part.suffix(5).elementsEqual(Bytes(".lock"))
        }
        let isPlain = name.allSatisfy { $0 > 0x20 && $0 != 0x7F && !forbidden.contains($0) }
        let isPaired = zip(name, name.dropFirst()).contains { $0 == dot && $1 == dot || $0 == at && $1 == brace }
        return isOfParts && isPlain && !isPaired && name.last != dot && parts.count > 1
    }

    private static let forbidden = Set(Bytes("~^:?*[\\"))

    // MARK: - Refs

    private static func value(
        of branch: Bytes, _ common: Tree, _ packed: [Bytes: Bytes], _ format: GitFormat
    ) throws(Defect) -> GitID? {
        var text = packed[branch]
        if let facts = try reading({ () throws(SystemError) in try common.facts(branch) }), !facts.isDirectory {
            guard facts.isFile else { throw .neither }
            text = try line(branch, in: common)
        }
        guard let text else { return nil }
        guard let id = format.parse(text) else { throw .neither }
        return id
    }

    /// Another branch that has to be gone before this one can be made: above it, or in the directory of its name.
    private static func conflict(
        with branch: Bytes, _ common: Tree, _ packed: [Bytes: Bytes]
    ) throws(Defect) -> Bytes? {
        var above = Path.relativeParent(branch)
        while above.count > branches.count {
            let facts = try reading { () throws(SystemError) in try common.facts(above) }
            if packed[above] != nil || facts.map({ !$0.isDirectory }) ?? false { return above }
            above = Path.relativeParent(above)
        }
        let below = branch + [Path.slash]
        if let other = packed.keys.first(where: { $0.starts(with: below) }) { return other }
        return try reading { () throws(SystemError) in
            guard try common.facts(branch)?.isDirectory ?? false else { return nil }
            return try common.directory(branch).firstFile(depth: 0).map { below + $0 }
        }
    }

    private static func packed(_ common: Tree) throws(Defect) -> [Bytes: Bytes] {
        let text = try reading { () throws(SystemError) in
            try GitRepository.text("packed-refs", in: common, limit: 64 << 20)
        }
        var found: [Bytes: Bytes] = [:]
        for line in (text ?? []).split(separator: 0x0A) {
            guard line.first != UInt8(ascii: "#"), line.first != UInt8(ascii: "^") else { continue }
            let parts = line.split(separator: 0x20, maxSplits: 1)
            if parts.count == 2, parts[1].starts(with: branches) { found[Bytes(parts[1])] = Bytes(parts[0]) }
        }
        return found
    }

    private static func line(_ path: Bytes, in tree: Tree) throws(Defect) -> Bytes? {
        try reading { () throws(SystemError) in try GitRepository.line(path, in: tree) }
    }

    private static func reading<Value>(_ read: () throws(SystemError) -> Value) throws(Defect) -> Value {
        do throws(SystemError) { return try read() } catch { throw .unreadable(error) }
    }
}

extension Tree {
    /// Directories are left by refs that are gone; git removes them as it needs the name.
    fileprivate func firstFile(depth: Int) throws(SystemError) -> Bytes? {
        for entry in try entries() {
            guard depth < 64, try facts(name: entry.name)?.isDirectory ?? true else { return entry.name }
            if let file = try directory(entry.name).firstFile(depth: depth + 1) {
                return Path.join(entry.name, file)
            }
        }
        return nil
    }

    /// Takes a directory away that holds nothing but such; with a file in it, ENOTEMPTY.
    func removeEmpty(_ name: Bytes, depth: Int = 0) throws(SystemError) {
        let inner = try directory(name)
        if depth < 64 {
            for entry in try inner.entries() where try inner.facts(name: entry.name)?.isDirectory ?? false {
                try inner.removeEmpty(entry.name, depth: depth + 1)
            }
        }
        if name.withCString({ unlinkat(raw, $0, AT_REMOVEDIR) }) < 0 { throw SystemError.last("rmdir", name) }
    }
}
