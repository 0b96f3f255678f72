// Side effects: reads and rewrites the list of trusted files in the user's configuration.

import AegixSystem
import Glibc

/// `trusted.jsonl`: one line a file, with its canonical path and the digest of the content that the user has looked at.
struct TrustStore {
    let directory: Bytes
    private var path: Bytes { Path.join(directory, Bytes("trusted.jsonl")) }

    /// The user's configuration: `$XDG_CONFIG_HOME/aegix`, else `~/.config/aegix`.
    static func configuration(home: Bytes?) -> Bytes? {
        if let pointer = getenv("XDG_CONFIG_HOME") {
            let named = Bytes(UnsafeRawBufferPointer(start: pointer, count: strlen(pointer)))
            // A relative one is ignored, as its specification asks.
            if Path.isAbsolute(named) { return Path.join(named, Bytes("aegix")) }
        }
        guard let home, Path.isAbsolute(home) else { return nil }
        return Path.join(home, Bytes(".config/aegix"))
    }

    func holds(_ file: PolicyFile) throws(Failure) -> Bool {
        let digest = SHA256.hex(file.bytes)
        return try pins().contains { $0.path == file.canonical && $0.digest == digest }
    }

    /// Pins what the file holds now; an older pin of the same path is gone.
    func pin(_ file: PolicyFile) throws(Failure) {
        try makeDirectory()
        var all = try pins().filter { $0.path != file.canonical }
        all.append((file.canonical, SHA256.hex(file.bytes)))
        let lines = all.map { JSON.object(["path": .bytes($0.path), "sha256": .string($0.digest)]).canonical }
        let text = lines.flatMap { $0 + [UInt8(ascii: "\n")] }
        // By rename: a reader sees the old list or the new one, and a crash leaves one of them.
        let fresh = path + Bytes(".\(getpid())")
        do throws(SystemError) {
            let file = try Descriptor.open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            try file.writeAll(text)
            if fsync(file.raw) != 0 { throw SystemError.last("fsync", fresh) }
            let code = fresh.withCString { from in path.withCString { rename(from, $0) } }
            if code != 0 { throw SystemError.last("rename", path) }
        } catch {
            _ = fresh.withCString { unlink($0) }
            throw Failure("policy.trust", "can't write \(path.shown)", error)
        }
    }

    private func pins() throws(Failure) -> [(path: Bytes, digest: String)] {
        guard let file = try PolicyFile.read(path, named: path.shown, flags: O_NOFOLLOW) else { return [] }
        try PolicyFile.checkDirectory(directory, owners: [geteuid()])
        try file.check(owners: [geteuid()])
        var all: [(path: Bytes, digest: String)] = []
        for line in file.bytes.split(separator: UInt8(ascii: "\n")) {
            guard let entry = TrustStore.parse(Array(line)) else {
                throw Failure(
                    "policy.unsafe", "\(path.shown) is damaged; remove it, and trust again what you have looked at")
            }
            all.append(entry)
        }
        return all
    }

    private static func parse(_ line: Bytes) -> (path: Bytes, digest: String)? {
        let entry: JSON
        do { entry = try JSON.parse(line) } catch { return nil }
        guard let path = entry["path"]?.bytesValue, let digest = entry["sha256"]?.string else { return nil }
        return (path, digest)
    }

    private func makeDirectory() throws(Failure) {
        var made: Bytes = []
        for part in Path.components(directory) {
            made += [Path.slash] + part
            let code = made.withCString { mkdir($0, 0o700) }
            if code != 0, errno != EEXIST {
                throw Failure("policy.trust", "can't make \(made.shown)", .last("mkdir", made))
            }
        }
        try PolicyFile.checkDirectory(directory, owners: [geteuid()])
    }
}
