// Side effects: changes modes, owners, times and attributes of files for a confined command, and answers it.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Landlock leaves out chmod, chown, utime and setxattr: with them a command could change every file that its user owns. So
/// the filter sends these calls here, and the supervisor makes each by itself, on a descriptor that it has looked up from
/// its own copy of the path and found to lie in a writable place. Nothing that the caller changes meanwhile changes that.
final class ConfinedCalls {
    private let names: [Int32: String]
    private let writable: [Bytes]
    private let tree: RunTree
    private let root: Int32

    /// - root: the host's `/`, open; it stays the caller's.
    init(_ plan: Plan, init pid: pid_t, root: Int32) {
        var names: [Int32: String] = [:]
        var handled = SyscallPlan.emulated.union(SyscallPlan.scheduling).union(SyscallPlan.refusedConfined)
        if plan.syscalls.keepsProcessors { handled.remove("sched_setaffinity") }
        for name in handled { names[SyscallFilter.number(of: name)] = name }
        self.names = names
        writable = plan.landlock.writable
        tree = RunTree(of: pid)
        self.root = root
    }

    enum Answer {
        /// 0 for done, or the errno that the call itself would give.
        case result(Int32)
        /// The kernel may go on with it: all of it came by value.
        case proceed
        case refused(rule: String)
    }

    /// nil: not a call of these.
    func answer(_ notice: aegix_notice, listener: Int32) -> Answer? {
        guard let name = names[notice.call] else { return nil }
        if SyscallPlan.refusedConfined.contains(name) { return .refused(rule: name) }
        if SyscallPlan.scheduling.contains(name) { return scheduling(name, notice) }
        do throws(SystemError) {
            return try change(name, Arguments(notice), listener: listener)
        } catch {
            return .result(error.errno)
        }
    }

    private func scheduling(_ name: String, _ notice: aegix_notice) -> Answer {
        let isWho = name == "setpriority" || name == "ioprio_set"
        let kind = UInt32(truncatingIfNeeded: notice.arguments.0)
        let target = pid_t(truncatingIfNeeded: isWho ? notice.arguments.1 : notice.arguments.0)
        // PRIO_PROCESS is 0, IOPRIO_WHO_PROCESS 1; groups and users aren't ours to look through.
        let isOne = !isWho || kind == (name == "setpriority" ? 0 : 1)
        return isOne && tree.contains(target) ? .proceed : .refused(rule: "\(name)(another process)")
    }

    private struct Arguments {
        let pid: pid_t
        let id: UInt64
        let words: [UInt64]

        init(_ notice: aegix_notice) {
            pid = pid_t(bitPattern: notice.pid)
            id = notice.id
            let all = notice.arguments
            words = [all.0, all.1, all.2, all.3, all.4, all.5]
        }

        func int(_ index: Int) -> Int32 { Int32(truncatingIfNeeded: words[index]) }

        func bytes(_ index: Int, _ length: Int) throws(SystemError) -> Bytes {
            guard let bytes = RemoteMemory.bytes(pid, words[index], length) else {
                throw SystemError("read", errno: EFAULT)
            }
            return bytes
        }

        func text(_ index: Int, limit: Int) throws(SystemError) -> Bytes {
            guard words[index] != 0, let text = RemoteMemory.string(pid, words[index], limit: limit) else {
                throw SystemError("read", errno: EFAULT)
            }
            if text.count >= limit { throw SystemError("read", errno: ENAMETOOLONG) }
            return text
        }
    }

    // MARK: - Which file

    private enum Target {
        case descriptor(Int)
        /// The index of the directory's descriptor, if the call has one, and of the path.
        case path(directory: Int?, Int, follow: Bool)
    }

    private static let noFollow: Int32 = 0x100
    private static let emptyPath: Int32 = 0x1000

    private func target(_ name: String, _ arguments: Arguments) -> Target {
        switch name {
        case "fchmod", "fchown", "fsetxattr", "fremovexattr": return .descriptor(0)
        case "lchown", "lsetxattr", "lremovexattr": return .path(directory: nil, 0, follow: false)
        case "fchmodat": return .path(directory: 0, 1, follow: true)
        case "futimesat": return arguments.words[1] == 0 ? .descriptor(0) : .path(directory: 0, 1, follow: true)
        case "utimensat":
            if arguments.words[1] == 0 { return .descriptor(0) }
            return .path(directory: 0, 1, follow: arguments.int(3) & ConfinedCalls.noFollow == 0)
        case "fchownat": return .path(directory: 0, 1, follow: arguments.int(4) & ConfinedCalls.noFollow == 0)
        default: return .path(directory: nil, 0, follow: true)
        }
    }

    /// The file itself, by O_PATH.
    private func open(_ target: Target, _ arguments: Arguments, mayBeEmpty: Bool) throws(SystemError) -> Descriptor {
        switch target {
        case .descriptor(let index): return try own(arguments, "fd/\(arguments.int(index))", errno: EBADF)
        case .path(let directory, let index, let follow):
            let path = try arguments.text(index, limit: 4096)
            let number = directory.map { arguments.int($0) } ?? AT_FDCWD
            let base = number == AT_FDCWD ? "cwd" : "fd/\(number)"
            if path.isEmpty {
                if !mayBeEmpty { throw SystemError("open", errno: ENOENT) }
                return try own(arguments, base, errno: EBADF)
            }
            // The caller's own, not ours.
            for prefix in ["/proc/self/fd/", "/proc/thread-self/fd/", "/dev/fd/"] where path.starts(with: Bytes(prefix))
            {
                guard let own = UInt32(String(decoding: path.dropFirst(prefix.utf8.count), as: UTF8.self)) else {
                    break
                }
                return try self.own(arguments, "fd/\(own)", errno: ENOENT)
            }
            let flags = Descriptor.pathOnly | (follow ? 0 : O_NOFOLLOW)
            let raw: Int32
            if Path.isAbsolute(path) {
                raw = path.withCString { aegix_open_plain(root, $0, flags) }
            } else {
                let start = try own(arguments, base, errno: EBADF)
                raw = path.withCString { aegix_open_plain(start.raw, $0, flags) }
            }
            if raw < 0 { throw SystemError.last("open", path) }
            return Descriptor(owning: raw)
        }
    }

    private func own(_ arguments: Arguments, _ name: String, errno code: Int32) throws(SystemError) -> Descriptor {
        do throws(SystemError) {
            return try Descriptor.open(Bytes("/proc/\(arguments.pid)/\(name)"), Descriptor.pathOnly)
        } catch {
            throw SystemError("open", errno: error.errno == ENOENT ? code : error.errno)
        }
    }

    // MARK: - What is done

    private func change(_ name: String, _ arguments: Arguments, listener: Int32) throws(SystemError) -> Answer {
        let flags = name == "fchownat" ? arguments.int(4) : name == "utimensat" ? arguments.int(3) : 0
        if flags & ~(ConfinedCalls.noFollow | ConfinedCalls.emptyPath) != 0 { throw SystemError(name, errno: EINVAL) }
        let file = try open(
            target(name, arguments), arguments, mayBeEmpty: flags & ConfinedCalls.emptyPath != 0)
        let act = try action(name, arguments)
        // A caller that died may have left its number to another: what was read is then not its own.
        if aegix_notice_valid(listener, arguments.id) == 0 { throw SystemError(name, errno: EINTR) }
        guard case .act(let perform) = act else { return .refused(rule: "\(name)(setuid)") }
        let place = try HostSurvey.canonical(file.raw)
        if !writable.contains(where: { Path.contains($0, place) }) {
            return .refused(rule: "\(name)(outside the writable places)")
        }
        return .result(perform(file.raw) < 0 ? errno : 0)
    }

    private enum Action {
        case act((Int32) -> Int32)
        case setID
    }

    private func action(_ name: String, _ arguments: Arguments) throws(SystemError) -> Action {
        switch name {
        case "chmod", "fchmod": return mode(arguments.int(1))
        case "fchmodat": return mode(arguments.int(2))
        case "chown", "lchown", "fchown": return owner(arguments, 1)
        case "fchownat": return owner(arguments, 2)
        case "utime": return .act(times(try ConfinedCalls.seconds(arguments)))
        case "utimes": return .act(times(try ConfinedCalls.pairs(arguments, 1, fraction: 1000)))
        case "futimesat": return .act(times(try ConfinedCalls.pairs(arguments, 2, fraction: 1000)))
        case "utimensat": return .act(times(try ConfinedCalls.pairs(arguments, 2, fraction: 1)))
        case "setxattr", "lsetxattr", "fsetxattr":
            let attribute = try arguments.text(1, limit: 256)
            let length = arguments.words[3]
            if length > 65536 { throw SystemError(name, errno: E2BIG) }
            let value = length == 0 ? [] : try arguments.bytes(2, Int(length))
            let how = arguments.int(4)
            return .act { file in
                attribute.withCString { name in
                    value.withUnsafeBytes {
                        aegix_set_attribute(file, name, $0.baseAddress ?? UnsafeRawPointer(name), value.count, how)
                    }
                }
            }
        default:
            let attribute = try arguments.text(1, limit: 256)
            return .act { file in attribute.withCString { aegix_remove_attribute(file, $0) } }
        }
    }

    /// No setuid and setgid, as everywhere.
    private func mode(_ asked: Int32) -> Action {
        let mode = mode_t(truncatingIfNeeded: asked) & 0o7777
        return mode & 0o6000 != 0 ? .setID : .act { aegix_change_mode($0, mode) }
    }

    private func owner(_ arguments: Arguments, _ index: Int) -> Action {
        let uid = uid_t(bitPattern: arguments.int(index))
        let gid = gid_t(bitPattern: arguments.int(index + 1))
        return .act { aegix_change_owner($0, uid, gid) }
    }

    private func times(_ times: [timespec]?) -> (Int32) -> Int32 {
        { file in
            guard let times else { return aegix_change_times(file, nil) }
            return times.withUnsafeBufferPointer { aegix_change_times(file, $0.baseAddress) }
        }
    }

    private static func words(_ bytes: Bytes) -> [Int] {
        stride(from: 0, to: bytes.count - 7, by: 8).map { at in
            Int(truncatingIfNeeded: bytes[at..<at + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) })
        }
    }

    /// struct utimbuf. nil: now.
    private static func seconds(_ arguments: Arguments) throws(SystemError) -> [timespec]? {
        if arguments.words[1] == 0 { return nil }
        return words(try arguments.bytes(1, 16)).map { timespec(tv_sec: $0, tv_nsec: 0) }
    }

    /// Two of timeval or timespec.
    private static func pairs(_ arguments: Arguments, _ index: Int, fraction: Int) throws(SystemError) -> [timespec]? {
        if arguments.words[index] == 0 { return nil }
        let words = words(try arguments.bytes(index, 32))
        return [0, 2].map { at in
            // UTIME_NOW and UTIME_OMIT are nanoseconds only.
            let isFraction = fraction > 1 && (0..<1_000_000).contains(words[at + 1])
            return timespec(
                tv_sec: words[at], tv_nsec: fraction == 1 || isFraction ? words[at + 1] * fraction : -1)
        }
    }
}
