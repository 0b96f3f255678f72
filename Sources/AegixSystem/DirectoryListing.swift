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
        var entries: [DirectoryEntry] = []
        try each(directory) { entry in
            entries.append(entry)
            return true
        }
        return entries
    }

    /// One after the other, in the file system's order, until it answers false. Those of the kind `skipped` aren't shown.
    public static func each(
        _ directory: consuming Descriptor, but skipped: UInt8? = nil, _ visit: (DirectoryEntry) -> Bool
    ) throws(SystemError) {
        guard let stream = fdopendir(directory.release()) else { throw SystemError.last("fdopendir") }
        defer { closedir(stream) }
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw SystemError.last("readdir") }
                return
            }
            if let skipped, entry.pointee.d_type == skipped { continue }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Bytes($0.prefix { $0 != 0 }) }
            if name == Bytes(".") || name == Bytes("..") { continue }
            if !visit(DirectoryEntry(name: name, type: entry.pointee.d_type)) { return }
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
