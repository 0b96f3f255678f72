// Side effects: makes files in a directory that the caller owns, and removes them again when the bundle doesn't hold.

import AegixSystem
import CAegix
import Glibc

/// New regular files under names of ours, never through a link.
final class BundleExtraction: BundleSink {
    private let directory: Descriptor
    private let most: UInt64
    private var made: UInt64 = 0
    private var files: [String] = []
    private var blobs: [(digest: ContentDigest, isInput: Bool)] = []
    private var directories: [String] = []
    private var open: [Int32] = []

    init(into directory: borrowing Descriptor, most: UInt64) throws(SystemError) {
        self.directory = try Descriptor.open(Bytes("."), O_RDONLY | O_DIRECTORY, at: directory.raw)
        self.most = most
        if try !StateFile.names(in: self.directory).isEmpty { throw SystemError("open", errno: ENOTEMPTY) }
    }

    deinit { close() }

    func begin(file name: String) throws(SystemError) {
        open.append(try StateFile.create(name, in: directory).release())
        files.append(name)
    }

    func begin(blob: BlobTable.Blob) throws(SystemError) {
        for (isWanted, isInput) in [(blob.isInput, true), (blob.isOutput, false)] where isWanted {
            let parent = isInput ? BundleName.inputBlobs : BundleName.blobs
            if !directories.contains(parent) {
                try StateFile.makeDirectory(parent, in: directory)
                directories.append(parent)
            }
            open.append(try StateFile.create("\(parent)/\(blob.digest.hex)", in: directory).release())
            blobs.append((blob.digest, isInput))
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        made += UInt64(bytes.count) * UInt64(max(1, open.count))
        if made > most { throw SystemError("write", errno: EFBIG) }
        for file in open {
            var done = 0
            while done < bytes.count, let base = bytes.baseAddress {
                let count = Glibc.write(file, base + done, bytes.count - done)
                if count < 0 {
                    if errno == EINTR { continue }
                    throw SystemError.last("write")
                }
                done += count
            }
        }
    }

    func end() throws(SystemError) { close() }

    private func close() {
        for file in open { _ = Glibc.close(file) }
        open = []
    }

    func keep() {
        (files, blobs, directories) = ([], [], [])
    }

    /// As far as it can be: what remains is the caller's own directory to remove.
    func remove() {
        close()
        for blob in blobs {
            let parent = blob.isInput ? BundleName.inputBlobs : BundleName.blobs
            _ = aegix_unlinkat(directory.raw, "\(parent)/\(blob.digest.hex)", 0)
        }
        for name in files { _ = aegix_unlinkat(directory.raw, name, 0) }
        for name in directories { _ = aegix_unlinkat(directory.raw, name, AT_REMOVEDIR) }
        keep()
    }
}
