// Side effects: walks the host's directories by descriptor, bounded, never through a symlink.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// Finds in the views what has to be hidden, and what may not be in a writable one. A walk that meets a bound refuses the
/// run: a rule that can't be checked isn't held.
struct ViewWalk {
    static let mostEntries = 2_000_000
    static let deepest = 256

    private let facts: HostFacts
    private var visited = 0

    init(facts: HostFacts) { self.facts = facts }

    /// A deny holds for the inode over all views: after the matches by name, every other name of a matched inode (hard
    /// link, second mount) is hidden too.
    mutating func denied(_ rules: [Policy.PathRule]) throws(Failure) -> [DeniedPath] {
        if rules.isEmpty { return [] }
        var patterns: [(pattern: PathPattern, origin: String)] = []
        for rule in rules {
            patterns.append(
                (try PatternSearch.denied(rule, home: facts.home, workspace: facts.workspace.path), rule.origin))
        }
        var byInode: [Inode: String] = [:]
        var names: [(path: Bytes, inode: Inode, isDirectory: Bool)] = []
        for root in [facts.workspace] + facts.reads + facts.writes {
            try walk(root) { path, entry in
                if let match = patterns.first(where: { $0.pattern.matches(path) }) {
                    byInode[entry.inode] = match.origin
                }
                names.append((path, entry.inode, entry.isDirectory))
            }
        }
        return names.compactMap { name in
            byInode[name.inode].map { DeniedPath(path: name.path, isDirectory: name.isDirectory, origin: $0) }
        }
    }

    /// SECURITY: through a writable bind a live socket or FIFO of the host's can be reached.
    mutating func refuseSockets(in root: PathFact) throws(Failure) {
        var found: Bytes?
        try walk(root) { path, entry in
            if found == nil, entry.isChannel { found = path }
        }
        if let found {
            throw Failure(
                "view.socket",
                "\(root.path.shown) can't be writable in place (\(root.origin)): \(found.shown) in it is a socket or "
                    + "FIFO, through which the command could reach what listens there. Remove it, or use workspace "
                    + "mode \"layer\"")
        }
    }

    struct Inode: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    struct Entry {
        var inode: Inode
        var isDirectory: Bool
        var isChannel: Bool
    }

    private mutating func walk(_ root: PathFact, _ each: (Bytes, Entry) -> Void) throws(Failure) {
        do {
            if root.kind == .file {
                each(
                    root.path,
                    Entry(inode: Inode(device: root.device, inode: root.inode), isDirectory: false, isChannel: false))
            } else {
                try walk(try Descriptor.open(root.path, O_RDONLY | O_DIRECTORY), root.path, depth: 0, each)
            }
        } catch let failure as Failure {
            throw failure
        } catch let error as SystemError {
            throw Failure("view.walk", "can't look through \(root.path.shown) (\(root.origin))", error)
        } catch {
            throw Failure("view.walk", "can't look through \(root.path.shown): \(error)")
        }
    }

    private mutating func walk(
        _ directory: consuming Descriptor, _ path: Bytes, depth: Int, _ each: (Bytes, Entry) -> Void
    ) throws {
        if depth > ViewWalk.deepest { throw tooLarge(path) }
        let raw = directory.raw
        let again = try Descriptor.openBeneath(raw, Bytes("."), O_RDONLY | O_DIRECTORY)
        for item in try DirectoryListing.entries(again) {
            visited += 1
            if visited > ViewWalk.mostEntries { throw tooLarge(path) }
            var facts = stat()
            if item.name.withCString({ fstatat(raw, $0, &facts, AT_SYMLINK_NOFOLLOW) }) < 0 {
                if errno == ENOENT { continue }  // gone meanwhile
                throw SystemError.last("stat", Path.join(path, item.name))
            }
            let kind = facts.st_mode & S_IFMT
            let place = Path.join(path, item.name)
            each(
                place,
                Entry(
                    inode: Inode(device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino)),
                    isDirectory: kind == S_IFDIR, isChannel: kind == S_IFSOCK || kind == S_IFIFO))
            if kind != S_IFDIR { continue }
            do {
                try walk(
                    try Descriptor.openBeneath(raw, item.name, O_RDONLY | O_DIRECTORY), place, depth: depth + 1, each)
            } catch let error as SystemError where error.errno == EACCES || error.errno == ENOENT {
                continue  // closed to the caller, so to the command too
            }
        }
    }

    private func tooLarge(_ path: Bytes) -> Failure {
        Failure(
            "view.bound",
            "can't check every file for the policy's rules: more than \(ViewWalk.mostEntries) entries or deeper than "
                + "\(ViewWalk.deepest) directories at \(path.shown)")
    }
}
