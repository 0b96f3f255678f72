// Side effects: opens and reads files of policy, never for writing.

import AegixSystem
import Glibc

/// A file of policy, read once: what was checked is what is used.
struct PolicyFile {
    /// As the user knows it, for errors.
    var name: String
    /// Without symlinks.
    var canonical: Bytes
    var bytes: Bytes
    var owner: uid_t
    var mode: mode_t

    static let limit = 1 << 20

    /// Nil when there is none. O_NONBLOCK, because a FIFO would hold the run for as long as nobody writes to it.
    static func read(_ path: Bytes, named name: String, flags: Int32 = 0) throws(Failure) -> PolicyFile? {
        if path.contains(0) { throw Failure("policy.missing", "a path of a policy holds a NUL") }
        let file: Descriptor
        do {
            file = try Descriptor.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | flags)
        } catch {
            if error.errno == ENOENT || error.errno == ENOTDIR { return nil }
            if error.errno == ELOOP, flags & O_NOFOLLOW != 0 {
                throw Failure(
                    "policy.unsafe", "\(name) is a symbolic link, and a policy found there must be a file of its own")
            }
            throw Failure("policy.unreadable", "can't read \(name)", error)
        }
        var status = stat()
        if fstat(file.raw, &status) != 0 {
            throw Failure("policy.unreadable", "can't read \(name)", .last("fstat", path))
        }
        if status.st_mode & S_IFMT != S_IFREG {
            throw Failure("policy.unsafe", "\(name) isn't a regular file, and a policy must be one")
        }
        if status.st_size > limit {
            throw Failure("policy.unsafe", "\(name) is longer than 1 MiB, the most that a policy may be")
        }
        let bytes: Bytes
        do { bytes = try file.readAll(limit: limit) } catch {
            throw Failure("policy.unreadable", "can't read \(name)", error)
        }
        return PolicyFile(
            name: name, canonical: resolve(path) ?? path, bytes: bytes, owner: status.st_uid, mode: status.st_mode)
    }

    /// A file that speaks for the user or the machine is nobody else's to write.
    func check(owners: Set<uid_t>, writableByGroup: Bool = false) throws(Failure) {
        try PolicyFile.check(name, owner: owner, mode: mode, owners: owners, writableByGroup: writableByGroup)
    }

    static func check(
        _ name: String, owner: uid_t, mode: mode_t, owners: Set<uid_t>, writableByGroup: Bool = false
    ) throws(Failure) {
        if !owners.contains(owner) {
            let wanted = owners == [0] ? "root" : "you or root"
            throw Failure(
                "policy.unsafe", "\(name) belongs to uid \(owner), and is only heeded when it belongs to \(wanted)")
        }
        if mode & (writableByGroup ? 0o002 : 0o022) != 0 {
            throw Failure(
                "policy.unsafe", "\(name) can be written by others, so anyone may have written it. `chmod go-w` it")
        }
    }

    /// The directory that holds such a file, when there is one.
    static func checkDirectory(_ path: Bytes, owners: Set<uid_t>) throws(Failure) {
        var status = stat()
        if path.withCString({ stat($0, &status) }) != 0 { return }
        try check(path.shown, owner: status.st_uid, mode: status.st_mode, owners: owners)
    }

    static func resolve(_ path: Bytes) -> Bytes? {
        guard let pointer = path.withCString({ realpath($0, nil) }) else { return nil }
        defer { free(pointer) }
        return Bytes(UnsafeRawBufferPointer(start: pointer, count: strlen(pointer)))
    }
}
