// What a run may leave behind: no process, no zombie, no mount, no temporary file, no descriptor of ours.

import Foundation

enum Leaks {
    private static let setChildSubreaper: Int32 = 36

    /// Orphans of a run come to us instead of to the machine's init, so that none can hide.
    static let isReaper: Bool = {
        // prctl is variadic, which Swift doesn't import; its first five words are passed alike.
        typealias Prctl = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32
        guard let symbol = dlsym(nil, "prctl") else { return false }
        return unsafeBitCast(symbol, to: Prctl.self)(setChildSubreaper, 1, 0, 0, 0) == 0
    }()

    /// Processes below this one that a sandbox has made, in a pid namespace of their own or aegix itself, as it was found;
    /// then they are ended.
    static func processes() -> [String] {
        var queue = [getpid()]
        var found: [String] = []
        while let pid = queue.popLast() {
            let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
            for task in tasks {
                let children =
                    (try? String(contentsOfFile: "/proc/\(pid)/task/\(task)/children", encoding: .utf8)) ?? ""
                queue += children.split(separator: " ").compactMap { pid_t($0) }
            }
            guard pid != getpid(), let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
            else { continue }
            let lines = status.split(separator: "\n")
            // The unit tests' own probes, which run beside: clones of this very program, or, while they end, of none.
            let isOurs = program(of: pid).map { $0 == program(of: getpid()) } ?? true
            if isOurs, lines.first?.hasPrefix("Name:\taegix") != true { continue }
            let nested = lines.contains { $0.hasPrefix("NSpid:") && $0.split(separator: "\t").count > 2 }
            if !nested, isAside(pid), ends(pid) { continue }
            if nested || lines.first?.hasPrefix("Name:\taegix") == true {
                found.append("\(pid) " + lines.prefix(3).joined(separator: " "))
                // Found is enough: what it left must not be found again after the next run.
                kill(pid, SIGKILL)
                waitpid(pid, nil, WNOHANG)
            }
        }
        return found
    }

    /// Whether `reset` has left the removal of what is large to this process, which has a session of its own.
    private static func isAside(_ pid: pid_t) -> Bool {
        guard getsid(pid) == pid, let line = try? Data(contentsOf: URL(filePath: "/proc/\(pid)/cmdline")) else {
            return false
        }
        return line.isEmpty || line.split(separator: 0).contains(Data("reset".utf8))
    }

    /// Soon, and whoever made it is gone: it is ours to take in.
    private static func ends(_ pid: pid_t) -> Bool {
        for _ in 0..<300 {
            if waitpid(pid, nil, WNOHANG) == pid || kill(pid, 0) != 0 { return true }
            usleep(10_000)
        }
        return false
    }

    private static func program(of pid: pid_t) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")
    }

    static func mounts() -> [String] {
        let table = (try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)) ?? ""
        return table.split(separator: "\n").map { String($0.split(separator: " ")[4]) }.sorted()
    }
}
