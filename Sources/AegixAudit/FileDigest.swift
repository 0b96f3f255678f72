// Side effects: reads a file. In pieces, since a log may be as long as the policy lets it.

import AegixSystem
import Glibc

enum FileDigest {
    static func take(_ name: String, in directory: borrowing Descriptor) throws(SystemError) -> (
        bytes: UInt64, digest: String
    ) {
        let file = try StateFile.openRegular(name, in: directory)
        var running = SHA256()
        var total: UInt64 = 0
        var chunk = Bytes(repeating: 0, count: 64 << 10)
        while true {
            let count = read(file.raw, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError.last("read", Bytes(name))
            }
            if count == 0 { return (total, running.finish()) }
            chunk.withUnsafeBytes { running.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            total += UInt64(count)
        }
    }
}
