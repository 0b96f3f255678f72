// Side effects: reads /proc; makes a scratch directory and a cgroup, and removes both.

import AegixSystem
import CAegix
import Glibc

/// Small files of the kernel.
enum ProbeFiles {
    /// Trimmed; empty where the file isn't there, which for these files means "this kernel has no such thing".
    static func text(_ path: String) -> String {
        do {
            var bytes = try Descriptor.open(Bytes(path), O_RDONLY).readAll(limit: 1 << 20)
            while let last = bytes.last, last == 0x0A || last == 0 { bytes.removeLast() }
            return String(decoding: bytes, as: UTF8.self)
        } catch {
            return ""
        }
    }

    static func number(_ path: String) -> Int? { Int(text(path)) }

    /// `Seccomp:\t2` ─► `2`.
    static func field(_ name: String, of path: String) -> String {
        for line in text(path).split(separator: "\n") where line.hasPrefix(name) {
            return String(line.dropFirst(name.count).drop { $0 == " " || $0 == "\t" })
        }
        return ""
    }

    /// In a chroot, nothing in view is mounted at `/`.
    static func rootIsMountPoint() -> Bool {
        mounts().contains { $0.count > 4 && $0[4] == "/" }
    }

    /// Where a cgroup v2 hierarchy is mounted, if it is in an unusual place.
    static func cgroupMount() -> Bytes? {
        for fields in mounts() {
            guard let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count, fields[dash + 1] == "cgroup2" else {
                continue
            }
            return Bytes(String(fields[4]))
        }
        return nil
    }

    private static func mounts() -> [[Substring]] {
        text("/proc/self/mountinfo").split(separator: "\n").map { $0.split(separator: " ") }
    }
}

/// A directory that lives as long as this value, where layers would lie.
struct ProbeScratch: ~Copyable {
    let directory: Descriptor
    private let parent: Descriptor
    private let name: Bytes

    private init(_ name: Bytes, _ directory: consuming Descriptor, in parent: consuming Descriptor) {
        self.name = name
        self.directory = directory
        self.parent = parent
    }

    /// In the nearest directory that exists on the way to `path`, because a doctor makes no state directory.
    static func make(near path: Bytes) throws(SystemError) -> ProbeScratch {
        let parent = try nearest(path)
        let name = Bytes(".aegix-probe-\(getpid())")
        let directory = try make(name, in: parent)
        // From here on this value removes what was made.
        let scratch = ProbeScratch(name, directory, in: parent)
        for part in ["lower", "upper", "work", "merged"] { _ = try make(Bytes(part), in: scratch.directory) }
        _ = try Descriptor.open(
            Bytes("lower/gone"), O_WRONLY | O_CREAT | O_EXCL, mode: 0o600, at: scratch.directory.raw)
        return scratch
    }

    private static func nearest(_ path: Bytes) throws(SystemError) -> Descriptor {
        var place = Path.normalized(path)
        while true {
            do {
                return try Descriptor.open(place, O_RDONLY | O_DIRECTORY)
            } catch {
                if error.errno != ENOENT || place == [Path.slash] { throw error }
            }
            place = Path.parent(place)
        }
    }

    deinit { Self.remove(name, directory.raw, parent.raw) }

    /// All that the probes can have made, by name: no walk, so nothing else can be hit. What isn't there is no error.
    private static func remove(_ name: Bytes, _ directory: Int32, _ parent: Int32) {
        for file in ["lower/gone", "upper/gone", "upper/made"] { unlinkat(directory, file, 0) }
        aegix_probe_clear(directory, "work/work")
        for part in ["lower", "upper", "work", "merged"] {
            unlinkat(directory, part, AT_REMOVEDIR)
        }
        _ = name.withCString { unlinkat(parent, $0, AT_REMOVEDIR) }
    }

    fileprivate static func make(_ name: Bytes, in parent: borrowing Descriptor) throws(SystemError) -> Descriptor {
        let raw = parent.raw
        if name.withCString({ mkdirat(raw, $0, 0o700) }) < 0 { throw SystemError.last("mkdir", name) }
        return try Descriptor.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: raw)
    }
}

/// An empty cgroup below our own, that lives as long as this value.
struct ProbeCgroup: ~Copyable {
    let directory: Descriptor
    private let parent: Descriptor
    private let name: Bytes

    private init(_ name: Bytes, _ directory: consuming Descriptor, in parent: consuming Descriptor) {
        self.name = name
        self.directory = directory
        self.parent = parent
    }

    static func make(in own: Bytes) throws(SystemError) -> ProbeCgroup {
        let parent = try Descriptor.open(own, O_RDONLY | O_DIRECTORY)
        let name = Bytes("aegix-probe-\(getpid())")
        let directory = try ProbeScratch.make(name, in: parent)
        return ProbeCgroup(name, directory, in: parent)
    }

    /// The kernel may still be taking the last process out.
    deinit {
        for _ in 0..<50 {
            if name.withCString({ unlinkat(parent.raw, $0, AT_REMOVEDIR) }) == 0 || errno != EBUSY { break }
            usleep(10_000)
        }
    }
}

/// Signals that would end us wait until this value is gone, so that what was made gets removed.
struct BlockedSignals: ~Copyable {
    private var before = sigset_t()

    init() {
        var blocked = sigset_t()
        sigemptyset(&blocked)
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM] { sigaddset(&blocked, signal) }
        sigprocmask(SIG_BLOCK, &blocked, &before)
    }

    deinit {
        var restored = before
        sigprocmask(SIG_SETMASK, &restored, nil)
    }
}
