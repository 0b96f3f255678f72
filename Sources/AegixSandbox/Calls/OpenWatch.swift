// Side effects: reads the memory of processes that wait in a notification, and their links in /proc.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Tells of files that `files.deny` hides and the command opens. It decides nothing: the mask refuses, whatever the name, and this is
/// the record of it. The name is taken as it is written; one that leads there by a symbolic link isn't told.
final class OpenWatch {
    private let open = SyscallFilter.number(of: "open")
    private let openat = SyscallFilter.number(of: "openat")
    private let creat = SyscallFilter.number(of: "creat")
    private let masked: [Bytes: Plan.Masked]
    /// The last names of what is masked. Any other name is passed over without a look at where it lies.
    private let names: Set<Bytes>

    init(_ masked: [Plan.Masked]) {
        self.masked = Dictionary(masked.map { ($0.path, $0) }) { first, _ in first }
        names = Set(masked.map { Path.name($0.path) })
    }

    /// Whether it is to go on; one that would make a setuid file isn't, as without this.
    func isOne(_ notice: aegix_notice) -> Bool {
        guard let asked = Asked(self, notice) else { return false }
        return !asked.makes || asked.mode & 0o6000 == 0
    }

    func refusal(_ notice: aegix_notice) -> Violation? {
        guard let asked = Asked(self, notice) else { return nil }
        let pid = pid_t(bitPattern: notice.pid)
        guard let name = RemoteMemory.string(pid, asked.name, limit: Int(PATH_MAX)), mayBeMasked(name),
            let path = path(name, asked, pid), let found = holder(of: path)
        else { return nil }
        if path == found.path {
            // Allowed on what nobody may read.
            if asked.flags & Descriptor.pathOnly == Descriptor.pathOnly { return nil }
        } else if !found.isDirectory {
            return nil
        }
        return Violation(
            control: "files", rule: found.rule, path: path, errno: EACCES, count: 1, firstTime: Clock.realtime(),
            firstPid: Int32(bitPattern: notice.pid))
    }

    private struct Asked {
        var directory = AT_FDCWD
        var name: UInt64
        var flags: Int32
        var mode: UInt32

        var makes: Bool { flags & (O_CREAT | 0o20_000_000) != 0 }  // __O_TMPFILE

        init?(_ watch: OpenWatch, _ notice: aegix_notice) {
            let arguments = notice.arguments
            func int(_ value: UInt64) -> Int32 { Int32(truncatingIfNeeded: value) }
            func mode(_ value: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: value) }
            switch notice.call {
            case watch.open:
                (name, flags, self.mode) = (arguments.0, int(arguments.1), mode(arguments.2))
            case watch.openat:
                (directory, name) = (int(arguments.0), arguments.1)
                (flags, self.mode) = (int(arguments.2), mode(arguments.3))
            case watch.creat:
                (name, flags, self.mode) = (arguments.0, O_CREAT | O_WRONLY | O_TRUNC, mode(arguments.1))
            default: return nil
            }
        }
    }

    private func mayBeMasked(_ name: Bytes) -> Bool {
        var end = name.count
        while end > 0 {
            let start = (name[..<end].lastIndex(of: Path.slash) ?? -1) + 1
            if start < end, names.contains(Bytes(name[start..<end])) { return true }
            end = start - 1
        }
        return false
    }

    private func path(_ name: Bytes, _ asked: Asked, _ pid: pid_t) -> Bytes? {
        if Path.isAbsolute(name) { return Path.normalized(name) }
        let link = asked.directory == AT_FDCWD ? "cwd" : "fd/\(asked.directory)"
        return ProcessFacts.link(pid, link).map { Path.normalized(Path.join($0, name)) }
    }

    /// What is masked there, or above.
    private func holder(of path: Bytes) -> Plan.Masked? {
        var at = path
        while at != [Path.slash] {
            if let found = masked[at] { return found }
            at = Path.parent(at)
        }
        return nil
    }
}
