// Side effects: opens where `--output` points before the run, and puts a file there after it, whole or not at all.

import AegixSandbox
import AegixSystem
import CAegix
import Glibc

/// The place of a policy that is to be written. Its directory is opened before the command runs and nothing of the name is followed:
/// what the command puts there meanwhile is an error, or with `--force` replaced, never written through.
final class PolicyOutput {
    /// Absolute, its directory without symlinks.
    let path: Bytes
    private let name: Bytes
    private let directory: Descriptor
    private let replaces: Bool

    init(_ given: Bytes, cwd: Bytes, replaces: Bool) throws(Failure) {
        self.replaces = replaces
        let absolute = Path.join(cwd, given)
        name = Path.name(absolute)
        do throws(SystemError) {
            if given.contains(0) { throw SystemError("open", given, errno: EINVAL) }
            if given.last == Path.slash || name == Bytes(".") || name == Bytes("..") {
                throw SystemError("open", given, errno: EISDIR)
            }
            let parent = absolute.lastIndex(of: Path.slash).map { Bytes(absolute[..<$0]) } ?? []
            directory = try Descriptor.open(parent.isEmpty ? [Path.slash] : parent, O_RDONLY | O_DIRECTORY)
            path = Path.join(try HostSurvey.canonicalPath(parent.isEmpty ? [Path.slash] : parent), name)
        } catch {
            throw Failure("learn.output", "can't write the policy to \(given.shown)", error)
        }
        try check(exitCode: 125)
    }

    private func check(exitCode: Int32) throws(Failure) {
        var facts = stat()
        if name.withCString({ fstatat(directory.raw, $0, &facts, AT_SYMLINK_NOFOLLOW) }) != 0 { return }
        if facts.st_mode & S_IFMT != S_IFREG {
            throw Failure(
                "learn.output", "\(path.shown) is there and isn't a regular file: name another", exitCode: exitCode)
        }
        if !replaces {
            throw Failure("learn.output", "\(path.shown) is there already: --force replaces it", exitCode: exitCode)
        }
    }

    func write(_ text: Bytes) throws(Failure) {
        if replaces { try check(exitCode: 123) }
        do throws(SystemError) {
            let temporary = Bytes(".aegix-\(try RunID.make())")
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
            let file = try Descriptor.open(temporary, flags, mode: 0o666, at: directory.raw)
            defer { _ = temporary.withCString { unlinkat(directory.raw, $0, 0) } }
            try file.writeAll(text)
            let code = temporary.withCString { from in
                name.withCString { to in
                    replaces
                        ? renameat(directory.raw, from, directory.raw, to)
                        : linkat(directory.raw, from, directory.raw, to, 0)  // never onto another
                }
            }
            if code < 0 { throw SystemError.last(replaces ? "rename" : "link", path) }
        } catch {
            throw Failure("learn.output", "can't write the policy to \(path.shown)", error, exitCode: 123)
        }
    }
}
