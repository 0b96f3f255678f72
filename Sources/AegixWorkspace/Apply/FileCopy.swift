// Side effects: copies files by descriptor.

import AegixSystem
import CAegix
import Glibc

/// Copies content faithfully, holes and all, and says what it copied.
final class FileCopy {
    private var buffer = Bytes(repeating: 0, count: 256 << 10)

    /// The SHA-256 of what is in `target` afterwards, which is new and empty. A small file goes through memory once; a
    /// larger or sparse one is cloned or copied by the kernel and read back, since what counts is what arrived.
    func content(of source: borrowing Descriptor, _ facts: FileFacts, to target: borrowing Descriptor)
        throws(SystemError) -> String
    {
        let isSparse = facts.bytes + 4096 < facts.size
        if facts.size <= UInt64(buffer.count) / 2, !isSparse {
            var running = SHA256()
            while true {
                let count = try fill(source)
                if count == 0 { return running.finish() }
                buffer.withUnsafeBytes { running.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
                try write(target, count)
            }
        }
        if aegix_clone_file(source.raw, target.raw) < 0, aegix_copy_data(source.raw, target.raw, .max) < 0 {
            throw SystemError.last("copy")
        }
        return try target.digest().digest
    }

    private func fill(_ file: borrowing Descriptor) throws(SystemError) -> Int {
        while true {
            let count = read(file.raw, &buffer, buffer.count)
            if count >= 0 { return count }
            if errno != EINTR { throw SystemError.last("read") }
        }
    }

    private func write(_ file: borrowing Descriptor, _ length: Int) throws(SystemError) {
        var done = 0
        while done < length {
            let count = buffer.withUnsafeBytes {
                Glibc.write(file.raw, $0.baseAddress?.advanced(by: done), length - done)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError.last("write")
            }
            done += count
        }
    }
}

/// Copies a whole tree to another file system, as it is: pre-images on their way out of a workspace and back. Names of
/// one file within what is copied stay names of one file.
final class TreeDuplicate {
    private let copier = FileCopy()
    private var links: [Entry.Identity: (tree: Tree, name: Bytes)] = [:]

    func copy(_ name: Bytes, in source: Tree, to target: Tree, _ place: Bytes, depth: Int = 0) throws(SystemError) {
        guard let facts = try source.facts(name: name) else { throw SystemError("stat", name, errno: ENOENT) }
        if depth > 400 { throw SystemError("copy", name, errno: ELOOP) }
        let kind = Entry.Kind(facts.type)
        switch kind {
        case .symlink: try target.makeLink(to: try source.link(name), place)
        case .directory:
            try target.makeDirectory(place)
            let (from, to) = (try source.directory(name), try target.directory(place))
            for entry in try from.entries() {
                try copy(entry.name, in: from, to: to, entry.name, depth: depth + 1)
            }
        case .file:
            if facts.links > 1 {
                var identity = Entry(facts).identity
                identity.changed = 0
                if let first = links[identity] { return try first.tree.link(first.name, to: target, place) }
                links[identity] = (target, place)
            }
            let from = try source.file(name)
            let to = try target.create(place)
            _ = try copier.content(of: from, facts, to: to)
        default:
            if place.withCString({ aegix_make_node(target.raw, $0, facts.mode, dev_t(facts.represents)) }) < 0 {
                throw SystemError.last("mknod", place)
            }
        }
        let made = try target.place(place)
        if geteuid() == 0, aegix_change_owner(made.raw, facts.owner, facts.group) < 0 {
            throw SystemError.last("chown", place)
        }
        if kind == .symlink { return try FileAttributes.stamp(made, facts.modified) }
        var attributes = try FileAttributes(of: try source.place(name), facts)
        attributes.modified = facts.modified
        try attributes.set(on: made)
    }
}
