// Side effects: reads the inputs of a run directory, or of what was unpacked from a bundle: either may be a stranger's.

import AegixSystem
import CAegix
import Glibc

extension InputList {
    public static let name = "inputs.jsonl"
    public static let directoryName = "inputs"

    /// The list in a run directory. Not done here: a digest of it, which the manifest has, and the contents.
    public static func read(in directory: borrowing Descriptor) throws(Failure) -> InputList {
        let bytes: Bytes
        do throws(SystemError) {
            let file = try regular(Bytes(name), in: directory)
            if try FileFacts(of: file).size > UInt64(longest) { throw SystemError("read", Bytes(name), errno: EFBIG) }
            bytes = try file.readAll(limit: longest)
        } catch {
            throw Failure("inputs.unreadable", "can't read \(name)", error, exitCode: 1)
        }
        guard let list = decode(bytes) else {
            throw Failure("inputs.unreadable", "can't make sense of \(name)", exitCode: 1)
        }
        return list
    }

    /// A content by its digest, for reading. Whether it is that content only reading it tells.
    public static func open(
        _ digest: String, in directory: borrowing Descriptor
    ) throws(SystemError) -> Descriptor {
        guard isDigest(digest) else { throw SystemError("open", Bytes(digest), errno: EINVAL) }
        return try regular(Bytes("\(directoryName)/\(digest)"), in: directory)
    }

    /// What doesn't hold of the contents, in words; empty: each is there, is what its name says, and none is there besides.
    public func faults(in directory: borrowing Descriptor, most: Int) -> [String] {
        var found: [String] = []
        let told = contents
        for (digest, size) in told.sorted(by: { $0.key < $1.key }) where found.count < most {
            do throws(SystemError) {
                let content = try InputList.open(digest, in: directory).digest()
                if content.digest != digest || content.bytes != size {
                    found.append("\(InputList.directoryName)/\(digest) isn't the content that it is named after")
                }
            } catch {
                found.append("\(InputList.directoryName)/\(digest) can't be read: \(error.reason)")
            }
        }
        do throws(SystemError) {
            let place = Tree(
                owning: try Descriptor.openBeneath(
                    directory.raw, Bytes(InputList.directoryName), O_RDONLY | O_DIRECTORY))
            for entry in try place.entries() where found.count < most {
                if entry.name.text.map({ told[$0] == nil }) ?? true {
                    found.append("\(InputList.directoryName)/\(entry.name.shown) isn't in \(InputList.name)")
                }
            }
        } catch {
            if error.errno != ENOENT || !told.isEmpty {
                found.append("\(InputList.directoryName) can't be read: \(error.reason)")
            }
        }
        return found
    }

    private static func regular(
        _ path: Bytes, in directory: borrowing Descriptor
    ) throws(SystemError) -> Descriptor {
        let file = try Descriptor.openBeneath(directory.raw, path, O_RDONLY | O_NONBLOCK)
        if !(try FileFacts(of: file)).isFile { throw SystemError("open", path, errno: EINVAL) }
        return file
    }
}
