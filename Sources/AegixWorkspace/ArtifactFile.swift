// Side effects: copies one file.

import AegixSystem
import Glibc

/// Copies a file that may be anything, reading it once: what is digested is what was written.
final class ArtifactFile {
    private var buffer = Bytes(repeating: 0, count: 256 << 10)

    enum Result: Equatable {
        case copied(size: UInt64, digest: String)
        /// It has more bytes than there is room for.
        case tooLong
        case late
    }

    /// Whose fault it is: a file that can't be read is left out, a disk that can't be written ends all.
    enum Fault: Error {
        case source(SystemError)
        case target(SystemError)
    }

    /// Stretches of zeros become holes. What the target holds after anything but `copied` is to be thrown away.
    func copy(
        _ source: borrowing Descriptor, to target: borrowing Descriptor, room: UInt64, until deadline: UInt64
    ) throws(Fault) -> Result {
        var running = SHA256()
        var size: UInt64 = 0
        while true {
            let count = read(source.raw, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw .source(SystemError.last("read"))
            }
            if count == 0 { break }
            if UInt64(count) > room - size { return .tooLong }
            buffer.withUnsafeBytes { running.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            try put(target, count, at: size)
            size += UInt64(count)
            if Clock.monotonic() > deadline { return .late }
        }
        if ftruncate(target.raw, off_t(size)) < 0 { throw .target(SystemError.last("ftruncate")) }
        return .copied(size: size, digest: running.finish())
    }

    private func put(_ target: borrowing Descriptor, _ count: Int, at place: UInt64) throws(Fault) {
        if buffer.withUnsafeBytes({ $0[..<count].allSatisfy { $0 == 0 } }) { return }
        var done = 0
        while done < count {
            let written = buffer.withUnsafeBytes {
                pwrite(target.raw, $0.baseAddress?.advanced(by: done), count - done, off_t(place) + off_t(done))
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw .target(SystemError.last("write"))
            }
            done += written
        }
    }
}
