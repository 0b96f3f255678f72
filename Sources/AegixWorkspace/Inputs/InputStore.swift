// Side effects: copies contents into the run directory.

import AegixSystem
import CAegix
import Glibc

/// `inputs/`: contents by their digests, each once. What is digested is what arrived; a secret in it, or a source that isn't what it was any more,
/// takes it back.
final class InputStore {
    private let place: Tree
    private let secrets: Redactor?
    private let copier = FileCopy()
    private var stored: Set<String> = []
    private(set) var left: UInt64
    private(set) var bytes: UInt64 = 0
    var count: Int { stored.count }

    private static let temporary = Bytes("new")

    init(_ place: Tree, room: UInt64, secrets: Redactor?) {
        (self.place, left, self.secrets) = (place, room, secrets)
    }

    enum Result {
        case kept(String)
        case refused(Input.Reason)
    }

    enum Fault: Error {
        case source(SystemError)
        /// There is no place for more.
        case target(SystemError)
    }

    func keep(_ source: borrowing Descriptor, _ facts: FileFacts) throws(Fault) -> Result {
        if facts.size > left { return .refused(.bytes) }
        return facts.size <= InputStore.small ? try keepSmall(source, facts) : try keepLarge(source, facts)
    }

    /// Goes through memory, so that it is known before anything is made.
    private static let small: UInt64 = 128 << 10

    private func keepSmall(_ source: borrowing Descriptor, _ facts: FileFacts) throws(Fault) -> Result {
        let bytes: Bytes
        do throws(SystemError) {
            bytes = try source.readAll(limit: Int(InputStore.small))
            let now = try FileFacts(of: source)
            if bytes.count != Int(facts.size) || !now.isSame(facts) { return .refused(.changed) }
        } catch {
            if error.errno == EFBIG { return .refused(.changed) }
            throw .source(error)
        }
        if secrets?.finds(in: bytes) == true { return .refused(.secret) }
        let digest = SHA256.hex(bytes)
        if stored.contains(digest) { return .kept(digest) }
        do throws(SystemError) {
            try place.create(Bytes(digest)).writeAll(bytes)
        } catch {
            throw .target(error)
        }
        note(digest, facts.size)
        return .kept(digest)
    }

    private func note(_ digest: String, _ size: UInt64) {
        stored.insert(digest)
        left -= size
        bytes += size
    }

    private func keepLarge(_ source: borrowing Descriptor, _ facts: FileFacts) throws(Fault) -> Result {
        let target: Descriptor
        do throws(SystemError) { target = try place.create(InputStore.temporary) } catch { throw .target(error) }
        var isKept = false
        defer { if !isKept { do throws(SystemError) { try place.unlink(InputStore.temporary) } catch {} } }
        let digest: String
        do throws(SystemError) {
            digest = try copier.content(of: source, facts, to: target)
        } catch {
            throw [ENOSPC, EDQUOT, EFBIG, EROFS].contains(error.errno) ? .target(error) : .source(error)
        }
        do throws(SystemError) {
            if try !FileFacts(of: source).isSame(facts) { return .refused(.changed) }
        } catch {
            throw .source(error)
        }
        do throws(SystemError) {
            var search = secrets.map { SecretSearch($0) }
            let arrived = try search == nil ? FileFacts(of: target).size : target.digest { search?.feed($0) }.bytes
            if search?.found == true { return .refused(.secret) }
            if arrived != facts.size { return .refused(.changed) }
            if stored.contains(digest) { return .kept(digest) }
            try place.move(InputStore.temporary, to: place, Bytes(digest))
        } catch {
            throw .target(error)
        }
        isKept = true
        note(digest, facts.size)
        return .kept(digest)
    }
}
