// Side effects: reads programs and libraries of the base system after a run, and keeps their digests in the cache.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// SHA-256 of what a run loaded from the base system, which no sandbox can write, so that it is kept (rule 13): by device, inode, size and times, as
/// of the command's own program. Whatever else was loaded is for others to digest.
public struct LoadDigests {
    public private(set) var digests: [Bytes: String] = [:]
    /// Some were left out for a bound.
    public private(set) var isCut = false

    private static let longest: UInt64 = 512 << 20
    private static let mostBytes: UInt64 = 4 << 30
    private static let patience: UInt64 = 20_000_000_000

    /// - views: what the policy brings into view, which may be written there.
    public init(_ files: [LoadedFile], views: [Bytes], cache: CacheDirectory) {
        let end = Clock.monotonic() + LoadDigests.patience
        let own = views.filter { !BaseView.rootPaths.contains($0) }
        var left = LoadDigests.mostBytes
        for file in files where LoadDigests.isSystem(file.path, own) {
            let (key, identity) = LoadDigests.cacheKey(file.facts)
            if let known = LoadDigests.known(cache.read(key, limit: 256), identity) {
                digests[file.path] = known
            } else if file.facts.size > min(left, LoadDigests.longest) || Clock.monotonic() > end {
                isCut = true
            } else if let digest = LoadDigests.digest(file) {
                left -= file.facts.size
                digests[file.path] = digest
                cache.write(key, Bytes(identity + digest))
            }
        }
    }

    private static func isSystem(_ path: Bytes, _ views: [Bytes]) -> Bool {
        BaseView.rootPaths.contains { Path.contains($0, path) } && !views.contains { Path.contains($0, path) }
    }

    private static func known(_ stored: Bytes?, _ identity: String) -> String? {
        guard let text = stored?.text, text.hasPrefix(identity) else { return nil }
        let digest = text.dropFirst(identity.count)
        return digest.utf8.count == 64 ? String(digest) : nil
    }

    /// The host has it at the same path; it has to be the same file, before and after.
    private static func digest(_ file: LoadedFile) -> String? {
        do throws(SystemError) {
            let opened = try Descriptor.open(file.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            if try !FileFacts(of: opened).isSame(file.facts) { return nil }
            let digest = try opened.digest().digest
            return try FileFacts(of: opened).isSame(file.facts) ? digest : nil
        } catch {
            return nil
        }
    }

    /// As `ProgramDigest` has it: one entry serves both.
    private static func cacheKey(_ facts: FileFacts) -> (key: String, identity: String) {
        var found = stat()
        found.st_dev = dev_t(facts.device)
        found.st_ino = ino_t(facts.inode)
        found.st_size = off_t(clamping: facts.size)
        found.st_mtim = timespec(facts.modified)
        found.st_ctim = timespec(facts.changed)
        return ProgramDigest.cacheKey(found)
    }
}

extension timespec {
    fileprivate init(_ nanoseconds: Int64) {
        self.init(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    }
}
