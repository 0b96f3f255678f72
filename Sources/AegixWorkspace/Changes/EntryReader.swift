// Side effects: reads files beneath a Tree.

import AegixSystem
import CAegix
import Glibc

/// Makes an Entry of what lies in a directory, with its digest, within bounds that all entries share.
final class EntryReader {
    private let bounds: ListingBounds
    private let deadline: UInt64
    private var left: UInt64
    private(set) var cut: Set<ChangeList.Bound> = []

    init(_ bounds: ListingBounds) {
        self.bounds = bounds
        left = bounds.bytes
        deadline = Clock.monotonic() + bounds.time
    }

    func note(_ bound: ChangeList.Bound) { cut.insert(bound) }

    /// - own: the tree is ours: a file that its mode closes to us is opened up for the moment.
    func entry(_ name: Bytes, in tree: Tree, _ facts: FileFacts, own: Bool) throws(SystemError) -> Entry {
        var entry = Entry(facts)
        switch entry.kind {
        case .file:
            if Clock.monotonic() > deadline { note(.time) }
            // One that is larger than all that may be read is left out for itself; the list is whole.
            if facts.size > left, facts.size <= bounds.bytes { note(.bytes) }
            if cut.contains(.time) || facts.size > left { return entry }
            left -= facts.size
            let file: Descriptor
            do throws(SystemError) {
                file = try EntryReader.open(name, in: tree, facts, own: own)
            } catch {
                if error.errno == EACCES, !own { return entry }
                throw error
            }
            var search = bounds.secrets.map { SecretSearch($0) }
            entry.digest = try file.digest { search?.feed($0) }.digest
            entry.holdsSecret = search?.found == true
            entry.attributes = try Attributes.digest(of: file)
        case .symlink: entry.target = try tree.link(name)
        case .directory:
            if let attributes = try directoryAttributes(name, in: tree) { entry.attributes = attributes }
        default: break
        }
        return entry
    }

    /// A regular file for reading, one of our own also where its mode closes it to us.
    static func open(
        _ name: Bytes, in tree: Tree, _ facts: FileFacts, own: Bool
    ) throws(SystemError) -> Descriptor {
        do throws(SystemError) {
            return try tree.file(name)
        } catch {
            guard error.errno == EACCES, own else { throw error }
        }
        let opened = facts.permissions | 0o400
        if name.withCString({ fchmodat(tree.raw, $0, opened, 0) }) < 0 { throw SystemError.last("chmod", name) }
        let file = try tree.file(name)
        if fchmod(file.raw, facts.permissions) < 0 { throw SystemError.last("chmod", name) }
        return file
    }

    private func directoryAttributes(_ name: Bytes, in tree: Tree) throws(SystemError) -> String? {
        do throws(SystemError) {
            return try Attributes.digest(of: try tree.directory(name).descriptor)
        } catch {
            if error.errno == EACCES || error.errno == EXDEV { return nil }
            throw error
        }
    }
}

/// The user's own extended attributes: `user.*` without overlayfs's.
public enum Attributes {
    /// In the order of their names. None where the file system has no such thing.
    public static func read(_ file: borrowing Descriptor) throws(SystemError) -> [(name: Bytes, value: Bytes)] {
        var room = Bytes(repeating: 0, count: 1024)
        var length = list(file.raw, &room)
        if length < 0, errno == ERANGE {
            room = Bytes(repeating: 0, count: 1 << 16)
            length = list(file.raw, &room)
        }
        if length < 0 {
            if errno == EOPNOTSUPP || errno == EACCES { return [] }
            throw SystemError.last("listxattr")
        }
        if length == 0 { return [] }
        var found: [(name: Bytes, value: Bytes)] = []
        for name in room[..<length].split(separator: 0).map(Bytes.init) where isOwn(name) {
            var value = Bytes(repeating: 0, count: 1 << 16)
            let count = get(name, of: file.raw, &value)
            if count < 0 { throw SystemError.last("getxattr", name) }
            found.append((name, Bytes(value[..<count])))
        }
        return found.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    /// The user's own, onto a file that has none of them.
    static func copy(_ from: borrowing Descriptor, to: borrowing Descriptor) throws(SystemError) {
        for (name, value) in try read(from) {
            let rc = name.withCString { name in
                value.withUnsafeBytes {
                    aegix_set_attribute(to.raw, name, $0.baseAddress ?? UnsafeRawPointer(name), $0.count, 0)
                }
            }
            // A file system without them holds the content all the same.
            if rc < 0, errno != EOPNOTSUPP { throw SystemError.last("setxattr", name) }
        }
    }

    static func digest(of file: borrowing Descriptor) throws(SystemError) -> String? {
        let all = try read(file)
        if all.isEmpty { return nil }
        var running = SHA256()
        for (name, value) in all {
            running.update(name + [0])
            var length = Bytes()
            length.append(decimal: UInt64(value.count))
            running.update(length + [0])
            running.update(value)
        }
        return running.finish()
    }

    /// One of overlayfs's own, such as `opaque`; nil: it isn't there.
    static func overlay(_ name: String, of file: borrowing Descriptor, _ style: Layer.Style) throws(SystemError)
        -> Bytes?
    {
        var value = Bytes(repeating: 0, count: 4096)
        let full = Bytes(style.prefix + name)
        let count = get(full, of: file.raw, &value)
        if count >= 0 { return Bytes(value[..<count]) }
        if errno == ENODATA || errno == EOPNOTSUPP { return nil }
        throw SystemError.last("getxattr", full)
    }

    private static func list(_ file: Int32, _ room: inout Bytes) -> Int {
        room.withUnsafeMutableBytes { names in
            guard let base = names.baseAddress else { return 0 }
            return aegix_list_attributes(file, base.assumingMemoryBound(to: CChar.self), names.count)
        }
    }

    private static func get(_ name: Bytes, of file: Int32, _ value: inout Bytes) -> Int {
        name.withCString { name in
            value.withUnsafeMutableBytes { room in
                guard let base = room.baseAddress else { return 0 }
                return aegix_get_attribute(file, name, base, room.count)
            }
        }
    }

    private static func isOwn(_ name: Bytes) -> Bool {
        name.starts(with: Bytes("user.")) && !name.starts(with: Bytes("user.overlay."))
    }
}
