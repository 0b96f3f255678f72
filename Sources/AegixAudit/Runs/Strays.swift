// Side effects: reads the state directory. What lies in it and isn't aegix's.

import AegixSystem
import Glibc

extension StateDirectory {
    /// Neither a directory nor made by aegix, where nothing but directories is: left as they are. The first of them, relative to the state directory.
    public func strays(most: Int = 5) throws(Failure) -> [Bytes] {
        var found: [Bytes] = []
        do throws(SystemError) {
            let top = Tree(owning: try StateFile.openDirectory(".", in: root))
            for parent in ["runs", NamedSandbox.parent, StateDirectory.away] {
                guard let facts = try top.facts(name: Bytes(parent)), facts.isDirectory else { continue }
                let tree = try top.directory(Bytes(parent))
                for entry in try tree.entries(but: UInt8(DT_DIR)) where try !tree.isDirectory(entry) {
                    found.append(Path.join(Bytes(parent), entry.name))
                    if found.count == most { return found }
                }
            }
        } catch {
            throw failure(error)
        }
        return found
    }
}

extension SystemError {
    /// What should be a directory is a file, or a link to anything.
    var isNoDirectory: Bool { errno == ENOTDIR || errno == ELOOP }
}

extension Tree {
    func isDirectory(_ entry: DirectoryEntry) throws(SystemError) -> Bool {
        if entry.type != DT_UNKNOWN { return entry.type == DT_DIR }
        return try facts(name: entry.name)?.isDirectory ?? false
    }
}
