// Side effects: reads directories.

import Glibc

public struct DirectoryEntry: Equatable, Sendable {
    public var name: Bytes
    /// DT_DIR and its like; DT_UNKNOWN where the file system doesn't say.
    public var type: UInt8
}

public enum DirectoryListing {
    /// What is in the open directory, without `.` and `..`. Consumes the descriptor.
    public static func entries(_ directory: consuming Descriptor) throws(SystemError) -> [DirectoryEntry] {
        guard let stream = fdopendir(directory.release()) else { throw SystemError.last("fdopendir") }
        defer { closedir(stream) }
        var entries: [DirectoryEntry] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw SystemError.last("readdir") }
                return entries
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Bytes($0.prefix { $0 != 0 }) }
            if name == Bytes(".") || name == Bytes("..") { continue }
            entries.append(DirectoryEntry(name: name, type: entry.pointee.d_type))
        }
    }

    /// None of a directory that can't be read.
    public static func names(_ path: Bytes) -> [Bytes] {
        do {
            return try entries(try Descriptor.open(path, O_RDONLY | O_DIRECTORY)).map(\.name)
        } catch {
            return []
        }
    }
}
