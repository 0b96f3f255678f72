// Side effects: reads and sets what a file has beside its content.

import AegixSystem
import CAegix
import Glibc

/// Permissions, time and user xattrs: what a change of kind `mode` changes in place, so that hard links stay.
struct FileAttributes: Equatable, Sendable {
    /// All bits, setuid and its like included: a host's own file gets back what it had.
    var mode: mode_t
    /// nil: left alone, as for directories, whose time follows from what is put in them.
    var modified: Int64?
    var extended: [Extended]

    struct Extended: Equatable, Sendable {
        var name: Bytes
        var value: Bytes
    }

    init(mode: mode_t, modified: Int64?, extended: [Extended]) {
        self.mode = mode
        self.modified = modified
        self.extended = extended
    }

    /// - file: may be one of O_PATH.
    init(of file: borrowing Descriptor, _ facts: FileFacts) throws(SystemError) {
        mode = facts.permissions
        modified = facts.isDirectory ? nil : facts.modified
        extended = try Attributes.read(file).map { Extended(name: $0.name, value: $0.value) }
    }

    /// Xattrs before the mode, which may close the file; the time last, since all else changes it.
    func set(on file: borrowing Descriptor) throws(SystemError) {
        let facts = try FileFacts(of: file)
        let there = try Attributes.read(file).map { Extended(name: $0.name, value: $0.value) }
        if there != extended {
            // user.* asks for the right to write the file.
            if facts.permissions & 0o200 == 0, aegix_change_mode(file.raw, facts.permissions | 0o200) < 0 {
                throw SystemError.last("chmod")
            }
            for gone in there where !extended.contains(where: { $0.name == gone.name }) {
                if gone.name.withCString({ aegix_remove_attribute(file.raw, $0) }) < 0 {
                    throw SystemError.last("removexattr", gone.name)
                }
            }
            for wanted in extended where !there.contains(wanted) {
                let value = wanted.value
                if wanted.name.withCString({ aegix_set_attribute(file.raw, $0, value, value.count, 0) }) < 0 {
                    throw SystemError.last("setxattr", wanted.name)
                }
            }
        }
        if try FileFacts(of: file).permissions != mode, aegix_change_mode(file.raw, mode) < 0 {
            throw SystemError.last("chmod")
        }
        if let modified { try FileAttributes.stamp(file, modified) }
    }

    /// The time of the content; that of reading stays.
    static func stamp(_ file: borrowing Descriptor, _ modified: Int64) throws(SystemError) {
        let (whole, rest) = modified.quotientAndRemainder(dividingBy: 1_000_000_000)
        // Rounded down, for a time before 1970, and without a number below the lowest: a stranger's list may have any.
        let times = [
            timespec(tv_sec: 0, tv_nsec: Int(omitted)),
            rest < 0
                ? timespec(tv_sec: Int(whole) - 1, tv_nsec: Int(rest) + 1_000_000_000)
                : timespec(tv_sec: Int(whole), tv_nsec: Int(rest)),
        ]
        if aegix_change_times(file.raw, times) < 0 { throw SystemError.last("utimensat") }
    }

    /// UTIME_OMIT, a macro that Swift doesn't see.
    private static let omitted: Int64 = (1 << 30) - 2
}
