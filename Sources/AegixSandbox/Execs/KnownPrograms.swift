// Side effects: looks up and digests the programs that command rules name, in the sandbox's own view.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// By which other paths a file is known: those that lead to it (symlinks, hard links), and those of the programs that it is
/// a copy of.
final class KnownPrograms {
    private struct Known {
        var file: ExecFile
        /// Of a program that the sandbox can change, as it was at the start; of others made when it is first needed.
        var digest: String?
    }

    private var known: [Known] = []
    private var multiCalls: Set<ExecFile.Identity> = []
    private let files: ExecFiles
    private let cache: CacheDirectory

    /// Bounds of what is looked through for patterns, and of what is digested.
    private static let mostNames = 50_000
    private static let mostKnown = 4096
    private static let longest: UInt64 = 512 << 20

    /// - search: PATH inside. - places: where else a name of a rule may stand for a file.
    init(_ rules: [CommandRule], search: [Bytes], places own: [Bytes], files: ExecFiles, cache: CacheDirectory) {
        self.files = files
        self.cache = cache
        let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"].map { Bytes($0) }
        let places = search + usual.filter { !search.contains($0) }
        for name in MultiCall.names {
            for place in places { note(Path.join(place, name)) { multiCalls.insert($0.identity) } }
        }
        for loader in MultiCall.loaders { note(loader) }
        for pattern in Set(rules.flatMap(\.pattern.programs)) where pattern != Bytes("*") {
            if pattern.contains(Path.slash) {
                if let path = CommandPattern.literal(pattern) { note(path) }
            } else if let name = CommandPattern.literal(pattern) {
                for place in places + own { note(Path.join(place, name)) }
            } else {
                for place in Set(places) { list(place, pattern) }
            }
        }
    }

    /// As a run by this plan knows them.
    convenience init(_ rules: [CommandRule], plan: Plan, files: ExecFiles, cache: CacheDirectory) {
        self.init(
            rules, search: plan.search,
            places: Set([plan.cwd, plan.workspace]).sorted { $0.lexicographicallyPrecedes($1) }, files: files,
            cache: cache)
    }

    private func note(_ path: Bytes, _ then: (ExecFile) -> Void = { _ in }) {
        guard known.count < KnownPrograms.mostKnown, let file = files.find(path) else { return }
        if known.contains(where: { $0.file.named == path }) { return }
        known.append(Known(file: file, digest: file.isWritable ? digest(file) : nil))
        then(file)
    }

    private func list(_ directory: Bytes, _ pattern: Bytes) {
        guard let opened = files.directory(directory) else { return }
        let entries: [DirectoryEntry]
        do { entries = try DirectoryListing.entries(opened) } catch { return }
        for entry in entries.prefix(KnownPrograms.mostNames) where CommandPattern.matches(word: pattern, entry.name) {
            note(Path.join(directory, entry.name))
        }
    }

    func isMultiCall(_ file: ExecFile) -> Bool {
        multiCalls.contains(file.identity) || MultiCall.isOne(file.path)
    }

    /// Paths of rules that lead to this very file. Not of a multi-call program: its other names are other programs.
    func paths(_ file: ExecFile) -> [Bytes] {
        if isMultiCall(file) { return [] }
        return known.filter { $0.file.identity == file.identity }.map(\.file.named)
    }

    /// Known programs with the same content. Only what the sandbox can write can be a copy of its making, and a copy is
    /// as long as what it is one of.
    func originals(_ file: ExecFile) throws(ExecFault) -> [ExecFile] {
        guard file.isWritable else { return [] }
        let candidates = candidates(size: file.size, but: file.identity)
        if candidates.isEmpty { return [] }
        guard let own = digest(file) else {
            throw .unknown("\(file.path.shown) can't be digested, and is as long as a program of a rule")
        }
        return try originals(own, candidates)
    }

    /// Whether an open file has become a copy of something since it was judged.
    func isCopy(ofOtherThan originals: [Bytes], _ place: Bytes) -> Bool {
        do {
            let file = try Descriptor.open(place, O_RDONLY)
            var facts = stat()
            if fstat(file.raw, &facts) < 0 { return true }
            let candidates = candidates(size: UInt64(facts.st_size), but: .init(facts))
            if candidates.isEmpty { return !originals.isEmpty }
            guard let own = KnownPrograms.digest(file.raw, longest: KnownPrograms.longest) else { return true }
            return try self.originals(own, candidates).map(\.named) != originals
        } catch {
            return true
        }
    }

    private func candidates(size: UInt64, but own: ExecFile.Identity) -> [Int] {
        size == 0 ? [] : known.indices.filter { known[$0].file.size == size && known[$0].file.identity != own }
    }

    private func originals(_ own: String, _ candidates: [Int]) throws(ExecFault) -> [ExecFile] {
        var found: [ExecFile] = []
        for index in candidates {
            if known[index].digest == nil { known[index].digest = stored(known[index].file) }
            guard let digest = known[index].digest else {
                throw .unknown("\(known[index].file.path.shown) can't be digested")
            }
            if digest == own { found.append(known[index].file) }
        }
        return found
    }

    /// For remembering an answer. nil: one can't be digested.
    func digests(_ list: [ExecFile]) -> [String]? {
        var found: [String] = []
        for file in list where file.isWritable {
            guard let digest = digest(file) else { return nil }
            found.append(digest)
        }
        return found
    }

    /// A file that was denied by its name: its hard links and copies are known from now on.
    func learn(_ file: ExecFile) {
        if file.isWritable { note(file.path) }
    }

    /// From the cache: only of a file that no sandbox of the caller's can write (rule 13).
    private func stored(_ file: ExecFile) -> String? {
        if !Path.contains(Bytes("/usr"), file.path) { return digest(file) }
        guard let opened = files.open(file) else { return nil }
        var facts = stat()
        if fstat(opened.raw, &facts) < 0 { return nil }
        let (key, identity) = ProgramDigest.cacheKey(facts)
        if let text = cache.read(key, limit: 256)?.text, text.hasPrefix(identity) {
            let known = String(text.dropFirst(identity.count))
            if known.utf8.count == 64 { return known }
        }
        guard let made = digest(file) else { return nil }
        cache.write(key, Bytes(identity + made))
        return made
    }

    private func digest(_ file: ExecFile) -> String? {
        guard file.size <= KnownPrograms.longest, let opened = files.open(file) else { return nil }
        return KnownPrograms.digest(opened.raw, longest: KnownPrograms.longest)
    }

    /// SHA-256 of what can be read; nil when it can't be, or is longer.
    static func digest(_ descriptor: Int32, longest: UInt64) -> String? {
        var running = SHA256()
        var room = Bytes(repeating: 0, count: 1 << 18)
        var total: UInt64 = 0
        while true {
            let count = read(descriptor, &room, room.count)
            if count < 0 { return nil }
            if count == 0 { return running.finish() }
            total += UInt64(count)
            if total > longest { return nil }
            room.withUnsafeBytes { running.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }
}
