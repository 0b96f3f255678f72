// Side effects: closes what it owns, once.

import CAegix
import Glibc

/// An open file descriptor with one owner.
public struct Descriptor: ~Copyable {
    public let raw: Int32

    public init(owning raw: Int32) { self.raw = raw }

    /// No descriptor: -1, which poll ignores.
    public static var none: Descriptor { Descriptor(owning: -1) }

    public var isOpen: Bool { raw >= 0 }

    /// O_PATH, which Glibc's module doesn't show.
    public static let pathOnly: Int32 = aegix_o_path()

    /// Never retried on EINTR: Linux has released the number by then.
    deinit { if raw >= 0 { _ = Glibc.close(raw) } }

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

    /// Opens beneath `directory`, never through a symlink, magic link or `..`.
    public static func openBeneath(
        _ directory: Int32, _ path: Bytes, _ flags: Int32
    ) throws(SystemError) -> Descriptor {
        let number = path.withCString { aegix_open_beneath(directory, $0, flags) }
        if number < 0 { throw SystemError.last("open", path) }
        return Descriptor(owning: number)
    }

    /// A file in memory, without a name.
    public static func anonymousFile(_ name: Bytes) throws(SystemError) -> Descriptor {
        let number = name.withCString { aegix_memory_file($0) }
        if number < 0 { throw SystemError.last("memfd_create") }
        return Descriptor(owning: number)
    }

    /// All of a regular file, refused when longer than `limit`.
    public func readAll(limit: Int) throws(SystemError) -> Bytes {
        var all = Bytes()
        while true {
            let count = withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 16) { chunk in
                let count = Glibc.read(raw, chunk.baseAddress, chunk.count)
                if count > 0 { all.append(contentsOf: chunk[..<count]) }
                return count
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError.last("read")
            }
            if count == 0 { return all }
            if all.count > limit { throw SystemError("read", errno: EFBIG) }
        }
    }

    /// Writes every byte or throws.
    public func writeAll(_ bytes: Bytes) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(raw, $0.baseAddress?.advanced(by: done), bytes.count - done)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError.last("write")
            }
            done += count
        }
    }
}
