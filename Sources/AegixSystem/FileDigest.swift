// Side effects: reads a file. In pieces, since it may be as long as a disk is large.

import CAegix
import Glibc

extension Descriptor {
    /// The SHA-256 of a whole regular file, and how long it is. Where it is read or written next stays as it was.
    ///
    /// - see: gets each piece, too.
    public func digest(
        _ see: (UnsafeRawBufferPointer) -> Void = { _ in }
    ) throws(SystemError) -> (bytes: UInt64, digest: String) {
        var running = SHA256()
        var total: UInt64 = 0
        while true {
            let count = withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { chunk in
                guard let base = chunk.baseAddress else { return 0 }
                let count = aegix_pread(raw, base, chunk.count, total)
                if count > 0 {
                    let piece = UnsafeRawBufferPointer(rebasing: chunk[..<count])
                    running.update(piece)
                    see(piece)
                }
                return count
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError.last("read")
            }
            if count == 0 { return (total, running.finish()) }
            total += UInt64(count)
        }
    }
}
