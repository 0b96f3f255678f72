// Side effects: reads /proc, compares processes.

import AegixSystem
import CAegix
import Glibc

/// Which processes of a run have one address space in common, as after vfork or clone(CLONE_VM): each of them shows all of
/// it as its own. Asked only when a sum is about to end a run.
enum SameMemory {
    /// One task of each address space. `tasks` are numbered as `proc` does it, `initial` as the host does.
    static func distinct(_ tasks: [aegix_task_facts], proc: Int32, of initial: pid_t) -> [aegix_task_facts] {
        let host = HostNumbers.of(tasks, proc: proc, initial: initial)
        func order(_ one: aegix_task_facts, _ other: aegix_task_facts) -> Int32 {
            guard one.headless == 0, other.headless == 0, one.size == other.size, let first = host[one.pid],
                let second = host[other.pid]
            else { return -1 }
            return aegix_watch_compare_memory(first, second)
        }
        // What can't be compared counts by itself; one whose first thread has ended would compare by having none.
        let sorted = tasks.sorted { $0.size != $1.size ? $0.size < $1.size : order($0, $1) == 1 }
        var kept: [aegix_task_facts] = []
        for task in sorted where kept.last.map({ order($0, task) != 0 }) ?? true { kept.append(task) }
        return kept
    }
}

/// What the host calls processes that the sandbox numbers in its own way.
enum HostNumbers {
    static func of(_ tasks: [aegix_task_facts], proc: Int32, initial: pid_t) -> [Int32: pid_t] {
        var space: Int32 = -1
        for task in tasks where space < 0 {
            space = Bytes("\(task.pid)/ns/pid").withCString { openat(proc, $0, O_RDONLY | O_CLOEXEC) }
        }
        if space < 0 { return [:] }
        let namespace = Descriptor(owning: space)
        var numbers: [Int32: pid_t] = [:]
        for task in tasks {
            let pid = aegix_watch_outside(namespace.raw, task.pid)
            if pid < 0, errno != ESRCH { return told(below: initial) }
            if pid > 0 { numbers[task.pid] = pid }
        }
        return numbers
    }

    /// By each process's own word, where the kernel doesn't translate: since Linux 6.11 it does.
    private static func told(below initial: pid_t) -> [Int32: pid_t] {
        var numbers: [Int32: pid_t] = [:]
        for pid in RunTree(of: initial).pids() {
            do {
                let text = try Descriptor.open(Bytes("/proc/\(pid)/status"), O_RDONLY).readAll(limit: 1 << 14)
                let lines = text.split(separator: UInt8(ascii: "\n"))
                guard let line = lines.first(where: { $0.starts(with: Bytes("NSpid:")) }),
                    let inner = line.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 }).last
                else { continue }
                if let number = Int32(String(decoding: inner, as: UTF8.self)) { numbers[number] = pid }
            } catch {
                continue  // it ended
            }
        }
        return numbers
    }
}
