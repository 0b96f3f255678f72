// Side effects: reads the memory of processes that wait in a notification, their links in /proc, and looks paths up in the sandbox.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// The eye on calls that name files: on all of them in a learning run, on those that read in one that is to tell what it read. It decides nothing but what the filter would have decided: a mode with setuid
/// or setgid bits, or a rename that makes a device, isn't its own and is refused as ever.
final class PathWatch {
    private let sightings: Sightings
    private let root: Int32
    /// What is in view beside the base system.
    private let views: [Bytes]
    private let base: [Bytes]
    private let calls: [Int32: Call]
    /// Looking at a file counts, too.
    private let learns: Bool
    private let loads: LoadWatch?
    /// What was looked up already, by what was asked of it.
    private var known: Set<Bytes> = []

    private static let mostKnown = 100_000

    private enum Kind: UInt8 { case open, look, follow, make, remove, change }

    private struct Call {
        var kind: Kind
        /// Indices of arguments; nil: it has none.
        var directory: Int?
        var name: Int
        var flags: Int?
        var mode: Int?
        /// The second name of a rename or link.
        var other: (directory: Int?, name: Int)?
        var forbidden: UInt64 = 0o6000
    }

    init(_ sightings: Sightings, plan: Plan, root: Int32) {
        self.sightings = sightings
        self.root = root
        base = BaseView.rootPaths + ["/proc", "/sys", "/dev"].map { Bytes($0) }
        views = plan.views.filter { !BaseView.rootPaths.contains($0) }
        learns = plan.syscalls.watchesPaths
        loads = sightings.tellsLoads ? LoadWatch(sightings, root: root) : nil
        var calls: [Int32: Call] = [:]
        for (name, call) in PathWatch.table
        where learns
            ? !plan.syscalls.judgesExecs || !SyscallRefusal.judged.contains(name) : SyscallSet.reads.contains(name)
        {
            calls[SyscallFilter.number(of: name)] = call
        }
        self.calls = calls
    }

    private static let table: [(String, Call)] = [
        ("open", Call(kind: .open, name: 0, flags: 1, mode: 2)),
        ("openat", Call(kind: .open, directory: 0, name: 1, flags: 2, mode: 3)),
        ("creat", Call(kind: .open, name: 0, mode: 1)),
        ("stat", Call(kind: .follow, name: 0)), ("lstat", Call(kind: .look, name: 0)),
        ("newfstatat", Call(kind: .follow, directory: 0, name: 1)),
        ("statx", Call(kind: .follow, directory: 0, name: 1)),
        ("access", Call(kind: .follow, name: 0)), ("faccessat", Call(kind: .follow, directory: 0, name: 1)),
        ("faccessat2", Call(kind: .follow, directory: 0, name: 1)), ("readlink", Call(kind: .look, name: 0)),
        ("readlinkat", Call(kind: .look, directory: 0, name: 1)), ("chdir", Call(kind: .follow, name: 0)),
        ("truncate", Call(kind: .change, name: 0)), ("chmod", Call(kind: .change, name: 0, mode: 1)),
        ("fchmodat", Call(kind: .change, directory: 0, name: 1, mode: 2)),
        ("mkdir", Call(kind: .make, name: 0, mode: 1)), ("mkdirat", Call(kind: .make, directory: 0, name: 1, mode: 2)),
        ("unlink", Call(kind: .remove, name: 0)), ("unlinkat", Call(kind: .remove, directory: 0, name: 1)),
        ("rmdir", Call(kind: .remove, name: 0)), ("symlink", Call(kind: .make, name: 1)),
        ("symlinkat", Call(kind: .make, directory: 1, name: 2)),
        ("link", Call(kind: .look, name: 0, other: (nil, 1))),
        ("linkat", Call(kind: .look, directory: 0, name: 1, other: (2, 3))),
        ("rename", Call(kind: .remove, name: 0, other: (nil, 1))),
        ("renameat", Call(kind: .remove, directory: 0, name: 1, other: (2, 3))),
        ("renameat2", Call(kind: .remove, directory: 0, name: 1, mode: 4, other: (2, 3), forbidden: 4)),
        ("ptrace", Call(kind: .look, name: 6)), ("process_vm_writev", Call(kind: .look, name: 6)),
    ]

    /// Whether it goes on once it was looked at.
    func isOne(_ notice: aegix_notice) -> Bool {
        guard let call = calls[notice.call] else { return false }
        guard let mode = call.mode, argument(notice, mode) & call.forbidden != 0 else { return true }
        // Without O_CREAT and O_TMPFILE an open's mode means nothing.
        return call.flags.map { argument(notice, $0) & 0o20_000_100 == 0 } ?? false
    }

    func see(_ notice: aegix_notice) {
        guard let call = calls[notice.call] else { return }
        let pid = pid_t(bitPattern: notice.pid)
        func by() -> Bytes { learns ? ProcessFacts.link(pid, "exe") ?? [] : [] }
        if call.name > 5 {
            if sightings.tracer == nil { sightings.tracer = by() }
            return
        }
        var use: Sightings.Use
        switch call.kind {
        case .open:
            let flags = call.flags.map { Int32(truncatingIfNeeded: argument(notice, $0)) } ?? (O_CREAT | O_WRONLY)
            use = flags & O_ACCMODE == O_RDONLY && flags & (O_CREAT | O_TRUNC) == 0 ? .read : .written
            if flags & 0o20_000_000 == 0o20_000_000 { use = .written }
            // What it held is there still when it isn't emptied.
            if !learns, use == .written, flags & O_TRUNC == 0, call.flags != nil {
                use = flags & O_ACCMODE == O_RDONLY ? .read : [.read, .written]
            }
            if flags & Descriptor.pathOnly == Descriptor.pathOnly { use = .looked }
        case .look, .follow: use = learns ? .looked : .named
        case .make, .remove: use = .named
        case .change: use = learns ? .written : [.read, .written]
        }
        see(name(notice, call.directory, call.name, pid), use, follows: call.kind != .look && use != .named, by)
        if let other = call.other {
            see(
                name(notice, other.directory, other.name, pid), learns ? .named : .written, follows: false, by)
        }
    }

    /// What the first line of a script names, before it runs: it may be gone afterwards.
    func lookAt(program path: Bytes) {
        loads?.executed(path)
        if sightings.interpreters[path] != nil { return }
        if views.contains(where: { Path.contains($0, path) }) {
            sightings.add(path, .read) { Path.name(path) }
        }
        let raw = path.withCString { aegix_open_in_root(root, $0, O_RDONLY | O_NONBLOCK) }
        if raw < 0 { return }
        let file = Descriptor(owning: raw)
        let head = Bytes(unsafeUninitializedCapacity: ExecFiles.headLength) { buffer, count in
            count = max(0, pread(file.raw, buffer.baseAddress, buffer.count, 0))
        }
        if let words = Shebang.words(head) { sightings.add(script: path, words) }
    }

    /// It was looked at, and isn't run.
    func denied(program path: Bytes) { sightings.deny(program: path) }

    // MARK: - One name

    private func see(_ named: Bytes?, _ use: Sightings.Use, follows: Bool, _ by: () -> Bytes) {
        guard let named, !named.contains(0) else { return }
        let key = named + [0, use.rawValue, follows ? 1 : 0]
        if known.contains(key) { return }
        if known.count < PathWatch.mostKnown { known.insert(key) }
        let path = Path.normalized(named)
        if use.contains(.read) { loads?.opened(path) }
        if base.contains(where: { Path.contains($0, path) }) {
            if learns || !views.contains(where: { Path.contains($0, path) }) { return }
        }
        guard let found = find(named, follows: follows) else {
            if views.contains(where: { Path.contains($0, path) }) {
                if use.contains(.written) || use.contains(.named) { sightings.add(path, use, by: by) }
            } else if learns, use != .named {
                sightings.add(missing: path, by: by)
            }
            return
        }
        if found.isLink {
            addLink(found.path, by)
            if use == .named { sightings.add(found.path, use, by: by) }
            return
        }
        if found.path != path { links(on: path, by) }
        if !views.contains(where: { Path.contains($0, found.path) }) { return }
        var use = use
        if found.isDirectory { use = use.contains(.read) ? [.listed, .directory] : use.union(.directory) }
        sightings.add(found.path, use, by: by)
    }

    /// Each symbolic link in view that leads away from a path as it is written.
    private func links(on path: Bytes, _ by: () -> Bytes) {
        var at = Bytes("/")
        for name in Path.components(path) {
            let next = Path.join(at, name)
            let raw = next.withCString { aegix_open_in_root(root, $0, Descriptor.pathOnly | O_NOFOLLOW) }
            if raw < 0 { return }
            let file = Descriptor(owning: raw)
            var facts = stat()
            if fstat(file.raw, &facts) < 0 { return }
            if facts.st_mode & S_IFMT == S_IFLNK {
                addLink(Path.join(find(at, follows: true)?.path ?? at, name), by)
            }
            at = next
        }
    }

    private func addLink(_ place: Bytes, _ by: () -> Bytes) {
        if views.contains(where: { Path.contains($0, place) }) { sightings.add(place, .link, by: by) }
    }

    private func find(_ path: Bytes, follows: Bool) -> (path: Bytes, isDirectory: Bool, isLink: Bool)? {
        let flags = Descriptor.pathOnly | (follows ? 0 : O_NOFOLLOW)
        let raw = path.withCString { aegix_open_in_root(root, $0, flags) }
        if raw < 0 { return nil }
        let file = Descriptor(owning: raw)
        var facts = stat()
        if fstat(file.raw, &facts) < 0 { return nil }
        do throws(SystemError) {
            let kind = facts.st_mode & S_IFMT
            return (try HostSurvey.canonical(file.raw), kind == S_IFDIR, kind == S_IFLNK)
        } catch {
            return nil
        }
    }

    /// From the root, as it is written; nil: it can't be told.
    private func name(_ notice: aegix_notice, _ directory: Int?, _ index: Int, _ pid: pid_t) -> Bytes? {
        guard let name = RemoteMemory.string(pid, argument(notice, index), limit: Int(PATH_MAX)), !name.isEmpty else {
            return nil
        }
        if Path.isAbsolute(name) { return name }
        let number = directory.map { Int32(truncatingIfNeeded: argument(notice, $0)) } ?? AT_FDCWD
        return ProcessFacts.link(pid, number == AT_FDCWD ? "cwd" : "fd/\(number)").map { Path.join($0, name) }
    }

    private func argument(_ notice: aegix_notice, _ index: Int) -> UInt64 {
        let all = notice.arguments
        return [all.0, all.1, all.2, all.3, all.4, all.5][index]
    }
}
