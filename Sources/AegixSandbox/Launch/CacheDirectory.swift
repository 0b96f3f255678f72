// Side effects: reads and writes small files beneath the state directory, which the command never sees.

import AegixSystem
import CAegix
import Glibc

/// What can be computed again: compiled filters, digests of programs. A miss is never an error, and neither is a cache
/// that can't be written.
public struct CacheDirectory {
    private let path: Bytes
    private let writes: Bool

    public init(path: Bytes, writes: Bool = true) {
        self.path = path
        self.writes = writes
    }

    func read(_ name: String, limit: Int) -> Bytes? {
        do {
            let file = try Descriptor.open(Path.join(path, Bytes(name)), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            return try file.readAll(limit: limit)
        } catch {
            return nil
        }
    }

    /// Whole or not at all: readers see the old file or the new one.
    func write(_ name: String, _ content: Bytes) {
        if !writes { return }
        let target = Path.join(path, Bytes(name))
        do {
            let temporary = target + Bytes(".\(try RunID.make())")
            _ = path.withCString { mkdir($0, 0o700) }
            let file = try Descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            do {
                try file.writeAll(content)
                let renamed = temporary.withCString { from in target.withCString { rename(from, $0) } }
                if renamed < 0 { throw SystemError.last("rename", target) }
            } catch {
                _ = temporary.withCString { unlink($0) }
            }
        } catch {
            return  // only slower next time
        }
    }
}
