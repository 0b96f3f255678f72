// Side effects: reads a directory tree and writes another, by descriptor: no path is followed twice, no link at all.

import AegixSystem
import CAegix
import Glibc

/// Copies a workspace and remembers what every entry was, so that a change is told from the original afterwards. Bounded.
/// FIFOs, sockets and devices are never opened and aren't copied.
public struct TreeCopy {
    /// By path relative to the top, which is the empty one.
    public private(set) var known: [Bytes: WorkspaceCopy.Known] = [:]
    /// FIFOs, sockets and devices; what the command's user may not read.
    private(set) var special = 0
    private(set) var unreadable = 0
    private var bytes: UInt64 = 0
    private var linked: [Entry.Identity: Bytes] = [:]
    private let plan: WorkspaceCopy
    private let top: Tree

    /// `top`: the destination, empty.
    public init(_ plan: WorkspaceCopy, top: Tree) {
        self.plan = plan
        self.top = top
    }

    public mutating func run() throws(Failure) {
        do {
            let source = try Tree(at: plan.source)
            let facts = try FileFacts(of: source.descriptor)
            if facts.inode != plan.inode || facts.device != plan.device {
                throw SystemError("open", plan.source, errno: ESTALE)
            }
            try directory(source, top, [], facts, depth: 0)
        } catch let error as SystemError {
            throw Failure("workspace.copy", "can't copy the workspace: \(error)", errno: error.errno)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("workspace.copy", "can't copy the workspace: \(error)")
        }
    }

    private mutating func directory(_ from: Tree, _ to: Tree, _ path: Bytes, _ facts: FileFacts, depth: Int) throws {
        if depth > WorkspaceCopy.deepest { throw tooLarge("is deeper than \(WorkspaceCopy.deepest) directories") }
        if aegix_is_pseudo(from.raw) != 0 {
            throw Failure(
                "workspace.copy",
                "can't copy the workspace: \(Path.join(plan.source, path).shown) in it is a mount of the kernel's own "
                    + "files. Unmount it, or name another workspace")
        }
        let mode = facts.permissions & 0o1777
        known[path] = .directory(mode: mode, attributes: try Attributes.digest(of: from.descriptor))
        for entry in try from.entries() {
            let place = path.isEmpty ? entry.name : Path.join(path, entry.name)
            guard let facts = try from.facts(name: entry.name) else { continue }
            if plan.leftOut.contains(Path.join(plan.source, place)) {
                if plan.keepsPlaces { try makePlace(entry.name, in: to, isDirectory: facts.isDirectory) }
                continue
            }
            if known.count >= plan.mostEntries { throw tooLarge("has more than \(plan.mostEntries) entries") }
            do {
                try copy(entry.name, facts, from: from, to: to, place, depth: depth)
            } catch let error as SystemError where error.errno == EACCES && error.call == "open" {
                unreadable += 1
            }
        }
        // Last: a directory that can't be written couldn't be filled, and filling it sets its time.
        try finish(to.descriptor, facts, mode: mode, from: from.descriptor)
    }

    private mutating func copy(
        _ name: Bytes, _ facts: FileFacts, from: Tree, to: Tree, _ place: Bytes, depth: Int
    ) throws {
        switch facts.type {
        case S_IFDIR:
            let inner = try mounted(name, in: from)
            if name.withCString({ mkdirat(to.raw, $0, 0o700) }) < 0 { throw SystemError.last("mkdir", place) }
            try directory(inner, try to.directory(name), place, facts, depth: depth + 1)
        case S_IFREG: try file(name, from: from, to: to, place)
        case S_IFLNK:
            let target = try from.link(name)
            if target.withCString({ text in name.withCString { aegix_symlinkat(text, to.raw, $0) } }) < 0 {
                throw SystemError.last("symlink", place)
            }
            if plan.keepsOwners,
                name.withCString({ fchownat(to.raw, $0, owner(facts), group(facts), AT_SYMLINK_NOFOLLOW) }) < 0
            {
                throw SystemError.last("chown", place)
            }
            known[place] = .link(target)
        default: special += 1
        }
    }

    /// A mount within the workspace is copied with it: what the command sees is what is there.
    private func mounted(_ name: Bytes, in tree: Tree) throws(SystemError) -> Tree {
        Tree(owning: try Descriptor.openBeneath(tree.raw, name, O_RDONLY | O_DIRECTORY))
    }

    private mutating func file(_ name: Bytes, from: Tree, to: Tree, _ place: Bytes) throws {
        let source = try from.file(name)
        let facts = try FileFacts(of: source)
        // Two names of one file stay that.
        let identity = Entry(facts).identity
        if facts.links > 1, let other = linked[identity] {
            let above = try top.parent(of: other)
            let rc = Path.name(other).withCString { old in name.withCString { linkat(above.raw, old, to.raw, $0, 0) } }
            if rc < 0 { throw SystemError.last("link", place) }
            if case .file(var file) = known[other] {
                file.links += 1
                known[other] = .file(file)
                known[place] = .file(file)
            }
            return
        }
        let target = try Descriptor.open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: to.raw)
        bytes += facts.bytes
        if bytes > plan.mostBytes { throw tooLarge("holds more than \(plan.mostBytes) bytes") }
        // Shared blocks where the file system can; else piece by piece, without the holes.
        if aegix_clone_file(source.raw, target.raw) < 0,
            aegix_copy_data(source.raw, target.raw, plan.mostBytes - bytes + facts.bytes) < 0
        {
            if errno == EFBIG { throw tooLarge("holds more than \(plan.mostBytes) bytes") }
            throw SystemError.last("copy", place)
        }
        let digest = try target.digest().digest
        try finish(target, facts, mode: facts.permissions & 0o777, from: source)
        let made = try FileFacts(of: target)
        known[place] = .file(
            .init(
                mode: made.permissions, size: made.size, modified: made.modified, digest: digest,
                attributes: try Attributes.digest(of: target), inode: made.inode, links: 1))
        if facts.links > 1 { linked[identity] = place }
    }

    private func finish(
        _ made: borrowing Descriptor, _ facts: FileFacts, mode: mode_t, from: borrowing Descriptor
    ) throws(SystemError) {
        try Attributes.copy(from, to: made)
        if plan.keepsOwners, fchown(made.raw, owner(facts), group(facts)) < 0 { throw SystemError.last("chown") }
        if fchmod(made.raw, mode) < 0 { throw SystemError.last("chmod") }
        try FileAttributes.stamp(made, facts.modified)
    }

    private func owner(_ facts: FileFacts) -> uid_t { plan.shift?.users.outside(facts.owner) ?? facts.owner }
    private func group(_ facts: FileFacts) -> gid_t { plan.shift?.groups.outside(facts.group) ?? facts.group }

    private func makePlace(_ name: Bytes, in to: Tree, isDirectory: Bool) throws(SystemError) {
        if isDirectory {
            if name.withCString({ mkdirat(to.raw, $0, 0) }) < 0 { throw SystemError.last("mkdir", name) }
        } else {
            _ = try Descriptor.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0, at: to.raw)
        }
    }

    private func tooLarge(_ how: String) -> Failure {
        Failure(
            "workspace.large",
            "the workspace \(plan.source.shown) \(how): too large to be copied. Name a smaller one with "
                + "`--workspace DIR`, or use workspace mode \"direct\" or \"read-only\"; where backing = \"overlay\" can be "
                + "had, nothing is copied (tier confined always does: `aegix doctor` shows how to allow namespaces)")
    }
}
