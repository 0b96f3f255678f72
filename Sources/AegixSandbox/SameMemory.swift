// Side effects: reads /proc, compares processes.

import AegixSystem
import CAegix
import Glibc

/// Which processes of a run have one address space in common, as after vfork or clone(CLONE_VM): each of them shows all of
/// it as its own. Asked only when a sum is about to end a run.
enum SameMemory {
    /// One task of each address space. `tasks` are numbered as the sandbox numbers them, `initial` as the host does.
    static func distinct(_ tasks: [aegix_task_facts], of initial: pid_t) -> [aegix_task_facts] {
        let host = hostNumbers(of: initial)
        var kept: [aegix_task_facts] = []
        for task in tasks {
            // What can't be compared counts by itself; one whose first thread has ended would compare by having none.
            let known = kept.contains { other in
                guard task.headless == 0, other.headless == 0, other.size == task.size, let one = host[task.pid],
                    let two = host[other.pid]
                else { return false }
                return aegix_watch_same_memory(one, two) == 1
            }
            if !known { kept.append(task) }
        }
        return kept
    }

    /// By the number inside.
    private static func hostNumbers(of initial: pid_t) -> [Int32: pid_t] {
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
