// Side effects: reads a file. Makes nothing but in `extract`, in the directory that it is given.

import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// Reads a bundle that anybody may have made: bounded in memory, without a temporary file, and to the last byte, before
/// anything of it is said to hold.
public struct BundleReader: ~Copyable {
    private let file: Descriptor
    private let size: UInt64
    public let path: Bytes

    /// A regular file.
    public init(_ path: Bytes) throws(Failure) {
        self.path = path
        let opened = try BundleReader.open(path)
        do throws(SystemError) { size = try FileFacts(of: opened).size } catch { size = 0 }
        file = opened
    }

    private static func open(_ path: Bytes) throws(Failure) -> Descriptor {
        do throws(SystemError) {
            let file = try Descriptor.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            let facts = try FileFacts(of: file)
            if facts.isDirectory { throw SystemError("open", path, errno: EISDIR) }
            if !facts.isFile { throw SystemError("open", path, errno: EINVAL) }
            return file
        } catch {
            throw Failure("bundle.unreadable", "can't read the bundle \(path.shown)", error)
        }
    }

    /// A word on the command line that means a file, not a run.
    public static func isPath(_ word: Bytes) -> Bool {
        word.contains(Path.slash) || word.suffix(6).elementsEqual(".aegix".utf8)
    }

    public func verify(keys: BundleKeys) -> Result<BundleVerdict, BundleFault> {
        do throws(BundleFault) { return .success(try read(keys, nil)) } catch { return .failure(error) }
    }

    /// Unpacks it into an empty directory: the fixed names as in a run directory, `inputs/<sha256>` for what was kept of the
    /// workspace, `blobs/<sha256>` for artifacts and the layer. All are new regular files of mode 0600. When anything is wrong,
    /// what was made is removed again.
    ///
    /// - most: bytes that may be made.
    public func extract(
        into directory: borrowing Descriptor, keys: BundleKeys = .none, most: UInt64 = 16 << 30
    ) throws(Failure) -> BundleVerdict {
        let target: BundleExtraction
        do throws(SystemError) {
            target = try BundleExtraction(into: directory, most: most)
        } catch {
            throw Failure("bundle.unpacked", "can't unpack the bundle \(path.shown)", error)
        }
        do throws(BundleFault) {
            let verdict = try read(keys, target)
            target.keep()
            return verdict
        } catch {
            target.remove()
            throw failure(error)
        }
    }

    /// A fault as an error of a command that needs the bundle whole.
    public func failure(_ fault: BundleFault) -> Failure {
        if let system = fault.system {
            return Failure(
                "bundle.unpacked", "can't unpack \(fault.entry ?? "") of the bundle \(path.shown)", system)
        }
        return Failure("bundle.damaged", "\(path.shown) isn't a bundle as aegix wrote it: \(fault.words)")
    }

    // MARK: - Reading

    private static let piece = 256 << 10

    private func read(_ keys: BundleKeys, _ sink: (any BundleSink)?) throws(BundleFault) -> BundleVerdict {
        let end = try frameEnd()
        var parser = BundleParser(fileSize: size, keys: keys, sink: sink)
        let unpacker: BundleUnpacker
        do throws(BundleUnpacker.Flaw) { unpacker = try BundleUnpacker() } catch {
            throw BundleFault(nil, 0, "no memory", SystemError("zstd", errno: ENOMEM))
        }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: BundleReader.piece, alignment: 16)
        defer { room.deallocate() }
        var running = SHA256()
        var at: UInt64 = 0
        while at < end {
            let count = try fill(
                UnsafeMutableRawBufferPointer(rebasing: room[..<Int(min(end - at, UInt64(room.count)))]), at)
            let piece = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])
            running.update(piece)
            let start = at
            try unpacker.feed(piece) { (out) throws(BundleFault) in
                try parser.feed(out)
            } else: { flaw in
                if case .memory = flaw { return BundleFault(nil, 0, "no memory", SystemError("zstd", errno: ENOMEM)) }
                return parser.fault(
                    "what lies between bytes \(start) and \(start + UInt64(count)) of the file \(flaw.words)")
            }
            at += UInt64(count)
        }
        if !unpacker.isComplete { throw parser.fault("the file ends before it does") }
        try parser.finish()
        try compareTrailer(running.finish(), at: end)
        return try parser.verdict()
    }

    /// Where what is packed ends: before the digest of it.
    private func frameEnd() throws(BundleFault) -> UInt64 {
        if size < UInt64(BundleFrame.trailer + BundleFrame.head.count) {
            throw BundleFault(nil, 0, "\(size) bytes are too few for a bundle")
        }
        return size - UInt64(BundleFrame.trailer)
    }

    private func compareTrailer(_ digest: String, at end: UInt64) throws(BundleFault) {
        var trailer = Bytes(repeating: 0, count: BundleFrame.trailer)
        var failed: BundleFault?
        trailer.withUnsafeMutableBytes { room in
            do throws(BundleFault) { _ = try fill(room, end, whole: true) } catch { failed = error }
        }
        if let failed { throw failed }
        guard trailer.starts(with: BundleFrame.trailerHead) else {
            throw BundleFault(nil, end, "its last \(BundleFrame.trailer) bytes aren't the digest that ends a bundle")
        }
        if Hex.encode(Bytes(trailer.suffix(32))) != digest {
            throw BundleFault(
                nil, end, "its contents are whole, and it is packed otherwise than the digest at its end says")
        }
    }

    private func fill(
        _ room: UnsafeMutableRawBufferPointer, _ at: UInt64, whole: Bool = false
    ) throws(BundleFault) -> Int {
        var done = 0
        while done < room.count, let base = room.baseAddress {
            let count = aegix_pread(file.raw, base + done, room.count - done, at + UInt64(done))
            if count < 0 {
                if errno == EINTR { continue }
                let error = SystemError.last("read", path)
                throw BundleFault(nil, at, "can't read it: \(error.reason)", error)
            }
            if count == 0 { throw BundleFault(nil, at, "it became shorter while it was read") }
            done += count
            if !whole { break }
        }
        return done
    }
}

extension BundleParser {
    func verdict() throws(BundleFault) -> BundleVerdict { try check.verdict().get() }
}

extension BundleFault {
    /// For a person.
    public var words: String { entry.map { Bytes($0).shown + ": " + reason } ?? reason }
}
