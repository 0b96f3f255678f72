// Side effects: writes a bundle to an open file.

import AegixSystem
import CAegix
import Glibc

/// Entry by entry, in one pass: each content is digested while it is packed, and has to be the one that was named before.
final class BundleWriter {
    private let packer: BundlePacker
    private let file: Int32
    private var running = SHA256()
    private let room: UnsafeMutableRawBufferPointer
    /// Of the file so far.
    private(set) var bytes: UInt64 = 0
    private(set) var contents: UInt64 = 0

    enum Fault: Error {
        /// A source isn't what it was.
        case changed
        case source(SystemError)
        case target(SystemError)
    }

    init(to file: borrowing Descriptor) throws(SystemError) {
        packer = try BundlePacker()
        self.file = file.raw
        room = .allocate(byteCount: 512 << 10, alignment: 4096)
    }

    deinit { room.deallocate() }

    func add(_ name: String, _ content: Bytes) throws(Fault) {
        try pack(BundleHeader.make(name, UInt64(content.count)))
        try pack(content)
        try pad(UInt64(content.count))
    }

    func add(_ name: String, size: UInt64, digest: String, from source: borrowing Descriptor) throws(Fault) {
        try pack(BundleHeader.make(name, size))
        var digesting = SHA256()
        var at: UInt64 = 0
        while let base = room.baseAddress {
            // One byte more than there may be: a file that has grown shows.
            let count = aegix_pread(source.raw, base, room.count, at)
            if count < 0 {
                if errno == EINTR { continue }
                throw .source(SystemError.last("read", Bytes(name)))
            }
            if count == 0 { break }
            at += UInt64(count)
            if at > size { throw .changed }
            let piece = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])
            digesting.update(piece)
            try pack(piece)
        }
        if at != size || digesting.finish() != digest { throw .changed }
        try pad(size)
    }

    /// Returns the digest of the whole file.
    func finish() throws(Fault) -> String {
        try pack(Bytes(repeating: 0, count: BundleHeader.end))
        do throws(SystemError) { try packer.finish { (out) throws(SystemError) in try write(out) } } catch {
            throw .target(error)
        }
        var digest = running
        var trailer = BundleFrame.trailerHead
        trailer += Hex.decode(digest.finish().utf8) ?? []
        do throws(SystemError) {
            var failed: SystemError?
            trailer.withUnsafeBytes { bytes in
                do throws(SystemError) { try write(bytes) } catch { failed = error }
            }
            if let failed { throw failed }
        } catch {
            throw .target(error)
        }
        return running.finish()
    }

    private func pad(_ size: UInt64) throws(Fault) {
        contents += size
        let padding = BundleHeader.padding(size)
        if padding > 0 { try pack(Bytes(repeating: 0, count: padding)) }
    }

    private func pack(_ content: Bytes) throws(Fault) {
        var failed: Fault?
        content.withUnsafeBytes { bytes in
            do throws(Fault) { try pack(bytes) } catch { failed = error }
        }
        if let failed { throw failed }
    }

    private func pack(_ content: UnsafeRawBufferPointer) throws(Fault) {
        do throws(SystemError) {
            try packer.feed(content) { (out) throws(SystemError) in try write(out) }
        } catch {
            throw .target(error)
        }
    }

    private func write(_ out: UnsafeRawBufferPointer) throws(SystemError) {
        running.update(out)
        bytes += UInt64(out.count)
        var done = 0
        while done < out.count, let base = out.baseAddress {
            let count = Glibc.write(file, base + done, out.count - done)
            if count >= 0 {
                done += count
            } else if errno == EAGAIN {
                var waiting = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
                _ = poll(&waiting, 1, -1)
            } else if errno != EINTR {
                throw SystemError.last("write")
            }
        }
    }
}
