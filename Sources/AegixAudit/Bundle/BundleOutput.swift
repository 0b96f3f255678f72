// Side effects: makes a file where the caller wants it.

import AegixSystem
import CAegix
import Glibc

/// A file that is there whole, or not at all: it has another name beside its place until it is finished.
public final class BundleOutput {
    public let path: Bytes
    private var file: Descriptor
    private let directory: Descriptor
    private let name: Bytes
    private var temporary: Bytes
    private let replaces: Bool
    private var isPending = true

    /// - replaces: a regular file of that name.
    public init(_ path: Bytes, replaces: Bool) throws(Failure) {
        self.path = path
        self.replaces = replaces
        name = Path.name(path)
        directory = try BundleOutput.directory(of: path)
        temporary = []
        file = .none
        do throws(SystemError) { try begin() } catch { throw BundleOutput.failure(path, error) }
    }

    private static func directory(of path: Bytes) throws(Failure) -> Descriptor {
        do throws(SystemError) {
            if path.isEmpty || path.last == Path.slash { throw SystemError("open", path, errno: EISDIR) }
            let parent = path.lastIndex(of: Path.slash).map { Bytes(path[...$0]) } ?? Bytes(".")
            return try Descriptor.open(parent, O_RDONLY | O_DIRECTORY)
        } catch {
            throw failure(path, error)
        }
    }

    private func begin() throws(SystemError) {
        var facts = stat()
        if name.withCString({ fstatat(directory.raw, $0, &facts, AT_SYMLINK_NOFOLLOW) }) == 0 {
            let isFile = facts.st_mode & S_IFMT == S_IFREG
            if !isFile || !replaces { throw SystemError("open", path, errno: isFile ? EEXIST : EINVAL) }
        }
        temporary = Bytes(".aegix-\(try RunID.make())")
        file = try Descriptor.open(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: directory.raw)
    }

    deinit { if isPending, file.isOpen { _ = temporary.withCString { unlinkat(directory.raw, $0, 0) } } }

    /// On disk, and then under its name. Without `replaces` by a link, which never takes the place of anything.
    public func finish() throws(Failure) {
        do throws(SystemError) {
            try StateFile.sync(file)
            let code = temporary.withCString { from in
                name.withCString { to in
                    replaces
                        ? renameat(directory.raw, from, directory.raw, to)
                        : linkat(directory.raw, from, directory.raw, to, 0)
                }
            }
            if code < 0 { throw SystemError.last("rename", path) }
            if replaces { isPending = false }
            _ = fsync(directory.raw)
        } catch {
            throw BundleOutput.failure(path, error)
        }
    }

    public func withFile<R>(_ body: (borrowing Descriptor) throws(Failure) -> R) throws(Failure) -> R {
        try body(file)
    }

    public func write(_ bytes: Bytes) throws(Failure) {
        do throws(SystemError) { try file.writeAll(bytes) } catch { throw BundleOutput.failure(path, error) }
    }

    static func failure(_ path: Bytes, _ error: SystemError) -> Failure {
        switch error.errno {
        case EEXIST:
            return Failure(
                "export.exists", "\(path.shown) is there already. Replace it with --force, or name another file",
                errno: EEXIST)
        case EINVAL:
            return Failure("export.unwritable", "\(path.shown) is there and isn't a regular file", errno: EINVAL)
        default: return Failure("export.unwritable", "can't write \(path.shown)", error)
        }
    }
}
