// Side effects: starts the caller's pager and waits for it.

import AegixSystem
import CAegix
import Glibc

/// A pager as git uses one: `$AEGIX_PAGER`, else `$PAGER`, else `less`, run by the shell with the caller's environment.
///
/// What a command could have planted is never started: the pager runs in `/`, so that nothing relative is found in the
/// workspace, `PATH` keeps only its absolute directories outside of it, and a program that lies in it is no pager.
struct Pager {
    private let line: Bytes
    private let path: Bytes

    /// nil: the caller wants none (empty, or `cat`), or there is none.
    static func find(outside workspace: Bytes) -> Pager? {
        let line = variable("AEGIX_PAGER") ?? variable("PAGER") ?? Bytes("less")
        let words = line.split { $0 == 0x20 || $0 == 0x09 }.map(Bytes.init)
        guard let program = words.first, words != [Bytes("cat")] else { return nil }
        let directories = (variable("PATH") ?? Bytes("/usr/bin:/bin")).split(separator: UInt8(ascii: ":")).map(
            Bytes.init
        )
        .filter { directory in
            guard Path.isAbsolute(directory), let real = resolved(directory) else { return false }
            return !Path.contains(workspace, real)
        }
        for word in words where Path.isAbsolute(word) {
            if resolved(word).map({ Path.contains(workspace, $0) }) ?? false { return nil }
        }
        // A plain name has to be there; of what is more than that, the shell makes sense.
        if program.allSatisfy({ isPlain($0) }) {
            let found = directories.lazy.map { Path.join($0, program) }.first {
                $0.withCString { access($0, X_OK) } == 0
            }
            guard let found, let real = resolved(found), !Path.contains(workspace, real) else { return nil }
        }
        return Pager(line: line, path: Bytes(directories.joined(separator: [UInt8(ascii: ":")])))
    }

    /// All of the text, or as much as the reader wanted to see. Returns when the pager has ended: whether there was one.
    func show(_ text: Bytes) throws(Failure) -> Bool {
        var ends: [Int32] = [-1, -1]
        if aegix_pipe(&ends) < 0 { throw Failure("review.pager", "can't start the pager", SystemError.last("pipe")) }
        let output = Descriptor(owning: ends[1])
        let process = try start(reading: Descriptor(owning: ends[0]))
        // Ctrl-C is the pager's: it ends a search in less, not the review.
        let before = (signal(SIGINT, SIG_IGN), signal(SIGQUIT, SIG_IGN))
        defer {
            signal(SIGINT, before.0)
            signal(SIGQUIT, before.1)
        }
        do throws(SystemError) {
            try output.writeAll(text)
        } catch {
            // Whoever quits has seen enough.
            if error.errno != EPIPE { throw Failure("review.pager", "can't write to the pager", error) }
        }
        _ = consume output
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        // The shell's word for a program that isn't there, or can't be run.
        return status != 127 << 8 && status != 126 << 8
    }

    private func start(reading input: consuming Descriptor) throws(Failure) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input.raw, STDIN_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // We ignore SIGPIPE, and a pager in a pipe of its own mustn't.
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for number in [SIGPIPE, SIGINT, SIGQUIT] { sigaddset(&defaults, number) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        let words = [Bytes("sh"), Bytes("-c"), Bytes("cd / || exit\n") + line].map(Pager.copied)
        let variables = environment().map(Pager.copied)
        defer { for pointer in words + variables { free(pointer) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, "/bin/sh", &actions, &attributes, words + [nil], variables + [nil])
        if code != 0 {
            throw Failure(
                "review.pager", "can't start the pager; --no-pager does without",
                SystemError("posix_spawn", errno: code))
        }
        return process
    }

    /// The caller's, with a safe PATH, and git's defaults for less: end where all fits on the screen, colours, no clearing.
    private func environment() -> [Bytes] {
        var variables: [Bytes] = []
        var next = aegix_environment()
        while let pointer = next.pointee {
            variables.append(Bytes(cString: pointer))
            next += 1
        }
        variables.removeAll { $0.starts(with: Bytes("PATH=")) }
        variables.append(Bytes("PATH=") + path)
        for (name, value) in [("LESS", "FRX"), ("LV", "-c")] where getenv(name) == nil {
            variables.append(Bytes("\(name)=\(value)"))
        }
        return variables
    }

    private static func variable(_ name: String) -> Bytes? { getenv(name).map { Bytes(cString: $0) } }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "+"):
            true
        default: false
        }
    }

    private static func resolved(_ path: Bytes) -> Bytes? {
        guard let real = path.withCString({ realpath($0, nil) }) else { return nil }
        defer { free(real) }
        return Bytes(cString: real)
    }

    private static func copied(_ bytes: Bytes) -> UnsafeMutablePointer<CChar>? { bytes.withCString { strdup($0) } }
}
