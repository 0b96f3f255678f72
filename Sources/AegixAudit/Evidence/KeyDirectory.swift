// Side effects: reads and writes key files, in `<state>/keys/` and where `audit.sign` says.

import AegixSystem
import CAegix
import Glibc

/// Keys that sign what runs leave. `<state>/keys/` is in no run's view, as all of the state directory.
extension StateDirectory {
    static let keysName = "keys"
    private static let privateEnd = ".pem"
    private static let publicEnd = ".pub.pem"

    public struct KeyPair: Sendable {
        /// Absolute.
        public var privatePath: Bytes
        public var publicPath: Bytes
        public var key: VerifyingKey
    }

    /// A new key under a name that nothing has. The private half is written last, so that who finds it finds both.
    public func makeKey(_ name: String) throws(Failure) -> KeyPair {
        let (secret, open) = (name + StateDirectory.privateEnd, name + StateDirectory.publicEnd)
        do throws(SystemError) {
            let keys = try openKeys()
            for file in [secret, open] where try StateFile.facts(of: file, in: keys) != nil {
                throw SystemError("open", Bytes(file), errno: EEXIST)
            }
            let key = try SigningKey.make()
            try StateDirectory.write(key.publicKey.pem, to: open, in: keys)
            do throws(SystemError) {
                try key.withPEM { pem throws(SystemError) in try StateDirectory.write(pem, to: secret, in: keys) }
            } catch {
                try StateFile.remove(open, in: keys)
                throw error
            }
            try StateFile.sync(keys)
            return KeyPair(privatePath: keyPath(secret), publicPath: keyPath(open), key: key.publicKey)
        } catch {
            if error.errno == EEXIST {
                throw Failure(
                    "key.exists",
                    "there is a key \(Bytes(name).shown) in \(keyPath("").shown) already, and none is ever overwritten. Give the new one another name.",
                    errno: EEXIST)
            }
            throw Failure("key.unwritable", "can't write a key in \(keyPath("").shown)", error)
        }
    }

    /// The public halves in `<state>/keys/`: who can write there can add one, so a verifier elsewhere has the key elsewhere.
    public func publicKeys() throws(Failure) -> [VerifyingKey] {
        do throws(SystemError) {
            guard try StateFile.facts(of: StateDirectory.keysName, in: root) != nil else { return [] }
            let keys = try openKeys()
            var found: [VerifyingKey] = []
            for name in try StateFile.names(in: keys) {
                guard let name = name.text, name.hasSuffix(StateDirectory.publicEnd) else { continue }
                let pem = try StateFile.read(name, in: keys, limit: SigningKeyFile.longest)
                if let key = VerifyingKey.parse(pem) { found.append(key) }
            }
            return found
        } catch {
            throw Failure("key.unreadable", "can't read the keys in \(keyPath("").shown)", error)
        }
    }

    /// The public half of a key that signs, so that `verify` knows it on this machine.
    func know(_ key: VerifyingKey) throws(SystemError) {
        let keys = try openKeys()
        for name in try StateFile.names(in: keys) {
            guard let name = name.text, name.hasSuffix(StateDirectory.publicEnd) else { continue }
            if VerifyingKey.parse(try StateFile.read(name, in: keys, limit: SigningKeyFile.longest)) == key { return }
        }
        do throws(SystemError) {
            try StateDirectory.write(key.pem, to: key.id.prefix(16) + StateDirectory.publicEnd, in: keys)
        } catch {
            // Another run did the same.
            if error.errno != EEXIST { throw error }
        }
    }

    private func openKeys() throws(SystemError) -> Descriptor {
        try StateDirectory.makeIfMissing(StateDirectory.keysName, in: root)
        let keys = try StateFile.openDirectory(StateDirectory.keysName, in: root)
        let facts = try StateFile.facts(keys)
        if facts.uid != geteuid() || facts.mode & 0o022 != 0 {
            throw SystemError("open", Bytes(StateDirectory.keysName), errno: EPERM)
        }
        return keys
    }

    private func keyPath(_ name: String) -> Bytes {
        let directory = path + Bytes("/" + StateDirectory.keysName)
        return name.isEmpty ? directory : Path.join(directory, Bytes(name))
    }

    private static func write(_ bytes: Bytes, to name: some StringProtocol, in keys: borrowing Descriptor)
        throws(SystemError)
    {
        var failed: SystemError?
        bytes.withUnsafeBytes { bytes in
            do throws(SystemError) { try write(bytes, to: String(name), in: keys) } catch { failed = error }
        }
        if let failed { throw failed }
    }

    /// Without a copy of what may be a private key; a half isn't left.
    private static func write(_ bytes: UnsafeRawBufferPointer, to name: String, in keys: borrowing Descriptor)
        throws(SystemError)
    {
        let file = try StateFile.create(name, in: keys)
        do throws(SystemError) {
            let count = Glibc.write(file.raw, bytes.baseAddress, bytes.count)
            if count < 0 { throw SystemError.last("write", Bytes(name)) }
            if count < bytes.count { throw SystemError("write", Bytes(name), errno: ENOSPC) }
            try StateFile.sync(file)
        } catch {
            _ = aegix_unlinkat(keys.raw, name, 0)
            throw error
        }
    }
}

/// The private key that `audit.sign` names.
public enum SigningKeyFile {
    static let longest = 16 << 10

    /// A regular file of the caller's, closed to all others, with no other name, and not through a link.
    public static func read(_ path: Bytes) throws(Failure) -> SigningKey {
        func unsafe(_ why: String, errno: Int32? = nil) -> Failure {
            Failure("key.unsafe", "the signing key \(path.shown) \(why)", errno: errno)
        }
        do {
            let file = try Descriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
            let facts = try StateFile.facts(file)
            if facts.mode & S_IFMT != S_IFREG { throw unsafe("isn't a regular file") }
            if facts.uid != geteuid() {
                throw unsafe("belongs to uid \(facts.uid), not to uid \(geteuid()) who runs aegix")
            }
            if facts.mode & 0o077 != 0 { throw unsafe("is open to others. Close it with `chmod 600`") }
            if facts.links > 1 { throw unsafe("has another name (a hard link), by which a run might see it") }
            var key: SigningKey?
            var failed: SystemError?
            WipedBytes.with(longest) { room in
                guard let base = room.baseAddress else { return }
                let count = aegix_pread(file.raw, base, longest, 0)
                if count < 0 { failed = SystemError.last("read", path) }
                if count > 0 { key = SigningKey.parse(UnsafeRawBufferPointer(start: base, count: count)) }
            }
            if let failed { throw failed }
            guard let key else {
                throw Failure(
                    "key.invalid",
                    "\(path.shown) isn't an Ed25519 private key in PEM (PKCS #8). `aegix keygen` makes one")
            }
            return key
        } catch let error as SystemError {
            if error.errno == ELOOP { throw unsafe("is a symbolic link; name the file itself", errno: ELOOP) }
            throw Failure("key.unreadable", "can't read the signing key \(path.shown)", error)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw unsafe("can't be read")
        }
    }

    /// A public key in PEM, of whomever.
    public static func readPublic(_ path: Bytes) throws(Failure) -> VerifyingKey {
        do throws(SystemError) {
            let file = try Descriptor.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            if try StateFile.facts(file).mode & S_IFMT != S_IFREG { throw SystemError("open", path, errno: EINVAL) }
            if let key = VerifyingKey.parse(try file.readAll(limit: longest)) { return key }
        } catch {
            throw Failure("key.unreadable", "can't read the public key \(path.shown)", error)
        }
        throw Failure("key.invalid", "\(path.shown) isn't an Ed25519 public key in PEM (SubjectPublicKeyInfo)")
    }
}
