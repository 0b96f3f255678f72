// Side effects: opens files of the sandbox's view for their first bytes.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Tells programs and libraries from other files that are opened: by what they are, not by their names. A dynamic loader opens a library as
/// anything is opened, and a plugin may be called anything; but only ELF files of two types are ever mapped as code. A linker that reads a
/// library has thereby loaded it, too, as far as can be told.
final class LoadWatch {
    private let sightings: Sightings
    private let root: Int32
    /// Looked at already.
    private var known: Set<Bytes> = []

    private static let mostKnown = 100_000
    /// A script's interpreter may be a script.
    private static let mostScripts = 4

    init(_ sightings: Sightings, root: Int32) { (self.sightings, self.root) = (sightings, root) }

    func opened(_ path: Bytes) {
        if known.count >= LoadWatch.mostKnown || !known.insert(path).inserted { return }
        guard let file = File(path, in: root), ELFHead(file.head) != nil, let path = file.path else { return }
        sightings.add(library: LoadedFile(path: path, kind: .library, facts: file.facts))
    }

    /// What the kernel opens by itself isn't seen as an open.
    func executed(_ path: Bytes) {
        if sightings.isKnown(program: path) { return }
        guard let file = File(path, in: root) else { return }
        var others: [LoadedFile] = []
        var at = file
        var depth = 0
        while depth < LoadWatch.mostScripts, let words = Shebang.words(at.head), let named = words.first,
            let next = File(named, in: root), let place = next.path
        {
            let isScript = Shebang.words(next.head) != nil
            others.append(LoadedFile(path: place, kind: isScript ? .script : .interpreter, facts: next.facts))
            at = next
            depth += 1
        }
        if let named = at.interpreter, let loader = File(named, in: root), let place = loader.path {
            others.append(LoadedFile(path: place, kind: .interpreter, facts: loader.facts))
        }
        let kind: LoadedFile.Kind = Shebang.words(file.head) == nil ? .program : .script
        sightings.add(program: LoadedFile(path: path, kind: kind, facts: file.facts), others)
    }

    /// A regular file of the view; no other is opened.
    private final class File {
        let file: Descriptor
        let facts: FileFacts
        let head: Bytes

        init?(_ path: Bytes, in root: Int32) {
            if path.contains(0) { return nil }
            let place = Descriptor(
                owning: path.withCString { aegix_open_in_root(root, $0, Descriptor.pathOnly) })
            var found = stat()
            if !place.isOpen || fstat(place.raw, &found) < 0 || found.st_mode & S_IFMT != S_IFREG { return nil }
            // Root may read what the command can't.
            if geteuid() == 0, found.st_mode & 0o555 == 0 { return nil }
            let file = Descriptor(owning: aegix_reopen(place.raw, O_RDONLY | O_NONBLOCK))
            if !file.isOpen { return nil }
            facts = FileFacts(found)
            head = File.read(file.raw, 0, ExecFiles.headLength)
            self.file = file
        }

        var path: Bytes? {
            do throws(SystemError) { return try HostSurvey.canonical(file.raw) } catch { return nil }
        }

        /// The dynamic loader that it names.
        var interpreter: Bytes? {
            guard let elf = ELFHead(head), let length = elf.tableLength,
                let place = elf.interpreter(table: File.read(file.raw, elf.tableOffset, length))
            else { return nil }
            let name = File.read(file.raw, place.offset, place.length).prefix { $0 != 0 }
            return name.first == Path.slash ? Bytes(name) : nil
        }

        private static func read(_ file: Int32, _ offset: UInt64, _ length: Int) -> Bytes {
            Bytes(unsafeUninitializedCapacity: length) { buffer, count in
                count = max(0, pread(file, buffer.baseAddress, length, off_t(clamping: offset)))
            }
        }
    }
}
