// Side effects: opens files of a sandbox, without running or following anything that it could put in the way.

import AegixSystem
import CAegix
import Glibc

/// One file that an exec would load: which it is, for the kernel and for the rules.
struct ExecFile: Equatable {
    struct Identity: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    /// As it was asked for, absolute.
    var named: Bytes
    /// Through symlinks.
    var path: Bytes
    var identity: Identity
    var size: UInt64
    var mode: UInt32
    /// The sandbox could have written it.
    var isWritable: Bool
    /// Of its content, as far as a script's first line goes.
    var head: Bytes
}

/// Why there is no such file to judge.
enum ExecFault: Error, Equatable {
    /// What the kernel itself would say: nothing would run.
    case answer(Int32)
    /// It may be there, and can't be told for sure.
    case unknown(String)
}

/// Finds the files of a sandbox by the paths that its processes name.
final class ExecFiles {
    private let root: Int32
    /// There is no sandbox yet: what it would show.
    private let view: HostView?
    /// Tier confined: no mounts, so what Landlock lets be written counts.
    private let writable: [Bytes]?
    /// Of files that the sandbox can't change.
    private var heads: [ExecFile.Identity: Bytes] = [:]

    /// The kernel looks at so much for `#!`.
    static let headLength = 256
    private static let mostHeads = 4096

    init(root: Int32, writable: [Bytes]?) {
        self.root = root
        self.writable = writable
        view = nil
    }

    init(_ view: HostView) {
        self.view = view
        root = -1
        writable = nil
    }

    /// - name: as the call has it. - directory: what a relative one starts from, by /proc of the caller: `cwd`, `fd/7`.
    func find(_ name: Bytes, directory: String = "cwd", of pid: pid_t) throws(ExecFault) -> ExecFile {
        if name.isEmpty { return try behind(directory, of: pid) }
        var path = name
        if let view {
            path = Path.join(view.cwd, name)
            let isMagic = ExecFiles.own(path) != nil || Path.contains(Bytes("/proc"), Path.normalized(path))
            if isMagic { throw .unknown("\(path.shown) is another file in each process") }
            return try foresee(path, view)
        }
        if !Path.isAbsolute(name) {
            guard let base = ProcessFacts.link(pid, directory) else { throw .unknown("its directory can't be told") }
            path = Path.join(base, name)
        }
        if let link = ExecFiles.own(path) { return try behind(link, of: pid) }
        let raw = path.withCString { aegix_open_in_root(root, $0, Descriptor.pathOnly) }
        if raw < 0 {
            let code = errno
            // A magic link, of which only a process's own are told apart; a loop of plain ones is no harm to refuse.
            if code == ELOOP { throw .unknown("\(path.shown) leads through a link of /proc") }
            throw .answer(code)
        }
        return try look(Descriptor(owning: raw), named: path)
    }

    private func foresee(_ path: Bytes, _ view: HostView) throws(ExecFault) -> ExecFile {
        let place = try view.program(path)
        guard let file = HostView.open(place.host, Descriptor.pathOnly) else { throw .answer(ENOENT) }
        return try look(file, named: path, at: place)
    }

    /// A directory of the view, to be listed.
    func directory(_ path: Bytes) -> Descriptor? {
        if let view {
            guard case .there(_, let host?, _, _) = view.find(path) else { return nil }
            return HostView.open(host, O_RDONLY | O_DIRECTORY)
        }
        let raw = path.withCString { aegix_open_in_root(root, $0, O_RDONLY | O_DIRECTORY) }
        return raw < 0 ? nil : Descriptor(owning: raw)
    }

    /// A file by its path alone, for a rule.
    func find(_ path: Bytes) -> ExecFile? {
        if let view {
            do throws(ExecFault) { return try foresee(path, view) } catch { return nil }
        }
        let raw = path.withCString { aegix_open_in_root(root, $0, Descriptor.pathOnly) }
        if raw < 0 { return nil }
        do { return try look(Descriptor(owning: raw), named: path) } catch { return nil }
    }

    func open(_ file: ExecFile) -> Descriptor? {
        if let view {
            do throws(ExecFault) {
                let place = try view.program(file.path)
                guard let opened = HostView.open(place.host, O_RDONLY | O_NONBLOCK) else { return nil }
                var facts = stat()
                if fstat(opened.raw, &facts) < 0 || ExecFile.Identity(facts) != file.identity { return nil }
                return opened
            } catch {
                return nil
            }
        }
        let raw = file.path.withCString { aegix_open_in_root(root, $0, O_RDONLY | O_NONBLOCK) }
        if raw < 0 { return nil }
        var facts = stat()
        let opened = Descriptor(owning: raw)
        guard fstat(raw, &facts) == 0, ExecFile.Identity(facts) == file.identity else { return nil }
        return opened
    }

    /// `exe` and `fd/N` of the caller's own, under the names that the kernel gives them.
    private static func own(_ path: Bytes) -> String? {
        let plain = Path.normalized(path)
        for prefix in ["/proc/self/", "/proc/thread-self/", "/dev/"] where plain.starts(with: Bytes(prefix)) {
            let rest = String(decoding: plain.dropFirst(prefix.utf8.count), as: UTF8.self)
            if rest == "exe", prefix != "/dev/" { return rest }
            if rest.hasPrefix("fd/"), Int32(rest.dropFirst(3)) != nil { return rest }
        }
        return nil
    }

    private func behind(_ link: String, of pid: pid_t) throws(ExecFault) -> ExecFile {
        let place = Bytes("/proc/\(pid)/\(link)")
        let raw = place.withCString { Glibc.open($0, Descriptor.pathOnly | O_CLOEXEC) }
        if raw < 0 { throw errno == ENOENT ? .answer(EBADF) : .unknown("its \(link) can't be looked at") }
        let file = try look(Descriptor(owning: raw), named: [])
        // No path leads to it: a memfd, or a file that was deleted. Its writer may still hold it.
        let there = file.path.withCString { aegix_open_in_root(root, $0, Descriptor.pathOnly) }
        if there < 0 { throw .unknown("no path leads to \(file.path.shown)") }
        var facts = stat()
        let found = Descriptor(owning: there)
        guard fstat(found.raw, &facts) == 0, ExecFile.Identity(facts) == file.identity else {
            throw .unknown("no path leads to \(file.path.shown)")
        }
        var named = file
        named.named = file.path
        return named
    }

    private func look(
        _ file: consuming Descriptor, named: Bytes, at place: HostView.Place? = nil
    ) throws(ExecFault) -> ExecFile {
        var facts = stat()
        if fstat(file.raw, &facts) < 0 { throw .unknown("it can't be looked at") }
        let path: Bytes
        do { path = try place?.inside ?? HostSurvey.canonical(file.raw) } catch {
            throw .unknown("it can't be looked at")
        }
        if facts.st_mode & S_IFMT != S_IFREG || facts.st_mode & 0o111 == 0 { throw .answer(EACCES) }
        var found = ExecFile(
            named: named, path: path, identity: .init(facts), size: UInt64(facts.st_size), mode: facts.st_mode,
            isWritable: place?.isWritable ?? writable.map { $0.contains { Path.contains($0, path) } }
                ?? (aegix_is_writable(file.raw) != 0),
            head: [])
        if !found.isWritable, let known = heads[found.identity] {
            found.head = known
            return found
        }
        let raw = aegix_reopen(file.raw, O_RDONLY | O_NONBLOCK)
        if raw < 0 { throw .unknown("\(path.shown) can't be read") }
        let readable = Descriptor(owning: raw)
        found.head = Bytes(unsafeUninitializedCapacity: ExecFiles.headLength) { buffer, count in
            count = max(0, pread(readable.raw, buffer.baseAddress, buffer.count, 0))
        }
        if !found.isWritable {
            // Only whether it is a script matters of the rest.
            if !found.head.starts(with: Bytes("#!")) { found.head = [] }
            if heads.count < ExecFiles.mostHeads { heads[found.identity] = found.head }
        }
        return found
    }
}

extension ExecFile.Identity {
    init(_ facts: stat) { self.init(device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino)) }
}
