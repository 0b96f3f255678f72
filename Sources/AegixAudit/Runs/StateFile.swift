// Side effects: files beneath a directory descriptor. Names are ours (ASCII), never a stranger's path.

import AegixSystem
import CAegix
import Glibc

/// Files of the state directory: 0600, never through a link, close-on-exec.
enum StateFile {
    /// A new file; one that is there already is an error.
    static func create(_ name: String, in directory: borrowing Descriptor, append: Bool = false) throws(SystemError)
        -> Descriptor
    {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | (append ? O_APPEND : 0)
        return try open(name, in: directory, flags)
    }

    static func write(_ bytes: Bytes, to name: String, in directory: borrowing Descriptor) throws(SystemError) {
        try create(name, in: directory).writeAll(bytes)
    }

    /// Puts the bytes in place of whatever has that name, at once.
    static func replace(_ bytes: Bytes, at name: String, in directory: borrowing Descriptor) throws(SystemError) {
        let temporary = name + ".new"
        try remove(temporary, in: directory)
        try write(bytes, to: temporary, in: directory)
        if aegix_renameat(directory.raw, temporary, name) < 0 { throw SystemError.last("rename", Bytes(name)) }
    }

    static func open(_ name: String, in directory: borrowing Descriptor, _ flags: Int32) throws(SystemError)
        -> Descriptor
    {
        let number = aegix_openat(directory.raw, name, flags | O_CLOEXEC | O_NOFOLLOW, 0o600)
        if number < 0 { throw SystemError.last("open", Bytes(name)) }
        return Descriptor(owning: number)
    }

    static func openDirectory(_ name: String, in directory: borrowing Descriptor) throws(SystemError) -> Descriptor {
        try open(name, in: directory, O_RDONLY | O_DIRECTORY)
    }

    /// Non-blocking, so that a FIFO under that name can't hold us up; anything but a regular file is refused.
    static func openRegular(_ name: String, in directory: borrowing Descriptor) throws(SystemError) -> Descriptor {
        let file = try open(name, in: directory, O_RDONLY | O_NONBLOCK)
        if try facts(file).mode & S_IFMT != S_IFREG { throw SystemError("open", Bytes(name), errno: EINVAL) }
        return file
    }

    static func read(_ name: String, in directory: borrowing Descriptor, limit: Int) throws(SystemError) -> Bytes {
        try openRegular(name, in: directory).readAll(limit: limit)
    }

    /// A second name for a file.
    static func link(
        _ name: String, in from: borrowing Descriptor, to other: String, in directory: borrowing Descriptor
    ) throws(SystemError) {
        if aegix_linkat(from.raw, name, directory.raw, other) < 0 { throw SystemError.last("link", Bytes(other)) }
    }

    /// A name that isn't there is as good as removed.
    static func remove(_ name: String, in directory: borrowing Descriptor) throws(SystemError) {
        if aegix_unlinkat(directory.raw, name, 0) < 0, errno != ENOENT { throw SystemError.last("unlink", Bytes(name)) }
    }

    static func makeDirectory(_ name: String, in directory: borrowing Descriptor) throws(SystemError) {
        if aegix_mkdirat(directory.raw, name, 0o700) < 0 { throw SystemError.last("mkdir", Bytes(name)) }
    }

    static func facts(_ file: borrowing Descriptor) throws(SystemError) -> aegix_file_facts {
        var facts = aegix_file_facts()
        if aegix_fstat(file.raw, &facts) < 0 { throw SystemError.last("fstat") }
        return facts
    }

    /// Without following a link; nil where nothing has that name.
    static func facts(of name: String, in directory: borrowing Descriptor) throws(SystemError) -> aegix_file_facts? {
        var facts = aegix_file_facts()
        if aegix_fstatat(directory.raw, name, &facts) == 0 { return facts }
        if errno == ENOENT { return nil }
        throw SystemError.last("fstatat", Bytes(name))
    }

    static func sync(_ file: borrowing Descriptor) throws(SystemError) {
        if fsync(file.raw) < 0 { throw SystemError.last("fsync") }
    }

    /// Names in a directory, as many as fit into `room` bytes.
    static func names(in directory: borrowing Descriptor, room: Int = 64 << 10) throws(SystemError) -> [Bytes] {
        var failed: SystemError?
        let packed = Bytes(unsafeUninitializedCapacity: room) { buffer, count in
            count = 0
            guard let base = buffer.baseAddress else { return }
            let used = base.withMemoryRebound(to: CChar.self, capacity: room) {
                aegix_list_names(directory.raw, $0, room)
            }
            if used < 0 { failed = SystemError.last("getdents") } else { count = used }
        }
        if let failed { throw failed }
        return packed.split(separator: 0).map(Bytes.init)
    }
}
