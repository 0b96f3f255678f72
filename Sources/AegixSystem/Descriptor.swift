// Side effects: closes what it owns, once.

import CAegix
import Glibc

/// An open file descriptor with one owner.
public struct Descriptor: ~Copyable {
    public let raw: Int32

    public init(owning raw: Int32) { self.raw = raw }

    /// Never retried on EINTR: Linux has released the number by then.
    deinit { _ = Glibc.close(raw) }

    /// Gives up ownership: the caller closes, or hands it to C.
    public consuming func release() -> Int32 {
        let number = raw
        discard self
        return number
    }

    /// Opens relative to `directory` (AT_FDCWD when nil), close-on-exec.
    public static func open(
        _ path: Bytes, _ flags: Int32, mode: mode_t = 0, at directory: Int32 = AT_FDCWD
    ) throws(SystemError) -> Descriptor {
        let number = path.withCString { aegix_openat(directory, $0, flags | O_CLOEXEC, mode) }
        if number < 0 { throw SystemError.last("open", path) }
        return Descriptor(owning: number)
    }

    /// All of a regular file, refused when longer than `limit`.
    public func readAll(limit: Int) throws(SystemError) -> Bytes {
        var all = Bytes()
        var chunk = Bytes(repeating: 0, count: 16384)
        while true {
            let count = Glibc.read(raw, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError.last("read")
            }
            if count == 0 { return all }
            all.append(contentsOf: chunk[..<count])
            if all.count > limit { throw SystemError("read", errno: EFBIG) }
        }
    }

    /// Writes every byte or throws.
    public func writeAll(_ bytes: Bytes) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(raw, $0.baseAddress?.advanced(by: done), bytes.count - done) }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError.last("write")
            }
            done += count
        }
    }
}
