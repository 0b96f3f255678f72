// Side effects: opens where `--record` or `--junit` points before the run, and writes there after it.

import AegixSandbox
import AegixSystem
import CAegix
import Glibc

/// The record, or what is said of it, where the caller wants it. The place is opened before the command runs: what the command puts at
/// that path meanwhile, a symlink or another directory, isn't followed.
final class RecordCopy {
    private let path: Bytes
    private let what: String
    private let name: Bytes
    /// The directory of a file that is made or replaced; else the pipe, device or socket itself.
    private let directory: Descriptor
    private let channel: Descriptor

    init(_ path: Bytes, of what: String = "record", cwd: Bytes) throws(Failure) {
        self.path = path
        self.what = what
        let absolute = Path.join(cwd, path)
        do throws(SystemError) {
            var facts = stat()
            let exists = absolute.withCString { stat($0, &facts) } == 0
            if exists, facts.st_mode & S_IFMT == S_IFDIR { throw SystemError("open", path, errno: EISDIR) }
            if exists, facts.st_mode & S_IFMT != S_IFREG {
                name = []
                directory = .none
                channel = try Descriptor.open(absolute, O_WRONLY | O_NONBLOCK | O_NOCTTY)
                return
            }
            // Through symlinks once, now: they are the caller's.
            let file = exists ? try HostSurvey.canonicalPath(absolute) : absolute
            name = Path.name(file)
            directory = try Descriptor.open(Path.parent(file), O_RDONLY | O_DIRECTORY)
            channel = .none
        } catch {
            throw Failure("record.copy", "can't write the \(what) to \(path.shown)", error)
        }
    }

    func write(_ text: Bytes) throws(Failure) {
        do throws(SystemError) {
            if channel.isOpen { return try channel.writeAll(text) }
            let temporary = Bytes(".aegix-\(try RunID.make())")
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
            let file = try Descriptor.open(temporary, flags, mode: 0o600, at: directory.raw)
            do throws(SystemError) {
                try file.writeAll(text)
                let code = temporary.withCString { from in
                    name.withCString { renameat(directory.raw, from, directory.raw, $0) }
                }
                if code < 0 { throw SystemError.last("rename", path) }
            } catch {
                _ = temporary.withCString { unlinkat(directory.raw, $0, 0) }
                throw error
            }
        } catch {
            throw Failure("record.copy", "can't write the \(what) to \(path.shown)", error, exitCode: 123)
        }
    }
}
