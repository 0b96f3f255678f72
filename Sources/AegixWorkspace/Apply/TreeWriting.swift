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
}
