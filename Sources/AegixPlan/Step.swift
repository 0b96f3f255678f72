// Pure data. One step of assembling the root, as the child will walk it.

import AegixSystem

/// A step. Paths are absolute in the new root; sources absolute on the host.
public enum Step: Equatable, Sendable {
    case directory(Bytes, mode: UInt32)
    case file(Bytes, content: Bytes, mode: UInt32)
    case symlink(Bytes, to: Bytes)
    /// A recursive bind of what the plan saw at `source`: another inode there stops the run.
    case bind(Bytes, source: Source, flags: MountFlags)
    /// A tree that a privileged supervisor prepares with the sandbox's id map.
    case attach(Bytes, tree: Int, flags: MountFlags)
    case proc(Bytes)
    case devpts(Bytes)
    case tmpfs(Bytes, options: String, flags: MountFlags)
    case overlay(Bytes, options: String, flags: MountFlags)

    public enum Source: Equatable, Sendable {
        case host(Bytes, device: UInt64, inode: UInt64)
        case inside(Bytes)
    }

    public var path: Bytes {
        switch self {
        case .directory(let path, _), .file(let path, _, _), .symlink(let path, _), .bind(let path, _, _),
            .attach(let path, _, _), .proc(let path), .devpts(let path), .tmpfs(let path, _, _),
            .overlay(let path, _, _):
            return path
        }
    }
}

public struct MountFlags: OptionSet, Equatable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let readOnly = MountFlags(rawValue: 1)
    public static let noExec = MountFlags(rawValue: 2)
    public static let devices = MountFlags(rawValue: 4)
}

/// Where things lie while the root is assembled. All of it goes with the old root.
public enum Staging {
    public static let root = Bytes("/.old")
    public static let empty = Bytes("/.old/empty")
    /// A directory and a file that nobody may read: what stands in for what is denied.
    public static let deniedDirectory = Bytes("/.old/denied.d")
    public static let deniedFile = Bytes("/.old/denied")

    public static func place(_ name: String) -> Bytes { Bytes("/.old/" + name) }
}
