// Pure. The execs of a record as a tree, by pid and parent.

import AegixSystem

enum ProcessTree {
    private static let deepest = 24

    /// A process that execs more than once has a line for each, at the same depth. Without pids it is a plain list.
    static func lines(_ record: JSON, limit: Int) -> [String] {
        let execs = record["processes"]?.array ?? []
        var byPid: [Int: [JSON]] = [:]
        var children: [Int: [Int]] = [:]
        var roots: [Int] = []
        var lines: [String] = []
        for exec in execs {
            guard let pid = exec["pid"]?.int else {
                if lines.count < limit { lines.append(line(exec, depth: 0)) }
                continue
            }
            byPid[pid, default: []].append(exec)
            if byPid[pid]?.count ?? 0 > 1 { continue }
            // A parent that never exec'ed itself, such as a shell's fork, isn't in the list.
            if let parent = exec["parent"]?.int, parent != pid, byPid[parent] != nil {
                children[parent, default: []].append(pid)
            } else {
                roots.append(pid)
            }
        }
        var waiting = roots.reversed().map { (pid: $0, depth: 0) }
        while let (pid, depth) = waiting.popLast(), lines.count < limit {
            lines += (byPid[pid] ?? []).map { line($0, depth: depth) }
            waiting += (children[pid] ?? []).reversed().map { ($0, depth + 1) }
        }
        lines = Array(lines.prefix(limit))
        if execs.count > lines.count { lines.append("  … and \(execs.count - lines.count) more") }
        return lines
    }

    private static func line(_ exec: JSON, depth: Int) -> String {
        let indent = String(repeating: "  ", count: min(depth, deepest) + 1)
        let cut = exec["argv_cut"]?.bool == true ? " …" : ""
        let decision = exec["decision"]?.string == "deny" ? "DENIED " : ""
        return indent + decision + RecordText.shown(exec["program"]) + "  "
            + RecordText.commandLine(exec["argv"]?.array ?? []) + cut
    }
}
