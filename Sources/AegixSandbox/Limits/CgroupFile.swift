// Side effects: reads and writes files of a cgroup.

import AegixSystem
import CAegix
import Glibc

/// The kernel's files in a cgroup directory, each read or written in one piece.
enum CgroupFile {
    static let largest = 1 << 20

    static func read(_ name: String, in directory: Int32) throws(SystemError) -> Bytes {
        try Descriptor.open(Bytes(name), O_RDONLY | O_NOFOLLOW, at: directory).readAll(limit: largest)
    }

    static func write(_ text: Bytes, to name: String, in directory: Int32) throws(SystemError) {
        let file = try Descriptor.open(Bytes(name), O_WRONLY | O_NOFOLLOW, at: directory)
        try write(text, to: file, name)
    }

    /// A refused write says what was to be written.
    static func write(_ text: Bytes, to file: borrowing Descriptor, _ name: String) throws(SystemError) {
        do {
            try file.writeAll(text)
        } catch {
            throw SystemError("write", Bytes("\(name) (\(text.shown))"), errno: error.errno)
        }
    }

    /// `cgroup.controllers` and its like: words in one line.
    static func words(_ name: String, in directory: Int32) throws(SystemError) -> [Bytes] {
        try read(name, in: directory).split { $0 == 0x20 || $0 == 0x0A }.map(Bytes.init)
    }

    /// Whether a process is in this cgroup itself; those of other pid namespaces count.
    static func hasProcesses(_ directory: Int32) throws(SystemError) -> Bool {
        try !read("cgroup.procs", in: directory).isEmpty
    }

    /// Whether aegix is in this cgroup and nobody else.
    static func holdsOnlyUs(_ directory: Int32) throws(SystemError) -> Bool {
        var ours = Bytes()
        ours.append(decimal: UInt64(getpid()))
        return try words("cgroup.procs", in: directory) == [ours]
    }

    /// The top of the hierarchy, where processes and controllers may be together. A cgroup namespace's top isn't.
    static func isHierarchyTop(_ directory: Int32) -> Bool {
        var facts = aegix_file_facts()
        return aegix_fstatat(directory, "cgroup.type", &facts) < 0 && errno == ENOENT
    }
}

/// What a run's limits need, and what its usage is better known with.
enum CgroupControllers {
    static let memory = Bytes("memory")
    static let pids = Bytes("pids")
    static let cpu = Bytes("cpu")
    static let io = Bytes("io")
    static let needed = [memory, pids, cpu]

    /// Those of `needed` that aren't in the list.
    static func missing(_ words: [Bytes]) -> [Bytes] { needed.filter { !words.contains($0) } }

    /// Switches on, for the cgroups below, what isn't on yet, and returns that. `io` is for the record only: without it
    /// the record says null.
    static func enable(in directory: Int32) throws(SystemError) -> [Bytes] {
        let on = try CgroupFile.words("cgroup.subtree_control", in: directory)
        var wanted = missing(on)
        if wanted.isEmpty, on.contains(io) { return [] }
        let available = try CgroupFile.words("cgroup.controllers", in: directory)
        let lacking = wanted.filter { !available.contains($0) }
        if !lacking.isEmpty {
            throw SystemError("cgroup.controllers", Bytes(lacking.joined(separator: [0x20])), errno: ENOTSUP)
        }
        if !wanted.isEmpty { try change(UInt8(ascii: "+"), wanted, in: directory) }
        if available.contains(io), !on.contains(io) {
            do {
                try change(UInt8(ascii: "+"), [io], in: directory)
                wanted.append(io)
            } catch {
                // The limits don't need it, and what isn't counted is null in the record.
            }
        }
        return wanted
    }

    static func disable(_ controllers: [Bytes], in directory: Int32) throws(SystemError) {
        if !controllers.isEmpty { try change(UInt8(ascii: "-"), controllers, in: directory) }
    }

    private static func change(_ sign: UInt8, _ controllers: [Bytes], in directory: Int32) throws(SystemError) {
        let text = Bytes(controllers.map { [sign] + $0 }.joined(separator: [0x20]))
        try CgroupFile.write(text, to: "cgroup.subtree_control", in: directory)
    }
}
