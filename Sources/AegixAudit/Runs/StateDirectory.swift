// Side effects: opens, and where it is missing makes, the state directory.

import AegixSystem
import CAegix
import Glibc

/// `<state>`: `runs/`, `live/` and `ledger.jsonl`, for the caller's eyes only (SECURITY.md, rule 10).
public final class StateDirectory {
    public let path: Bytes
    let root: Descriptor
    /// One locked file for each run that is alive.
    let live: Descriptor

    private init(path: Bytes, root: consuming Descriptor, live: consuming Descriptor) {
        self.path = path
        self.root = root
        self.live = live
    }

    /// Absolute path. Made with its parents if it isn't there; an existing one is checked, never changed.
    public static func open(at path: Bytes) throws(Failure) -> StateDirectory {
        if let state = try openExisting(at: path) { return state }
        do {
            try make(path)
        } catch {
            throw unwritable(path, error)
        }
        guard let state = try openExisting(at: path) else {
            throw unwritable(path, SystemError("open", path, errno: ENOENT))
        }
        return state
    }

    /// For commands that only look: nil where no state directory is.
    public static func openExisting(at path: Bytes) throws(Failure) -> StateDirectory? {
        precondition(Path.isAbsolute(path), "the state directory's path is absolute")
        let number = path.withCString { aegix_openat(AT_FDCWD, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0) }
        if number < 0 {
            let error = SystemError.last("open", path)
            if error.errno == ENOENT { return nil }
            throw refused(path, error)
        }
        let root = Descriptor(owning: number)
        let live: Descriptor
        do {
            if let failure = unsafe(path, try StateFile.facts(root)) { throw failure }
            live = try openOrMake("live", in: root)
        } catch let error as SystemError {
            throw unwritable(path, error)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("state.unwritable", "can't open the state directory \(path.shown)")
        }
        return StateDirectory(path: path, root: root, live: live)
    }

    private static func openOrMake(_ name: String, in root: borrowing Descriptor) throws(SystemError) -> Descriptor {
        do {
            return try StateFile.openDirectory(name, in: root)
        } catch {
            if error.errno != ENOENT { throw error }
            try makeIfMissing(name, in: root)
            return try StateFile.openDirectory(name, in: root)
        }
    }

    /// Two first runs at once both want it.
    static func makeIfMissing(_ name: String, in directory: borrowing Descriptor) throws(SystemError) {
        do {
            try StateFile.makeDirectory(name, in: directory)
        } catch {
            if error.errno != EEXIST { throw error }
        }
    }

    /// From the top down, so that parents which are there (and not ours to write) don't matter.
    private static func make(_ path: Bytes) throws(SystemError) {
        var current: Bytes = []
        for part in Path.components(path) {
            current += [Path.slash] + part
            if current.withCString({ aegix_mkdirat(AT_FDCWD, $0, 0o700) }) == 0 { continue }
            let refusal = SystemError.last("mkdir", current)
            if refusal.errno == EEXIST { continue }
            // EROFS and EACCES may come before EEXIST: only a directory that is missing is an error.
            if current.withCString({ access($0, F_OK) }) < 0 { throw refusal }
        }
    }

    private static func unsafe(_ path: Bytes, _ facts: aegix_file_facts) -> Failure? {
        if facts.uid != geteuid() {
            return Failure(
                "state.unsafe",
                "the state directory \(path.shown) belongs to uid \(facts.uid), not to uid \(geteuid()) who runs aegix. "
                    + "Choose another with --state-dir or AEGIX_STATE.")
        }
        if facts.mode & 0o077 != 0 {
            let mode = String(facts.mode & 0o7777, radix: 8)
            return Failure(
                "state.unsafe",
                "the state directory \(path.shown) is open to others (mode \(mode)). "
                    + "Close it with `chmod 700`, or choose another with --state-dir or AEGIX_STATE.")
        }
        return nil
    }

    /// ENOTDIR is what O_DIRECTORY with O_NOFOLLOW answers to a link as well as to a file.
    private static func refused(_ path: Bytes, _ error: SystemError) -> Failure {
        guard error.errno == ENOTDIR || error.errno == ELOOP else { return unwritable(path, error) }
        return Failure(
            "state.unsafe",
            "the state directory \(path.shown) isn't a directory (or is a link to one, or lies below a file). "
                + "Name the directory itself with --state-dir or AEGIX_STATE.", errno: error.errno)
    }

    static func unwritable(_ path: Bytes, _ error: SystemError, exitCode: Int32 = 125) -> Failure {
        let remedy =
            error.errno == ENOSPC || error.errno == EDQUOT
            ? "Free some space there, or choose another place with --state-dir or AEGIX_STATE."
            : "Make it writable, or choose another place with --state-dir or AEGIX_STATE."
        return Failure(
            "state.unwritable",
            "can't write the record in the state directory \(path.shown): \(error.reason). \(remedy)",
            errno: error.errno, exitCode: exitCode)
    }

    /// A failed call beneath this directory, in words.
    func failure(_ error: SystemError) -> Failure {
        let file = (path + Bytes("/" + Ledger.name)).shown
        switch error.errno {
        case EINVAL, EPERM, ELOOP:
            guard error.call == "open", error.subject == Bytes(Ledger.name) else { break }
            return Failure(
                "ledger.unsafe",
                "\(file) isn't a regular file of the caller's own that nobody else can write or name. Look at it, then move it aside; the next run begins a new one.",
                errno: error.errno)
        case EUCLEAN:
            return Failure(
                "ledger.damaged",
                "can't find an entry at the end of \(file). Look at it, then move it aside; the next run begins a new one."
            )
        case ETIMEDOUT where error.call == "flock":
            return Failure(
                "ledger.busy",
                "another aegix has held \(file) locked for ten seconds. Is one stopped? Resume or end it.")
        default: break
        }
        return StateDirectory.unwritable(path, error)
    }

    /// The directory of a run that exists.
    func openRun(_ id: RunID) throws(SystemError) -> Descriptor {
        try StateFile.openDirectory("runs/\(id)", in: root)
    }

    public func runPath(_ id: RunID) -> Bytes { path + Bytes("/runs/\(id)") }
}
