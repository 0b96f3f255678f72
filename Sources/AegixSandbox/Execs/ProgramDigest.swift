// Side effects: reads the program's file, piece by piece, while the command runs.

import AegixSystem
import CAegix
import Glibc

/// SHA-256 of the command's program. Nothing waits for it but the end of a run that was faster than the reading.
final class ProgramDigest {
    /// A longer program has no digest: a sparse file of terabytes would hold the run's end up for hours.
    private static let longest = off_t(512) << 20

    private let file: ExecWatch.ProgramFile
    private let cache: CacheDirectory?
    private let key: String
    private let identity: String
    private var running = SHA256()
    private var buffer = Bytes()
    private(set) var digest: String?

    /// `cacheable`: only for a file that no sandbox of the caller's can write.
    init?(file: ExecWatch.ProgramFile, cacheable: Bool, cache: CacheDirectory) {
        var facts = stat()
        if !file.file.isOpen || fstat(file.file.raw, &facts) < 0 || facts.st_mode & S_IFMT != S_IFREG { return nil }
        if facts.st_size > ProgramDigest.longest { return nil }
        self.file = file
        self.cache = cacheable ? cache : nil
        (key, identity) = ProgramDigest.cacheKey(facts)
        if cacheable, let stored = cache.read(key, limit: 256), let text = stored.text, text.hasPrefix(identity) {
            let known = text.dropFirst(identity.count)
            if known.utf8.count == 64 { digest = String(known) }
        }
    }

    /// The name of the entry, and how it begins as long as the file is what it was.
    static func cacheKey(_ facts: stat) -> (key: String, identity: String) {
        (
            "program-\(facts.st_dev)-\(facts.st_ino)",
            "\(facts.st_size) \(facts.st_mtim.tv_sec).\(facts.st_mtim.tv_nsec) "
                + "\(facts.st_ctim.tv_sec).\(facts.st_ctim.tv_nsec) "
        )
    }

    var isDone: Bool { digest != nil }

    /// One piece. A file that can't be read to its end has no digest, and the record says null.
    func step() -> Bool {
        if buffer.isEmpty { buffer = Bytes(repeating: 0, count: 1 << 18) }
        let count = read(file.file.raw, &buffer, buffer.count)
        if count < 0 { return false }
        if count == 0 {
            let finished = running.finish()
            digest = finished
            cache?.write(key, Bytes(identity + finished))
            return true
        }
        buffer.withUnsafeBytes { running.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        return true
    }
}
