// Side effects: copies one file.

import AegixSystem
import Glibc

/// Copies a file that may be anything, reading it once: what is digested is what was written, without secrets.
final class ArtifactFile {
    private var buffer = Bytes(repeating: 0, count: 256 << 10)
    private var cleaned = Bytes()
    private let redactor: Redactor?

    init(_ redactor: Redactor? = nil) { self.redactor = redactor }

    enum Result: Equatable {
        case copied(size: UInt64, digest: String, redacted: UInt64)
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
        let stream = redactor.map { RedactionStream($0) }
        func take(_ bytes: UnsafeRawBufferPointer) throws(Fault) -> Bool {
            if UInt64(bytes.count) > room - size { return false }
            running.update(bytes)
            try put(target, bytes, at: size)
            size += UInt64(bytes.count)
            return true
        }
        while true {
            let count = read(source.raw, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw .source(SystemError.last("read"))
            }
            let fits: Bool
            if let stream {
                cleaned.removeAll(keepingCapacity: true)
                if count == 0 {
                    stream.finish(into: &cleaned)
                } else {
                    buffer.withUnsafeBytes {
                        stream.feed(UnsafeRawBufferPointer(rebasing: $0[..<count]), into: &cleaned)
                    }
                }
                let result = cleaned.withUnsafeBytes { bytes in Swift.Result { () throws(Fault) in try take(bytes) } }
                fits = try result.get()
            } else {
                let result = buffer.withUnsafeBytes { bytes in
                    Swift.Result { () throws(Fault) in try take(UnsafeRawBufferPointer(rebasing: bytes[..<count])) }
                }
                fits = try result.get()
            }
            if !fits { return .tooLong }
            if count == 0 { break }
            if Clock.monotonic() > deadline { return .late }
        }
        if ftruncate(target.raw, off_t(size)) < 0 { throw .target(SystemError.last("ftruncate")) }
        return .copied(size: size, digest: running.finish(), redacted: stream?.count ?? 0)
    }

    private func put(
        _ target: borrowing Descriptor, _ bytes: UnsafeRawBufferPointer, at place: UInt64
    ) throws(Fault) {
        if bytes.allSatisfy({ $0 == 0 }) { return }
        var done = 0
        while done < bytes.count {
            let written = pwrite(
                target.raw, bytes.baseAddress?.advanced(by: done), bytes.count - done, off_t(place) + off_t(done))
            if written < 0 {
                if errno == EINTR { continue }
                throw .target(SystemError.last("write"))
            }
            done += written
        }
    }
}
