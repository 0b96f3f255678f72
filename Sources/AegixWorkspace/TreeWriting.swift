// Side effects: changes names right in an open directory. Nothing is followed and nothing is overwritten.

import AegixSystem
import CAegix
import Glibc

extension Tree {
    /// Private until its mode is set.
    func makeDirectory(_ name: Bytes) throws(SystemError) {
        if name.withCString({ aegix_mkdirat(raw, $0, 0o700) }) < 0 { throw SystemError.last("mkdir", name) }
    }

    /// A new, empty file, private until its mode is set.
    func create(_ name: Bytes) throws(SystemError) -> Descriptor {
        try Descriptor.open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: raw)
    }

    func makeLink(to target: Bytes, _ name: Bytes) throws(SystemError) {
        let made = target.withCString { target in name.withCString { aegix_symlinkat(target, raw, $0) } }
        if made < 0 { throw SystemError.last("symlink", name) }
    }

    /// Another name of a file.
    func link(_ name: Bytes, to other: Tree, _ place: Bytes) throws(SystemError) {
        let made = name.withCString { name in place.withCString { aegix_linkat(raw, name, other.raw, $0) } }
        if made < 0 { throw SystemError.last("link", place) }
    }

    func move(_ name: Bytes, to other: Tree, _ place: Bytes) throws(SystemError) {
        let moved = name.withCString { name in place.withCString { aegix_move(raw, name, other.raw, $0) } }
        if moved < 0 { throw SystemError.last("rename", name) }
    }

    func exchange(_ name: Bytes, with other: Tree, _ place: Bytes) throws(SystemError) {
        let done = name.withCString { name in place.withCString { aegix_exchange(raw, name, other.raw, $0) } }
        if done < 0 { throw SystemError.last("exchange", name) }
    }

    func unlink(_ name: Bytes) throws(SystemError) {
        if name.withCString({ aegix_unlinkat(raw, $0, 0) }) < 0 { throw SystemError.last("unlink", name) }
    }

    func removeDirectory(_ name: Bytes) throws(SystemError) {
        if name.withCString({ aegix_unlinkat(raw, $0, AT_REMOVEDIR) }) < 0 { throw SystemError.last("rmdir", name) }
    }

    /// Removes what lies here under `name`, with all that is in it, whatever its depth and modes; a name that isn't there
    /// is as good as removed. What lies too deep for a descriptor a level is hoisted to the top of what is removed, so that
    /// it can be done again after a kill.
    public func removeAll(_ name: Bytes) throws(SystemError) {
        guard let facts = try facts(name: name) else { return }
        if !facts.isDirectory { return try unlink(name) }
        if try removeEmpty(name) { return }
        try openUp(name, facts)
        let top = try directory(name)
        while true {
            let entries = try top.entries()
            if entries.isEmpty { break }
            for entry in entries { try remove(entry.name, from: top, depth: 0, top: top) }
        }
        try removeDirectory(name)
    }

    private func remove(_ name: Bytes, from tree: Tree, depth: Int, top: Tree) throws(SystemError) {
        guard let facts = try tree.facts(name: name) else { return }
        if !facts.isDirectory { return try tree.unlink(name) }
        if try tree.removeEmpty(name) { return }
        try tree.openUp(name, facts)
        if depth > 100 { return try tree.hoist(name, to: top) }
        let inner = try tree.directory(name)
        for entry in try inner.entries() { try remove(entry.name, from: inner, depth: depth + 1, top: top) }
        try tree.removeDirectory(name)
    }

    private func removeEmpty(_ name: Bytes) throws(SystemError) -> Bool {
        if name.withCString({ aegix_unlinkat(raw, $0, AT_REMOVEDIR) }) == 0 { return true }
        if errno == ENOTEMPTY || errno == EEXIST { return false }
        throw SystemError.last("rmdir", name)
    }

    /// By a descriptor of its own, since fchmodat follows links.
    private func openUp(_ name: Bytes, _ facts: FileFacts) throws(SystemError) {
        if facts.permissions & 0o700 == 0o700 || geteuid() == 0 { return }
        let place = try place(name)
        if aegix_change_mode(place.raw, 0o700) < 0 { throw SystemError.last("chmod", name) }
    }

    private func hoist(_ name: Bytes, to top: Tree) throws(SystemError) {
        for number in 1... {
            do throws(SystemError) {
                return try move(name, to: top, Bytes("hoisted-\(number)"))
            } catch {
                if error.errno != EEXIST { throw error }
            }
        }
    }
}
